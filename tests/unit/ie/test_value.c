#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ie/value.h"

struct row {
	const char *what;
	enum ie_type type;
	const char *hex;
	const char *text;
	enum value_fault fault;
};

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t n = 0;

	for (; hex[0] && hex[1]; hex += 2) {
		unsigned v;

		assert_int_equal(sscanf(hex, "%2x", &v), 1);
		out[n++] = (uint8_t)v;
	}
	return n;
}

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t octets[256];
		char data[1024];
		struct text t = {.data = data, .capacity = sizeof data};
		struct value v;

		value_decode(&v, rows[i].type, span_of(octets, from_hex(rows[i].hex, octets)));
		value_print(&t, &v);
		data[t.used] = 0;
		if (strcmp(data, rows[i].text) != 0 || v.fault != rows[i].fault)
			fail_msg("%s: expected %s (%s), got %s (%s)", rows[i].what, rows[i].text,
				 value_fault_name(rows[i].fault), data, value_fault_name(v.fault));
	}
}

#define CHECK(rows) check(rows, sizeof rows / sizeof rows[0])

static void conformance_A_20_integers(void **state)
{
	const struct row rows[] = {
		{"unsigned8", IE_UNSIGNED8, "ff", "255", 0},
		{"unsigned16", IE_UNSIGNED16, "0102", "258", 0},
		{"unsigned32", IE_UNSIGNED32, "ffffffff", "4294967295", 0},
		{"unsigned64", IE_UNSIGNED64, "ffffffffffffffff", "18446744073709551615", 0},
		{"zero", IE_UNSIGNED64, "0000000000000000", "0", 0},
		{"two digits", IE_UNSIGNED8, "63", "99", 0},
		{"three digits", IE_UNSIGNED16, "0064", "100", 0},
		{"signed32 -2", IE_SIGNED32, "fffffffe", "-2", 0},
		{"signed64 least", IE_SIGNED64, "8000000000000000", "-9223372036854775808", 0},
		{"signed8", IE_SIGNED8, "7f", "127", 0},
	};
	CHECK(rows);
}

static void conformance_A_21_addresses(void **state)
{
	const struct row rows[] = {
		{"mac", IE_MAC_ADDRESS, "00005e0053ff", "\"00:00:5e:00:53:ff\"", 0},
		{"mac of 5", IE_MAC_ADDRESS, "00005e0053", "\"0x00005e0053\"", VALUE_FAULT_SIZE},
		{"ipv4", IE_IPV4_ADDRESS, "0a0064ff", "\"10.0.100.255\"", 0},
		{"ipv4 of 3", IE_IPV4_ADDRESS, "0a0000", "\"0x0a0000\"", VALUE_FAULT_SIZE},
		{"ipv4 of 16", IE_IPV4_ADDRESS, "0000000000000000000000000a000001",
		 "\"0x0000000000000000000000000a000001\"", VALUE_FAULT_SIZE},
		{"ipv4 of 0", IE_IPV4_ADDRESS, "", "\"\"", VALUE_FAULT_SIZE},
		{"ipv6", IE_IPV6_ADDRESS, "20010db8000000000000000000000001", "\"2001:db8::1\"", 0},
		{"ipv6 all zero", IE_IPV6_ADDRESS, "00000000000000000000000000000000", "\"::\"", 0},
		{"ipv6 loopback", IE_IPV6_ADDRESS, "00000000000000000000000000000001", "\"::1\"", 0},
		{"ipv6 zeros last", IE_IPV6_ADDRESS, "20010db8000000000000000000000000", "\"2001:db8::\"", 0},
		{"ipv6 no zeros", IE_IPV6_ADDRESS, "00010002000300040005000600070abc",
		 "\"1:2:3:4:5:6:7:abc\"", 0},
		{"ipv6 one zero group stays", IE_IPV6_ADDRESS, "20010db8000000010001000100010001",
		 "\"2001:db8:0:1:1:1:1:1\"", 0},
		{"ipv6 longest run", IE_IPV6_ADDRESS, "20010000000000010000000000000001", "\"2001:0:0:1::1\"",
		 0},
		{"ipv6 first of equal runs", IE_IPV6_ADDRESS, "20010db8000000000001000000000001",
		 "\"2001:db8::1:0:0:1\"", 0},
		{"ipv6 mapped", IE_IPV6_ADDRESS, "00000000000000000000ffffc0000201", "\"::ffff:192.0.2.1\"",
		 0},
		{"ipv6 of 15", IE_IPV6_ADDRESS, "20010db80000000000000000000000",
		 "\"0x20010db80000000000000000000000\"", VALUE_FAULT_SIZE},
	};
	CHECK(rows);
}

