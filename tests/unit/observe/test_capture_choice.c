/* When counting in the kernel begins and ends. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>

#include "observe/capture_choice.h"

/* A period with so many frames of so many flows; how often they come out depends on how they are taken. */
static bool period(struct capture_choice *c, uint32_t frames, uint32_t flows)
{
	const uint32_t times = c->counting ? flows : frames;

	for (uint32_t i = 0; i < times; i++) {
		const uint64_t key[5] = {0x0100000a, 0, 0x0200000a, 0, (uint64_t)(i % flows) << 16 | 53};

		capture_choice_flow(c, key);
	}
	return capture_choice_period(c, frames);
}

/* Periods until it changes; 0: it does not. */
static uint32_t periods(struct capture_choice *c, uint32_t frames, uint32_t flows, uint32_t most)
{
	for (uint32_t n = 1; n <= most; n++)
		if (period(c, frames, flows))
			return n;
	return 0;
}

static void test_where_it_pays(void **state)
{
	static const struct {
		const char *what;
		uint32_t frames, flows;
		bool counting, changes;
	} cases[] = {
		{"bulk", 20000, 10, false, true},
		{"many flows, many packets of each", 200000, 20000, false, true},
		{"more flows than the estimate has bits", 200000, 150000, false, false},
		{"each packet another flow", 20000, 20000, false, false},
		{"neither", 20000, 5000, false, false},
		{"neither", 20000, 5000, true, false},
		{"bulk", 20000, 10, true, false},
		{"few packets a flow", 20000, 10000, true, true},
		{"one flow, and too slow to matter", 150, 1, false, false},
		{"nearly nothing", 20, 1, true, true},
		{"nothing", 0, 1, true, true},
		{"nothing", 0, 1, false, false},
	};
	struct capture_choice *c = calloc(1, sizeof *c);

	for (size_t i = 0; c && i < sizeof cases / sizeof cases[0]; i++) {
		*c = (struct capture_choice){.counting = cases[i].counting};
		if ((periods(c, cases[i].frames, cases[i].flows, 20) > 0) != cases[i].changes)
			fail_msg("%s: %u frames of %u flows", cases[i].what, cases[i].frames, cases[i].flows);
	}
	free(c);
}

static void test_one_period_is_not_enough(void **state)
{
	struct capture_choice *c = calloc(1, sizeof *c);

	assert_non_null(c);
	for (int i = 0; i < 20; i++) {
		for (int n = 1; n < CHOICE_PERIODS_LEAST; n++)
			assert_false(period(c, 5000, 1));
		assert_false(period(c, 5000, 5000));
	}
	free(c);
}

static void test_changes_that_do_not_last_come_seldom(void **state)
{
	struct capture_choice *c = calloc(1, sizeof *c);
	uint32_t last = 0;

	assert_non_null(c);
	for (uint32_t i = 0; i < 20; i++) {
		const uint32_t n = i % 2 ? periods(c, 2000, 2000, 1000) : periods(c, 2000, 1, 1000);

		assert_true(n >= last && n >= CHOICE_PERIODS_LEAST && n <= CHOICE_PERIODS_MOST);
		last = n;
	}
	assert_int_equal(last, CHOICE_PERIODS_MOST);
	for (uint32_t i = 0; i < 9 * CHOICE_PERIODS_MOST; i++) /* a long time nothing changes */
		(void)period(c, 1000, c->counting ? 1 : 1000);
	(void)periods(c, 2000, c->counting ? 2000 : 1, 1000);
	assert_int_equal(c->hold, CHOICE_PERIODS_LEAST);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where_it_pays),
		cmocka_unit_test(test_one_period_is_not_enough),
		cmocka_unit_test(test_changes_that_do_not_last_come_seldom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
