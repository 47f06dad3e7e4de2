/* Messages through a session into JSON: what weir dump prints, and what is counted. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../message/builder.h"
#include "collect/session.h"
#include "message/json.h"
#include "message/list.h"

#define HEAD(id) "{\"exportTime\":\"1970-01-01T00:01:40Z\",\"observationDomainId\":1,\"templateId\":" #id ","

struct fixture {
	struct session *session;
	struct json_printer json;
	struct text text;
	struct build b;
	char out[1 << 20];
	uint32_t records;
};

static void on_data(void *arg, const struct message_header *header, const struct template *t,
		    const struct template_store *store, struct span records, uint32_t count)
{
	struct fixture *f = arg;

	f->records += count;
	json_print_set(&f->json, header, t, store, records);
}

static struct fixture *start(enum template_rules rules)
{
	const struct session_limits limits = session_limits_default(1);
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->text = (struct text){.data = f->out, .capacity = sizeof f->out - 1};
	assert_int_equal(session_new(&f->session, rules, &limits), OK);
	assert_int_equal(json_printer_init(&f->json, &f->text), OK);
	b_begin(&f->b, 100, 0, 1);
	return f;
}

static void stop(struct fixture *f)
{
	session_free(f->session);
	json_printer_fini(&f->json);
	free(f);
}

/* Give the message in the builder to the session, as a heap block of exact size. */
static enum message_fault give(struct fixture *f)
{
	const struct session_sink sink = {.arg = f, .data = on_data};
	const struct span message = b_end(&f->b);
	uint8_t *copy = exact_copy(message);
	const enum message_fault fault = session_message(f->session, span_of(copy, message.length), 0, &sink);

	free(copy);
	return fault;
}

/* The text so far, which then begins anew. */
static const char *text(struct fixture *f)
{
	f->out[f->text.used] = 0;
	f->text.used = 0;
	return f->out;
}

static void repeated_unknown_reverse(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_DATAGRAM);

	b_set(&f->b, 2);
	b_template(&f->b, 256, 6);
	b_field(&f->b, 8, 4);
	b_pen(&f->b, 7, 2, 32473);
	b_field(&f->b, 8, 4);
	b_pen(&f->b, 1, 1, 29305);
	b_field(&f->b, 149, 4);
	b_field(&f->b, 82, 65535);
	b_set(&f->b, 256);
	b32(&f->b, 0x0a000001);
	b16(&f->b, 0xbeef);
	b32(&f->b, 0x0a000002);
	b8(&f->b, 9);
	b32(&f->b, 77);
	b8(&f->b, 3);
	b_octets(&f->b, "a\"b", 3);
	assert_int_equal(give(f), MESSAGE_FAULT_NONE);
	assert_string_equal(text(f), HEAD(256) "\"sourceIPv4Address\":[\"10.0.0.1\",\"10.0.0.2\"],"
					       "\"e32473.7\":\"0xbeef\",\"reverseOctetDeltaCount\":9,"
					       "\"e0.149\":77,\"interfaceName\":\"a\\\"b\"}\n");
	stop(f);
}

static void conformance_A_18_scope(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_STREAM);

	b_set(&f->b, 3);
	b_options(&f->b, 300, 4, 2);
	b_field(&f->b, 149, 4);
	b_pen(&f->b, 999, 1, 32473);
	b_field(&f->b, 41, 8);
	b_field(&f->b, 149, 4); /* the same element outside the scope is another field */
	b_set(&f->b, 300);
	b32(&f->b, 5);
	b8(&f->b, 1);
	b64(&f->b, 99);
	b32(&f->b, 6);
	assert_int_equal(give(f), MESSAGE_FAULT_NONE);
	assert_string_equal(text(f),
			    HEAD(300) "\"scope\":{\"observationDomainId\":5,\"e32473.999\":\"0x01\"},"
				      "\"exportedMessageTotalCount\":99,\"e0.149\":6}\n");
	assert_int_equal(session_stats(f->session)->options_records, 1);
	assert_int_equal(session_stats(f->session)->data_records, 1);
	stop(f);
}

