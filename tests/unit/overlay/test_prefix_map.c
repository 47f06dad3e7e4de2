/* Longest prefix match, against looking at every prefix. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "overlay/prefix_map.h"

static struct prefix prefix_of(const char *text, uint32_t value)
{
	struct prefix p = {.version = strchr(text, ':') ? 6 : 4, .value = value};
	char copy[64];

	snprintf(copy, sizeof copy, "%s", text);
	char *slash = strchr(copy, '/');
	*slash = 0;
	p.length = (uint8_t)strtoul(slash + 1, NULL, 10);
	assert_int_equal(inet_pton(p.version == 4 ? AF_INET : AF_INET6, copy, p.address), 1);
	return p;
}

static uint32_t find(const struct prefix_map *map, const char *text)
{
	const uint8_t version = strchr(text, ':') ? 6 : 4;
	uint8_t address[16];

	assert_int_equal(inet_pton(version == 4 ? AF_INET : AF_INET6, text, address), 1);
	return prefix_map_find(map, version, address);
}

static void test_cases(void **state)
{
	static const char *const prefixes[] = {
		"10.0.0.0/8",  "10.1.0.0/16",   "10.1.2.3/32", "10.1.2.0/24", "255.255.255.255/32",
		"fd00::/8",    "fd00::1/128",   "::/0",        "fd00::/64",   "ffff:ffff:ffff:ffff::/64",
		"10.1.0.0/16", "192.168.7.9/24"};
	static const struct {
		const char *address;
		uint32_t value;
	} cases[] = {
		{"9.255.255.255", PREFIX_NONE},
		{"10.0.0.0", 0},
		{"10.255.255.255", 0},
		{"11.0.0.0", PREFIX_NONE},
		{"10.1.0.0", 10},
		{"10.1.2.0", 3},
		{"10.1.2.2", 3},
		{"10.1.2.3", 2},
		{"10.1.2.4", 3},
		{"10.1.3.0", 10},
		{"255.255.255.254", PREFIX_NONE},
		{"255.255.255.255", 4},
		{"192.168.7.255", 11},
		{"fd00::1", 6},
		{"fd00::2", 8},
		{"fd00:0:0:1::", 5},
		{"fe00::", 7},
		{"::", 7},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 9},
	};
	struct prefix list[sizeof prefixes / sizeof prefixes[0]];
	struct prefix_map map = {0};

	for (uint32_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		list[i] = prefix_of(prefixes[i], i);
	assert_int_equal(prefix_map_make(&map, list, sizeof prefixes / sizeof prefixes[0]), OK);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (find(&map, cases[i].address) != cases[i].value)
			fail_msg("%s: %u", cases[i].address, find(&map, cases[i].address));
	prefix_map_fini(&map);
	assert_int_equal(find(&map, "10.0.0.0"), PREFIX_NONE);
}

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

static bool within(const struct prefix *p, uint8_t version, const uint8_t *address)
{
	for (uint32_t bit = 0; bit < p->length; bit++)
		if (((p->address[bit / 8] ^ address[bit / 8]) >> (7 - bit % 8)) & 1)
			return false;
	return p->version == version;
}

static void test_against_a_list(void **state)
{
	enum { PREFIXES = 60, ROUNDS = 60, QUESTIONS = 200 };
	uint32_t random = 1;

	for (int round = 0; round < ROUNDS; round++) {
		struct prefix list[PREFIXES], sorted[PREFIXES];
		struct prefix_map map = {0};

		for (uint32_t i = 0; i < PREFIXES; i++) {
			list[i] = (struct prefix){.version = next(&random) % 2 ? 4 : 6, .value = i};
			list[i].length = (uint8_t)(next(&random) % (list[i].version == 4 ? 33 : 129));
			for (int o = 0; o < (list[i].version == 4 ? 4 : 16); o++)
				list[i].address[o] =
					next(&random) % 3 ? 0 : (uint8_t)(255 * (next(&random) % 2));
		}
		memcpy(sorted, list, sizeof list);
		assert_int_equal(prefix_map_make(&map, sorted, PREFIXES), OK);
		for (int q = 0; q < QUESTIONS; q++) {
			const uint8_t version = next(&random) % 2 ? 4 : 6;
			uint8_t address[16] = {0};
			int best = -1;

			for (int o = 0; o < (version == 4 ? 4 : 16); o++)
				address[o] = next(&random) % 3 ? 0 : (uint8_t)(255 * (next(&random) % 2));
			for (int i = 0; i < PREFIXES; i++)
				if (within(&list[i], version, address) &&
				    (best < 0 || list[i].length >= list[best].length))
					best = i;
			const uint32_t got = prefix_map_find(&map, version, address);
			if (got != (best < 0 ? PREFIX_NONE : (uint32_t)best))
				fail_msg("round %d, question %d: %u, expected %d", round, q, got, best);
		}
		prefix_map_fini(&map);
	}
}

static void test_refused(void **state)
{
	struct prefix bad[] = {{.version = 4, .length = 33}, {.version = 6, .length = 129}, {.version = 5}};
	struct prefix_map map = {0};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(prefix_map_make(&map, &bad[i], 1), ERR_FORMAT);
	assert_int_equal(prefix_map_make(&map, NULL, PREFIX_MAP_MAX + 1), ERR_LIMIT);
	assert_int_equal(prefix_map_make(&map, NULL, 0), OK);
	assert_int_equal(find(&map, "10.0.0.1"), PREFIX_NONE);
	prefix_map_fini(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_against_a_list),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
