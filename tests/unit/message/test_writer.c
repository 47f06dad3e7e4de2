/* Messages octet by octet, against RFC 7011 section 3 as written out here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "message/writer.h"

static void test_two_sets(void **state)
{
	static const uint8_t expect[] = {
		0x00, 0x0a, 0x00, 0x2c, 0x11, 0x22, 0x33, 0x44, 0xaa, 0xbb, 0xcc, 0xdd, 0x00, 0x00, 0x00,
		0x07, 0x00, 0x02, 0x00, 0x0c, 1,    2,    3,    4,    5,    6,    7,    8, /* a template */
		0x01, 0x00, 0x00, 0x06, 9,    10,                                          /* one record */
		0x01, 0x01, 0x00, 0x0a, 11,   12,   13,   14,   15,   16, /* two of three octets */
	};
	static const uint8_t octets[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	uint8_t buffer[64];
	struct message_writer w;

	message_begin(&w, buffer, sizeof buffer);
	assert_true(message_is_empty(&w));
	assert_int_equal(message_put_record(&w, 2, span_of(octets, 8)), OK);
	assert_false(message_is_empty(&w));
	assert_int_equal(message_put_record(&w, 256, span_of(octets + 8, 2)), OK);
	assert_int_equal(message_put_record(&w, 257, span_of(octets + 10, 3)), OK);
	assert_int_equal(message_put_record(&w, 257, span_of(octets + 13, 3)), OK);
	assert_int_equal(w.data_records, 3);
	message_finish(&w, 1, 2, 3);
	const struct span m = message_finish(&w, 0x11223344, 0xaabbccdd, 7); /* once more, other times */
	assert_int_equal(m.length, sizeof expect);
	assert_memory_equal(m.data, expect, sizeof expect);
}

/* Records of length 1 to 40 into every capacity: never past the end, refused whole, lengths add up. */
static void test_capacity(void **state)
{
	static const uint8_t record[40];

	for (size_t capacity = IPFIX_HEADER_LENGTH; capacity < 200; capacity++) {
		for (size_t length = 1; length <= sizeof record; length++) {
			uint8_t *buffer =
				malloc(capacity); /* exact, so that the sanitizer sees one too many */
			struct message_writer w;
			uint32_t put = 0;

			message_begin(&w, buffer, capacity);
			while (message_put_record(&w, 300, span_of(record, length)) == OK)
				put++;
			const size_t room = capacity - IPFIX_HEADER_LENGTH;
			assert_int_equal(put, room < 4 ? 0 : (room - 4) / length);
			assert_int_equal(message_is_empty(&w), put == 0);
			const struct span m = message_finish(&w, 0, 0, 0);
			assert_int_equal(m.length, put ? 16 + 4 + put * length : 16);
			assert_int_equal(get_be16(m.data + 2), m.length);
			if (put)
				assert_int_equal(get_be16(m.data + 18), m.length - 16);
			free(buffer);
		}
	}
}

static void test_largest_message(void **state)
{
	static const uint8_t record[1000];
	uint8_t *buffer = malloc(100000);
	struct message_writer w;

	message_begin(&w, buffer, 100000);
	for (int i = 0; i < 65; i++)
		assert_int_equal(message_put_record(&w, 256, span_of(record, 1000)), OK);
	assert_int_equal(message_put_record(&w, 256, span_of(record, 516)), ERR_LIMIT);
	assert_int_equal(message_put_record(&w, 256, span_of(record, 515)), OK);
	assert_int_equal(message_finish(&w, 0, 0, 0).length, IPFIX_MESSAGE_MAX);
	free(buffer);
}

static void test_no_empty_set(void **state)
{
	uint8_t buffer[64];
	struct message_writer w;

	message_begin(&w, buffer, sizeof buffer);
	assert_int_equal(message_put_record(&w, 256, span_of(buffer, 0)), ERR_FORMAT);
	assert_true(message_is_empty(&w));
	assert_int_equal(w.data_records, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_sets),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_largest_message),
		cmocka_unit_test(test_no_empty_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
