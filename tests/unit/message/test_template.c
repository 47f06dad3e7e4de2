#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "builder.h"
#include "message/template.h"

static const struct template_limits roomy = {.templates = 70000, .fields = 1 << 20, .seed = 0x1234};

static struct template_store *store_new(enum template_rules rules, const struct template_limits *limits)
{
	struct template_store *s;

	assert_int_equal(template_store_new(&s, rules, limits), OK);
	return s;
}

/* Learn every record of the message; answers the outcome of the last. */
static enum template_outcome learn(struct template_store *s, struct span message, int64_t now)
{
	struct message_reader r;
	struct set set;
	enum template_outcome outcome = TEMPLATE_OUTCOME_COUNT;

	assert_int_equal(message_open(&r, message), MESSAGE_FAULT_NONE);
	while (message_next_set(&r, &set)) {
		struct template_reader templates = template_reader_over(&set);
		struct template_record record;

		while (template_next(&templates, &record) == OK)
			outcome = template_store_learn(s, &r.header, &record, now, NULL);
	}
	return outcome;
}

/* One template of `count` fields, element 1 of this length; count 0 withdraws. */
static enum template_outcome learn_with(struct build *b, struct template_store *s, uint32_t domain,
					uint16_t set, uint16_t id, uint16_t count, uint16_t length)
{
	b_begin(b, 10, 0, domain);
	b_set(b, set);
	b_template(b, id, count);
	if (set == 3 && count)
		b16(b, 1);
	for (uint16_t i = 0; i < count; i++)
		b_field(b, (uint16_t)(i + 1), length);

	return learn(s, b_end(b), 5);
}

static enum template_outcome learn_one(struct template_store *s, uint32_t domain, uint16_t set, uint16_t id,
				       uint16_t count, uint16_t length)
{
	struct build *b = malloc(sizeof *b);
	const enum template_outcome outcome = learn_with(b, s, domain, set, id, count, length);

	free(b);
	return outcome;
}

static void conformance_A_9_15_domains_and_ids(void **state)
{
	struct template_store *s = store_new(TEMPLATE_RULES_STREAM, &roomy);

	assert_int_equal(learn_one(s, 1, 2, 65535, 1, 4), TEMPLATE_NEW);
	assert_int_equal(learn_one(s, 1, 2, 300, 2, 4), TEMPLATE_NEW);
	assert_int_equal(learn_one(s, 1, 3, 256, 3, 4), TEMPLATE_NEW);
	assert_int_equal(learn_one(s, 2, 2, 300, 4, 4), TEMPLATE_NEW);
	assert_int_equal(template_store_find(s, 1, 300)->field_count, 2);
	assert_int_equal(template_store_find(s, 2, 300)->field_count, 4);
	assert_int_equal(template_store_find(s, 1, 256)->scope_count, 1);
	assert_null(template_store_find(s, 2, 256));
	assert_null(template_store_find(s, 1, 0));
	assert_int_equal(template_store_count(s), 4);
	assert_int_equal(template_store_fields(s), 10);
	template_store_free(s);
}

static void conformance_A_16_scope_count(void **state)
{
	const struct {
		uint16_t scopes;
		enum template_outcome outcome;
	} rows[] = {{0, TEMPLATE_BAD_SCOPE},
		    {1, TEMPLATE_NEW},
		    {2, TEMPLATE_REPLACED},
		    {3, TEMPLATE_BAD_SCOPE},
		    {65535, TEMPLATE_BAD_SCOPE}};
	struct template_store *s = store_new(TEMPLATE_RULES_DATAGRAM, &roomy);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct build *b = malloc(sizeof *b);

		b_begin(b, 10, 0, 1);
		b_set(b, 3);
		b_options(b, 400, 2, rows[i].scopes);
		b_field(b, 149, 4);
		b_field(b, 41, 8);
		assert_int_equal(learn(s, b_end(b), 0), rows[i].outcome);
		free(b);
	}
	assert_null(template_store_find(s, 1, 400)); /* the refused one took the old one with it */
	template_store_free(s);
}

