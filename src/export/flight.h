/* flight.h: messages that a transport took and whose arrival it has not confirmed (struct delivery). The
 * records of a message stay in the ring until then; when the connection breaks before, they are sent again on
 * the next. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	FLIGHT_MAX = 1024, /* messages; then the session waits */
	ACKNOWLEDGED_MAX = 256,
};

struct flight {
	uint64_t mark; /* delivery.taken after the message */
	uint64_t end;  /* position behind its last record, in the ring or the spool */
	bool spooled;
	uint32_t flows;
	bool lost; /* the transport gave it up */
	uint64_t packets, octets;
};

struct flights {
	uint32_t first, count;
	struct flight entry[FLIGHT_MAX];
};

/* Messages that the peer's transport has acknowledged, since the connection began: when it breaks, the last
 * of them were perhaps not read. Two neighbours become one when it is full, so the older, the coarser. */
struct acknowledged {
	uint32_t count;
	struct {
		uint64_t mark, flows, packets, octets;
	} entry[ACKNOWLEDGED_MAX];
};

static inline void acknowledged_push(struct acknowledged *a, const struct flight *f)
{
	if (a->count == ACKNOWLEDGED_MAX) {
		a->count /= 2;
		for (uint32_t i = 0; i < a->count; i++) {
			a->entry[i] = a->entry[2 * i + 1];
			a->entry[i].flows += a->entry[2 * i].flows;
			a->entry[i].packets += a->entry[2 * i].packets;
			a->entry[i].octets += a->entry[2 * i].octets;
		}
	}
	a->entry[a->count].mark = f->mark;
	a->entry[a->count].flows = f->flows;
	a->entry[a->count].packets = f->packets;
	a->entry[a->count++].octets = f->octets;
}

static inline struct flight *flight_at(struct flights *f, uint32_t number)
{
	return &f->entry[(f->first + number) % FLIGHT_MAX];
}

/* The caller saw to it that there is room. */
static inline void flight_push(struct flights *f, const struct flight *flight)
{
	*flight_at(f, f->count++) = *flight;
}

/* The oldest, if it ends at or before `confirmed`. Borrowed until the next push. */
static inline const struct flight *flight_pop(struct flights *f, uint64_t confirmed)
{
	const struct flight *oldest = flight_at(f, 0);

	if (f->count == 0 || oldest->mark > confirmed)
		return NULL;
	f->first = (f->first + 1) % FLIGHT_MAX;
	f->count--;
	return oldest;
}
