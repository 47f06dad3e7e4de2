#include "harness.h"

#include "meter/hash.h"

enum { KEYS = 1 << 20 };

static const uint8_t secrets[2][32] = {"one secret", "another one"};

/* Most keys on one home when there are as many homes as keys. */
static uint32_t worst_home(const struct flow_hasher *hasher, const struct flow_key *keys, uint32_t count,
			   uint32_t homes_log2)
{
	uint16_t *at = calloc((size_t)1 << homes_log2, sizeof *at);
	uint32_t worst = 0;

	assert_non_null(at);
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t n = ++at[flow_hash(hasher, &keys[i]) >> (32 - homes_log2)];

		worst = n > worst ? n : worst;
	}
	free(at);
	return worst;
}

/* Keys chosen by somebody who does not know the secret: a scan of ports and addresses, and keys that share
 * few homes under a secret that the sender does know. */
static void flood(enum flow_hash_kind kind)
{
	struct flow_key *keys = calloc(KEYS, sizeof *keys);
	struct flow_hasher known, secret;
	uint32_t n = 0;

	assert_non_null(keys);
	if (!flow_hasher_init(&known, secrets[0], kind)) { /* a processor without AES */
		free(keys);
		return;
	}
	assert_true(flow_hasher_init(&secret, secrets[1], kind));
	for (uint32_t i = 0; i < KEYS; i++)
		keys[i] = udp_key(i);
	assert_true(worst_home(&secret, keys, KEYS, 20) <= 16);

	/* Aimed at 1/256 of the homes. */
	for (uint32_t i = 0; n < KEYS / 64; i++) {
		const struct flow_key key = udp_key(i);

		if (flow_hash(&known, &key) >> 24 == 0)
			keys[n++] = key;
	}
	assert_true(worst_home(&known, keys, n, 14) > 200);  /* it is aimed well */
	assert_true(worst_home(&secret, keys, n, 14) <= 16); /* and misses */
	free(keys);
}

static void test_flood(void **state)
{
	flood(FLOW_HASH_AES);
	flood(FLOW_HASH_XXH3);
}

/* Each of the 320 bits of a key changes about half of the bits of the hash. */
static void spread(enum flow_hash_kind kind)
{
	struct flow_hasher hasher;
	uint64_t random = 3;

	if (!flow_hasher_init(&hasher, secrets[0], kind))
		return;
	for (unsigned bit = 0; bit < 320; bit++) {
		uint32_t changed = 0, ever = 0;

		for (unsigned i = 0; i < 256; i++) {
			uint64_t octets[5];
			struct flow_key key;

			for (unsigned j = 0; j < 5; j++)
				octets[j] = random_next(&random);
			memcpy(&key, octets, sizeof key);

			const uint32_t before = flow_hash(&hasher, &key);

			((uint8_t *)&key)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			changed += (uint32_t)__builtin_popcount(before ^ flow_hash(&hasher, &key));
			ever |= before ^ flow_hash(&hasher, &key);
		}
		assert_int_equal(ever, UINT32_MAX);
		assert_in_range(changed, 256 * 32 * 45 / 100, 256 * 32 * 55 / 100);
	}
}

static void test_spread(void **state)
{
	spread(FLOW_HASH_AES);
	spread(FLOW_HASH_XXH3);
}

static void test_secret_and_batch(void **state)
{
	static const enum flow_hash_kind kinds[] = {FLOW_HASH_BEST, FLOW_HASH_AES, FLOW_HASH_XXH3};

	for (unsigned k = 0; k < 3; k++) {
		struct flow_hasher one, other;
		struct flow_key keys[100];
		uint32_t hash[100], same = 0;

		if (!flow_hasher_init(&one, secrets[0], kinds[k]))
			continue;
		assert_true(flow_hasher_init(&other, secrets[1], kinds[k]));
		for (uint32_t i = 0; i < 100; i++)
			keys[i] = udp_key(i);
		one.batch(&one, keys, 100, hash);
		for (uint32_t i = 0; i < 100; i++) {
			assert_int_equal(hash[i], flow_hash(&one, &keys[i]));
			same += hash[i] == flow_hash(&other, &keys[i]);
		}
		assert_int_equal(same, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_secret_and_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
