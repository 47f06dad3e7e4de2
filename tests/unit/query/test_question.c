/* Questions of the page as octets, and Thrift's compact protocol. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "query/question.h"
#include "query/texts.h"

static void test_octets(void **state)
{
	static const struct {
		const char *what, *octets;
		size_t length;
		int words; /* -1: refused */
	} cases[] = {
		{"nothing", "", 0, -1},
		{"a path", "status", 7, 0},
		{"no end", "status", 6, -1},
		{"a word and its value", "view\0last\0001h", 13, 1},
		{"a word without a value", "view\0last", 10, -1},
		{"an empty value", "view\0last\0", 11, 1},
		{"an empty path", "", 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct question q;
		const bool read = question_read(&q, cases[i].octets, cases[i].length);

		print_message("%s\n", cases[i].what);
		assert_int_equal(read ? (int)q.count : -1, cases[i].words);
	}
}

static void test_words(void **state)
{
	static const char octets[] = "view\0n\0"
				     "5\0t.n\0"
				     "500\0t.up\0"
				     "0\0u.up\0"
				     "1\0x.n\0many";
	struct question q;

	(void)state;
	assert_true(question_read(&q, octets, sizeof octets));
	assert_string_equal(question_get(&q, "", "n"), "5");
	assert_string_equal(question_get(&q, "t", "n"), "500");
	assert_null(question_get(&q, "u", "n"));
	assert_int_equal(question_number(&q, "t", "n", 8, 1, 200), 200);
	assert_int_equal(question_number(&q, "x", "n", 8, 1, 200), 8);
	assert_int_equal(question_number(&q, "u", "n", 8, 1, 200), 8);
	assert_false(question_yes(&q, "t", "up"));
	assert_true(question_yes(&q, "u", "up"));
	assert_false(question_yes(&q, "v", "up"));
}

static void test_scope(void **state)
{
	static const struct {
		const char *what, *words[4][2], *which; /* NULL: it is good */
	} cases[] = {
		{"nothing", {{NULL, NULL}}, NULL},
		{"an hour", {{"last", "1h"}}, NULL},
		{"no unit", {{"last", "5"}}, "last"},
		{"longer than there is time", {{"last", "9999999w"}}, "last"},
		{"both ends", {{"from", "@1700000000"}, {"to", "@1700003600"}}, NULL},
		{"the end before the begin", {{"from", "@1700003600"}, {"to", "@1700000000"}}, "to"},
		{"no time", {{"from", "yesterday"}}, "from"},
		{"a filter", {{"filter", "tcp"}}, NULL},
		{"a wrong one", {{"filter", "prot tcp"}}, "filter"},
		{"refused ones of a filter with an or", {{"filter", "tcp or udp"}, {"only", "denied"}}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct question q = {.path = "view"};
		struct filter_error err = {0};
		const char *which = NULL;
		struct scope scope;

		for (unsigned w = 0; w < 4 && cases[i].words[w][0]; w++, q.count++) {
			q.words[w].name = cases[i].words[w][0];
			q.words[w].value = cases[i].words[w][1];
		}
		const enum status s = scope_read(&scope, &q, &which, &err);
		print_message("%s\n", cases[i].what);
		assert_int_equal(s, cases[i].which ? ERR_USAGE : OK);
		if (cases[i].which) {
			assert_string_equal(which, cases[i].which);
			assert_true(err.text[0] != '\0');
		}
		scope_fini(&scope);
	}
}

static struct span text(const char *s)
{
	return span_of(s, strlen(s));
}

static void test_texts(void **state)
{
	struct texts *t = texts_new(1 << 16);
	char name[16];

	(void)state;
	assert_non_null(t);
	assert_int_equal(texts_number(t, text("absent"), false), TEXTS_NONE);
	assert_int_equal(texts_number(t, text(""), true), 0);
	for (uint32_t i = 1; i < 1000; i++) { /* beyond the first table */
		snprintf(name, sizeof name, "text %u", i);
		assert_int_equal(texts_number(t, text(name), true), i);
		assert_int_equal(texts_number(t, text(name), true), i);
	}
	assert_int_equal(texts_number(t, text("text 500"), false), 500);
	assert_int_equal(texts_number(t, text(""), false), 0);
	assert_int_equal(texts_at(t, 500).length, 8);
	assert_memory_equal(texts_at(t, 500).data, "text 500", 8);
	uint32_t i = 1000;
	do { /* until there is no room */
		snprintf(name, sizeof name, "text %u", i++);
		assert_true(i < 100000);
	} while (texts_number(t, text(name), true) != TEXTS_NONE);
	assert_int_equal(texts_number(t, text("text 7"), true), 7);
	texts_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
