/* ring.h: encoded Data Records on their way from the Metering Process to the Exporting Process.
 *
 * One thread puts, one takes; neither locks or waits. Nothing inside is an address, so the memory may be
 * shared between two processes that map it at different places. The taker believes no length it finds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { RING_RECORD_MAX = 1024 }; /* octets of one Data Record */

struct ring; /* lies at the start of its memory */

/* A record that waits; `octets` are borrowed until the ring is released past them. */
struct ring_view {
	const uint8_t *data;
	uint16_t length;
	uint16_t layout;
	uint64_t packets, octets; /* that the record stands for, to count what could not be sent */
	uint64_t next;            /* the position after it */
};

/* Memory that a ring of `capacity` octets takes. `capacity` is a power of two, 4096 to 2^30. */
uint64_t ring_footprint(uint32_t capacity);

/* Lay out an empty ring in zeroed memory, aligned to 64. */
struct ring *ring_init(void *memory, uint32_t capacity);

/* The putter: room for one record of `length` octets, or NULL when there is none now. The octets may be
 * written until ring_commit, which hands the record over. */
uint8_t *ring_reserve(struct ring *ring, uint16_t length);
void ring_commit(struct ring *ring, uint16_t layout, uint16_t length, uint64_t packets, uint64_t octets);

/* The taker: positions count octets since the beginning and only grow. END: nothing at `position` yet.
 * ERR_FORMAT: the ring is damaged; everything up to ring_head is lost. */
uint64_t ring_head(const struct ring *ring);
uint64_t ring_tail(const struct ring *ring);
MUST_CHECK enum status ring_peek(const struct ring *ring, uint64_t position, struct ring_view *out);

/* The taker: what lies before `position` may be overwritten. */
void ring_release(struct ring *ring, uint64_t position);

uint32_t ring_capacity(const struct ring *ring);
