/* The lexer: words, places, faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/lexer.h"

static void words_have_kinds_and_places(void **state)
{
	static const struct {
		const char *what, *text;
		int kind;
		size_t begin, end, fault;
	} cases[] = {
		{"nothing", "", TOKEN_END, 0, 0, 0},
		{"only space", " \t\r\n", TOKEN_END, 4, 4, 0},
		{"a sign", "  {", '{', 2, 3, 0},
		{"a string", " \"a\\\"b\" ", TOKEN_STRING, 1, 7, 0},
		{"a string with a wide character", "\"\xe2\x82\xac\"", TOKEN_STRING, 0, 5, 0},
		{"all escapes", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", TOKEN_STRING, 0, 24, 0},
		{"zero", "0,", TOKEN_NUMBER, 0, 1, 0},
		{"a whole number grammar", "-10.25e+7]", TOKEN_NUMBER, 0, 9, 0},
		{"a word", "true}", TOKEN_WORD, 0, 4, 0},
		{"a minus alone", "- 1", TOKEN_BAD, 0, 1, 0},
		{"a leading zero", "007", TOKEN_BAD, 0, 3, 0},
		{"no digit after the point", "1.", TOKEN_BAD, 0, 2, 0},
		{"no digit after the exponent", "1e+", TOKEN_BAD, 0, 3, 0},
		{"a unit", "60s", TOKEN_BAD, 0, 3, 0},
		{"a string cut short", "\"abc", TOKEN_BAD, 0, 4, 0},
		{"a string over a line's end", "\"abc\n\"", TOKEN_BAD, 0, 4, 0},
		{"no such escape", "\"a\\q\"", TOKEN_BAD, 0, 3, 2},
		{"an escape cut short", "\"\\u12\"", TOKEN_BAD, 0, 2, 1},
		{"an escape at the end", "\"\\", TOKEN_BAD, 0, 2, 1},
		{"a control character", "\"\x01\"", TOKEN_BAD, 0, 2, 1},
		{"ill-formed UTF-8 in a string", "\"\xc0\x80\"", TOKEN_BAD, 0, 2, 1},
		{"ill-formed UTF-8 outside", "\xff", TOKEN_BAD, 0, 1, 0},
		{"a single quote", "'x'", TOKEN_BAD, 0, 1, 0},
		{"a comment", "// x", TOKEN_BAD, 0, 2, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct lexer lexer = {.text = cases[i].text, .length = strlen(cases[i].text)};
		const struct token t = lexer_next(&lexer);

		if (t.kind != cases[i].kind || t.begin != cases[i].begin || t.end != cases[i].end ||
		    (t.kind == TOKEN_BAD && (t.fault != cases[i].fault || !t.hint)))
			fail_msg("%s: kind %d at %zu…%zu, fault %zu", cases[i].what, t.kind, t.begin, t.end,
				 t.fault);
	}
}

static void utf8_is_judged_by_rfc_3629(void **state)
{
	static const struct {
		const char *what, *octets;
		size_t left, length;
	} cases[] = {
		{"nothing", "", 0, 0},
		{"ASCII", "a", 1, 1},
		{"two octets", "\xc3\xa9", 2, 2},
		{"three octets", "\xe2\x82\xac", 3, 3},
		{"four octets", "\xf0\x9f\x98\x80", 4, 4},
		{"the last character", "\xf4\x8f\xbf\xbf", 4, 4},
		{"above the last character", "\xf4\x90\x80\x80", 4, 0},
		{"a continuation alone", "\x80", 1, 0},
		{"cut short", "\xe2\x82", 2, 0},
		{"overlong of two", "\xc1\xbf", 2, 0},
		{"overlong of three", "\xe0\x9f\xbf", 3, 0},
		{"overlong of four", "\xf0\x8f\xbf\xbf", 4, 0},
		{"a surrogate", "\xed\xa0\x80", 3, 0},
		{"a wrong continuation", "\xe2\x28\xa1", 3, 0},
		{"five octets", "\xf8\x88\x80\x80\x80", 5, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (utf8_length(cases[i].octets, cases[i].left) != cases[i].length)
			fail_msg("%s: %zu octets", cases[i].what,
				 utf8_length(cases[i].octets, cases[i].left));
}

static void members_are_walked_without_looking_inside(void **state)
{
	static const char text[] = " { \"a\" : 1, \"b\":{\"x\":[1,{}]},\n\"c\" : [ ] , \"d\":\"}\" } ";
	static const char *const keys[] = {"\"a\"", "\"b\"", "\"c\"", "\"d\""};
	static const char *const values[] = {"1", "{\"x\":[1,{}]}", "[ ]", "\"}\""};
	struct lexer lexer = members_of(text, sizeof text - 1, 0);
	struct member m;
	size_t n = 0;

	(void)state;
	for (; member_next(&lexer, &m); n++) {
		assert_true(n < 4);
		assert_int_equal(m.key.end - m.key.begin, strlen(keys[n]));
		assert_memory_equal(text + m.key.begin, keys[n], strlen(keys[n]));
		assert_int_equal(m.end - m.first.begin, strlen(values[n]));
		assert_memory_equal(text + m.first.begin, values[n], strlen(values[n]));
	}
	assert_int_equal(n, 4);
}

static void elements_have_no_key(void **state)
{
	static const char text[] = "[ \"a\", [\"b\", \"c\"], 3 ]";
	static const size_t begins[] = {2, 7, 19};
	struct lexer lexer = members_of(text, sizeof text - 1, 0);
	struct member m;
	size_t n = 0;

	(void)state;
	for (; member_next(&lexer, &m); n++) {
		assert_true(n < 3);
		assert_int_equal(m.key.end, 0);
		assert_int_equal(m.first.begin, begins[n]);
	}
	assert_int_equal(n, 3);
	lexer = members_of("[]", 2, 0);
	assert_false(member_next(&lexer, &m));
	lexer = members_of("{}", 2, 0);
	assert_false(member_next(&lexer, &m));
}

static void columns_count_characters(void **state)
{
	static const char text[] = "ab\n\xc3\xa9\t\xe2\x82\xacx\n";
	static const struct {
		size_t at;
		unsigned line, column;
	} cases[] = {{0, 1, 1}, {1, 1, 2}, {2, 1, 3},  {3, 2, 1}, {5, 2, 2},
		     {6, 2, 3}, {9, 2, 4}, {11, 3, 1}, {99, 3, 1}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct position p = position_of(text, sizeof text - 1, cases[i].at);

		if (p.line != cases[i].line || p.column != cases[i].column)
			fail_msg("octet %zu: line %u column %u", cases[i].at, p.line, p.column);
	}
}

static void quotes_are_cut_at_characters(void **state)
{
	static const struct {
		const char *what, *text, *expected;
		size_t size;
	} cases[] = {
		{"fits", "abc", "abc", 7},
		{"no room for more than the sign", "abcd", "\xe2\x80\xa6", 4},
		{"cut", "abcdefgh", "abcd\xe2\x80\xa6", 8},
		{"cut before a wide character", "abc\xe2\x82\xacxyz", "abc\xe2\x80\xa6", 8},
		{"escaped", "a\x1b\xff", "a\\x1b\\xff", 16},
		{"empty", "", "", 4},
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		quote_text(cases[i].text, strlen(cases[i].text), out, cases[i].size);
		if (strcmp(out, cases[i].expected) != 0)
			fail_msg("%s: \"%s\"", cases[i].what, out);
	}
}

static void good_text_has_no_fault(void **state)
{
	static const char *const texts[] = {
		"1", "\"a\"", "[]", "{}", "[1,[2,{\"a\":null}],true]", " {\"a\":{\"b\":[]}} "};
	struct json_fault fault;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (json_fault_find(texts[i], strlen(texts[i]), &fault))
			fail_msg("%s: %s", texts[i], fault.text);
}

static void nesting_is_bounded(void **state)
{
	char text[3 * JSON_DEPTH_MAX];
	struct json_fault fault;

	(void)state;
	memset(text, '[', sizeof text);
	assert_true(json_fault_find(text, sizeof text, &fault));
	assert_int_equal(fault.at, JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_false(json_fault_find(text, 2 * JSON_DEPTH_MAX, &fault));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_have_kinds_and_places),
		cmocka_unit_test(utf8_is_judged_by_rfc_3629),
		cmocka_unit_test(members_are_walked_without_looking_inside),
		cmocka_unit_test(elements_have_no_key),
		cmocka_unit_test(columns_count_characters),
		cmocka_unit_test(quotes_are_cut_at_characters),
		cmocka_unit_test(good_text_has_no_fault),
		cmocka_unit_test(nesting_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
