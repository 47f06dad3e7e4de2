#include "web/exposition.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void is(const struct text *t, const char *expected)
{
	assert_false(t->full);
	assert_int_equal(t->used, strlen(expected));
	assert_memory_equal(t->data, expected, t->used);
}

static void families(void **state)
{
	char octets[512];
	struct text t = {.data = octets, .capacity = sizeof octets};

	exposition_family(&t, "weir_x_total", "counter", "what\nit \\ is");
	is(&t, "# HELP weir_x_total what\\nit \\\\ is\n# TYPE weir_x_total counter\n");
}

static void samples(void **state)
{
	static const struct {
		const char *what;
		struct label labels[LABELS_MAX];
		uint64_t value;
		const char *expected;
	} cases[] = {
		{"without labels", {{0}}, 0, "x 0\n"},
		{"the largest", {{0}}, UINT64_MAX, "x 18446744073709551615\n"},
		{"one label", {{"a", "b"}}, 7, "x{a=\"b\"} 7\n"},
		{"three labels", {{"a", "1"}, {"b", "2"}, {"c", ""}}, 7, "x{a=\"1\",b=\"2\",c=\"\"} 7\n"},
		{"escapes", {{"a", "q\" b\\ n\n"}}, 1, "x{a=\"q\\\" b\\\\ n\\n\"} 1\n"},
		{"control characters", {{"a", "\x01\x7f\x1b[2J\r"}}, 1, "x{a=\"???[2J?\"} 1\n"},
		{"UTF-8 stays", {{"a", "\xc3\xa4"}}, 1, "x{a=\"\xc3\xa4\"} 1\n"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char octets[256];
		struct text t = {.data = octets, .capacity = sizeof octets};

		print_message("%s\n", cases[i].what);
		exposition_sample(&t, "x", cases[i].labels, cases[i].value);
		is(&t, cases[i].expected);
	}
}

static void seconds(void **state)
{
	static const struct {
		double value;
		const char *expected;
	} cases[] = {{1.5, "x 1.500\n"},
		     {0, "x 0.000\n"},
		     {(double)NAN, "x 0.000\n"},
		     {(double)INFINITY, "x 0.000\n"}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char octets[64];
		struct text t = {.data = octets, .capacity = sizeof octets};

		exposition_seconds(&t, "x", NULL, cases[i].value);
		is(&t, cases[i].expected);
	}
}

static void names(void **state)
{
	char octets[64];
	struct text t = {.data = octets, .capacity = sizeof octets};

	exposition_name(&t, "weir_", "a-b c/\xc3\xa4{9", "_total");
	is(&t, "weir_a_b_c____9_total");
}

/* What does not fit is told, and nothing is written behind the end. */
static void no_room(void **state)
{
	for (size_t room = 0; room < 40; room++) {
		char *octets = malloc(room + 1);
		struct text t = {.data = octets, .capacity = room};
		const struct label labels[] = {{"exporter", "192.0.2.1"}, {0}};

		exposition_sample(&t, "weir_x_total", labels, 12345);
		assert_true(t.used <= room);
		assert_true(t.full || t.used == strlen("weir_x_total{exporter=\"192.0.2.1\"} 12345\n"));
		free(octets);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families), cmocka_unit_test(samples), cmocka_unit_test(seconds),
		cmocka_unit_test(names),    cmocka_unit_test(no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