static void conformance_A_44_to_48_withdrawal(void **state)
{
	struct template_store *s = store_new(TEMPLATE_RULES_STREAM, &roomy);

	learn_one(s, 1, 2, 256, 1, 4);
	learn_one(s, 1, 2, 257, 1, 4);
	learn_one(s, 1, 3, 258, 1, 4);
	learn_one(s, 2, 2, 256, 1, 4);
	assert_int_equal(learn_one(s, 1, 2, 256, 0, 0), TEMPLATE_WITHDRAWN);
	assert_null(template_store_find(s, 1, 256));
	assert_non_null(template_store_find(s, 2, 256));
	assert_int_equal(learn_one(s, 1, 2, 256, 0, 0), TEMPLATE_WITHDRAWAL_UNKNOWN);
	assert_int_equal(learn_one(s, 1, 2, 258, 0, 0), TEMPLATE_WITHDRAWAL_UNKNOWN); /* the wrong set */
	assert_int_equal(learn_one(s, 1, 2, 2, 0, 0), TEMPLATE_WITHDRAWN_ALL);
	assert_null(template_store_find(s, 1, 257));
	assert_non_null(template_store_find(s, 1, 258));
	assert_non_null(template_store_find(s, 2, 256));
	assert_int_equal(learn_one(s, 1, 3, 3, 0, 0), TEMPLATE_WITHDRAWN_ALL);
	assert_null(template_store_find(s, 1, 258));
	assert_int_equal(learn_one(s, 1, 3, 3, 0, 0), TEMPLATE_WITHDRAWN_ALL);
	assert_int_equal(learn_one(s, 1, 3, 2, 0, 0), TEMPLATE_BAD_ID);
	assert_int_equal(learn_one(s, 1, 2, 255, 1, 4), TEMPLATE_BAD_ID);
	assert_int_equal(template_store_count(s), 1);
	template_store_settle(s);
	assert_int_equal(learn_one(s, 1, 2, 256, 1, 4), TEMPLATE_NEW);
	template_store_free(s);
}

static void conformance_A_49_50_stream_redefinition(void **state)
{
	struct template_store *s = store_new(TEMPLATE_RULES_STREAM, &roomy);

	assert_int_equal(learn_one(s, 1, 2, 256, 2, 4), TEMPLATE_NEW);
	const struct template *old = template_store_find(s, 1, 256);
	assert_int_equal(learn_one(s, 1, 2, 256, 2, 4), TEMPLATE_SAME);
	assert_ptr_equal(template_store_find(s, 1, 256), old);
	assert_int_equal(learn_one(s, 1, 2, 256, 2, 8), TEMPLATE_REPLACED);
	assert_int_equal(old->fields[0].length, 4); /* readable until settle */
	assert_int_equal(template_store_find(s, 1, 256)->fields[0].length, 8);
	template_store_settle(s);
	template_store_free(s);
}

static void conformance_A_55_56_58_datagram(void **state)
{
	struct template_store *s = store_new(TEMPLATE_RULES_DATAGRAM, &roomy);

	learn_one(s, 1, 2, 256, 2, 4);
	assert_int_equal(learn_one(s, 1, 2, 256, 0, 0), TEMPLATE_WITHDRAWAL_IGNORED);
	assert_int_equal(learn_one(s, 1, 2, 2, 0, 0), TEMPLATE_WITHDRAWAL_IGNORED);
	assert_non_null(template_store_find(s, 1, 256));
	assert_int_equal(learn_one(s, 1, 2, 256, 3, 4), TEMPLATE_REPLACED);
	assert_int_equal(template_store_find(s, 1, 256)->field_count, 3);
	for (uint16_t id = 257; id < 300; id++)
		learn_one(s, id, 2, id, 1, 4);
	assert_int_equal(template_store_expire(s, 5), 0); /* all were given at 5 */
	assert_int_equal(template_store_expire(s, 6), 44);
	assert_int_equal(template_store_count(s), 0);
	assert_int_equal(template_store_fields(s), 0);
	template_store_free(s);
}