static void conformance_A_46_order_in_message(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_STREAM);

	for (int i = 0; i < 2; i++) {
		if (i == 0) {
			b_set(&f->b, 2);
			b_template(&f->b, 256, 1);
			b_field(&f->b, 4, 1);
		}
		b_set(&f->b, 256);
		b8(&f->b, (uint8_t)(6 + i));
		if (i == 0) {
			b_set(&f->b, 2);
			b_template(&f->b, 256, 0);
		}
	}
	assert_int_equal(give(f), MESSAGE_FAULT_NONE);
	assert_string_equal(text(f), HEAD(256) "\"protocolIdentifier\":6}\n");
	assert_int_equal(session_stats(f->session)->sets_without_template, 1);
	stop(f);
}

/* Both layouts of an id that changes inside a message are used where they stand. */
static void conformance_A_58_redefinition(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_DATAGRAM);

	for (uint16_t length = 1; length <= 2; length++) {
		b_set(&f->b, 2);
		b_template(&f->b, 256, 1);
		b_field(&f->b, 7, length);
		b_set(&f->b, 256);
		b16(&f->b, 0x0203);
	}
	assert_int_equal(give(f), MESSAGE_FAULT_NONE);
	assert_string_equal(
		text(f),
		HEAD(256) "\"sourceTransportPort\":2}\n" HEAD(256) "\"sourceTransportPort\":3}\n" HEAD(
			256) "\"sourceTransportPort\":515}\n");
	stop(f);
}

static void conformance_A_38_data_before_template(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_STREAM);

	b_set(&f->b, 256);
	b8(&f->b, 6);
	b_set(&f->b, 2);
	b_template(&f->b, 256, 1);
	b_field(&f->b, 4, 1);
	assert_int_equal(give(f), MESSAGE_FAULT_NONE);
	assert_string_equal(text(f), "");
	assert_int_equal(session_stats(f->session)->sets_without_template, 1);
	stop(f);
}

static void conformance_A_68_all_or_nothing(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_STREAM);

	b_set(&f->b, 2);
	b_template(&f->b, 256, 1);
	b_field(&f->b, 4, 1);
	b_template(&f->b, 257, 1);
	b_field(&f->b, 82, 65535);
	b_set(&f->b, 256);
	b8(&f->b, 6);
	b_set(&f->b, 257);
	b8(&f->b, 200);
	assert_int_equal(give(f), MESSAGE_FAULT_RECORD_CUT);
	assert_string_equal(text(f), "");
	assert_int_equal(f->records, 0);
	assert_int_equal(session_stats(f->session)->messages, 0);
	assert_int_equal(session_stats(f->session)->malformed[MESSAGE_FAULT_RECORD_CUT], 1);
	stop(f);
}

static void conformance_E_lists(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_STREAM);

	b_set(&f->b, 2);
	b_template(&f->b, 256, 4);
	b_field(&f->b, 291, 65535);
	b_field(&f->b, 292, 65535);
	b_field(&f->b, 293, 65535);
	b_field(&f->b, 292, 65535);
	b_template(&f->b, 257, 1);
	b_field(&f->b, 4, 1);
	b_set(&f->b, 256);
	b_octets(&f->b, (uint8_t[]){7, 3, 0, 7, 0, 2, 0, 80}, 8);
	b_octets(&f->b, (uint8_t[]){5, 4, 1, 1, 6, 17}, 6);
	b_octets(&f->b, (uint8_t[]){11, 255, 1, 1, 0, 5, 58, 1, 44, 0, 5, 9}, 12);
	b_octets(&f->b, (uint8_t[]){3, 9, 1, 44}, 4);
	assert_int_equal(give(f), MESSAGE_FAULT_NONE);
	assert_string_equal(
		text(f),
		HEAD(256) "\"basicList\":{\"semantic\":\"allOf\",\"element\":\"sourceTransportPort\","
			  "\"values\":[80]},"
			  "\"subTemplateList\":[{\"semantic\":\"ordered\",\"templateId\":257,\"records\":["
			  "{\"protocolIdentifier\":6},{\"protocolIdentifier\":17}]},"
			  "{\"semantic\":9,\"templateId\":300,\"records\":[]}],"
			  "\"subTemplateMultiList\":{\"semantic\":\"undefined\",\"lists\":["
			  "{\"templateId\":257,\"records\":[{\"protocolIdentifier\":58}]},"
			  "{\"templateId\":300,\"octets\":\"0x09\"}]}}\n");
	assert_int_equal(f->json.faults[VALUE_FAULT_LIST_TEMPLATE], 1);
	stop(f);
}

