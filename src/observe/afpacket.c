/* On the loopback interface the kernel shows each packet twice, leaving and arriving. Both are handed over,
 * as egress and as ingress: both happen at that observation point, and direction is part of the flow key, so
 * no counter has a packet twice. */
#include <stdlib.h>

#include "observe/watch.h"

struct afpacket {
	struct packet_source base;
	struct watcher watcher;
	uint32_t turn; /* whose ring the next batch begins with */
};

enum { CLOCK_TRIES = 3 };

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

static void afpacket_release(struct packet_source *source, struct packet_batch *batch)
{
	struct watcher *s = &((struct afpacket *)source)->watcher;

	for (uint32_t i = 0; i < s->watches; i++)
		if (s->watch[i]->ring.fd >= 0)
			packet_ring_release(&s->watch[i]->ring);
	batch->count = 0;
}

static enum status afpacket_read(struct packet_source *source, struct packet_batch *batch, struct error *err)
{
	struct afpacket *a = (struct afpacket *)source;
	struct watcher *s = &a->watcher;
	struct mono_ns now;
	const uint32_t first = a->turn;

	batch->count = 0;
	batch->to_wall = clock_distance(&now);
	for (uint32_t i = 0; i < s->watches && batch->count < PACKET_BATCH_MAX; i++) {
		const uint32_t at = (first + i) % s->watches;
		struct watch *w = s->watch[at];

		if (!w->told_up)
			continue;
		batch->count +=
			packet_ring_read(&w->ring, (uint16_t)w->point, batch->to_wall, now,
					 batch->packet + batch->count, PACKET_BATCH_MAX - batch->count);
		if (w->ring.losing)
			watcher_count_drops(s, w);
		a->turn = at + 1; /* whoever filled the batch is last in the next */
	}
	if (batch->count == 0) {
		afpacket_release(source, batch); /* of blocks that had nothing in them */
		return AGAIN;
	}
	for (uint32_t i = 0; i < batch->count; i++)
		s->counted.octets += batch->packet[i].length;
	s->counted.packets += batch->count;
	return OK;
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
	struct watcher *s = &((struct afpacket *)source)->watcher;

	for (uint32_t i = 0; i < s->watches; i++)
		watcher_count_drops(s, s->watch[i]);
	*out = s->counted;
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
	free(a);
}

static enum status afpacket_open(struct packet_source **out, const struct source_options *options,
				 struct error *err)
{
	struct afpacket *a = calloc(1, sizeof *a);
	enum status status;

	*out = NULL;
	if (!a)
		return error_set(err, ERR_MEMORY, "packet source: no memory");
	a->base.type = &afpacket_source;
	status = watcher_open(&a->watcher, options, err);
	if (status == OK)
		*out = &a->base;
	else
		free(a);
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
