/* IP and transport headers: keys, facts, fragments, every outcome with a name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "decode/layers.h"
#include "result.h"

static void test_ipv4_key_and_facts(void **state)
{
	struct frame f = {.length = 0};
	const struct flow_key expected = {.source = {10, 0, 0, 1},
					  .destination = {10, 0, 0, 2},
					  .source_port = htobe16(1000),
					  .destination_port = htobe16(2000),
					  .protocol = 6,
					  .kind = KIND_PORTS | KIND_EGRESS,
					  .point = 7};

	add_ipv4(&f, 6, 20, 0x4000);
	add_tcp(&f, 5, 0xa12);
	struct packet packet = packet_of(&f, LINK_IP);
	packet.direction = DIRECTION_EGRESS;
	const struct result r = decode(packet);
	expect("TCP", &r, DECODE_FLOW);
	assert_memory_equal(&r.key, &expected, sizeof expected);
	assert_int_equal(r.facts.time.ns, 1234567);
	assert_int_equal(r.facts.octets, 40);
	assert_int_equal(r.facts.packets, 1);
	assert_int_equal(r.facts.tcp_flags, 0xa12);
	assert_int_equal(r.facts.class_of_service, 0xb8);
	assert_int_equal(r.facts.fragment, 0);
	assert_int_equal(r.facts.fragment_id, 0);
}

static void test_ipv6_key_and_facts(void **state)
{
	struct frame f = {.length = 0};
	const struct flow_key expected = {
		.source = {0x20, 1, 0x0d, 0xb8, [15] = 1},
		.destination = {0x20, 1, 0x0d, 0xb8, [15] = 2},
		.source_port = htobe16(1000),
		.destination_port = htobe16(2000),
		.protocol = 17,
		.kind = KIND_PORTS | KIND_IPV6,
		.point = 7,
	};

	add_ipv6(&f, 17, 8);
	add_udp(&f, 0);
	struct packet packet = packet_of(&f, LINK_IP);
	packet.direction = DIRECTION_UNKNOWN;
	const struct result r = decode(packet);
	expect("UDP", &r, DECODE_FLOW);
	assert_memory_equal(&r.key, &expected, sizeof expected);
	assert_int_equal(r.facts.octets, 48);
	assert_int_equal(r.facts.class_of_service, 0xb8);
	assert_int_equal(r.facts.tcp_flags, 0);
}

/* The short way for plain TCP and UDP and the long way for all else must say the same: a packet that is made
 * to miss the short one by a payload of no matter differs in nothing. */
static void test_both_ways_agree(void **state)
{
	const unsigned protocols[] = {6, 17};

	for (size_t i = 0; i < 2; i++) {
		for (unsigned version = 4; version <= 6; version += 2) {
			struct frame f = {.length = 0};
			if (version == 4)
				add_ipv4(&f, protocols[i], 20, 0);
			else
				add_ipv6(&f, protocols[i], 20);
			add_tcp(&f, 5, 0x018);
			const struct result plain = decode_frame(&f);
			struct packet packet = packet_of(&f, LINK_IP);
			packet.gso_size = 60000; /* one segment: the long way with nothing to add */
			const struct result other = decode(packet);
			expect("plain", &plain, DECODE_FLOW);
			assert_memory_equal(&plain.key, &other.key, sizeof plain.key);
			assert_int_equal(plain.facts.octets, other.facts.octets);
			assert_int_equal(plain.facts.packets, other.facts.packets);
			assert_int_equal(plain.facts.tcp_flags, other.facts.tcp_flags);
			assert_int_equal(plain.facts.tcp_flags, protocols[i] == 6 ? 0x018 : 0);
		}
	}
}

static void test_protocols(void **state)
{
	const struct {
		const char *what;
		unsigned protocol;
		enum { NONE, PORTS, TYPE_CODE } has;
	} cases[] = {
		{"TCP", 6, PORTS},         {"UDP", 17, PORTS},       {"DCCP", 33, PORTS},
		{"SCTP", 132, PORTS},      {"UDP-Lite", 136, PORTS}, {"ICMP", 1, TYPE_CODE},
		{"ICMPv6", 58, TYPE_CODE}, {"GRE", 47, NONE},        {"ESP", 50, NONE},
		{"IP in IP", 4, NONE},     {"mobility", 135, NONE},  {"reserved", 255, NONE},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (unsigned version = 4; version <= 6; version += 2) {
			struct frame f = {.length = 0};
			if (version == 4)
				add_ipv4(&f, cases[i].protocol, 20, 0);
			else
				add_ipv6(&f, cases[i].protocol, 20);
			add_tcp(&f, 5, 2);
			const struct result r = decode_frame(&f);
			assert_int_equal(r.key.protocol, cases[i].protocol);
			if (cases[i].has == TYPE_CODE) {
				expect(cases[i].what, &r, DECODE_FLOW);
				assert_int_equal(get_be16(&r.key.destination_port), 1000); /* 3, 232 */
				assert_int_equal(r.key.source_port, 0);
				assert_true(r.key.kind & KIND_PORTS);
			} else {
				expect_ports(cases[i].what, &r, cases[i].has == PORTS);
			}
			assert_int_equal(r.facts.tcp_flags, cases[i].protocol == 6 ? 2 : 0);
		}
	}
}

