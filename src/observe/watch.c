#include "observe/watch_rings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "observe/overlays.h"

#define DRAIN_NS (5 * RING_RETIRE_MS * NS_PER_MS) /* by then the kernel has handed over every block */
#define NEVER    INT64_MAX

/* ---- which interfaces ---- */

static bool is_listed(const char *names, const char *name)
{
	const size_t length = strlen(name);

	for (const char *at = names; *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == length && memcmp(at, name, length) == 0)
			return true;
	return false;
}

static bool is_wanted(const struct watcher *s, const struct interface *link)
{
	return s->names ? is_listed(s->names, link->name) : overlay_rule_of(link) != NULL;
}

static enum status check_names(const char *names, struct error *err)
{
	for (const char *at = names;; at++) {
		const size_t length = strcspn(at, ",");

		if (length == 0)
			return error_set(err, ERR_USAGE, "interface list \"%s\": an empty name", names);
		if (length >= IFNAMSIZ)
			return error_set(err, ERR_USAGE,
					 "interface \"%.*s\": a name has at most %d octets, this one %zu",
					 (int)length, at, IFNAMSIZ - 1, length);
		at += length;
		if (!*at)
			return OK;
	}
}

/* ---- watches ---- */

static void end_watch(struct watcher *s, uint32_t at)
{
	struct watch *w = s->watch[at];

	watcher_count_drops(s, w);
	watch_close_rings(s, w);
	free(w->further);
	free(w);
	s->watches--;
	memmove(&s->watch[at], &s->watch[at + 1], (s->watches - at) * sizeof s->watch[0]);
}

static bool set_point(struct watcher *s, struct watch *w)
{
	const int point = point_table_add(s->points, w->link.name, interface_description(&w->link));

	if (point < 0) {
		log_error(s->log, "interface %s: not observed, there are %d observation points already",
			  w->link.name, POINT_MAX);
		return false;
	}
	w->point = (uint32_t)point;
	if (s->points->point[point].ifindex == 0) /* a new one; else the old index stays until POINT_DOWN */
		s->points->point[point].ifindex = w->link.ifindex;
	w->renamed = false;
	return true;
}

static void refuse_link_type(struct watcher *s, const struct interface *link)
{
	struct error err;
	const enum status status =
		error_set(&err, ERR_UNSUPPORTED,
			  "interface %s: not observed, its link type %u (%s) is not one we can read",
			  link->name, link->type, interface_description(link));

	if (s->opening && s->names && s->open_status == OK) {
		s->open_status = status;
		s->open_error = err;
	} else {
		log_error(s->log, "%s", err.text);
	}
}

static void begin_watch(struct watcher *s, const struct interface *link)
{
	struct watch *w;

	if (interface_link_layer(link) < 0) {
		refuse_link_type(s, link);
		return;
	}
	w = s->watches < WATCH_MAX ? calloc(1, sizeof *w) : NULL;
	if (!w) {
		if (!s->told_full)
			log_error(s->log, "interface %s: not observed, only %d at a time can be", link->name,
				  WATCH_MAX);
		s->told_full = true;
		return;
	}
	w->link = *link;
	w->was_up = link->up;
	if (!watch_make_rings(s, w) || !set_point(s, w)) {
		free(w->further);
		free(w);
		return;
	}
	s->watch[s->watches++] = w;
	watch_open_rings_or_wait(s, w,
				 true); /* first, so that who reads the line below can rely on the ring */
	log_info(s->log, "interface %s: %s, index %u, %s", link->name, interface_description(link),
		 link->ifindex, link->up ? "up" : "down");
}

static void drain(struct watch *w)
{
	w->due_ns = mono_now().ns + DRAIN_NS;
}

static void watch_gone(struct watcher *s, struct watch *w)
{
	log_info(s->log, "interface %s: gone, index %u", w->link.name, w->link.ifindex);
	w->gone = true;
	drain(w);
}

/* What its ring holds is still ours; what comes from now on is not, or comes through another ring. */
static void stop_watch(struct watcher *s, struct watch *w)
{
	watch_deafen(s, w);
	w->gone = true;
	drain(w);
}

static void watch_renamed(struct watcher *s, struct watch *w, const struct interface *now)
{
	if (is_wanted(s, now)) {
		log_info(s->log, "interface %s: renamed to %s, index %u", w->link.name, now->name,
			 now->ifindex);
		w->renamed = true;
	} else {
		log_info(s->log, "interface %s: renamed to %s, no longer observed", w->link.name, now->name);
		stop_watch(s, w);
	}
}

static void watch_changed(struct watcher *s, struct watch *w, const struct interface *now)
{
	if (interface_link_layer(now) != (int)w->ring.link) {
		stop_watch(s, w);
		begin_watch(s, now);
		return;
	}
	if (strcmp(w->link.name, now->name) != 0)
		watch_renamed(s, w, now);
	if (w->link.up != now->up) {
		log_info(s->log, "interface %s: %s, index %u", now->name, now->up ? "up" : "down",
			 now->ifindex);
		w->was_up |= now->up;
		if (w->ring.fd >= 0 && !w->gone)
			w->due_ns = now->up ? NEVER : mono_now().ns + DRAIN_NS;
	}
	w->link = *now;
}

