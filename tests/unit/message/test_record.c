#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "builder.h"
#include "message/list.h"
#include "message/record.h"

/* A store with one template 256 of these fields (id, length)…; the caller frees it. */
static struct template_store *store_with(const uint16_t (*fields)[2], uint16_t count)
{
	static const struct template_limits limits = {.templates = 10, .fields = 20000};
	struct build *b = malloc(sizeof *b);
	struct template_store *s;
	struct message_header header = {.domain = 1};
	struct set set;
	struct message_reader r;
	struct template_record record;

	assert_int_equal(template_store_new(&s, TEMPLATE_RULES_STREAM, &limits), OK);
	b_begin(b, 0, 0, 1);
	b_set(b, 2);
	b_template(b, 256, count);
	for (uint16_t i = 0; i < count; i++)
		b_field(b, fields[i][0], fields[i][1]);
	assert_int_equal(message_open(&r, b_end(b)), MESSAGE_FAULT_NONE);
	assert_true(message_next_set(&r, &set));
	struct template_reader templates = template_reader_over(&set);
	assert_int_equal(template_next(&templates, &record), OK);
	assert_int_equal(template_store_learn(s, &header, &record, 0, NULL), TEMPLATE_NEW);
	free(b);
	return s;
}

static void conformance_A_32_variable_length(void **state)
{
	static const uint16_t fields[][2] = {{82, 65535}, {4, 1}};
	const struct {
		const char *what;
		uint16_t length;
		bool long_form;
	} rows[] = {{"four", 4, false},           {"four, long form", 4, true}, {"none", 0, false},
		    {"none, long form", 0, true}, {"254", 254, false},          {"255", 255, true},
		    {"60000", 60000, true}};
	struct template_store *s = store_with(fields, 2);
	const struct template *t = template_store_find(s, 1, 256);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct build *b = malloc(sizeof *b);
		struct field_place places[2];
		struct span record;

		b->used = 0;
		b8(b, rows[i].long_form ? 255 : (uint8_t)rows[i].length);
		if (rows[i].long_form)
			b16(b, rows[i].length);
		for (int j = 0; j < rows[i].length; j++)
			b8(b, 'x');
		b8(b, 17);
		struct record_reader r = record_reader_over(t, span_of(b->data, b->used));
		assert_int_equal(record_next(&r, &record, places), OK);
		assert_int_equal(record.length, b->used);
		assert_int_equal(record_field(t, record, places, 0).length, rows[i].length);
		assert_int_equal(record_field(t, record, places, 1).data[0], 17);
		assert_int_equal(record_next(&r, &record, places), END);
		free(b);
	}
	template_store_free(s);
}

static void conformance_A_64_65_padding(void **state)
{
	static const uint16_t fixed[][2] = {{8, 4}, {7, 2}};
	static const uint16_t variable[][2] = {{8, 4}, {82, 65535}};
	const uint8_t octets[32] = {0};
	size_t padding;

	for (size_t n = 0; n < sizeof octets; n++) {
		struct template_store *s = store_with(fixed, 2);
		assert_int_equal(record_count(template_store_find(s, 1, 256), span_of(octets, n), &padding),
				 n / 6);
		assert_int_equal(padding, n % 6);
		template_store_free(s);

		s = store_with(variable, 2); /* zeros: each record has an empty string */
		assert_int_equal(record_count(template_store_find(s, 1, 256), span_of(octets, n), &padding),
				 n / 5);
		assert_int_equal(padding, n % 5);
		template_store_free(s);
	}
}

/* RELIABILITY class 2: a variable field that runs past its set, at every length. */
static void class_02_record_past_set(void **state)
{
	static const uint16_t fields[][2] = {{82, 65535}, {83, 65535}, {4, 1}};
	struct template_store *s = store_with(fields, 3);
	const struct template *t = template_store_find(s, 1, 256);
	const uint8_t whole[] = {3, 'a', 'b', 'c', 255, 0, 4, 'w', 'x', 'y', 'z', 6};

	assert_int_equal(record_count(t, span_of(whole, sizeof whole), NULL), 1);
	for (size_t n = 3; n < sizeof whole; n++) {
		uint8_t *copy = exact_copy(span_of(whole, n));

		assert_int_equal(record_count(t, span_of(copy, n), NULL), -1);
		free(copy);
	}
	template_store_free(s);
}