/* Captured to every length: ports only when all four octets are there, flags only with their two. */
static void test_class_02_snapped(void **state)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		const uint32_t header = version == 4 ? 20 : 40;
		struct frame f = {.length = 0};
		if (version == 4)
			add_ipv4(&f, 6, 20, 0);
		else
			add_ipv6(&f, 6, 20);
		add_tcp(&f, 5, 0x11);
		for (uint32_t n = 0; n <= f.length; n++) {
			struct packet packet = packet_of(&f, LINK_IP);
			packet.captured = n;
			const struct result r = decode(packet);
			if (n < header) {
				expect("header cut short", &r, DECODE_IP_SHORT);
				continue;
			}
			expect_ports("snapped", &r, n >= header + 4);
			assert_int_equal(r.facts.octets, header + 20);
			assert_int_equal(r.facts.tcp_flags, n >= header + 14 ? 0x11 : 0);
		}
	}
}

/* What lies behind the end that the IP header gives is padding, not a port. */
static void test_padding_is_no_port(void **state)
{
	for (unsigned payload = 0; payload <= 20; payload++) {
		for (unsigned version = 4; version <= 6; version += 2) {
			struct frame f = {.length = 0};
			if (version == 4)
				add_ipv4(&f, 6, payload, 0);
			else
				add_ipv6(&f, 6, payload);
			add_tcp(&f, 5, 0x11);
			const struct result r = decode_frame(&f);
			expect_ports("padding", &r, payload >= 4);
			assert_int_equal(r.facts.tcp_flags, payload >= 14 ? 0x11 : 0);
		}
	}
}

static void test_tcp_header_length(void **state)
{
	for (unsigned words = 0; words < 16; words++) {
		struct frame f = {.length = 0};
		add_ipv4(&f, 6, 20, 0);
		add_tcp(&f, words, 0x1ff);
		const struct result r = decode_frame(&f);
		expect_ports("TCP", &r, true);
		assert_int_equal(r.facts.tcp_flags, words >= 5 ? 0x1ff : 0);
	}
}

/* Class 3: every length that an IPv4 header can claim, against every header length. */
static void test_class_03_ipv4_lengths(void **state)
{
	for (unsigned words = 0; words < 16; words++) {
		for (unsigned total = 0; total <= 65535; total += total < 128 ? 1 : 1021) {
			struct frame f = {.length = 0};
			add_ipv4(&f, 17, 8, 0);
			add_udp(&f, 0);
			add_zeros(&f, 32);
			f.octets[0] = (uint8_t)(0x40 | words);
			put_be16(f.octets + 2, (uint16_t)total);
			const struct result r = decode_frame(&f);
			const uint32_t header = words * 4;
			if (header < 20) {
				expect("header length", &r, DECODE_IP_HEADER_LENGTH);
			} else if (total != 0 && total < header) {
				expect("total length", &r, DECODE_IP_TOTAL_LENGTH);
			} else {
				expect("lengths", &r, DECODE_FLOW);
				assert_int_equal(r.facts.octets, total ? total : f.length);
				const uint32_t end = total && total < f.length ? total : f.length;
				assert_int_equal((r.key.kind & KIND_PORTS) != 0, end >= header + 4);
			}
		}
	}
}

static void test_ipv4_header_over_the_packet(void **state)
{
	struct frame f = {.length = 0};

	add_ipv4(&f, 17, 60, 0);
	f.octets[0] = 0x4f;
	add_udp(&f, 0);
	struct result r = decode_frame(&f); /* 60 octets of header in a frame of 28 */
	expect("header longer than the frame", &r, DECODE_IP_HEADER_LENGTH);
	struct packet packet = packet_of(&f, LINK_IP);
	packet.length = 80; /* the frame had them, the capture did not keep them */
	r = decode(packet);
	expect_ports("options not captured", &r, false);
}