static void conformance_A_22_floats(void **state)
{
	const struct row rows[] = {
		{"float64", IE_FLOAT64, "3fe0000000000000", "0.5", 0},
		{"float64 in 4", IE_FLOAT64, "3f000000", "0.5", 0},
		{"float32", IE_FLOAT32, "3dcccccd", "0.1", 0},
		{"float64 0.1", IE_FLOAT64, "3fb999999999999a", "0.1", 0},
		{"float32 in 8", IE_FLOAT32, "3fe0000000000000", "\"0x3fe0000000000000\"", VALUE_FAULT_SIZE},
		{"float64 in 2", IE_FLOAT64, "3f00", "\"0x3f00\"", VALUE_FAULT_SIZE},
		{"not a number", IE_FLOAT64, "7ff8000000000000", "\"NaN\"", 0},
		{"infinite", IE_FLOAT64, "7ff0000000000000", "\"+inf\"", 0},
		{"minus infinite", IE_FLOAT32, "ff800000", "\"-inf\"", 0},
		{"large", IE_FLOAT64, "7fefffffffffffff", "1.7976931348623157e+308", 0},
	};
	CHECK(rows);
}

static void conformance_A_23_boolean(void **state)
{
	const struct row rows[] = {
		{"true", IE_BOOLEAN, "01", "true", 0},
		{"false", IE_BOOLEAN, "02", "false", 0},
		{"0 is not false", IE_BOOLEAN, "00", "\"undefined\"", VALUE_FAULT_BOOLEAN},
		{"3", IE_BOOLEAN, "03", "\"undefined\"", VALUE_FAULT_BOOLEAN},
		{"two octets", IE_BOOLEAN, "0001", "\"0x0001\"", VALUE_FAULT_SIZE},
	};
	CHECK(rows);
}

static void conformance_A_24_strings(void **state)
{
	const struct row rows[] = {
		{"text", IE_STRING, "65746830", "\"eth0\"", 0},
		{"empty is legal", IE_STRING, "", "\"\"", 0},
		{"utf-8", IE_STRING, "c3a9e282acf09f9880", "\"\u00e9\u20ac\U0001f600\"", 0},
		{"padded with zeros", IE_STRING, "65746830000000", "\"eth0\"", 0},
		{"zero inside", IE_STRING, "610062", "\"a\\u0000b\"", 0},
		{"quote and backslash", IE_STRING, "225c", "\"\\\"\\\\\"", 0},
		{"control", IE_STRING, "0a1b7f", "\"\\u000a\\u001b\\u007f\"", 0},
		{"cut character", IE_STRING, "c328", "\"0xc328\"", VALUE_FAULT_STRING},
		{"character cut at the end", IE_STRING, "61c3", "\"0x61c3\"", VALUE_FAULT_STRING},
		{"overlong", IE_STRING, "c0af", "\"0xc0af\"", VALUE_FAULT_STRING},
		{"overlong of three", IE_STRING, "e08080", "\"0xe08080\"", VALUE_FAULT_STRING},
		{"surrogate", IE_STRING, "eda080", "\"0xeda080\"", VALUE_FAULT_STRING},
		{"over U+10FFFF", IE_STRING, "f4908080", "\"0xf4908080\"", VALUE_FAULT_STRING},
	};
	CHECK(rows);
}

