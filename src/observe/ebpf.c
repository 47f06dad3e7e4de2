/* Live interfaces whose packets the kernel counts into flows itself (kernel_cache.h). Four times a second the
 * counters are taken out and handed over in the order of time, as if they were packets.
 *
 * Which interfaces are there is the watcher's business; its sockets hear nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "observe/capture_choice.h"
#include "observe/counted_queue.h"
#include "observe/grace.h"
#include "observe/kernel_cache.h"
#include "observe/watch.h"

#define TAKE_NS (NS_PER_S / 4)

/* Packets further apart than this are never told together, so that IdleTimeout may change while we run. */
#define APART_NS NS_PER_S

#define RETRY_NS NS_PER_S

enum { COUNTERS_MAX = 2 * WATCH_MAX }; /* those that leave are still there */

/* One interface that is counted at. */
struct counter {
	struct kernel_cache *cache; /* NULL: not yet, try again */
	uint32_t ifindex;
	uint16_t point;
	uint8_t link;
	bool up;                       /* its POINT_UP was told: what it has counted may be taken */
	bool leaving;                  /* detached; it ends with the POINT_DOWN that waits */
	bool present;                  /* while looking for those that are not any more */
	bool told;                     /* … that it does not work */
	uint64_t frames;               /* that had passed when its period began */
	struct capture_choice *choice; /* NULL: it counts, whatever passes */
};

struct ebpf {
	struct packet_source base;
	struct watcher watcher;
	struct source_options options;
	int epoll, timer;
	bool full;    /* a ring is filling up, or all is wanted now */
	bool pending; /* an event that waits until everything before it was read */
	struct point_event event;
	bool taking;  /* what was swapped out is to be collected … */
	bool waiting; /* … when the kernel has let go of it */
	bool hurried; /* … and nothing else is done before */
	struct grace *grace;
	struct mono_ns begun, taken, retry;
	struct mono_ns period; /* when it began: how packets are taken is looked at when it ends */
	uint32_t counters;
	struct counter counter[COUNTERS_MAX];
	struct counter *at;                /* while collecting */
	struct counted_queue queue, later; /* later: counted after the swap */
	uint64_t changes;                  /* of how packets are taken */
	struct kernel_cache_statistics closed;
};

/* ---- taking out ---- */

static bool is_excluded(const struct ebpf *s, const struct cached_flow *flow)
{
	return exclusions_have(&s->watcher.exclusions, flow->kind & FLOW_CACHE_IPV6 ? AF_INET6 : AF_INET,
			       flow->protocol, flow->source, flow->destination, flow->source_port,
			       flow->destination_port);
}

static void take_flow(void *source, const struct cached_flow *flow)
{
	struct ebpf *s = source;
	const bool later = (int64_t)flow->first > s->taken.ns;

	if (s->at->choice)
		capture_choice_flow(s->at->choice, (const uint64_t *)flow->word);
	if (s->watcher.exclusions.count == 0 || !is_excluded(s, flow))
		counted_queue_flow(later ? &s->later : &s->queue, s->at->point, flow);
}

static void take_frame(void *source, const struct cache_event_frame *frame)
{
	struct ebpf *s = source;
	const bool later = (int64_t)frame->time > s->taken.ns;

	counted_queue_frame(later ? &s->later : &s->queue, s->at->point, s->at->link, frame);
}

/* What came after the last swap is of this time. */
static void swap_queues(struct ebpf *s)
{
	const struct counted_queue queue = s->queue;

	s->queue = s->later;
	s->later = queue;
	counted_queue_clear(&s->later);
}

static void tell_choice(struct ebpf *s, const struct counter *c, uint64_t frames, int64_t ns)
{
	const uint64_t rate = ns > 0 ? frames * NS_PER_S / (uint64_t)ns : frames;

	s->changes++;
	log_info(s->options.log, "interface %s: packets are %s, %" PRIu64 " a second",
		 s->watcher.points->point[c->point].name,
		 c->choice->counting ? "counted in the kernel" : "taken one by one", rate);
}

/* Which way is cheaper now? */
static void choose(struct ebpf *s)
{
	const int64_t ns = s->taken.ns - s->period.ns;

	if (ns < TAKE_NS - TAKE_NS / 4)
		return;
	s->period = s->taken;
	for (uint32_t i = 0; i < s->counters; i++) {
		struct counter *c = &s->counter[i];
		struct kernel_cache_statistics sums;

		if (!c->choice || !c->cache || !c->up)
			continue;
		kernel_cache_statistics(c->cache, &sums);
		if (capture_choice_period(c->choice, sums.frames - c->frames)) {
			kernel_cache_apart(c->cache, !c->choice->counting);
			tell_choice(s, c, sums.frames - c->frames, ns);
		}
		c->frames = sums.frames;
	}
}

