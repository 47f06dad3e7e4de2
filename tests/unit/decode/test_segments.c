/* Lengths that are not in the length field: jumbograms, super-packets, BIG TCP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "result.h"

static void add_jumbo_option(struct frame *f, unsigned next, unsigned option_length, uint32_t length)
{
	add_u8(f, next);
	add_u8(f, 0);
	add_u8(f, 0xc2);
	add_u8(f, option_length);
	add_u32(f, length);
}

/* Class 6: a Payload Length of 0, with what a jumbo option claims held against what the frame had. */
static void test_class_06_jumbograms(void **state)
{
	const struct {
		const char *what;
		unsigned option_length;
		uint32_t length, frame, expected;
		bool ports;
	} cases[] = {
		{"jumbogram", 4, 100000, 100040, 100040, true},
		{"not over 65535", 4, 65535, 65575, 40, false},
		{"least", 4, 65536, 65576, 65576, true},
		{"more than the frame had", 4, 0xffffffff, 200, 200, true},
		{"more, without overflow", 4, 0xfffffff0, 0xffffffff, 0xffffffff, true},
		{"option of another length", 3, 100000, 100040, 40, false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct frame f = {.length = 0};
		add_ipv6(&f, 0, 0);
		add_jumbo_option(&f, 17, cases[i].option_length, cases[i].length);
		add_udp(&f, 0);
		struct packet packet = packet_of(&f, LINK_IP);
		packet.length = cases[i].frame;
		const struct result r = decode(packet);
		expect_ports(cases[i].what, &r, cases[i].ports);
		if (r.facts.octets != cases[i].expected)
			fail_msg("%s: %u octets, expected %u", cases[i].what, r.facts.octets,
				 cases[i].expected);
	}
}

static void test_no_payload(void **state)
{
	struct frame f = {.length = 0};

	add_ipv6(&f, 17, 0);
	add_udp(&f, 0);
	const struct result r = decode_frame(&f);
	expect_ports("UDP behind a Payload Length of 0", &r, false);
	assert_int_equal(r.facts.octets, 40);
}

static void test_super_packets(void **state)
{
	const struct {
		const char *what;
		unsigned version, protocol, words, payload, gso_size;
		uint32_t packets, octets;
	} cases[] = {
		{"one octet over", 4, 6, 5, 2801, 1400, 3, 2801 + 3 * 40},
		{"exactly two", 4, 6, 5, 2800, 1400, 2, 2800 + 2 * 40},
		{"one", 4, 6, 5, 1400, 1400, 1, 1440},
		{"under one", 4, 6, 5, 1, 1400, 1, 41},
		{"no payload", 4, 6, 5, 0, 1400, 1, 40},
		{"TCP options", 4, 6, 8, 2800, 1400, 2, 2800 + 2 * 52},
		{"IPv6", 6, 6, 5, 2800, 1400, 2, 2800 + 2 * 60},
		{"UDP", 4, 17, 2, 2800, 1400, 2, 2800 + 2 * 28},
		{"UDP over IPv6", 6, 17, 2, 2801, 1400, 3, 2801 + 3 * 48},
		{"one octet each", 4, 6, 5, 60000, 1, 60000, 60000 + 60000 * 40},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct frame f = {.length = 0};
		const unsigned payload = cases[i].words * 4 + cases[i].payload;
		if (cases[i].version == 4)
			add_ipv4(&f, cases[i].protocol, payload, 0);
		else
			add_ipv6(&f, cases[i].protocol, payload);
		add_tcp(&f, cases[i].words, 0x10);
		add_zeros(&f, 12);
		struct packet packet = packet_of(&f, LINK_IP);
		packet.length = (cases[i].version == 4 ? 20 : 40) + payload;
		packet.captured = packet.captured < packet.length ? packet.captured : packet.length;
		packet.gso_size = (uint16_t)cases[i].gso_size;
		const struct result r = decode(packet);
		expect_ports(cases[i].what, &r, true);
		if (r.facts.packets != cases[i].packets || r.facts.octets != cases[i].octets)
			fail_msg("%s: %u packets %u octets, expected %u and %u", cases[i].what,
				 r.facts.packets, r.facts.octets, cases[i].packets, cases[i].octets);
	}
}

/* BIG TCP: a length field of 0 and a frame over 64 KiB. */
static void test_super_packets_without_length(void **state)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		const uint32_t headers = (version == 4 ? 20 : 40) + 20;
		struct frame f = {.length = 0};
		if (version == 4)
			add_ipv4(&f, 6, 0, 0);
		else
			add_ipv6(&f, 6, 0);
		if (version == 4)
			put_be16(f.octets + 2, 0);
		add_tcp(&f, 5, 0x10);
		struct packet packet = packet_of(&f, LINK_IP);
		packet.length = headers + 140000;
		packet.gso_size = 1400;
		const struct result r = decode(packet);
		expect_ports("BIG TCP", &r, true);
		assert_int_equal(r.facts.packets, 100);
		assert_int_equal(r.facts.octets, 140000 + 100 * headers);
	}
}

/* Class 6: more segments than the counter holds, octets near 2^32. */
static void test_class_06_super_packet_counters(void **state)
{
	struct frame f = {.length = 0};

	add_ipv4(&f, 6, 0, 0);
	put_be16(f.octets + 2, 0);
	add_tcp(&f, 5, 0x10);
	struct packet packet = packet_of(&f, LINK_IP);
	packet.length = UINT32_MAX;
	packet.gso_size = 1;
	const struct result r = decode(packet);
	expect_ports("huge", &r, true);
	assert_int_equal(r.facts.packets, UINT16_MAX);
	assert_int_equal(r.facts.octets, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_class_06_jumbograms),
		cmocka_unit_test(test_no_payload),
		cmocka_unit_test(test_super_packets),
		cmocka_unit_test(test_super_packets_without_length),
		cmocka_unit_test(test_class_06_super_packet_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