static void conformance_A_25_26_27_times(void **state)
{
	const struct row rows[] = {
		{"seconds", IE_DATE_TIME_SECONDS, "00000000", "\"1970-01-01T00:00:00Z\"", 0},
		{"seconds wrap", IE_DATE_TIME_SECONDS, "ffffffff", "\"2106-02-07T06:28:15Z\"", 0},
		{"leap day", IE_DATE_TIME_SECONDS, "38bbb4c0", "\"2000-02-29T12:00:00Z\"", 0},
		{"february of a leap year", IE_DATE_TIME_SECONDS, "65dfb100", "\"2024-02-28T22:17:36Z\"", 0},
		{"milliseconds", IE_DATE_TIME_MILLISECONDS, "00000158b223d5f8",
		 "\"2016-11-29T22:10:42.808Z\"", 0},
		{"half a second in microseconds", IE_DATE_TIME_MICROSECONDS, "e000000080000000",
		 "\"2019-02-02T11:39:44.500000Z\"", 0},
		{"the low 11 bits do not count", IE_DATE_TIME_MICROSECONDS, "e0000000800007ff",
		 "\"2019-02-02T11:39:44.500000Z\"", 0},
		{"rounds to the microsecond it came from", IE_DATE_TIME_MICROSECONDS, "e00000001f9ad800",
		 "\"2019-02-02T11:39:44.123456Z\"", 0},
		{"rounds into the next second", IE_DATE_TIME_MICROSECONDS, "e0000000fffff800",
		 "\"2019-02-02T11:39:45.000000Z\"", 0},
		{"nanoseconds", IE_DATE_TIME_NANOSECONDS, "e000000000000004",
		 "\"2019-02-02T11:39:44.000000001Z\"", 0},
		{"the era of 2036", IE_DATE_TIME_NANOSECONDS, "0000000000000000",
		 "\"2036-02-07T06:28:16.000000000Z\"", 0},
		{"milliseconds in 4", IE_DATE_TIME_MILLISECONDS, "00000001", "\"0x00000001\"",
		 VALUE_FAULT_SIZE},
		{"seconds in 8", IE_DATE_TIME_SECONDS, "0000000000000001", "\"0x0000000000000001\"",
		 VALUE_FAULT_SIZE},
	};
	CHECK(rows);
}

static void conformance_A_28_30_reduced_size(void **state)
{
	const struct row rows[] = {
		{"unsigned64 in 1", IE_UNSIGNED64, "ff", "255", 0},
		{"unsigned64 in 3", IE_UNSIGNED64, "010000", "65536", 0},
		{"unsigned64 in 5", IE_UNSIGNED64, "0100000000", "4294967296", 0},
		{"unsigned64 in 7", IE_UNSIGNED64, "ffffffffffffff", "72057594037927935", 0},
		{"unsigned32 in 2", IE_UNSIGNED32, "ffff", "65535", 0},
		{"signed32 in 1 keeps its sign", IE_SIGNED32, "fe", "-2", 0},
		{"signed64 in 3", IE_SIGNED64, "800000", "-8388608", 0},
		{"signed64 in 3, positive", IE_SIGNED64, "7fffff", "8388607", 0},
		{"nothing is no number", IE_UNSIGNED32, "", "\"\"", VALUE_FAULT_SIZE},
		{"nothing is no signed number", IE_SIGNED32, "", "\"\"", VALUE_FAULT_SIZE},
	};
	CHECK(rows);
}

static void conformance_A_31_over_long(void **state)
{
	const struct row rows[] = {
		{"unsigned16 in 4", IE_UNSIGNED16, "00000102", "258", 0},
		{"unsigned8 in 4", IE_UNSIGNED8, "00000040", "64", 0},
		{"unsigned16 in 4, over its range", IE_UNSIGNED16, "00010000", "\"0x00010000\"",
		 VALUE_FAULT_RANGE},
		{"unsigned64 in 9", IE_UNSIGNED64, "00ffffffffffffffff", "18446744073709551615", 0},
		{"unsigned64 in 9, over its range", IE_UNSIGNED64, "01ffffffffffffffff",
		 "\"0x01ffffffffffffffff\"", VALUE_FAULT_RANGE},
		{"signed8 in 2", IE_SIGNED8, "fffe", "-2", 0},
		{"signed8 in 2, over its range", IE_SIGNED8, "00fe", "\"0x00fe\"", VALUE_FAULT_RANGE},
	};
	CHECK(rows);
}

static void unsigned256_and_octets(void **state)
{
	const struct row rows[] = {
		{"unsigned256 small", IE_UNSIGNED256, "0007", "7", 0},
		{"unsigned256 of 64 bits", IE_UNSIGNED256,
		 "000000000000000000000000000000000000000000000000ffffffffffffffff", "18446744073709551615",
		 0},
		{"unsigned256 of 65 bits", IE_UNSIGNED256, "00010000000000000000", "\"0x010000000000000000\"",
		 0},
		{"unsigned256 of nothing", IE_UNSIGNED256, "", "\"\"", VALUE_FAULT_SIZE},
		{"unsigned256 in 33", IE_UNSIGNED256,
		 "000000000000000000000000000000000000000000000000000000000000000001",
		 "\"0x000000000000000000000000000000000000000000000000000000000000000001\"",
		 VALUE_FAULT_SIZE},
		{"octets", IE_OCTET_ARRAY, "00ff", "\"0x00ff\"", 0},
		{"no octets", IE_OCTET_ARRAY, "", "\"\"", 0},
	};
	CHECK(rows);
}

