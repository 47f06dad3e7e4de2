/* shard.h: packets shared out between several meters, each with a table and a thread of its own.
 *
 * All that two addresses say to each other goes to one meter, in either direction: the ends of a TCP session,
 * all fragments of a packet and both halves of a biflow meet in one table, and records are those of a single
 * meter. Two addresses that say nearly everything keep one meter busy, then.
 *
 * Decoding knows no flows, so it is done by whichever thread has a packet; only what was decoded is handed
 * over. */
#pragma once

#include "meter/meter.h"

enum { SHARD_MAX = 64 };

/* Which meter. `factor` is odd and nobody's business, so that no one can choose addresses for one meter. */
struct shard_rule {
	uint32_t count, factor;
};

/* The fold of both addresses, four octets at a time in network byte order: a packet socket's filter can
 * compute it, too. */
static inline uint32_t shard_fold(const struct flow_key *key)
{
	uint64_t part[4];

	_Static_assert(offsetof(struct flow_key, destination) == 16, "addresses are next to each other");
	memcpy(part, key, sizeof part);
	part[0] ^= part[1] ^ part[2] ^ part[3];

	const uint64_t fold = part[0] ^ part[0] >> 32;

	return be32toh((uint32_t)fold);
}

static inline uint32_t shard_of_fold(const struct shard_rule *rule, uint32_t fold)
{
	return (fold * rule->factor >> 16) * rule->count >> 16;
}

static inline uint32_t shard_of(const struct shard_rule *rule, const struct flow_key *key)
{
	return shard_of_fold(rule, shard_fold(key));
}

/* When a meter looks at its clock: before a packet, of whichever meter, that is later than what the last look
 * saw by a sweep's distance. All meters do so at the same packets as a single one would, so that flows end
 * and interim records are cut by the same rule. (A single meter leaves out packets that it does not count;
 * here nobody knows yet which those are.) */
struct pacer {
	int64_t now;
	bool started;
};

/* A packet of this time is next. */
bool pacer_is_due(struct pacer *pacer, int64_t time);

struct pace {
	int64_t time;
	uint32_t before; /* the packet with this number, of those of one meter */
};

/* What was decoded for one meter, in the order of the packets. */
struct decoded {
	uint32_t count, pace_count;
	struct flow_key *key;
	struct packet_facts *facts;
	struct pace *pace;
	struct packet_extra *extra; /* NULL: nobody asked */
};

/* Room for `room` packets. False: out of memory. */
MUST_CHECK bool decoded_init(struct decoded *d, uint32_t room, bool extras);
void decoded_fini(struct decoded *d);

/* One thread's decoder. `statistics` has outcomes and ignored frames only. */
struct decoder {
	struct shard_rule rule;
	const struct prefix_list *local;
	struct meter_statistics statistics;
};

/* Add the packets of the batch from `first` to before `end` to `to`, one for each meter, with room for all of
 * them. None may have been refused. */
void decoder_batch(struct decoder *decoder, const struct packet_batch *batch, uint32_t first, uint32_t end,
		   struct decoded *to);

/* Before the next packet it is time for all meters to look at their clocks. */
void decoder_pace(const struct decoder *decoder, int64_t time, struct decoded *to);

/* Classify and count them, which changes *d. */
void meter_take(struct meter *meter, struct decoded *d, int64_t to_wall);