/* From here on packets go elsewhere; those that a program has in its hands now still come. */
static void begin_taking(struct ebpf *s)
{
	bool any = false;

	s->begun = mono_now();
	s->hurried = s->full;
	s->full = false;
	for (uint32_t i = 0; i < s->counters; i++)
		any |= s->counter[i].cache && s->counter[i].up && kernel_cache_swap(s->counter[i].cache);
	if (any)
		grace_begin(s->grace); /* one for all interfaces */
	s->taking = true;
	s->waiting = any;
}

static void end_taking(struct ebpf *s)
{
	const struct kernel_cache_sink sink = {.flow = take_flow, .frame = take_frame, .arg = s};

	s->taking = s->waiting = false;
	swap_queues(s);
	s->taken = s->begun;
	for (uint32_t i = 0; i < s->counters; i++) {
		s->at = &s->counter[i];
		if (s->at->cache && s->at->up)
			kernel_cache_collect(s->at->cache, &sink);
	}
	counted_queue_sort(&s->queue);
	choose(s);
}

/* ---- interfaces ---- */

static void end_counter(struct ebpf *s, uint32_t i)
{
	struct kernel_cache_statistics sums;

	if (s->counter[i].cache) {
		kernel_cache_statistics(s->counter[i].cache, &sums);
		s->closed.frames += sums.frames;
		s->closed.octets += sums.octets;
		s->closed.lost += sums.lost;
		kernel_cache_close(s->counter[i].cache); /* leaves the epoll set by itself */
	}
	free(s->counter[i].choice);
	s->counters--;
	memmove(&s->counter[i], &s->counter[i + 1], (s->counters - i) * sizeof s->counter[0]);
}

static void open_counter(struct ebpf *s, struct counter *c, const char *name)
{
	const struct kernel_cache_options options = {
		.ifindex = c->ifindex,
		.link = c->link,
		.octets = s->watcher.ring_octets,
		.idle_ns = s->options.idle_ns > 0 && s->options.idle_ns < APART_NS ? s->options.idle_ns
										   : APART_NS,
		.dscp_key = s->options.dscp_key,
	};
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct error err;
	const enum status status = kernel_cache_open(&c->cache, &options, &err);

	if (status == OK) {
		/* Without the memory for a choice it counts. */
		c->choice = s->options.may_count ? calloc(1, sizeof *c->choice) : NULL;
		kernel_cache_apart(c->cache, c->choice);
		(void)epoll_ctl(s->epoll, EPOLL_CTL_ADD, kernel_cache_fd(c->cache), &event);
	} else if (status != AGAIN && !c->told) {
		log_error(s->options.log, "interface %s: %s; trying again", name, err.text);
	}
	c->told |= status != OK && status != AGAIN;
}

/* The oldest that no older watch has taken: both lists are in the order of their beginning. */
static struct counter *counter_of(struct ebpf *s, const struct watch *w)
{
	for (uint32_t i = 0; i < s->counters; i++) {
		struct counter *c = &s->counter[i];

		if (c->ifindex == w->link.ifindex && c->link == w->ring.link && !c->present && !c->leaving)
			return c;
	}
	return NULL;
}

static void follow_watch(struct ebpf *s, const struct watch *w, bool again)
{
	struct counter *c = counter_of(s, w);

	if (!c)
		return;
	c->present = true;
	c->point = (uint16_t)w->point; /* a renamed interface has another one, after the POINT_DOWN of the
					  first */
	c->up |= w->told_up;
	if (!c->cache && again)
		open_counter(s, c, w->link.name);
}

/* Before the log says that the interface is observed. */
static void on_open(void *source, const struct watch *w)
{
	struct ebpf *s = source;
	struct counter *c = &s->counter[s->counters];

	if (s->counters == COUNTERS_MAX)
		return;
	s->counters++;
	*c = (struct counter){.ifindex = w->link.ifindex,
			      .link = w->ring.link,
			      .point = (uint16_t)w->point,
			      .present = true};
	open_counter(s, c, w->link.name);
}