/* RELIABILITY class 9: a template whose list holds records of itself. */
static void class_09_recursion(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_STREAM);
	uint8_t nested[4096];
	size_t at = sizeof nested;

	b_set(&f->b, 2);
	b_template(&f->b, 256, 1);
	b_field(&f->b, 292, 65535);
	b_set(&f->b, 256);
	while (sizeof nested - at < 4000) { /* long length form, semantic, template id, then what was there */
		const size_t length = sizeof nested - at + 3;

		at -= 6;
		nested[at] = 255;
		put_be16(nested + at + 1, (uint16_t)length);
		nested[at + 3] = 3;
		put_be16(nested + at + 4, 256);
	}
	b_octets(&f->b, nested + at, sizeof nested - at);
	assert_int_equal(give(f), MESSAGE_FAULT_NONE);

	const char *printed = text(f);
	int depth = 0;
	for (const char *p = printed; (p = strstr(p, "\"records\"")); p++)
		depth++;
	assert_int_equal(depth, LIST_DEPTH_MAX);
	assert_int_equal(f->json.faults[VALUE_FAULT_LIST_DEPTH], 1);
	stop(f);
}

/* RELIABILITY classes 4 and 10: one message gives no more records than it has octets. */
static void class_04_bounded_records(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_DATAGRAM);

	b_set(&f->b, 2);
	b_template(&f->b, 256, 1);
	b_field(&f->b, 82, 65535);
	b_set(&f->b, 256);
	while (f->b.used < 65000)
		b8(&f->b, 0);
	f->text.capacity = TEXT_PIECE_MAX; /* the text does not matter */
	assert_int_equal(give(f), MESSAGE_FAULT_NONE);
	assert_in_range(f->records, 64000, 65000);
	stop(f);
}

/* The sanitizer's allocator does not tell mallinfo2. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
	return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
						       : mallinfo2().uordblks;
}

/* RELIABILITY class 7: what a message makes us keep is bounded by its own length, not by a number in it. */
static void class_07_allocation_follows_the_message(void **state)
{
	enum { OCTETS_PER_OCTET = 16, FIRST_USE = 4096 };
	const struct {
		const char *what;
		uint16_t set, id, fields, length;
		unsigned present; /* field specifiers that are really there */
	} rows[] = {
		{"field count over the set", 2, 256, 65535, 4, 1},
		{"fields of the largest length", 2, 257, 1, 65534, 1},
		{"many of the largest length", 2, 258, 100, 65534, 100},
		{"many of variable length", 2, 259, 1000, 65535, 1000},
		{"many, as they should be", 2, 260, 4000, 1, 4000},
		{"options, field count over the set", 3, 261, 65535, 4, 1},
		{"data of a template that is not there", 400, 0xffff, 0xffff, 0xffff, 2000},
	};
	struct fixture *f = start(TEMPLATE_RULES_DATAGRAM);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		b_begin(&f->b, 100, 0, 1);
		b_set(&f->b, rows[i].set);
		b_template(&f->b, rows[i].id, rows[i].fields);
		if (rows[i].set == 3)
			b16(&f->b, 1);
		for (unsigned n = 0; n < rows[i].present; n++)
			b_field(&f->b, (uint16_t)(1 + n), rows[i].length);

		const size_t before = allocated();
		(void)give(f); /* whole or refused: either is right here */
		const size_t after = allocated();
		if (after > before + OCTETS_PER_OCTET * f->b.used + FIRST_USE)
			fail_msg("%s: %zu octets kept for a message of %zu", rows[i].what, after - before,
				 f->b.used);
	}
	stop(f);
}