static void conformance_E_1_basic_list(void **state)
{
	const struct {
		const char *what;
		uint8_t octets[16];
		size_t length;
		enum status open;
		int elements; /* -1: they run past the list */
	} rows[] = {
		{"empty", {3, 0, 8, 0, 4}, 5, OK, 0},
		{"two of four octets", {3, 0, 8, 0, 4, 10, 0, 0, 1, 10, 0, 0, 2}, 13, OK, 2},
		{"cut element", {3, 0, 8, 0, 4, 10, 0, 0}, 8, OK, -1},
		{"variable", {3, 0, 82, 255, 255, 2, 'a', 'b', 0, 1, 'c'}, 11, OK, 3},
		{"variable, long form", {3, 0, 82, 255, 255, 255, 0, 1, 'a'}, 9, OK, 1},
		{"variable, cut", {3, 0, 82, 255, 255, 9, 'a'}, 7, OK, -1},
		{"variable, cut length", {3, 0, 82, 255, 255, 255, 0}, 7, OK, -1},
		{"enterprise", {3, 0x80, 1, 0, 2, 0, 0, 0x7e, 0xd9, 5, 6}, 11, OK, 1},
		{"enterprise cut", {3, 0x80, 1, 0, 2, 0, 0}, 7, ERR_FORMAT, 0},
		{"header cut", {3, 0, 8, 0}, 4, ERR_FORMAT, 0},
		{"elements of no octets", {3, 0, 8, 0, 0, 1}, 6, ERR_FORMAT, 0},
		{"no octets at all", {0}, 0, ERR_FORMAT, 0},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t *copy = exact_copy(span_of(rows[i].octets, rows[i].length));
		struct list list;
		struct span element;
		int elements = 0;
		enum status s = list_open(&list, IE_BASIC_LIST, span_of(copy, rows[i].length));

		if (s != rows[i].open)
			fail_msg("%s: list_open answers %d", rows[i].what, s);
		while (s == OK && (s = list_next_element(&list, &element)) == OK)
			elements++;
		if (rows[i].open == OK && (s == END ? elements : -1) != rows[i].elements)
			fail_msg("%s: %d elements, status %d", rows[i].what, elements, s);
		free(copy);
	}
}

static void conformance_E_3_multi_list(void **state)
{
	const struct {
		const char *what;
		uint8_t octets[16];
		size_t length;
		int blocks;
	} rows[] = {
		{"empty", {255}, 1, 0},
		{"two blocks", {3, 1, 0, 0, 6, 7, 7, 1, 1, 0, 4}, 11, 2},
		{"length 0 is a block without records", {3, 1, 0, 0, 0, 1, 1, 0, 4}, 9, 2},
		{"length 3", {3, 1, 0, 0, 3, 7}, 6, -1},
		{"length over the list", {3, 1, 0, 0, 9, 7}, 6, -1},
		{"header cut", {3, 1, 0, 0}, 4, -1},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t *copy = exact_copy(span_of(rows[i].octets, rows[i].length));
		struct list list;
		struct span records;
		uint16_t id;
		int blocks = 0;
		enum status s = list_open(&list, IE_SUB_TEMPLATE_MULTI_LIST, span_of(copy, rows[i].length));

		while (s == OK && (s = list_next_block(&list, &id, &records)) == OK)
			blocks++;
		if ((s == END ? blocks : -1) != rows[i].blocks)
			fail_msg("%s: %d blocks, status %d", rows[i].what, blocks, s);
		free(copy);
	}
}

static void conformance_E_4_semantics(void **state)
{
	assert_string_equal(list_semantic_name(0), "noneOf");
	assert_string_equal(list_semantic_name(4), "ordered");
	assert_string_equal(list_semantic_name(255), "undefined");
	assert_null(list_semantic_name(5));
	assert_null(list_semantic_name(254));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conformance_A_32_variable_length),
		cmocka_unit_test(conformance_A_64_65_padding),
		cmocka_unit_test(class_02_record_past_set),
		cmocka_unit_test(conformance_E_1_basic_list),
		cmocka_unit_test(conformance_E_3_multi_list),
		cmocka_unit_test(conformance_E_4_semantics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