static struct watch *watch_of(const struct watcher *s, uint32_t ifindex)
{
	for (uint32_t i = 0; i < s->watches; i++)
		if (s->watch[i]->link.ifindex == ifindex && !s->watch[i]->gone)
			return s->watch[i];
	return NULL;
}

/* Told by netlink, inside interfaces_open and interfaces_read. */
static void interface_news(void *arg, enum interface_change change, const struct interface *now,
			   const struct interface *before)
{
	struct watcher *s = arg;
	struct watch *w = watch_of(s, now->ifindex);

	if (change == INTERFACE_GONE) {
		if (w)
			watch_gone(s, w);
	} else if (w) {
		watch_changed(s, w, now);
	} else if (is_wanted(s, now) && (!before || !is_wanted(s, before) || before->type != now->type)) {
		begin_watch(s, now);
	}
}

/* ---- looking after them ---- */

static void serve_ring_error(struct watcher *s, struct watch *w)
{
	struct error err;

	if (!watch_lost_device(s, w) || w->gone)
		return;
	/* The interface is gone, and netlink has not said so, or said it where we could not hear it. */
	watch_gone(s, w);
	if (interfaces_forget(s->interfaces, w->link.ifindex, &err) != OK)
		log_error(s->log, "%s", err.text);
}

static void serve_timer(struct watcher *s)
{
	uint64_t times;

	(void)!read(s->timer, &times, sizeof times);
	s->timer_due_ns = NEVER;
	for (uint32_t i = 0; i < s->watches; i++)
		if (s->watch[i]->ring.fd < 0 && !s->watch[i]->gone && mono_now().ns >= s->watch[i]->due_ns)
			watch_open_rings_or_wait(s, s->watch[i], false);
}

/* Errors of rings that others wait for. */
static void attend_lanes(struct watcher *s)
{
	struct epoll_event event[WATCH_MAX];

	for (uint32_t lane = 0; lane < s->lanes && s->lanes > 1; lane++) {
		const int ready = epoll_wait(s->lane_epoll[lane], event, WATCH_MAX, 0);

		for (int i = 0; i < ready; i++)
			if (event[i].events & (EPOLLERR | EPOLLHUP))
				serve_ring_error(s, event[i].data.ptr);
	}
}

static void attend(struct watcher *s)
{
	struct epoll_event event[WATCH_MAX + 2];
	struct error err;
	const int ready = epoll_wait(s->epoll, event, WATCH_MAX + 2, 0);

	/* News of interfaces first: it explains the errors of rings. It ends no watch. */
	for (int i = 0; i < ready; i++)
		if (event[i].data.ptr == s->interfaces && interfaces_read(s->interfaces, &err) != OK)
			log_error(s->log, "%s", err.text);
	for (int i = 0; i < ready; i++) {
		if (event[i].data.ptr == s->interfaces)
			continue;
		if (event[i].data.ptr == &s->timer)
			serve_timer(s);
		else if (event[i].events & (EPOLLERR | EPOLLHUP))
			serve_ring_error(s, event[i].data.ptr);
	}
	attend_lanes(s);
}

/* Wake up when the first watch is due. One that waits for another of its point is not: that one's end wakes.
 */