static void conformance_D_1_file(void **state)
{
	struct template_store *s = store_new(TEMPLATE_RULES_FILE, &roomy);

	learn_one(s, 1, 2, 256, 2, 4);
	assert_int_equal(learn_one(s, 1, 2, 256, 3, 4), TEMPLATE_REPLACED);
	assert_int_equal(learn_one(s, 1, 2, 256, 0, 0), TEMPLATE_WITHDRAWN);
	assert_null(template_store_find(s, 1, 256));
	template_store_free(s);
}

static void conformance_A_64_template_padding(void **state)
{
	struct template_store *s = store_new(TEMPLATE_RULES_STREAM, &roomy);
	const uint8_t padding[7] = {0};

	for (size_t n = 0; n <= 7; n++) {
		struct build *b = malloc(sizeof *b);

		b_begin(b, 10, 0, (uint32_t)n);
		b_set(b, 2);
		b_template(b, 256, 1);
		b_field(b, 1, 8);
		b_octets(b, padding, n);
		if (n == 3) /* padding that is not zero is no fault of the message */
			memset(b->data + b->used - 3, 0xff, 3);
		assert_int_equal(learn(s, b_end(b), 0), TEMPLATE_NEW);
		free(b);
	}
	assert_int_equal(template_store_count(s), 8);
	template_store_free(s);
}

/* RELIABILITY class 4: records without octets would never end. */
static void class_04_zero_length(void **state)
{
	struct template_store *s = store_new(TEMPLATE_RULES_STREAM, &roomy);

	assert_int_equal(learn_one(s, 1, 2, 256, 1, 0), TEMPLATE_EMPTY);
	assert_int_equal(learn_one(s, 1, 2, 256, 3000, 0), TEMPLATE_EMPTY);
	assert_null(template_store_find(s, 1, 256));
	template_store_free(s);
}

/* RELIABILITY class 5: legal though unusual. */
static void class_05_must_accept(void **state)
{
	struct template_store *s = store_new(TEMPLATE_RULES_STREAM, &roomy);
	struct build *b = malloc(sizeof *b);

	b_begin(b, 10, 0, 1);
	b_set(b, 2);
	b_template(b, 256, 5);
	b_field(b, 8, 4);
	b_field(b, 82, 0);     /* an empty string beside others */
	b_field(b, 8, 4);      /* repeated */
	b_field(b, 1, 65535);  /* a number of variable length */
	b_pen(b, 8, 4, 32473); /* the same number under another PEN is another element */
	assert_int_equal(learn(s, b_end(b), 0), TEMPLATE_NEW);

	const struct template *t = template_store_find(s, 1, 256);
	assert_int_equal(t->fields[0].next, 2);
	assert_true(t->fields[2].again);
	assert_false(t->fields[4].again);
	assert_int_equal(t->min_length, 13);
	assert_true(t->variable);
	free(b);
	template_store_free(s);
}

/* RELIABILITY class 6: lengths that add up over what 16 bits hold. */
static void class_06_overflow(void **state)
{
	struct template_store *s = store_new(TEMPLATE_RULES_STREAM, &roomy);

	assert_int_equal(learn_one(s, 1, 2, 256, 1, 65515), TEMPLATE_NEW);
	assert_int_equal(template_store_find(s, 1, 256)->min_length, 65515);
	assert_int_equal(learn_one(s, 1, 2, 256, 1, 65516), TEMPLATE_TOO_LONG);
	assert_int_equal(learn_one(s, 1, 2, 256, 2, 32768), TEMPLATE_TOO_LONG);
	assert_int_equal(learn_one(s, 1, 2, 256, 16000, 65534), TEMPLATE_TOO_LONG);
	assert_null(template_store_find(s, 1, 256));
	template_store_free(s);
}

