#include "harness.h"

#include "meter/index.h"

enum { FLOWS = 20000 };

static uint64_t slots_filled(const struct flow_index *x)
{
	uint64_t n = 0;

	for (size_t i = 0; i <= x->mask; i++)
		n += x->slots[i] != 0;
	return n;
}

/* Random insertion and removal beside a plain list of who is in. */
static void churn(const char *what, uint32_t hash_mask, uint32_t flows, uint32_t rounds)
{
	struct flow_index x;
	struct flow_hot *hot = calloc(flows, sizeof *hot);
	bool *in = calloc(flows, sizeof *in);
	uint32_t *hash = calloc(flows, sizeof *hash);
	uint64_t random = 5, inside = 0;

	assert_true(hot && in && hash);
	assert_int_equal(flow_index_init(&x, NULL), OK);
	for (uint32_t i = 0; i < flows; i++) {
		hot[i].key = udp_key(i);
		hash[i] = (uint32_t)random_next(&random) & hash_mask;
	}
	for (uint32_t i = 0; i < rounds; i++) {
		const uint32_t flow = random_below(&random, flows);

		if (in[flow]) {
			flow_index_remove(&x, hash[flow], flow);
		} else {
			assert_true(flow_index_reserve(&x));
			flow_index_insert(&x, hash[flow], flow);
		}
		in[flow] = !in[flow];
		inside = in[flow] ? inside + 1 : inside - 1;
		assert_true(x.used < x.mask);

		const uint32_t other = random_below(&random, flows);
		const uint32_t found = flow_index_find(&x, hash[other], &hot[other].key, hot);

		if (found != (in[other] ? other : FLOW_NONE))
			fail_msg("%s: round %u: flow %u found as %u", what, i, other, found);
	}
	for (uint32_t flow = 0; flow < flows; flow++)
		assert_int_equal(flow_index_find(&x, hash[flow], &hot[flow].key, hot),
				 in[flow] ? flow : FLOW_NONE);
	assert_int_equal(slots_filled(&x), inside);
	for (uint32_t flow = 0; flow < flows; flow++)
		if (in[flow])
			flow_index_remove(&x, hash[flow], flow);
	assert_int_equal(slots_filled(&x), 0); /* no tombstones */
	assert_int_equal(x.used, 0);
	flow_index_fini(&x);
	free(hot);
	free(in);
	free(hash);
}

static void test_churn(void **state)
{
	churn("good hash", UINT32_MAX, FLOWS, 200000);
	churn("a hash of 6 bits", 0xfc000000, 500, 20000);
	churn("one hash for all", 0, 200, 20000);
	churn("few homes, long searches", 0xc0000000, 3000, 6000);
}

/* Homes at the very end of the slots: clusters that go on at the begin. */
static void test_wrap(void **state)
{
	struct flow_index x;
	struct flow_hot hot[64];

	assert_int_equal(flow_index_init(&x, NULL), OK);
	for (uint32_t i = 0; i < 64; i++) {
		hot[i].key = udp_key(i);
		flow_index_insert(&x, UINT32_MAX - i % 3, i);
	}
	assert_true(x.slots[0] != 0); /* it did go round */
	for (uint32_t i = 0; i < 64; i += 2)
		flow_index_remove(&x, UINT32_MAX - i % 3, i);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(flow_index_find(&x, UINT32_MAX - i % 3, &hot[i].key, hot),
				 i % 2 ? i : FLOW_NONE);
	assert_int_equal(slots_filled(&x), 32);
	flow_index_fini(&x);
}

static void test_growth(void **state)
{
	struct flow_index x;
	struct flow_hot *hot = calloc(FLOWS, sizeof *hot);
	uint32_t mask;

	assert_non_null(hot);
	assert_int_equal(flow_index_init(&x, NULL), OK);
	mask = x.mask;
	for (uint32_t i = 0; i < FLOWS; i++) {
		hot[i].key = udp_key(i);
		assert_true(flow_index_reserve(&x));
		flow_index_insert(&x, i * 2654435761u, i);
		if (x.mask != mask) {
			assert_int_equal(x.mask, 2 * mask + 1);
			mask = x.mask;
			for (uint32_t j = 0; j <= i; j++)
				assert_int_equal(flow_index_find(&x, j * 2654435761u, &hot[j].key, hot), j);
		}
	}
	assert_true(mask > FLOWS && mask < 4 * FLOWS);
	flow_index_clear(&x);
	assert_int_equal(slots_filled(&x), 0);
	flow_index_fini(&x);
	free(hot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