/* Those that the watcher has are counted at. */
static void follow_watches(struct ebpf *s)
{
	const bool again = mono_now().ns >= s->retry.ns;

	for (uint32_t i = 0; i < s->counters; i++)
		s->counter[i].present = false;
	for (uint32_t i = 0; i < s->watcher.watches; i++)
		follow_watch(s, s->watcher.watch[i], again);
	for (uint32_t i = s->counters; i-- > 0;)
		if (!s->counter[i].present)
			end_counter(s, i);
	if (again)
		s->retry.ns = mono_now().ns + RETRY_NS;
}

static bool is_watched(const struct ebpf *s, const struct counter *c)
{
	for (uint32_t i = 0; i < s->watcher.watches; i++) {
		const struct watch *w = s->watcher.watch[i];

		if (!w->gone && w->link.ifindex == c->ifindex && w->ring.link == c->link)
			return kernel_cache_is_attached(c->cache);
	}
	return false;
}

/* The last packets of a point that goes down come before the event that says so. */
static void begin_farewell(struct ebpf *s)
{
	for (uint32_t i = 0; i < s->counters; i++) {
		struct counter *c = &s->counter[i];

		if (c->point != s->event.point || !c->cache || !c->up || is_watched(s, c))
			continue;
		kernel_cache_detach(c->cache);
		c->leaving = true;
	}
	s->pending = s->full = true;
}

static void end_farewell(struct ebpf *s)
{
	for (uint32_t i = s->counters; i-- > 0;)
		if (s->counter[i].leaving)
			end_counter(s, i);
	s->pending = false;
}

static int ebpf_next_event(struct packet_source *source, struct point_event *event)
{
	struct ebpf *s = (struct ebpf *)source;

	if (s->pending) {
		if (s->full || counted_queue_time(&s->queue) != INT64_MAX)
			return 0; /* to be read first */
		*event = s->event;
		end_farewell(s);
		return 1;
	}
	if (!watcher_next_event(&s->watcher, event)) {
		follow_watches(s);
		return 0;
	}
	if (event->change == POINT_DOWN) {
		s->event = *event;
		begin_farewell(s);
		return 0;
	}
	follow_watches(s);
	return 1;
}

/* ---- reading ---- */

/* What is in the epoll set is looked at here; the watcher looks after its own. True: it is time. */
static bool is_due(struct ebpf *s)
{
	struct epoll_event events[8];
	const int ready = epoll_wait(s->epoll, events, 8, 0);
	bool due = s->full;

	for (int i = 0; i < ready; i++) {
		if (events[i].data.ptr == &s->timer)
			due |= mono_now().ns - s->taken.ns >= TAKE_NS / 2;
		else if (events[i].data.ptr == NULL)
			due = true;
	}
	return due;
}

/* One taking, or one part of it: it ends when the kernel lets go. False: nothing more now. */
static bool take_part(struct ebpf *s)
{
	enum status status = OK;
	struct error err;

	if (!s->taking) {
		if (!is_due(s))
			return false;
		begin_taking(s);
	}
	if (s->waiting)
		status = grace_end(s->grace, s->hurried || s->full, &err);
	if (status == AGAIN) {
		(void)is_due(s); /* what happens meanwhile does not wake us again and again */
		return false;
	}
	if (status != OK)
		log_error(s->options.log, "%s", err.text); /* it worked when we began */
	end_taking(s);
	return s->full;
}

static void take(struct ebpf *s)
{
	counted_queue_clear(&s->queue);
	while (take_part(s) && counted_queue_time(&s->queue) == INT64_MAX)
		continue;
}

static enum status ebpf_read(struct packet_source *source, struct packet_batch *batch, struct error *err)
{
	struct ebpf *s = (struct ebpf *)source;
	uint64_t times;

	if (counted_queue_time(&s->queue) == INT64_MAX)
		take(s);
	batch->to_wall = wall_now().ns - mono_now().ns;
	batch->count = counted_queue_read(&s->queue, batch->packet, PACKET_BATCH_MAX);
	if (batch->count > 0)
		return OK;
	(void)!read(s->timer, &times, sizeof times); /* not before: until here there was more to read */
	return AGAIN;
}

static void ebpf_release(struct packet_source *source, struct packet_batch *batch)
{
	batch->count = 0;
}

static void ebpf_hurry(struct packet_source *source)
{
	((struct ebpf *)source)->full = true;
}

static struct mono_ns ebpf_read_until(const struct packet_source *source)
{
	const struct ebpf *s = (const struct ebpf *)source;
	const int64_t next = counted_queue_time(&s->queue);

	return next < s->taken.ns ? (struct mono_ns){next} : s->taken;
}

