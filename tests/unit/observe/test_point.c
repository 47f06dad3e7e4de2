/* The table of observation points: indices stay, names are clean, the bound holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observe/point.h"

static struct point_table *empty_table(void)
{
	struct point_table *table = calloc(1, sizeof *table);

	assert_non_null(table);
	return table;
}

static void test_same_name_same_index(void **state)
{
	struct point_table *table = empty_table();

	assert_int_equal(point_table_add(table, "wg0", "wireguard"), 0);
	assert_int_equal(point_table_add(table, "wg1", "wireguard"), 1);
	assert_int_equal(point_table_add(table, "wg0", "other"), 0);
	assert_int_equal(table->count, 2);
	assert_int_equal(table->point[0].id, 1);
	assert_int_equal(table->point[1].id, 2);
	assert_int_equal(table->point[1].ifindex, 0);
	assert_false(table->point[1].up);
	assert_string_equal(table->point[0].description, "wireguard");
	free(table);
}

static void test_names_are_clean(void **state)
{
	char lines[80], sixty_three[POINT_NAME_MAX];
	memset(lines, 'x', sizeof lines - 1);
	lines[79] = 0;
	memset(sixty_three, 'x', 63);
	sixty_three[63] = 0;
	const struct {
		const char *what, *name, *expected;
	} cases[] = {
		{"plain", "eth0", "eth0"},
		{"empty", "", ""},
		{"UTF-8 of 2, 3 and 4 octets", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a",
		 "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a"},
		{"newline and escape", "a\nb\x1b[0m", "a?b?[0m"},
		{"C1 control", "a\xc2\x85z", "a??z"},
		{"overlong slash", "\xc0\xaf", "??"},
		{"overlong of 3 octets", "\xe0\x80\xaf", "???"},
		{"surrogate", "\xed\xa0\x80", "???"},
		{"past U+10FFFF", "\xf4\x90\x80\x80", "????"},
		{"cut character at the end", "ab\xe2\x82", "ab??"},
		{"longer than the room", lines, sixty_three},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct point_table *table = empty_table();
		assert_int_equal(point_table_add(table, cases[i].name, ""), 0);
		if (strcmp(table->point[0].name, cases[i].expected) != 0)
			fail_msg("%s: got '%s', expected '%s'", cases[i].what, table->point[0].name,
				 cases[i].expected);
		assert_int_equal(point_table_add(table, cases[i].name, ""), 0);
		free(table);
	}
}

static void test_cut_between_characters(void **state)
{
	struct point_table *table = empty_table();
	char name[70];

	memset(name, 'x', 62);
	strcpy(name + 62, "\xe2\x82\xac");
	assert_int_equal(point_table_add(table, name, ""), 0);
	assert_int_equal(strlen(table->point[0].name), 62);
	free(table);
}

static void test_class_08_points(void **state)
{
	struct point_table *table = empty_table();
	char name[16];

	for (int i = 0; i < POINT_MAX; i++) {
		snprintf(name, sizeof name, "if%d", i);
		assert_int_equal(point_table_add(table, name, ""), i);
	}
	assert_int_equal(point_table_add(table, "one more", ""), -1);
	assert_int_equal(point_table_add(table, "if1023", ""), 1023);
	assert_int_equal(table->count, POINT_MAX);
	free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_name_same_index),
		cmocka_unit_test(test_names_are_clean),
		cmocka_unit_test(test_cut_between_characters),
		cmocka_unit_test(test_class_08_points),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
