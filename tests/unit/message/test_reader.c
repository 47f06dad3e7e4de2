#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "builder.h"
#include "message/reader.h"

/* A message with a template, an options template and a data set; the caller frees it. */
static struct build *sample(void)
{
	struct build *b = malloc(sizeof *b);

	assert_non_null(b);
	b_begin(b, 100, 7, 3);
	b_set(b, 2);
	b_template(b, 256, 2);
	b_field(b, 8, 4);
	b_pen(b, 1, 65535, 32473);
	b_set(b, 3);
	b_options(b, 257, 2, 1);
	b_field(b, 149, 4);
	b_field(b, 41, 8);
	b_set(b, 256);
	b32(b, 0x0a000001);
	b8(b, 2);
	b16(b, 0xabcd);
	b_end(b);
	return b;
}

static enum message_fault open_exact(struct span octets)
{
	uint8_t *copy = exact_copy(octets);
	struct message_reader r;
	const enum message_fault fault = message_open(&r, span_of(copy, octets.length));
	struct set set;

	while (message_next_set(&r, &set))
		;
	free(copy);
	return fault;
}

static void conformance_A_1_header(void **state)
{
	struct build *b = sample();
	struct message_reader r;
	struct set set;
	const uint16_t ids[] = {2, 3, 256};

	assert_int_equal(message_open(&r, span_of(b->data, b->used)), MESSAGE_FAULT_NONE);
	assert_int_equal(r.header.length, b->used);
	assert_int_equal(r.header.export_time, 100);
	assert_int_equal(r.header.sequence, 7);
	assert_int_equal(r.header.domain, 3);
	for (int i = 0; i < 3; i++) {
		assert_true(message_next_set(&r, &set));
		assert_int_equal(set.id, ids[i]);
	}
	assert_int_equal(set.records.length, 7);
	assert_false(message_next_set(&r, &set));
	free(b);
}

static void conformance_A_14_unknown_set_ids(void **state)
{
	struct build *b = malloc(sizeof *b);
	struct message_reader r;
	struct set set;
	int seen = 0;

	b_begin(b, 1, 0, 1);
	for (uint16_t id = 0; id < 256; id++) {
		if (id == 2 || id == 3)
			continue;
		b_set(b, id);
		b32(b, 0xffffffff);
	}
	assert_int_equal(message_open(&r, b_end(b)), MESSAGE_FAULT_NONE);
	while (message_next_set(&r, &set))
		seen++;
	assert_int_equal(seen, 254);
	free(b);
}

static void conformance_A_19_longest_message(void **state)
{
	struct build *b = malloc(sizeof *b);

	b_begin(b, 1, 0, 1);
	b_set(b, 300);
	while (b->used < 65535)
		b8(b, 0);
	assert_int_equal(open_exact(b_end(b)), MESSAGE_FAULT_NONE);
	free(b);
}

static void conformance_A_67_malformed(void **state)
{
	const struct {
		const char *what;
		size_t at;
		uint16_t word;
		enum message_fault fault;
	} rows[] = {
		{"version 9", 0, 9, MESSAGE_FAULT_VERSION},
		{"length 0", 2, 0, MESSAGE_FAULT_LENGTH_SMALL},
		{"length 15", 2, 15, MESSAGE_FAULT_LENGTH_SMALL},
		{"length over the datagram", 2, 500, MESSAGE_FAULT_LENGTH_OVER},
		{"length under the datagram", 2, 56, MESSAGE_FAULT_LENGTH_UNDER},
		{"set length 0", 18, 0, MESSAGE_FAULT_SET_LENGTH_SMALL},
		{"set length 3", 18, 3, MESSAGE_FAULT_SET_LENGTH_SMALL},
		{"set length 65535", 18, 65535, MESSAGE_FAULT_SET_LENGTH_OVER},
		{"field count over the set", 22, 3, MESSAGE_FAULT_TEMPLATE_CUT},
		{"field count 65535", 22, 65535, MESSAGE_FAULT_TEMPLATE_CUT},
		{"options field count over the set", 42, 3, MESSAGE_FAULT_TEMPLATE_CUT},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct build *b = sample();

		poke16(b, rows[i].at, rows[i].word);
		const enum message_fault got = open_exact(span_of(b->data, b->used));
		if (got != rows[i].fault)
			fail_msg("%s: expected %s, got %s", rows[i].what, message_fault_name(rows[i].fault),
				 message_fault_name(got));
		free(b);
	}
}

/* RELIABILITY class 2: every prefix, with the message length as it was and as it would be. */
static void class_02_every_prefix(void **state)
{
	struct build *b = sample();
	const size_t whole = b->used;

	for (size_t n = 0; n < whole; n++) {
		poke16(b, 2, (uint16_t)whole);
		assert_int_not_equal(open_exact(span_of(b->data, n)), MESSAGE_FAULT_NONE);
		poke16(b, 2, (uint16_t)n);
		open_exact(span_of(b->data, n));
	}
	free(b);
}

/* RELIABILITY class 3: no length of any set makes the walk stand still, wrap or pass the end. */
static void class_03_length_wrap(void **state)
{
	struct build *b = sample();

	for (uint32_t length = 0; length <= 65535; length++) {
		poke16(b, 18, (uint16_t)length);
		if (length < 4)
			assert_int_equal(open_exact(span_of(b->data, b->used)),
					 MESSAGE_FAULT_SET_LENGTH_SMALL);
		else if (length > b->used - 16)
			assert_int_equal(open_exact(span_of(b->data, b->used)),
					 MESSAGE_FAULT_SET_LENGTH_OVER);
		else
			open_exact(span_of(b->data, b->used));
	}
	free(b);
}

static void texts(void **state)
{
	for (int i = 0; i < MESSAGE_FAULT_COUNT; i++) {
		assert_true(strlen(message_fault_name((enum message_fault)i)) > 0);
		assert_true(strlen(message_fault_text((enum message_fault)i)) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conformance_A_1_header),
		cmocka_unit_test(conformance_A_14_unknown_set_ids),
		cmocka_unit_test(conformance_A_19_longest_message),
		cmocka_unit_test(conformance_A_67_malformed),
		cmocka_unit_test(class_02_every_prefix),
		cmocka_unit_test(class_03_length_wrap),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