static void test_ipv4_options(void **state)
{
	for (unsigned words = 5; words < 16; words++) {
		struct frame f = {.length = 0};
		add_ipv4(&f, 6, words * 4, 0);
		f.octets[0] = (uint8_t)(0x40 | words);
		add_zeros(&f, words * 4 - 20);
		add_tcp(&f, 5, 2);
		const struct result r = decode_frame(&f);
		expect_ports("options", &r, true);
		assert_int_equal(r.facts.tcp_flags, 2);
	}
}

static void test_versions(void **state)
{
	for (unsigned nibble = 0; nibble < 16; nibble++) {
		struct frame f = {.length = 0};
		add_ipv6(&f, 59, 20);
		add_zeros(&f, 20);
		f.octets[0] = (uint8_t)(nibble << 4 | 5);
		f.octets[3] = 60;
		const struct result r = decode_frame(&f);
		expect("version", &r, nibble == 4 || nibble == 6 ? DECODE_FLOW : DECODE_IP_VERSION);
	}
}

/* Class 25: fragments. The first keeps its ports, a later one never has any. */
static void test_class_25_ipv4_fragments(void **state)
{
	const struct {
		const char *what;
		unsigned field;
		unsigned fragment;
	} cases[] = {
		{"don't fragment", 0x4000, 0},     {"reserved bit", 0x8000, 0},
		{"first", 0x2000, FRAGMENT_FIRST}, {"middle", 0x2001, FRAGMENT_LATER},
		{"last", 0x1fff, FRAGMENT_LATER},  {"last but don't fragment", 0x4001, FRAGMENT_LATER},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct frame f = {.length = 0};
		add_ipv4(&f, 6, 20, cases[i].field);
		add_tcp(&f, 5, 2);
		const struct result r = decode_frame(&f);
		expect_ports(cases[i].what, &r, cases[i].fragment != FRAGMENT_LATER);
		assert_int_equal(r.facts.fragment, cases[i].fragment);
		assert_int_equal(r.facts.fragment_id, cases[i].fragment ? 0x1234 : 0);
		assert_int_equal(r.facts.tcp_flags, cases[i].fragment == FRAGMENT_LATER ? 0 : 2);
		assert_int_equal(r.facts.octets, 40);
	}
}

static void test_class_25_ipv6_fragments(void **state)
{
	const struct {
		const char *what;
		unsigned field;
		unsigned fragment;
	} cases[] = {
		{"atomic (RFC 6946)", 0x0000, 0},  {"reserved bits", 0x0006, 0},
		{"first", 0x0001, FRAGMENT_FIRST}, {"middle", 0x0009, FRAGMENT_LATER},
		{"last", 0xfff8, FRAGMENT_LATER},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct frame f = {.length = 0};
		add_ipv6(&f, 44, 28);
		add_fragment(&f, 17, cases[i].field, 0xdeadbeef);
		add_udp(&f, 12);
		add_zeros(&f, 12);
		const struct result r = decode_frame(&f);
		expect_ports(cases[i].what, &r, cases[i].fragment != FRAGMENT_LATER);
		assert_int_equal(r.key.protocol, 17);
		assert_int_equal(r.facts.fragment, cases[i].fragment);
		assert_int_equal(r.facts.fragment_id, cases[i].fragment ? 0xdeadbeef : 0);
		assert_int_equal(r.facts.octets, 68);
	}
}

/* A later fragment whose payload looks like an extension header is not walked into. */
static void test_class_25_later_fragment_is_not_walked(void **state)
{
	struct frame f = {.length = 0};

	add_ipv6(&f, 44, 32);
	add_fragment(&f, 60, 8, 1);
	add_extension(&f, 17, 0);
	add_udp(&f, 0);
	add_zeros(&f, 8);
	const struct result r = decode_frame(&f);
	expect_ports("later fragment", &r, false);
	assert_int_equal(r.key.protocol, 60);
}

