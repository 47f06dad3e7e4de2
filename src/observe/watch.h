/* watch.h: which interfaces are observed right now, and their rings; the inside of the af_packet source.
 *
 * A watch is one interface under one name: from when netlink tells of it until its last packet is handed
 * over. One that is deleted and made again is two watches of the same observation point; the second one's
 * ring fills from the beginning, but it is read only after the first is drained and its POINT_DOWN was taken.
 * So packets, events and the point table agree at every moment. A renamed interface keeps its ring and
 * changes its point in the same way.
 *
 * With several lanes an interface has a ring for each, and a thread for each reads them. Everything else in
 * here is of one thread, while the others rest. */
#pragma once

#include "observe/exclude.h"
#include "observe/interfaces.h"
#include "observe/packet_ring.h"
#include "observe/source.h"

enum { WATCH_MAX = 64, LANES_MAX = 64 };

struct watch {
	struct interface link; /* as the kernel has it now */
	uint32_t point;
	struct packet_ring ring;     /* of lane 0. fd -1: could not be opened, try again */
	struct packet_ring *further; /* of lanes 1 and up: open when that of lane 0 is */
	bool told_up;                /* the point is up in the table, packets are read */
	bool was_up;                 /* may have packets that were not read yet */
	bool gone;
	bool renamed;   /* link.name is the name of its next point */
	int64_t due_ns; /* draining: no longer than this; no ring: try again then; INT64_MAX: neither */
};

struct watcher {
	char *names; /* what was asked for, comma separated; NULL: all overlay interfaces */
	struct point_table *points;
	const struct logger *log;
	uint32_t ring_octets, snap_octets;
	bool deaf; /* as in source.h */
	/* A watch has got its socket, and packets count from now on. NULL: nobody wants to know. */
	void (*on_open)(void *arg, const struct watch *w);
	void *on_open_arg;
	struct interfaces *interfaces;
	struct exclusions exclusions;
	uint32_t lanes, share_factor; /* as in source.h; 1: its rings are in `epoll` */
	int lane_epoll[LANES_MAX];    /* of several: readable when a ring of that lane has something */
	int epoll;                    /* readable when a ring, netlink or the timer has something */
	int timer;
	int64_t timer_due_ns;
	uint32_t watches;
	struct watch *watch[WATCH_MAX];   /* oldest first */
	struct source_statistics counted; /* but for what lanes count */
	enum status open_status;          /* while opening: the first thing that went wrong */
	struct error open_error;
	bool opening, told_full, told_segments;
};

/* Of *s, on_open and its argument are to be set before. *s is closed on failure. ERR_PERMISSION, ERR_SYSTEM,
 * ERR_MEMORY, ERR_USAGE (bad name), ERR_UNSUPPORTED (link type of an interface that was asked for). */
MUST_CHECK enum status watcher_open(struct watcher *s, const struct source_options *options,
				    struct error *err);
void watcher_close(struct watcher *s);

/* As next_event in source.h. Watches begin and end only in here. */
int watcher_next_event(struct watcher *s, struct point_event *event);

/* As exclude in source.h. */
enum status watcher_exclude(struct watcher *s, const struct sockaddr *local, const struct sockaddr *remote);

static inline struct packet_ring *watch_ring(struct watch *w, uint32_t lane)
{
	return lane ? &w->further[lane - 1] : &w->ring;
}

/* The kernel has dropped so many packets more. */
void source_count_drops(struct source_statistics *counted, uint64_t dropped);

void source_statistics_add(struct source_statistics *sum, const struct source_statistics *part);

/* Fetch the kernel's drop counters of its rings into s->counted. */
void watcher_count_drops(struct watcher *s, struct watch *w);