static void conformance_A_66_sequence(void **state)
{
	const struct {
		const char *what;
		uint32_t time, sequence;
		uint8_t records;
		enum sequence_event event;
		uint64_t lost;
	} rows[] = {
		{"first", 100, 0xfffffffe, 1, SEQUENCE_FIRST, 0},
		{"wrap", 100, 0xffffffff, 3, SEQUENCE_NEXT, 0},
		{"after the wrap", 100, 2, 2, SEQUENCE_NEXT, 0},
		{"template only", 101, 4, 0, SEQUENCE_NEXT, 0},
		{"gap", 101, 10, 2, SEQUENCE_GAP, 6},
		{"overtaken", 101, 4, 4, SEQUENCE_LATE, 2},
		{"again", 101, 10, 2, SEQUENCE_DUPLICATE, 2},
		{"goes on", 102, 12, 1, SEQUENCE_NEXT, 2},
		{"a stranger", 103, 0x60000000, 9, SEQUENCE_STRAY, 2},
		{"not believed", 103, 13, 1, SEQUENCE_NEXT, 2},
		{"restart at 0", 105, 0, 5, SEQUENCE_RESTART, 2},
		{"after the restart", 105, 5, 5, SEQUENCE_NEXT, 2},
		{"far away", 106, 0x50000000, 1, SEQUENCE_STRAY, 2},
		{"and followed", 106, 0x50000001, 1, SEQUENCE_RESTART, 2},
	};
	struct sequence s = {0};
	struct sequence_stats stats = {0};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const enum sequence_event event = sequence_begin(&s, &stats, rows[i].sequence, rows[i].time);

		sequence_end(&s, &stats, event, rows[i].sequence, rows[i].time, rows[i].records, false);
		if (event != rows[i].event || stats.lost != rows[i].lost)
			fail_msg("%s: expected %s and %lu lost, got %s and %lu", rows[i].what,
				 sequence_event_name(rows[i].event), (unsigned long)rows[i].lost,
				 sequence_event_name(event), (unsigned long)stats.lost);
	}
}

/* Records that could not be counted for want of a template are not called lost. */
static void uncounted_is_not_lost(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_DATAGRAM);

	b_set(&f->b, 256);
	b64(&f->b, 0);
	assert_int_equal(give(f), MESSAGE_FAULT_NONE);
	b_begin(&f->b, 100, 8, 1);
	assert_int_equal(give(f), MESSAGE_FAULT_NONE);
	assert_int_equal(session_stats(f->session)->sequence.lost, 0);
	assert_int_equal(session_stats(f->session)->sequence.uncounted, 8);
	stop(f);
}

static void every_domain_has_its_own_sequence(void **state)
{
	struct fixture *f = start(TEMPLATE_RULES_DATAGRAM);

	for (uint32_t i = 0; i < 2 * (SESSION_DOMAINS_MAX + 1); i++) {
		b_begin(&f->b, 100, i % (SESSION_DOMAINS_MAX + 1), i % (SESSION_DOMAINS_MAX + 1));
		assert_int_equal(give(f), MESSAGE_FAULT_NONE);
	}
	assert_int_equal(session_stats(f->session)->sequence.events[SEQUENCE_FIRST], SESSION_DOMAINS_MAX);
	assert_int_equal(session_stats(f->session)->sequence.events[SEQUENCE_NEXT], SESSION_DOMAINS_MAX);
	assert_int_equal(session_stats(f->session)->unaccounted_domains, 2);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repeated_unknown_reverse),
		cmocka_unit_test(conformance_A_18_scope),
		cmocka_unit_test(conformance_A_46_order_in_message),
		cmocka_unit_test(conformance_A_58_redefinition),
		cmocka_unit_test(conformance_A_38_data_before_template),
		cmocka_unit_test(conformance_A_68_all_or_nothing),
		cmocka_unit_test(conformance_A_66_sequence),
		cmocka_unit_test(conformance_E_lists),
		cmocka_unit_test(class_04_bounded_records),
		cmocka_unit_test(class_07_allocation_follows_the_message),
		cmocka_unit_test(class_09_recursion),
		cmocka_unit_test(uncounted_is_not_lost),
		cmocka_unit_test(every_domain_has_its_own_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
