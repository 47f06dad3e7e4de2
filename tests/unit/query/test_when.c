/* Times and durations as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "query/when.h"

#define NOW 1763805600000 /* 2025-11-22T10:00:00Z */

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} cases[] = {
		{"5s", 5000},
		{"100ms", 100},
		{"2m", 120000},
		{"1h", 3600000},
		{"1.5h", 5400000},
		{"1h30m", 5400000},
		{"7d", 604800000},
		{"2w", 1209600000},
		{"0s", 0},
		{"5", -1},
		{"", -1},
		{"s", -1},
		{"5x", -1},
		{"-5s", -1},
		{"1.h", -1},
		{"5 s", -1},
		{"99999999999999999999s", -1},
		{"99999999999w", -1},
		{"27777777h", 99999997200000},
		{"99999997200000ms", 99999997200000},
		{"100000000000001ms", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t ms = -1;

		if (!duration_parse(&ms, cases[i].text, strlen(cases[i].text)))
			ms = -1;
		if (ms != cases[i].ms)
			fail_msg("%s: %lld", cases[i].text, (long long)ms);
	}
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} cases[] = {
		{"now", NOW},
		{"1h", NOW - 3600000},
		{"-1h", NOW - 3600000},
		{"@1763805600", NOW},
		{"2025-11-22", NOW - 10 * 3600000},
		{"2025-11-22T10:00", NOW},
		{"2025-11-22 10:00:00", NOW},
		{"2025-11-22T10:00:00Z", NOW},
		{"2025-11-22T10:00:00.25Z", NOW + 250},
		{"2025-11-22T11:00:00+01:00", NOW},
		{"2025-11-22T04:30:00-0530", NOW},
		{"2024-02-29", 1709164800000},
		{"2025-02-29", -1},
		{"2025-13-01", -1},
		{"2025-11-22T24:00", -1},
		{"2025-11-22T10", -1},
		{"2025-11-22T10:00:00ZZ", -1},
		{"25-11-22", -1},
		{"yesterday", -1},
		{"@", -1},
		{"@99999999999999", -1},
		{"", -1},
		{"-", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t ms = -1;

		if (!when_parse(&ms, cases[i].text, strlen(cases[i].text), NOW))
			ms = -1;
		if (ms != cases[i].ms)
			fail_msg("%s: %lld", cases[i].text, (long long)ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_durations), cmocka_unit_test(test_times)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
