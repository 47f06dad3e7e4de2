/* On the loopback interface the kernel shows each packet twice, leaving and arriving. Both are handed over,
 * as egress and as ingress: both happen at that observation point, and direction is part of the flow key, so
 * no counter has a packet twice. */
#include <stdlib.h>
#include <sys/epoll.h>

#include "observe/lanes.h"
#include "observe/watch.h"

/* What one thread reads. Nothing that it writes is in a line of memory that another one reads. */
struct lane {
	struct packet_source base;
	struct watcher *watcher;
	uint32_t number;
	uint32_t turn; /* whose ring the next batch begins with */
	struct source_statistics counted;
} __attribute__((aligned(128)));

struct afpacket {
	struct packet_source base;
	struct watcher watcher;
	struct lane *lane; /* as many as the watcher has; the source itself reads as number 0 */
};

enum { CLOCK_TRIES = 3, LANE_EVENTS = 8 };

/* How far the wall clock is ahead of the monotonic one. Of a few tries the one whose readings lie closest
 * together: a pause between them would look like a step. */
static int64_t clock_distance(struct mono_ns *now)
{
	int64_t narrowest = INT64_MAX, distance = 0;

	for (int i = 0; i < CLOCK_TRIES && narrowest > NS_PER_MS / 100; i++) {
		const int64_t before = mono_now().ns, wall = wall_now().ns, after = mono_now().ns;

		if (after - before < narrowest) {
			narrowest = after - before;
			distance = wall - before - narrowest / 2;
		}
		now->ns = after;
	}
	return distance;
}

static void lane_release(struct packet_source *source, struct packet_batch *batch)
{
	const struct lane *lane = (struct lane *)source;
	const struct watcher *s = lane->watcher;

	for (uint32_t i = 0; i < s->watches; i++)
		if (s->watch[i]->ring.fd >= 0)
			packet_ring_release(watch_ring(s->watch[i], lane->number));
	batch->count = 0;
}

static enum status lane_read(struct packet_source *source, struct packet_batch *batch, struct error *err)
{
	struct lane *lane = (struct lane *)source;
	const struct watcher *s = lane->watcher;
	struct mono_ns now;
	const uint32_t first = lane->turn;

	batch->count = 0;
	batch->to_wall = clock_distance(&now);
	for (uint32_t i = 0; i < s->watches && batch->count < PACKET_BATCH_MAX; i++) {
		const uint32_t at = (first + i) % s->watches;
		struct watch *w = s->watch[at];
		struct packet_ring *ring = watch_ring(w, lane->number);

		if (!w->told_up)
			continue;
		batch->count +=
			packet_ring_read(ring, (uint16_t)w->point, batch->to_wall, now,
					 batch->packet + batch->count, PACKET_BATCH_MAX - batch->count);
		if (ring->losing)
			source_count_drops(&lane->counted, packet_ring_count(ring));
		lane->turn = at + 1; /* whoever filled the batch is last in the next */
	}
	if (batch->count == 0) {
		lane_release(source, batch); /* of blocks that had nothing in them */
		return AGAIN;
	}
	for (uint32_t i = 0; i < batch->count; i++)
		lane->counted.octets += batch->packet[i].length;
	lane->counted.packets += batch->count;
	return OK;
}

static int lane_poll_fd(const struct packet_source *source)
{
	const struct lane *lane = (const struct lane *)source;

	return lane->watcher->lane_epoll[lane->number];
}

static void afpacket_release(struct packet_source *source, struct packet_batch *batch)
{
	lane_release(&((struct afpacket *)source)->lane[0].base, batch);
}

static enum status afpacket_read(struct packet_source *source, struct packet_batch *batch, struct error *err)
{
	return lane_read(&((struct afpacket *)source)->lane[0].base, batch, err);
}

static enum status afpacket_exclude(struct packet_source *source, const struct sockaddr *local,
				    const struct sockaddr *remote)
{
	return watcher_exclude(&((struct afpacket *)source)->watcher, local, remote);
}

static int afpacket_next_event(struct packet_source *source, struct point_event *event)
{
	return watcher_next_event(&((struct afpacket *)source)->watcher, event);
}

static void afpacket_statistics(struct packet_source *source, struct source_statistics *out)
{
	const struct afpacket *a = (struct afpacket *)source;
	struct watcher *s = &((struct afpacket *)source)->watcher;

	for (uint32_t i = 0; i < s->watches; i++)
		watcher_count_drops(s, s->watch[i]);
	*out = s->counted;
	for (uint32_t i = 0; i < s->lanes; i++)
		source_statistics_add(out, &a->lane[i].counted);
}

static int afpacket_poll_fd(const struct packet_source *source)
{
	return ((const struct afpacket *)source)->watcher.epoll;
}

static void afpacket_close(struct packet_source *source)
{
	struct afpacket *a = (struct afpacket *)source;

	if (!a)
		return;
	watcher_close(&a->watcher);
	free(a->lane);
	free(a);
}

static const struct packet_source_type lane_source = {
	.name = "lane", .poll_fd = lane_poll_fd, .read = lane_read, .release = lane_release};

static bool make_lanes(struct afpacket *a, uint32_t count)
{
	a->lane = aligned_alloc(_Alignof(struct lane), count * sizeof *a->lane);
	for (uint32_t i = 0; i < count && a->lane; i++)
		a->lane[i] = (struct lane){.base.type = &lane_source, .watcher = &a->watcher, .number = i};
	return a->lane != NULL;
}

struct packet_source *afpacket_lane(struct packet_source *source, uint32_t number)
{
	return &((struct afpacket *)source)->lane[number].base;
}

bool afpacket_lane_wait(const struct packet_source *lane, int milliseconds)
{
	struct epoll_event event[LANE_EVENTS];
	const int ready = epoll_wait(lane_poll_fd(lane), event, LANE_EVENTS, milliseconds);

	for (int i = 0; i < ready; i++)
		if (event[i].events & (EPOLLERR | EPOLLHUP))
			return false;
	return true;
}

static enum status afpacket_open(struct packet_source **out, const struct source_options *options,
				 struct error *err)
{
	struct afpacket *a = calloc(1, sizeof *a);
	enum status status;

	*out = NULL;
	if (!a || !make_lanes(a, options->lanes > 1 ? options->lanes : 1)) {
		free(a);
		return error_set(err, ERR_MEMORY, "packet source: no memory");
	}
	a->base.type = &afpacket_source;
	status = watcher_open(&a->watcher, options, err);
	if (status == OK)
		*out = &a->base;
	else {
		free(a->lane);
		free(a);
	}
	return status;
}

const struct packet_source_type afpacket_source = {
	.name = "afpacket",
	.description =
		"live interfaces, by packet rings (TPACKET_V3); IFACE[,IFACE]..., or all overlay interfaces",
	.open = afpacket_open,
	.poll_fd = afpacket_poll_fd,
	.read = afpacket_read,
	.release = afpacket_release,
	.next_event = afpacket_next_event,
	.exclude = afpacket_exclude,
	.statistics = afpacket_statistics,
	.close = afpacket_close,
};
