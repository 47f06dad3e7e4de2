/* counted_queue.h: what the kernel has counted, put into the order of time and into the form of packets.
 *
 * Packets of one flow that were counted together become two at least: all but one at the time of the first,
 * one at the time of the last; SYN is told with the former, FIN and RST with the latter. So idle times, ends
 * of TCP, and start and end of flows come out as they do of single packets. One thread, no kernel. */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "observe/bpf/flow_cache.h"
#include "observe/packet.h"

struct counted_entry {
	int64_t time;
	size_t data; /* where in `octets` */
	uint32_t captured, length;
	uint16_t point, gso_size;
	uint8_t link, direction;
};

/* Zeroed: empty. */
struct counted_queue {
	struct counted_entry *entry;
	uint32_t *order; /* indices of entries, by time; beside it as much room for sorting */
	uint8_t *octets;
	size_t used, room; /* of octets */
	uint32_t count, capacity;
	uint32_t next; /* in order: to be read */
	uint64_t lost; /* packets for which there was no memory; only grows */
};

void counted_queue_fini(struct counted_queue *q);

/* Nothing is in it any more; its memory stays. */
void counted_queue_clear(struct counted_queue *q);

void counted_queue_flow(struct counted_queue *q, uint16_t point, const struct cached_flow *flow);
void counted_queue_frame(struct counted_queue *q, uint16_t point, uint8_t link,
			 const struct cache_event_frame *frame);

/* After the last flow and frame, before the first is read. Equal times stay in the order they came in. */
void counted_queue_sort(struct counted_queue *q);

/* The time of the next one; INT64_MAX: there is none. */
int64_t counted_queue_time(const struct counted_queue *q);

/* Take out `max` at most. They are good until the queue is cleared. */
uint32_t counted_queue_read(struct counted_queue *q, struct packet *out, uint32_t max);
