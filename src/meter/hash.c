#include "meter/hash.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#if defined(__x86_64__)
#include <immintrin.h>

/* Seven AES rounds: two between the parts of the key, so that a difference in one cannot be taken back by
 * the next, and three to spread the last part over the octets that are used. Consecutive keys do not depend
 * on each other, so the rounds of several overlap in the processor. */
__attribute__((target("aes,sse4.1"))) static void hash_aes(const struct flow_hasher *h,
							   const struct flow_key *keys, uint32_t count,
							   uint32_t *hash)
{
	const __m128i k0 = _mm_load_si128((const void *)h->secret);
	const __m128i k1 = _mm_load_si128((const void *)(h->secret + 16));

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *octets = (const uint8_t *)&keys[i];
		__m128i s = _mm_xor_si128(_mm_loadu_si128((const void *)octets), k0);

		s = _mm_aesenc_si128(s, k1);
		s = _mm_aesenc_si128(s, _mm_loadu_si128((const void *)(octets + 16)));
		s = _mm_aesenc_si128(s, k0);
		s = _mm_aesenc_si128(s, _mm_loadl_epi64((const void *)(octets + 32)));
		s = _mm_aesenc_si128(s, k1);
		s = _mm_aesenc_si128(s, k0);
		s = _mm_aesenc_si128(s, k1);
		hash[i] = (uint32_t)_mm_cvtsi128_si32(s);
	}
}

static bool has_aes(void)
{
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
}
#else
static void hash_aes(const struct flow_hasher *h, const struct flow_key *keys, uint32_t count, uint32_t *hash)
{
	(void)h, (void)keys, (void)count, (void)hash;
}

static bool has_aes(void)
{
	return false;
}
#endif

static void hash_xxh3(const struct flow_hasher *h, const struct flow_key *keys, uint32_t count,
		      uint32_t *hash)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t v =
			XXH3_64bits_withSecret(&keys[i], sizeof keys[i], h->secret, sizeof h->secret);

		hash[i] = (uint32_t)(v >> 32);
	}
}

static void hash_weak(const struct flow_hasher *h, const struct flow_key *keys, uint32_t count,
		      uint32_t *hash)
{
	hash_xxh3(h, keys, count, hash);
	for (uint32_t i = 0; i < count; i++)
		hash[i] &= 0xf0000000u;
}

bool flow_hasher_init(struct flow_hasher *hasher, const uint8_t secret[static 32], enum flow_hash_kind kind)
{
	if (kind == FLOW_HASH_BEST)
		kind = has_aes() ? FLOW_HASH_AES : FLOW_HASH_XXH3;
	if (kind == FLOW_HASH_AES && !has_aes())
		return false;
	if (kind == FLOW_HASH_AES)
		memcpy(hasher->secret, secret, 32);
	else
		for (unsigned i = 0; i < FLOW_HASH_SECRET / 8; i++) {
			const uint64_t part = XXH3_64bits_withSeed(secret, 32, i);

			memcpy(hasher->secret + i * 8, &part, 8);
		}
	hasher->batch = kind == FLOW_HASH_AES ? hash_aes : kind == FLOW_HASH_XXH3 ? hash_xxh3 : hash_weak;
	return true;
}