static void set_timer(struct watcher *s)
{
	struct itimerspec at = {0};
	int64_t due = NEVER;

	for (uint32_t i = 0; i < s->watches; i++)
		if ((s->watch[i]->told_up || s->watch[i]->ring.fd < 0) && s->watch[i]->due_ns < due)
			due = s->watch[i]->due_ns;
	if (due >= s->timer_due_ns || due == NEVER)
		return;
	s->timer_due_ns = due;
	at.it_value.tv_sec = due / NS_PER_S;
	at.it_value.tv_nsec = due % NS_PER_S;
	(void)timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* Nothing of this watch is left to read, or the kernel had its time to show it. */
static bool is_drained(struct watcher *s, struct watch *w)
{
	if (w->ring.fd < 0)
		return true;
	watcher_count_drops(s, w);
	return watch_is_drained(s, w, mono_now().ns >= w->due_ns);
}

static bool is_first_of_point(const struct watcher *s, uint32_t at)
{
	for (uint32_t i = 0; i < at; i++)
		if (s->watch[i]->point == s->watch[at]->point)
			return false;
	return true;
}

static void go_up(struct watcher *s, struct watch *w)
{
	struct observation_point *point = &s->points->point[w->point];

	point->ifindex = w->link.ifindex;
	point->up = true;
	w->told_up = true;
}

static void go_down(struct watcher *s, struct watch *w)
{
	s->points->point[w->point].up = false; /* the ifindex stays for the flows that end now */
	w->told_up = w->was_up = false;
	if (!w->gone)
		w->due_ns = NEVER;
}

/* A renamed interface goes on with the same ring as the last watch of its new name's point. */
static bool take_new_name(struct watcher *s, uint32_t at)
{
	struct watch *w = s->watch[at];

	if (!set_point(s, w))
		return false;
	w->was_up = w->link.up;
	memmove(&s->watch[at], &s->watch[at + 1], (s->watches - at - 1) * sizeof s->watch[0]);
	s->watch[s->watches - 1] = w;
	return true;
}

/* What there is to tell of this watch. A watch may end here. */
static bool next_of_watch(struct watcher *s, uint32_t at, struct point_event *event)
{
	struct watch *w = s->watch[at];
	const bool leaving = w->gone || !w->link.up;

	event->point = w->point;
	if (w->told_up && (leaving ? is_drained(s, w) : w->renamed)) {
		event->change = POINT_DOWN;
		go_down(s, w);
		if (w->gone)
			end_watch(s, at);
		return true;
	}
	if (!w->told_up && (w->link.up || w->was_up) && !w->renamed && w->ring.fd >= 0) {
		event->change = POINT_UP;
		go_up(s, w);
		return true;
	}
	return false;
}

/* Watches that end or move without anything to tell. True: one did, so that the list is another now. */
static bool tidy(struct watcher *s, uint32_t at)
{
	struct watch *w = s->watch[at];

	if (w->told_up)
		return false;
	if (w->gone && (!w->was_up || w->ring.fd < 0)) {
		end_watch(s, at);
		return true;
	}
	if (!w->renamed)
		return false;
	if (!take_new_name(s, at))
		end_watch(s, at);
	return true;
}

int watcher_next_event(struct watcher *s, struct point_event *event)
{
	attend(s);
	if (s->told_full && s->watches < WATCH_MAX) { /* room for those that were turned away */
		s->told_full = false;
		interfaces_tell_all(s->interfaces);
	}
	for (uint32_t at = 0; at < s->watches;) {
		if (tidy(s, at)) {
			at = 0;
			continue;
		}
		if (is_first_of_point(s, at) && next_of_watch(s, at, event))
			return 1;
		at++;
	}
	set_timer(s);
	return 0;
}

/* ---- all of it ---- */

static enum status open_polling(struct watcher *s, struct error *err)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &s->timer};

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epoll < 0 || s->timer < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->timer, &event) < 0)
		return error_errno(err, "packet source: epoll");
	for (uint32_t lane = 0; lane < s->lanes && s->lanes > 1; lane++)
		if ((s->lane_epoll[lane] = epoll_create1(EPOLL_CLOEXEC)) < 0)
			return error_errno(err, "packet source: epoll");
	return OK;
}

static enum status open_interfaces(struct watcher *s, struct error *err)
{
	struct epoll_event event = {.events = EPOLLIN};
	enum status status;

	s->opening = true;
	status = interfaces_open(&s->interfaces, interface_news, s, err);
	s->opening = false;
	if (status != OK)
		return status;
	if (s->open_status != OK)
		return error_set(err, s->open_status, "%s", s->open_error.text);
	event.data.ptr = s->interfaces;
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, interfaces_fd(s->interfaces), &event) < 0)
		return error_errno(err, "packet source: epoll");
	for (uint32_t i = 0; i < s->watches; i++)
		if (s->watch[i]->link.up)
			go_up(s, s->watch[i]);
	if (s->watches == 0)
		log_info(s->log, "no %s%s yet: waiting", s->names ? "interface " : "overlay interface",
			 s->names ? s->names : "");
	return OK;
}

enum status watcher_open(struct watcher *s, const struct source_options *options, struct error *err)
{
	const uint32_t snap = options->snap_octets ? options->snap_octets : RING_SNAP_DEFAULT;
	enum status status = OK;

	*s = (struct watcher){
		.on_open = s->on_open,
		.on_open_arg = s->on_open_arg,
		.points = options->points,
		.log = options->log,
		.ring_octets = options->ring_octets ? options->ring_octets : RING_OCTETS_DEFAULT,
		.deaf = options->deaf,
		.snap_octets = snap < RING_SNAP_MAX ? snap : RING_SNAP_MAX,
		.lanes = options->lanes > 1 ? options->lanes : 1,
		.share_factor = options->share_factor,
		.epoll = -1,
		.timer = -1,
		.timer_due_ns = NEVER,
	};
	for (uint32_t lane = 0; lane < LANES_MAX; lane++)
		s->lane_epoll[lane] = -1;
	if (options->spec)
		status = check_names(options->spec, err);
	if (status == OK && options->spec && !(s->names = strdup(options->spec)))
		status = error_set(err, ERR_MEMORY, "packet source: no memory");
	if (status == OK)
		status = packet_ring_check_right(err); /* also when there is no interface yet */
	if (status == OK)
		status = open_polling(s, err);
	if (status == OK)
		status = open_interfaces(s, err);
	if (status != OK)
		watcher_close(s);
	return status;
}

void watcher_close(struct watcher *s)
{
	while (s->watches > 0)
		end_watch(s, s->watches - 1);
	interfaces_close(s->interfaces);
	for (uint32_t lane = 0; lane < LANES_MAX; lane++)
		close_fd(&s->lane_epoll[lane]);
	close_fd(&s->timer);
	close_fd(&s->epoll);
	free(s->names);
}