static void test_ipv6_extensions(void **state)
{
	struct frame f = {.length = 0};

	add_ipv6(&f, 0, 8 + 24 + 8 + 16 + 16 + 20);
	add_extension(&f, 43, 0);   /* hop-by-hop */
	add_extension(&f, 44, 2);   /* routing */
	add_fragment(&f, 60, 0, 5); /* atomic fragment */
	add_extension(&f, 51, 1);   /* destination options */
	add_u8(&f, 6);              /* authentication: (2 + 2) * 4 octets */
	add_u8(&f, 2);
	add_zeros(&f, 14);
	add_tcp(&f, 5, 0x10);
	const uint32_t whole = f.length;
	const struct result r = decode_frame(&f);
	expect_ports("all extension headers", &r, true);
	assert_int_equal(r.key.protocol, 6);
	assert_int_equal(r.facts.tcp_flags, 0x10);
	/* Cut anywhere: still a flow, never a port that is not one, protocol as far as it was read. */
	for (uint32_t n = 40; n < whole; n++) {
		struct packet packet = packet_of(&f, LINK_IP);
		packet.captured = n;
		const struct result cut = decode(packet);
		expect_ports("extension headers cut short", &cut, n >= whole - 16);
		assert_int_equal(cut.facts.octets, whole);
		if (n == 40)
			assert_int_equal(cut.key.protocol, 0);
		if (n == 41)
			assert_int_equal(cut.key.protocol, 43);
		if (n == 48)
			assert_int_equal(cut.key.protocol, 43);
	}
}

static void test_not_walked(void **state)
{
	const uint8_t headers[] = {50, 59, 135, 139, 140, 253};

	for (size_t i = 0; i < sizeof headers; i++) {
		struct frame f = {.length = 0};
		add_ipv6(&f, headers[i], 16);
		add_extension(&f, 17, 0);
		add_udp(&f, 0);
		const struct result r = decode_frame(&f);
		expect_ports("not walked", &r, false);
		assert_int_equal(r.key.protocol, headers[i]);
	}
	struct frame f = {.length = 0};
	add_ipv4(&f, 51, 24, 0);
	add_zeros(&f, 24);
	const struct result r = decode_frame(&f);
	expect_ports("authentication header over IPv4", &r, false);
	assert_int_equal(r.key.protocol, 51);
}

static void test_class_08_ipv6_headers(void **state)
{
	for (unsigned n = IPV6_HEADERS_MAX - 1; n <= IPV6_HEADERS_MAX + 1; n++) {
		struct frame f = {.length = 0};
		add_ipv6(&f, 60, n * 8 + 8);
		for (unsigned i = 1; i <= n; i++)
			add_extension(&f, i < n ? 60 : 17, 0);
		add_udp(&f, 0);
		const struct result r = decode_frame(&f);
		expect_ports("extension headers", &r, n <= IPV6_HEADERS_MAX);
		assert_int_equal(r.key.protocol, n <= IPV6_HEADERS_MAX ? 17 : 60);
	}
}

/* Class 4: extension headers with every length octet; a length of 0 still moves on. */
static void test_class_04_extension_lengths(void **state)
{
	const uint8_t kinds[] = {0, 43, 44, 51, 60};

	for (size_t k = 0; k < sizeof kinds; k++) {
		for (unsigned length = 0; length < 256; length++) {
			struct frame f = {.length = 0};
			add_ipv6(&f, kinds[k], 64);
			for (unsigned i = 0; i < 8; i++) {
				add_u8(&f, kinds[k]);
				add_u8(&f, length);
				add_zeros(&f, 6);
			}
			const struct result r = decode_frame(&f);
			expect_ports("chain of one kind", &r, false);
			assert_int_equal(r.facts.octets, 104);
		}
	}
}

static void test_outcomes_have_names(void **state)
{
	for (int i = 0; i < DECODE_OUTCOME_COUNT; i++) {
		assert_non_null(decode_outcome_names[i]);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(decode_outcome_names[i], decode_outcome_names[j]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4_key_and_facts),
		cmocka_unit_test(test_ipv6_key_and_facts),
		cmocka_unit_test(test_both_ways_agree),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_class_02_snapped),
		cmocka_unit_test(test_padding_is_no_port),
		cmocka_unit_test(test_tcp_header_length),
		cmocka_unit_test(test_class_03_ipv4_lengths),
		cmocka_unit_test(test_ipv4_header_over_the_packet),
		cmocka_unit_test(test_ipv4_options),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_class_25_ipv4_fragments),
		cmocka_unit_test(test_class_25_ipv6_fragments),
		cmocka_unit_test(test_class_25_later_fragment_is_not_walked),
		cmocka_unit_test(test_ipv6_extensions),
		cmocka_unit_test(test_not_walked),
		cmocka_unit_test(test_class_08_ipv6_headers),
		cmocka_unit_test(test_class_04_extension_lengths),
		cmocka_unit_test(test_outcomes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
