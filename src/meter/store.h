/* store.h: the open flows, as arrays side by side. A flow is its index; indices are dense and used again.
 *
 * A packet touches one cache line here, flow_hot. What only the begin and the end of a flow need stands
 * apart, and the sweep reads nothing but check_at, 4 octets a flow. One thread, no locks. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "decode/decode.h"
#include "decode/extra.h"

enum { FLOWS_MAX = 1 << 26 };

#define FLOW_NONE   UINT32_MAX
#define TICK_NEVER  UINT32_MAX /* check_at of an index that holds no flow */
#define FLOW_BLOCK  16u        /* flows that share one due_in: a cache line of check_at */
#define KIND_VACANT 0xff       /* kind of a key that no packet can have: nothing is there */

/* Bits of flow_hot.state. */
enum {
	FLOW_FIN = 1 << 0,      /* this direction has sent FIN */
	FLOW_PEER_FIN = 1 << 1, /* the other one has */
	FLOW_OVER = 1 << 2,     /* TCP has ended; the record waits for the last ACK until check_at */
	FLOW_TOLD = 1 << 3,     /* an interim record took all that was counted */
	FLOW_OWED = 1 << 4,     /* a refused frame of it is still to come (meter/owed.h) */
	FLOW_KNOWN = 1 << 5,    /* a record of it was sent */
	/* a packet has more to do than to be counted */
	FLOW_NOTABLE = FLOW_OVER | FLOW_TOLD | FLOW_OWED,
};

/* All that a packet of an open flow reads and writes: one cache line. */
struct flow_hot {
	_Alignas(64) struct flow_key key;
	uint64_t octets;    /* since the last record */
	uint32_t packets;   /* since the last record; flow_balance */
	uint16_t tcp_flags; /* since the last record */
	uint16_t state;     /* FLOW_… */
	int64_t last;       /* ns: latest packet since the last record, or before it while FLOW_TOLD */
};
_Static_assert(sizeof(struct flow_hot) == 64, "a flow is one cache line");

#define FLOW_NUMBER_MAX ((uint64_t)-1 >> 8)

struct flow_cold {
	int64_t first;        /* ns: earliest packet since the last record */
	uint64_t number : 56; /* flow id less the first one of this process */
	uint64_t class_of_service : 8;
};
_Static_assert(sizeof(struct flow_cold) == 16, "");

/* Why the frames of a refused flow were, as indices of observe/denial.h: what says most, and what the other
 * sources tell of the same frames. */
enum { FLOW_TELLERS = 3 };
struct flow_denial {
	uint16_t told;
	uint16_t other[FLOW_TELLERS]; /* from the first one on; DENIAL_NONE: nothing */
};

/* What is kept of a flow only where a profile asks for it. */
struct flow_extra {
	uint64_t told_octets, told_packets;       /* in the records before; total counters */
	uint64_t reverse_octets, reverse_packets; /* since the last record, as all of biflows … */
	int64_t forward_first, forward_last;      /* ns; of packets of the source, 0: none … */
	int64_t reverse_first, reverse_last;      /* … and of the other end; valid with reverse_packets */
	uint16_t reverse_tcp_flags;
	struct packet_extra first;   /* of its first packet */
	uint8_t ttl_least, ttl_most; /* since the last record */
};

struct flow_store {
	struct flow_hot *hot;
	struct flow_cold *cold;
	uint32_t *check_at; /* tick at which a flow must be looked at, at the latest; TICK_NEVER: no flow */
	uint32_t *phase;    /* ms into the interval at which interim records are due; NULL without interval */
	struct flow_extra *extra;   /* NULL: nobody asked */
	struct flow_denial *denial; /* of refused flows; zero in a new one */
	uint32_t *due_in;           /* earliest check_at of each block of FLOW_BLOCK flows */
	uint32_t capacity;
	uint32_t used;   /* indices below this have been given out */
	uint32_t vacant; /* first of the list of indices given back, linked through octets; FLOW_NONE: none */
	uint32_t active;
	uint32_t denied; /* of those, with KIND_DENIED */
	bool huge;       /* the first flows have got their huge page */
};

enum status flow_store_init(struct flow_store *s, uint32_t capacity, bool phases, bool extras,
			    struct error *err);
void flow_store_fini(struct flow_store *s);

/* An index for a new flow, the hot line zero but for the key, never due. FLOW_NONE when all are taken. */
uint32_t flow_store_take(struct flow_store *s, const struct flow_key *key);
void flow_store_give_back(struct flow_store *s, uint32_t flow);

/* Nothing is active: give indices out from 0 again, so that walks over all of them are short. */
void flow_store_rewind(struct flow_store *s);

/* Memory that one flow costs in these arrays, in octets. */
size_t flow_store_flow_size(const struct flow_store *s);

/* Look at `flow` at `tick` or before. */
static inline void flow_store_check_by(struct flow_store *s, uint32_t flow, uint32_t tick)
{
	if (tick < s->check_at[flow])
		s->check_at[flow] = tick;
	if (tick < s->due_in[flow / FLOW_BLOCK])
		s->due_in[flow / FLOW_BLOCK] = tick;
}

/* Packets, less those that are to come and were refused. */
static inline int32_t flow_balance(const struct flow_hot *hot)
{
	return (int32_t)hot->packets;
}

static inline bool flow_store_holds(const struct flow_store *s, uint32_t flow)
{
	return s->check_at[flow] != TICK_NEVER;
}

static inline uint64_t flow_key_part(const struct flow_key *key, size_t part)
{
	uint64_t v;

	memcpy(&v, (const uint8_t *)key + part * sizeof v, sizeof v);
	return v;
}

/* Without branches: keys that meet here have the same hash, so they are nearly always equal. */
static inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
#define DIFFERENT(part) (flow_key_part(a, part) ^ flow_key_part(b, part))
	return (DIFFERENT(0) | DIFFERENT(1) | DIFFERENT(2) | DIFFERENT(3) | DIFFERENT(4)) == 0;
#undef DIFFERENT
}
