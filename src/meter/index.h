/* index.h: from the hash of a Flow Key to the index of its flow. Open addressing, linear probing.
 *
 * A slot is 8 octets, hash and flow, so a cache line holds eight and most searches end in the line they
 * began in. The home of a hash is given by its upper bits: a table of twice the size has the same order, so
 * growing is one pass through both, from the slots alone. Deletion moves what follows back; there are no
 * tombstones, and a table that has seen millions of flows come and go searches like a new one. */
#pragma once

#include "meter/store.h"

struct flow_index {
	uint64_t *slots; /* hash << 32 | flow + 1; 0: empty */
	uint32_t mask;   /* slots - 1 */
	uint32_t shift;  /* hash >> shift is the home slot */
	uint32_t used;
};

enum status flow_index_init(struct flow_index *x, struct error *err);
void flow_index_fini(struct flow_index *x);

/* Make room for one more. False: it needed to grow and there is no memory. */
bool flow_index_reserve(struct flow_index *x);

/* The flow must not be in the index; flow_index_reserve has answered true. */
void flow_index_insert(struct flow_index *x, uint32_t hash, uint32_t flow);

/* The flow must be in the index under this hash. */
void flow_index_remove(struct flow_index *x, uint32_t hash, uint32_t flow);

void flow_index_clear(struct flow_index *x);

static inline const uint64_t *flow_index_home(const struct flow_index *x, uint32_t hash)
{
	return &x->slots[hash >> x->shift];
}

/* The first flow with this hash, whose key may yet be another one. Touches only the index. */
static inline uint32_t flow_index_candidate(const struct flow_index *x, uint32_t hash)
{
	for (uint32_t at = hash >> x->shift;; at = (at + 1) & x->mask) {
		const uint64_t slot = x->slots[at];

		if (slot == 0)
			return FLOW_NONE;
		if (slot >> 32 == hash)
			return (uint32_t)slot - 1;
	}
}

static inline uint32_t flow_index_find(const struct flow_index *x, uint32_t hash, const struct flow_key *key,
				       const struct flow_hot *hot)
{
	for (uint32_t at = hash >> x->shift;; at = (at + 1) & x->mask) {
		const uint64_t slot = x->slots[at];

		if (slot == 0)
			return FLOW_NONE;
		if (slot >> 32 == hash && flow_key_equal(&hot[(uint32_t)slot - 1].key, key))
			return (uint32_t)slot - 1;
	}
}
