#include "observe/watch_rings.h"

#include <linux/if_ether.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "observe/overlays.h"
#include "observe/share.h"

#define RETRY_NS (1 * NS_PER_S)

enum { PROGRAM_MAX = SHARE_PROGRAM_MAX + EXCLUDE_PROGRAM_MAX };

bool watch_make_rings(const struct watcher *s, struct watch *w)
{
	w->ring.fd = -1;
	if (s->lanes == 1)
		return true;
	w->further = calloc(s->lanes - 1, sizeof *w->further);
	for (uint32_t lane = 1; lane < s->lanes && w->further; lane++)
		watch_ring(w, lane)->fd = -1;
	return w->further != NULL;
}

static struct sock_fprog make_filter(const struct watcher *s, uint8_t link, uint32_t lane,
				     struct sock_filter *code)
{
	const struct share share = {.number = lane, .count = s->lanes, .factor = s->share_factor};
	const uint32_t link_octets = link == LINK_ETHERNET ? ETH_HLEN : 0;
	const uint16_t used = share_program(&share, link, code);

	return (struct sock_fprog){
		.len = (uint16_t)(used + exclusions_program(&s->exclusions, link_octets, s->snap_octets,
							    code + used)),
		.filter = code,
	};
}

static enum status open_ring(struct watcher *s, struct watch *w, uint32_t lane, struct error *err)
{
	const uint8_t link = (uint8_t)interface_link_layer(&w->link);
	struct sock_filter code[PROGRAM_MAX];
	const struct sock_fprog filter = make_filter(s, link, lane, code);
	const struct packet_ring_options options = {
		.ifindex = w->link.ifindex,
		.octets = s->deaf ? RING_OCTETS_MIN : s->ring_octets,
		.link = link,
		.deaf = s->deaf,
		.filter = &filter,
	};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = w};
	const int epoll = s->lanes > 1 ? s->lane_epoll[lane] : s->epoll;
	struct packet_ring *ring = watch_ring(w, lane);
	enum status status;

	status = packet_ring_open(ring, &options, err);
	if (status != OK)
		return status;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, ring->fd, &event) < 0) {
		status = error_errno(err, "packet socket: epoll");
		packet_ring_close(ring);
	}
	return status;
}

static enum status open_rings(struct watcher *s, struct watch *w, struct error *err)
{
	enum status status = OK;

	for (uint32_t lane = 0; lane < s->lanes && status == OK; lane++)
		status = open_ring(s, w, lane, err);
	if (status != OK) {
		watch_close_rings(s, w);
		return status;
	}
	if (!w->ring.segments && !s->told_segments && !s->deaf) {
		s->told_segments = true;
		log_warn(s->log, "packet sockets of this kernel do not tell segment sizes: super-packets "
				 "count as one packet each");
	}
	if (s->on_open)
		s->on_open(s->on_open_arg, w);
	return OK;
}

void watch_open_rings_or_wait(struct watcher *s, struct watch *w, bool first)
{
	struct error err;
	const enum status status = open_rings(s, w, &err);

	w->due_ns = status == OK ? INT64_MAX : mono_now().ns + RETRY_NS;
	if (status == OK || status == AGAIN || !first) /* AGAIN: gone, as netlink is about to say */
		return;
	if (s->opening && s->open_status == OK) {
		s->open_status = error_prefix(&err, status, "interface %s", w->link.name);
		s->open_error = err;
	} else {
		log_error(s->log, "interface %s: %s; trying again", w->link.name, err.text);
	}
}

void watch_close_rings(const struct watcher *s, struct watch *w)
{
	for (uint32_t lane = 0; lane < s->lanes; lane++)
		packet_ring_close(watch_ring(w, lane)); /* leaves the epoll set by itself */
}

void watch_deafen(const struct watcher *s, struct watch *w)
{
	struct sock_filter nothing = {.code = BPF_RET | BPF_K};
	const struct sock_fprog filter = {.len = 1, .filter = &nothing};
	struct error err;

	for (uint32_t lane = 0; lane < s->lanes && w->ring.fd >= 0; lane++)
		if (packet_ring_filter(watch_ring(w, lane), &filter, &err) != OK)
			log_error(s->log, "interface %s: %s", w->link.name, err.text);
}

bool watch_lost_device(const struct watcher *s, struct watch *w)
{
	bool lost = false;

	for (uint32_t lane = 0; lane < s->lanes; lane++)
		lost |= packet_ring_lost_device(watch_ring(w, lane));
	return lost;
}

bool watch_is_drained(const struct watcher *s, struct watch *w, bool overdue)
{
	for (uint32_t lane = 0; lane < s->lanes; lane++) {
		const struct packet_ring *ring = watch_ring(w, lane);

		if (!packet_ring_is_drained(ring) && !(overdue && !packet_ring_is_ready(ring)))
			return false;
	}
	return true;
}

void source_count_drops(struct source_statistics *counted, uint64_t dropped)
{
	if (dropped == 0)
		return;
	counted->dropped_packets += dropped;
	counted->last_drop_wall_ms = wall_ms(wall_now());
	if (counted->first_drop_wall_ms == 0)
		counted->first_drop_wall_ms = counted->last_drop_wall_ms;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

void source_statistics_add(struct source_statistics *sum, const struct source_statistics *part)
{
	sum->packets += part->packets;
	sum->octets += part->octets;
	sum->dropped_packets += part->dropped_packets;
	sum->excluded_packets += part->excluded_packets;
	sum->first_drop_wall_ms = earlier(sum->first_drop_wall_ms, part->first_drop_wall_ms);
	if (part->last_drop_wall_ms > sum->last_drop_wall_ms)
		sum->last_drop_wall_ms = part->last_drop_wall_ms;
}

void watcher_count_drops(struct watcher *s, struct watch *w)
{
	for (uint32_t lane = 0; lane < s->lanes; lane++)
		source_count_drops(&s->counted, packet_ring_count(watch_ring(w, lane)));
}

enum status watcher_exclude(struct watcher *s, const struct sockaddr *local, const struct sockaddr *remote)
{
	struct sock_filter code[PROGRAM_MAX];
	enum status status = exclusions_add(&s->exclusions, local, remote);

	for (uint32_t i = 0; i < s->watches && status == OK; i++) {
		struct watch *w = s->watch[i];

		for (uint32_t lane = 0; lane < s->lanes && w->ring.fd >= 0 && !w->gone; lane++) {
			const struct sock_fprog filter = make_filter(s, w->ring.link, lane, code);
			struct error err;

			status = packet_ring_filter(watch_ring(w, lane), &filter, &err);
			if (status != OK)
				log_error(s->log, "interface %s: %s", w->link.name, err.text);
		}
	}
	return status;
}
