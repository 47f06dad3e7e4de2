/* Which reasons of the kernel are refusals. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdbool.h>

#include "observe/drop_reasons.h"

static void test_only_policy(void **state)
{
	static const struct {
		const char *name;
		bool policy;
		uint8_t reason;
	} cases[] = {
		{"SKB_DROP_REASON_NETFILTER_DROP", true, REASON_DROPPED},
		{"NETFILTER_DROP", true, REASON_DROPPED},
		{"SKB_DROP_REASON_IP_RPFILTER", true, REASON_SOURCE_CHECK},
		{"SKB_DROP_REASON_NO_SOCKET", false, 0},
		{"SKB_DROP_REASON_TCP_FLAGS", false, 0},
		{"SKB_DROP_REASON_SOCKET_RCVBUFF", false, 0},
		{"SKB_DROP_REASON_NOT_SPECIFIED", false, 0},
		{"SKB_DROP_REASON_", false, 0},
		{"", false, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct drop_reason *r = drop_reason_find(cases[i].name);

		if ((r != NULL) != cases[i].policy || (r && r->reason != cases[i].reason))
			fail_msg("%s", cases[i].name);
	}
}

static void test_no_trust(void **state)
{
	for (const struct drop_reason *r = drop_reasons; r->name; r++)
		assert_int_equal(r->kind, CLASS_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_policy),
		cmocka_unit_test(test_no_trust),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
