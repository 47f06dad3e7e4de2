/* Selectors as a profile writes them: what is one, of what, and what it says when it is written again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "meter/selector.h"

static void test_parse_and_print(void **state)
{
	const struct {
		const char *text;
		uint16_t algorithm; /* 0: not a selector */
		uint32_t take, of;
		double share;
		bool packets, records;
	} cases[] = {
		{"Count/1/100", SELECTOR_COUNT, 1, 100, 0.01, true, true},
		{"Count/3/3", SELECTOR_COUNT, 3, 3, 1, true, true},
		{"Count/4294967295/4294967295", SELECTOR_COUNT, UINT32_MAX, UINT32_MAX, 1, true, true},
		{"Time/20/1000", SELECTOR_TIME, 20000, 1000000, 0.02, true, false},
		{"Time/1/3600000", SELECTOR_TIME, 1000, 3600000000, 1.0 / 3600000, true, false},
		{"Random/5/10", SELECTOR_RANDOM, 5, 10, 0.5, true, true},
		{"Probability/0.25", SELECTOR_PROBABILITY, 0, 0, 0.25, true, true},
		{"Probability/1", SELECTOR_PROBABILITY, 0, 0, 1, true, true},
		{"Filter/udp and port 53", SELECTOR_FILTER, 0, 0, 1, true, false},
		{"Match/protocolIdentifier=6", SELECTOR_FILTER, 0, 0, 1, false, true},
		{"", 0, 0, 0, 0, false, false},
		{"Count", 0, 0, 0, 0, false, false},
		{"Count/", 0, 0, 0, 0, false, false},
		{"Count/1", 0, 0, 0, 0, false, false},
		{"Count/0/10", 0, 0, 0, 0, false, false},
		{"Count/1/0", 0, 0, 0, 0, false, false},
		{"Count/11/10", 0, 0, 0, 0, false, false},
		{"Count/1/10 ", 0, 0, 0, 0, false, false},
		{"Count/-1/10", 0, 0, 0, 0, false, false},
		{"Count/1/4294967296", 0, 0, 0, 0, false, false},
		{"Count/1/18446744073709551617", 0, 0, 0, 0, false, false},
		{"count/1/10", 0, 0, 0, 0, false, false},
		{"Time/1/3600001", 0, 0, 0, 0, false, false},
		{"Probability/0", 0, 0, 0, 0, false, false},
		{"Probability/1.5", 0, 0, 0, 0, false, false},
		{"Probability/1e-3", 0, 0, 0, 0, false, false},
		{"Probability/0.5.5", 0, 0, 0, 0, false, false},
		{"Probability/nan", 0, 0, 0, 0, false, false},
		{"Filter/", 0, 0, 0, 0, false, false},
		{"Match/", 0, 0, 0, 0, false, false},
		{"Every/10", 0, 0, 0, 0, false, false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct selector s;
		char again[SELECTOR_TEXT_MAX + 16];
		const enum status st = selector_parse(&s, cases[i].text);

		if ((st == OK) != (cases[i].algorithm != 0))
			fail_msg("'%s': status %d", cases[i].text, st);
		if (st != OK)
			continue;
		assert_int_equal(s.algorithm, cases[i].algorithm);
		assert_int_equal(s.take, cases[i].take);
		assert_int_equal(s.of, cases[i].of);
		assert_true(selector_share(&s) > cases[i].share * 0.999999 &&
			    selector_share(&s) < cases[i].share * 1.000001);
		assert_int_equal(selector_is_of_packets(&s), cases[i].packets);
		assert_int_equal(selector_is_of_records(&s), cases[i].records);
		selector_print(&s, again, sizeof again);
		assert_string_equal(again, cases[i].text);
	}
}

static void test_longest_expression(void **state)
{
	char text[16 + SELECTOR_TEXT_MAX] = "Filter/";
	struct selector s;

	memset(text + 7, 'x', SELECTOR_TEXT_MAX - 1);
	assert_int_equal(selector_parse(&s, text), OK);
	assert_int_equal(strlen(s.text), SELECTOR_TEXT_MAX - 1);
	text[7 + SELECTOR_TEXT_MAX - 1] = 'x';
	assert_int_equal(selector_parse(&s, text), ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_print),
		cmocka_unit_test(test_longest_expression),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