/* RELIABILITY class 8: each limit at one under, at, one over. */
static void class_08_limits(void **state)
{
	const struct template_limits limits = {.templates = 3, .fields = 10};
	struct template_store *s = store_new(TEMPLATE_RULES_DATAGRAM, &limits);

	assert_int_equal(learn_one(s, 1, 2, 256, 8, 4), TEMPLATE_NEW);
	assert_int_equal(learn_one(s, 1, 2, 257, 1, 4), TEMPLATE_NEW);
	assert_int_equal(learn_one(s, 1, 2, 258, 2, 4), TEMPLATE_NO_ROOM);
	assert_int_equal(learn_one(s, 1, 2, 258, 1, 4), TEMPLATE_NEW);
	assert_int_equal(learn_one(s, 1, 2, 259, 1, 4), TEMPLATE_NO_ROOM);
	assert_int_equal(learn_one(s, 1, 2, 257, 1, 8), TEMPLATE_REPLACED); /* in its own place */
	assert_int_equal(template_store_count(s), 3);
	assert_int_equal(template_store_fields(s), 10);
	template_store_free(s);

	s = store_new(TEMPLATE_RULES_DATAGRAM, &roomy);
	for (uint16_t empty = TEMPLATE_EMPTY_FIELDS_MAX - 1; empty <= TEMPLATE_EMPTY_FIELDS_MAX + 1;
	     empty++) {
		struct build *b = malloc(sizeof *b);

		b_begin(b, 10, 0, empty);
		b_set(b, 2);
		b_template(b, 256, (uint16_t)(empty + 1));
		b_field(b, 1, 1);
		for (uint16_t i = 0; i < empty; i++)
			b_field(b, 82, 0);
		assert_int_equal(learn(s, b_end(b), 0),
				 empty > TEMPLATE_EMPTY_FIELDS_MAX ? TEMPLATE_EMPTY_FIELDS : TEMPLATE_NEW);
		free(b);
	}
	template_store_free(s);
}

/* RELIABILITY class 10: as many templates and fields as the protocol can name, and storms of withdrawals. */
static void class_10_many_templates(void **state)
{
	struct template_store *s = store_new(TEMPLATE_RULES_STREAM, &roomy);
	struct build *b = malloc(sizeof *b);

	for (uint32_t id = 256; id <= 65535; id++)
		assert_int_equal(learn_with(b, s, 9, 2, (uint16_t)id, 1, 4), TEMPLATE_NEW);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(learn_with(b, s, 1, 2, 256, 1, 4), TEMPLATE_NEW);
		assert_int_equal(learn_with(b, s, 1, 2, 2, 0, 0), TEMPLATE_WITHDRAWN_ALL);
		template_store_settle(s);
	}
	assert_int_equal(template_store_count(s), 65280);
	assert_int_equal(learn_with(b, s, 9, 2, 2, 0, 0), TEMPLATE_WITHDRAWN_ALL);
	assert_int_equal(template_store_count(s), 0);
	assert_int_equal(learn_with(b, s, 1, 2, 256, 16370, 4), TEMPLATE_NEW); /* RFC 5471 3.5.3 */
	template_store_free(s);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conformance_A_9_15_domains_and_ids),
		cmocka_unit_test(conformance_A_16_scope_count),
		cmocka_unit_test(conformance_A_44_to_48_withdrawal),
		cmocka_unit_test(conformance_A_49_50_stream_redefinition),
		cmocka_unit_test(conformance_A_55_56_58_datagram),
		cmocka_unit_test(conformance_A_64_template_padding),
		cmocka_unit_test(conformance_D_1_file),
		cmocka_unit_test(class_04_zero_length),
		cmocka_unit_test(class_05_must_accept),
		cmocka_unit_test(class_06_overflow),
		cmocka_unit_test(class_08_limits),
		cmocka_unit_test(class_10_many_templates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