static enum status ebpf_exclude(struct packet_source *source, const struct sockaddr *local,
				const struct sockaddr *remote)
{
	return exclusions_add(&((struct ebpf *)source)->watcher.exclusions, local, remote);
}

static void ebpf_statistics(struct packet_source *source, struct source_statistics *out)
{
	struct ebpf *s = (struct ebpf *)source;
	struct source_statistics *counted = &s->watcher.counted;
	uint64_t lost = s->closed.lost + s->queue.lost + s->later.lost;

	counted->packets = s->closed.frames;
	counted->octets = s->closed.octets;
	for (uint32_t i = 0; i < s->counters; i++) {
		struct kernel_cache_statistics sums = {0};

		if (s->counter[i].cache)
			kernel_cache_statistics(s->counter[i].cache, &sums);
		counted->packets += sums.frames;
		counted->octets += sums.octets;
		lost += sums.lost;
	}
	if (lost > counted->dropped_packets) {
		counted->last_drop_wall_ms = wall_ms(wall_now());
		if (counted->first_drop_wall_ms == 0)
			counted->first_drop_wall_ms = counted->last_drop_wall_ms;
		counted->dropped_packets = lost;
	}
	counted->changes = s->changes;
	*out = *counted;
}

static int ebpf_poll_fd(const struct packet_source *source)
{
	return ((const struct ebpf *)source)->epoll;
}

/* ---- open ---- */

/* All but the watcher. */
static void end_all(struct ebpf *s)
{
	while (s->counters > 0)
		end_counter(s, s->counters - 1);
	counted_queue_fini(&s->queue);
	counted_queue_fini(&s->later);
	grace_close(s->grace);
	close_fd(&s->timer);
	close_fd(&s->epoll);
	free(s);
}

static void ebpf_close(struct packet_source *source)
{
	struct ebpf *s = (struct ebpf *)source;

	if (!s)
		return;
	watcher_close(&s->watcher);
	end_all(s);
}

static enum status open_polling(struct ebpf *s, struct error *err)
{
	const struct itimerspec every = {.it_interval.tv_nsec = TAKE_NS, .it_value.tv_nsec = TAKE_NS};
	struct epoll_event timer = {.events = EPOLLIN, .data.ptr = &s->timer};
	struct epoll_event grace = {.events = EPOLLIN, .data.ptr = &s->grace};

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epoll < 0 || s->timer < 0 || timerfd_settime(s->timer, 0, &every, NULL) < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->timer, &timer) < 0)
		return error_errno(err, "packet source: epoll");
	const enum status status = grace_open(&s->grace, err);
	if (status == OK && epoll_ctl(s->epoll, EPOLL_CTL_ADD, grace_fd(s->grace), &grace) < 0)
		return error_errno(err, "packet source: epoll");
	return status;
}

static enum status ebpf_open(struct packet_source **out, const struct source_options *options,
			     struct error *err)
{
	struct epoll_event watcher = {.events = EPOLLIN};
	struct source_options deaf = *options;
	struct ebpf *s = calloc(1, sizeof *s);
	enum status status;

	*out = NULL;
	if (!s)
		return error_set(err, ERR_MEMORY, "packet source: no memory");
	deaf.deaf = true;
	watcher.data.ptr = &s->watcher;
	s->base.type = &ebpf_source;
	s->options = *options;
	s->epoll = s->timer = -1;
	s->watcher.on_open = on_open;
	s->watcher.on_open_arg = s;
	s->watcher.ring_octets = options->ring_octets ? options->ring_octets : RING_OCTETS_DEFAULT;
	s->taken = s->period = mono_now();
	status = kernel_cache_check(err);
	if (status == OK)
		status = open_polling(s, err);
	if (status == OK)
		status = watcher_open(&s->watcher, &deaf, err);
	if (status != OK) {
		end_all(s);
		return status;
	}
	(void)epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->watcher.epoll, &watcher);
	follow_watches(s);
	*out = &s->base;
	return OK;
}

const struct packet_source_type ebpf_source = {
	.name = "ebpf",
	.description = "live interfaces, counted by the kernel (tcx, Linux 6.6)",
	.open = ebpf_open,
	.poll_fd = ebpf_poll_fd,
	.read = ebpf_read,
	.release = ebpf_release,
	.next_event = ebpf_next_event,
	.read_until = ebpf_read_until,
	.hurry = ebpf_hurry,
	.exclude = ebpf_exclude,
	.statistics = ebpf_statistics,
	.close = ebpf_close,
};
