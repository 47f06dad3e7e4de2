/* hash.h: the keyed hash of a Flow Key.
 *
 * The secret makes it impossible for a sender to choose packets that fall on one place of the table. Two
 * ways give different numbers and the same table: AES rounds where the processor has them, XXH3 elsewhere.
 * Hashes never leave the process and never order anything that does. */
#pragma once

#include <stdbool.h>

#include "decode/decode.h"

enum flow_hash_kind {
	FLOW_HASH_BEST, /* the fastest that this processor has */
	FLOW_HASH_AES,
	FLOW_HASH_XXH3,
	FLOW_HASH_WEAK, /* for tests: only 16 different values, so that everything collides */
};

enum { FLOW_HASH_SECRET = 192 /* octets; what XXH3 takes at its best */ };

struct flow_hasher {
	/* hash[i] of keys[i]; a call a batch, so that the choice of the way costs nothing a packet. */
	void (*batch)(const struct flow_hasher *, const struct flow_key *keys, uint32_t count,
		      uint32_t *hash);
	_Alignas(64) uint8_t secret[FLOW_HASH_SECRET];
};

/* False when the processor cannot do `kind`; the hasher is not usable then. The secret is copied. */
bool flow_hasher_init(struct flow_hasher *hasher, const uint8_t secret[static 32], enum flow_hash_kind kind);

static inline uint32_t flow_hash(const struct flow_hasher *hasher, const struct flow_key *key)
{
	uint32_t hash;

	hasher->batch(hasher, key, 1, &hash);
	return hash;
}
