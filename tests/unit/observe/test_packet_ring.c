#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/packet_ring.h"

/* A packet's time: never before the packet before it, never after now, whatever the wall clock did. */
static void test_time(void **state)
{
	static const int64_t hour = 3600 * NS_PER_S, wall = 1700000000 * NS_PER_S;
	static const struct {
		const char *what;
		int64_t stamp, to_wall, floor, now, want;
	} cases[] = {
		{"plain", wall + 100, wall, 50, 200, 100},
		{"as late as now", wall + 200, wall, 50, 200, 200},
		{"as early as the one before", wall + 50, wall, 50, 200, 50},
		{"stamped before the clock went forward an hour", wall + 100, wall + hour, 50, 200, 50},
		{"stamped before the clock went back an hour", wall + 100, wall - hour, 50, 200, 200},
		{"out of order by a little, as two processors stamp", wall + 49, wall, 50, 200, 50},
		{"the clock was set to before 1970", -100, -300, 50, 250, 200},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct mono_ns got =
			packet_ring_time(cases[i].stamp, cases[i].to_wall, (struct mono_ns){cases[i].floor},
					 (struct mono_ns){cases[i].now});

		if (got.ns != cases[i].want)
			print_error("%s: expected %ld, got %ld\n", cases[i].what, cases[i].want, got.ns);
		assert_int_equal(got.ns, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
