/* Reasons and rules, and what log prefixes say of them. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe/nflog.h"

static void test_prefixes(void **state)
{
	static const struct {
		const char *what, *prefix;
		bool refused;
		uint8_t reason, kind;
		const char *rule;
	} cases[] = {
		{"access rule", "acl:web-only", true, REASON_DROPPED, CLASS_ACL, "web-only"},
		{"trust requirement", "trust:disk-encryption", true, REASON_DROPPED, CLASS_TRUST,
		 "disk-encryption"},
		{"blanks around", "acl:  a b  ", true, REASON_DROPPED, CLASS_ACL, "a b"},
		{"colon behind", "drop:wan:", true, REASON_DROPPED, CLASS_ACL, "wan"},
		{"rejected", "reject:x", true, REASON_REJECTED, CLASS_ACL, "x"},
		{"no name", "deny:", true, REASON_DROPPED, CLASS_ACL, ""},
		{"control characters", "acl:a\nb", true, REASON_DROPPED, CLASS_ACL, "a?b"},
		{"not UTF-8", "acl:\xff", true, REASON_DROPPED, CLASS_ACL, "?"},
		{"logged for another reason", "seen:x", false, 0, 0, NULL},
		{"not at the beginning", "my acl:x", false, 0, 0, NULL},
		{"other letter case", "ACL:x", false, 0, 0, NULL},
		{"nothing", "", false, 0, 0, NULL},
	};
	struct denial_table *table = calloc(1, sizeof *table);

	assert_non_null(table);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const uint16_t index =
			denial_prefixes_match(&denial_prefixes_standard, cases[i].prefix, table);
		const struct denial *d = denial_table_get(table, index);

		if ((index != DENIAL_NONE) != cases[i].refused)
			fail_msg("%s: index %u", cases[i].what, index);
		if (cases[i].refused && (d->reason != cases[i].reason || d->kind != cases[i].kind ||
					 strcmp(d->rule, cases[i].rule) != 0))
			fail_msg("%s: reason %u, class %u, rule '%s'", cases[i].what, d->reason, d->kind,
				 d->rule);
		assert_int_equal(index,
				 denial_prefixes_match(&denial_prefixes_standard, cases[i].prefix, table));
	}
	free(table);
}

static void test_prefixes_of_a_profile(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint8_t reason, kind;
		const char *prefix;
	} cases[] = {
		{"NETBIRD-DROP", true, REASON_DROPPED, CLASS_ACL, "NETBIRD-DROP"},
		{"posture =trust", true, REASON_DROPPED, CLASS_TRUST, "posture "},
		{"a=b=reject", true, REASON_REJECTED, CLASS_ACL, "a=b"},
		{"x=other", true, REASON_UNKNOWN, CLASS_OTHER, "x"},
		{"x=allow", false, 0, 0, NULL},
		{"=acl", false, 0, 0, NULL},
		{"", false, 0, 0, NULL},
		{"0123456789012345678901234567890123456789012345678901234567890123=acl", false, 0, 0, NULL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct denial_prefix p;

		if (denial_prefix_parse(&p, cases[i].text) != cases[i].good)
			fail_msg("'%s'", cases[i].text);
		if (!cases[i].good)
			continue;
		assert_string_equal(p.text, cases[i].prefix);
		assert_int_equal(p.reason, cases[i].reason);
		assert_int_equal(p.kind, cases[i].kind);
	}
}

static void test_the_table_is_bounded(void **state)
{
	struct denial_table *table = calloc(1, sizeof *table);
	char rule[2 * DENIAL_RULE_MAX];

	assert_non_null(table);
	for (uint32_t i = 0; i < DENIAL_MAX + 10; i++) {
		snprintf(rule, sizeof rule, "rule %u", i);
		const uint16_t index = denial_table_add(table, REASON_DROPPED, CLASS_ACL, rule);
		assert_int_equal(index,
				 i < DENIAL_MAX - DENIAL_FIRST ? i + DENIAL_FIRST : (uint32_t)DENIAL_OTHER);
	}
	assert_int_equal(table->count, DENIAL_MAX);
	assert_int_equal(table->overflown, 10 + DENIAL_FIRST);
	assert_int_equal(denial_table_add(table, REASON_DROPPED, CLASS_ACL, "rule 7"), DENIAL_FIRST + 7);
	assert_string_equal(denial_table_get(table, 60000)->rule, "");
	memset(table, 0, sizeof *table);
	memset(rule, 'r', sizeof rule - 1);
	rule[sizeof rule - 1] = 0;
	const uint16_t index = denial_table_add(table, REASON_NO_PEER, CLASS_OTHER, rule);
	assert_int_equal(strlen(denial_table_get(table, index)->rule), DENIAL_RULE_MAX - 1);
	free(table);
}

static void test_what_is_told(void **state)
{
	static const struct {
		uint8_t reason, status;
	} cases[] = {{REASON_UNKNOWN, 128},      {REASON_DROPPED, 130},     {REASON_REJECTED, 129},
		     {REASON_NO_PEER, 131},      {REASON_NO_ENDPOINT, 132}, {REASON_NO_SESSION, 132},
		     {REASON_SOURCE_CHECK, 140}, {REASON_OVERFLOW, 128},    {200, 128}};
	const struct denial bare = {.reason = REASON_DROPPED},
			    named = {.reason = REASON_UNKNOWN, .rule = "r"}, trust = {.kind = CLASS_TRUST};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(denial_forwarding_status(&(struct denial){.reason = cases[i].reason}),
				 cases[i].status);
	assert_true(denial_worth(&trust) > denial_worth(&named));
	assert_true(denial_worth(&named) > denial_worth(&bare));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_prefixes_of_a_profile),
		cmocka_unit_test(test_the_table_is_bounded),
		cmocka_unit_test(test_what_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
