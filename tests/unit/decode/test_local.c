/* Local prefixes: what parses, what it holds, whose direction it sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "decode/local.h"

static void test_parse(void **state)
{
	const struct {
		const char *text;
		enum status expected;
	} cases[] = {
		{"10.0.0.0/8", OK},
		{"0.0.0.0/0", OK},
		{"192.0.2.1", OK},
		{"192.0.2.1/32", OK},
		{"fd00::/8", OK},
		{"::/0", OK},
		{"2001:db8::1", OK},
		{"2001:db8::1/128", OK},
		{"", ERR_USAGE},
		{"/8", ERR_USAGE},
		{"10.0.0.0/", ERR_USAGE},
		{"10.0.0.0/33", ERR_USAGE},
		{"10.0.0.0/-1", ERR_USAGE},
		{"10.0.0.0/8 ", ERR_USAGE},
		{"10.0.0.0/8/8", ERR_USAGE},
		{"10.0.0/8", ERR_USAGE},
		{"10.0.0.1/8", ERR_USAGE},
		{"fd00::/129", ERR_USAGE},
		{"fd00::1/64", ERR_USAGE},
		{"fd00::%eth0/64", ERR_USAGE},
		{"example.org", ERR_USAGE},
		{"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/8", ERR_USAGE},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct prefix_list list = {0};
		struct error err = {""};
		const enum status got = prefix_list_add(&list, cases[i].text, &err);
		if (got != cases[i].expected || (got != OK && !strstr(err.text, cases[i].text)))
			fail_msg("'%s': got %d (%s), expected %d", cases[i].text, got, err.text,
				 cases[i].expected);
		assert_int_equal(list.ipv4_count + list.ipv6_count, got == OK);
	}
}

static bool holds(const struct prefix_list *list, const char *text)
{
	const bool ipv6 = strchr(text, ':') != NULL;
	uint8_t address[16] = {0};

	assert_int_equal(inet_pton(ipv6 ? AF_INET6 : AF_INET, text, address), 1);
	return prefix_list_holds(list, address, ipv6);
}

static void test_holds(void **state)
{
	const struct {
		const char *prefix, *inside[3], *outside[3];
	} cases[] = {
		{"10.0.0.0/8",
		 {"10.0.0.0", "10.255.255.255", "10.1.2.3"},
		 {"9.255.255.255", "11.0.0.0", "a00::"}},
		{"192.0.2.128/25", {"192.0.2.128", "192.0.2.255"}, {"192.0.2.127", "192.0.3.128"}},
		{"192.0.2.1", {"192.0.2.1"}, {"192.0.2.0", "192.0.2.2"}},
		{"0.0.0.0/0", {"0.0.0.0", "255.255.255.255"}, {"::", "::1"}},
		{"fd00::/8", {"fd00::", "fdff::1"}, {"fe00::", "fc00::", "253.0.0.0"}},
		{"2001:db8::/65", {"2001:db8::7fff:0:0:0"}, {"2001:db8::8000:0:0:0", "2001:db8:0:1::"}},
		{"2001:db8::1", {"2001:db8::1"}, {"2001:db8::", "2001:db8::3"}},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct prefix_list list = {0};
		assert_int_equal(prefix_list_add(&list, cases[i].prefix, NULL), OK);
		for (size_t j = 0; j < 3; j++) {
			if (cases[i].inside[j] && !holds(&list, cases[i].inside[j]))
				fail_msg("%s is not in %s", cases[i].inside[j], cases[i].prefix);
			if (cases[i].outside[j] && holds(&list, cases[i].outside[j]))
				fail_msg("%s is in %s", cases[i].outside[j], cases[i].prefix);
		}
	}
}

static void test_class_08_prefixes(void **state)
{
	struct prefix_list list = {0};
	char text[32];

	assert_false(holds(&list, "10.0.0.1"));
	for (int i = 0; i < PREFIX_MAX; i++) {
		snprintf(text, sizeof text, "10.0.%d.0/24", i);
		assert_int_equal(prefix_list_add(&list, text, NULL), OK);
		snprintf(text, sizeof text, "fd00:%d::/32", i);
		assert_int_equal(prefix_list_add(&list, text, NULL), OK);
	}
	assert_int_equal(prefix_list_add(&list, "10.1.0.0/24", NULL), ERR_LIMIT);
	assert_int_equal(prefix_list_add(&list, "fd01::/32", NULL), ERR_LIMIT);
	assert_true(holds(&list, "10.0.63.1"));
	assert_true(holds(&list, "fd00:63::1"));
	assert_false(holds(&list, "10.1.0.1"));
}

static void test_direction(void **state)
{
	const struct {
		uint8_t given, source, kind, expected;
	} cases[] = {
		{DIRECTION_UNKNOWN, 10, KIND_PORTS, KIND_PORTS | KIND_EGRESS},
		{DIRECTION_UNKNOWN, 11, KIND_PORTS, KIND_PORTS},
		{DIRECTION_UNKNOWN, 11, KIND_EGRESS, 0},
		{DIRECTION_INGRESS, 10, KIND_PORTS, KIND_PORTS},
		{DIRECTION_EGRESS, 11, KIND_EGRESS, KIND_EGRESS},
		{DIRECTION_UNKNOWN, 10, KIND_IPV6, KIND_IPV6},
	};
	struct prefix_list list = {0};

	assert_int_equal(prefix_list_add(&list, "10.0.0.0/8", NULL), OK);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct packet packet = {.direction = cases[i].given};
		struct flow_key key = {.source = {cases[i].source}, .kind = cases[i].kind};
		apply_local(&list, &packet, &key);
		if (key.kind != cases[i].expected)
			fail_msg("case %zu: kind %u, expected %u", i, key.kind, cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_holds),
		cmocka_unit_test(test_class_08_prefixes),
		cmocka_unit_test(test_direction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