/* RELIABILITY class 1: every element at every length up to 300 and at the largest, in a heap block of exact
 * size; the text stays whole JSON. */
static void class_01_field_length_sweep(void **state)
{
	char data[TEXT_PIECE_MAX];

	for (size_t length = 0; length <= 300; length++) {
		const size_t n = length == 300 ? 65535 : length;
		uint8_t *octets = malloc(n ? n : 1);

		assert_non_null(octets);
		memset(octets, 0x81 + (int)(length % 100), n);
		for (int type = 0; type < IE_TYPE_COUNT; type++) {
			struct text t = {.data = data, .capacity = sizeof data};
			struct value v;

			value_decode(&v, (enum ie_type)type, span_of(octets, n));
			value_print(&t, &v);
			assert_true(t.used > 0 && t.used <= sizeof data);
			if (ie_type_size((enum ie_type)type) && n > 32)
				assert_true(v.kind == VALUE_WRONG || v.kind == VALUE_SIGNED);
		}
		free(octets);
	}
}

/* RELIABILITY class 11: no time, however far, breaks the arithmetic; text has the right length. */
static void class_11_time_arithmetic(void **state)
{
	const uint64_t ms[] = {
		0, 1, 999, 4294967295999, 4294967296000, 253402300799999, 253402300800000, UINT64_MAX};
	const size_t lengths[] = {26, 26, 26, 26, 26, 26, 27, 31};

	for (size_t i = 0; i < sizeof ms / sizeof ms[0]; i++) {
		char data[TEXT_PIECE_MAX];
		uint8_t octets[8];
		struct text t = {.data = data, .capacity = sizeof data};
		struct value v;

		put_be64(octets, ms[i]);
		value_decode(&v, IE_DATE_TIME_MILLISECONDS, span_of(octets, sizeof octets));
		value_print(&t, &v);
		assert_int_equal(t.used, lengths[i]);
	}
}

static void names(void **state)
{
	char data[TEXT_PIECE_MAX] = {0};
	struct text t = {.data = data, .capacity = sizeof data};

	value_print_name(&t, ie_find(0, 1), REVERSE_PEN, 1);
	text_char(&t, ' ');
	value_print_name(&t, NULL, 32473, 7);
	text_char(&t, ' ');
	value_print_name(&t, ie_find(0, 8), 0, 8);
	assert_string_equal(data, "reverseOctetDeltaCount e32473.7 sourceIPv4Address");
	for (size_t i = 0; i < ie_registry_count; i++)
		assert_true(strlen(ie_registry[i].name) + sizeof "reverse\"\":" < 100);
}

static void collect(void *arg, const char *data, size_t length)
{
	strncat(arg, data, length);
}

/* Text longer than its buffer goes out in pieces; without a way out it is cut and said so. */
static void text_that_does_not_fit(void **state)
{
	char data[TEXT_PIECE_MAX], all[4096] = "";
	struct text t = {.data = data, .capacity = sizeof data, .flush = collect, .flush_arg = all};

	for (int i = 0; i < 100; i++)
		text_string(&t, "0123456789");
	text_flush(&t);
	assert_int_equal(strlen(all), 1000);
	assert_false(t.full);

	t = (struct text){.data = data, .capacity = sizeof data};
	for (int i = 0; i < 100; i++)
		text_string(&t, "0123456789");
	assert_true(t.full);
	assert_true(t.used <= sizeof data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conformance_A_20_integers),
		cmocka_unit_test(conformance_A_21_addresses),
		cmocka_unit_test(conformance_A_22_floats),
		cmocka_unit_test(conformance_A_23_boolean),
		cmocka_unit_test(conformance_A_24_strings),
		cmocka_unit_test(conformance_A_25_26_27_times),
		cmocka_unit_test(conformance_A_28_30_reduced_size),
		cmocka_unit_test(conformance_A_31_over_long),
		cmocka_unit_test(unsigned256_and_octets),
		cmocka_unit_test(class_01_field_length_sweep),
		cmocka_unit_test(class_11_time_arithmetic),
		cmocka_unit_test(names),
		cmocka_unit_test(text_that_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
