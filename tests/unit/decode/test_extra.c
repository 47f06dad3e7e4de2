/* What of a frame is in records only where a profile asks for it: MAC addresses, VLAN, TTL; of frames of any
 * length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>

#include "decode/extra.h"
#include "frame.h"

static struct packet_extra extra_of(const struct frame *f, uint8_t link)
{
	struct packet_extra out;
	const struct packet p = {.data = f->octets, .captured = f->length, .length = f->length, .link = link};

	decode_extra(&p, &out);
	return out;
}

/* The first octets of an IP header, up to TTL or Hop Limit. */
static void add_ip(struct frame *f, unsigned version, unsigned ttl)
{
	add_u8(f, version == 4 ? 0x45 : 0x60);
	add_zeros(f, version == 4 ? 7 : 6);
	add_u8(f, ttl);
	add_zeros(f, 32);
}

static void test_ethernet(void **state)
{
	const struct {
		uint16_t types[4]; /* of tags, the outer one first; then 0 */
		uint16_t vlan;
	} cases[] = {
		{{0}, 0},
		{{0x8100}, 7},
		{{0x88a8, 0x8100}, 7},
		{{0x9100, 0x8100}, 7},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (unsigned version = 4; version <= 6; version += 2) {
			struct frame f = {.length = 0};
			unsigned n = 0;

			add_octets(&f, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
			for (; cases[i].types[n]; n++) {
				add_u16(&f, cases[i].types[n]);
				add_u16(&f, 0xe007U + n); /* priority and DEI are no part of the number */
			}
			add_u16(&f, version == 4 ? 0x0800 : 0x86dd);
			add_ip(&f, version, 63);
			const struct packet_extra got = extra_of(&f, LINK_ETHERNET);
			assert_int_equal(got.vlan, cases[i].vlan);
			assert_int_equal(got.ttl, 63);
			assert_memory_equal(got.destination_mac, "\x02\0\0\0\0\x02", 6);
			assert_memory_equal(got.source_mac, "\x02\0\0\0\0\x01", 6);
		}
	}
}

static void test_links_without_ethernet(void **state)
{
	const struct {
		uint8_t link;
		size_t header;
		uint8_t ttl;
	} cases[] = {
		{LINK_IP, 0, 9}, {LINK_NULL, 4, 9}, {LINK_SLL, 16, 9}, {LINK_SLL2, 20, 9}, {LINK_PPP, 4, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct frame f = {.length = 0};

		add_zeros(&f, cases[i].header);
		add_ip(&f, 4, 9);
		const struct packet_extra got = extra_of(&f, cases[i].link);
		if (got.ttl != cases[i].ttl)
			fail_msg("link %u: TTL %u", cases[i].link, got.ttl);
		assert_int_equal(got.vlan, 0);
		assert_memory_equal(got.source_mac, "\0\0\0\0\0\0", 6);
	}
}

/* Cut anywhere: what is there is taken, nothing behind it is read (the sanitizer would tell). */
static void test_cut_short(void **state)
{
	struct frame whole = {.length = 0};

	add_octets(&whole, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
	for (unsigned n = 0; n < 3; n++) {
		add_u16(&whole, 0x8100);
		add_u16(&whole, 5);
	}
	add_u16(&whole, 0x0800);
	add_ip(&whole, 4, 77);
	for (uint32_t length = 0; length <= whole.length; length++) {
		uint8_t *octets = malloc(length ? length : 1);
		struct packet_extra got;

		assert_non_null(octets);
		memcpy(octets, whole.octets, length);
		for (int link = 0; link < LINK_COUNT; link++) {
			const struct packet p = {.data = octets,
						 .captured = length,
						 .length = whole.length,
						 .link = (uint8_t)link};

			decode_extra(&p, &got);
			assert_true(link != LINK_ETHERNET || length < 14 || got.source_mac[5] == 1);
		}
		free(octets);
	}
}

static void test_no_ip(void **state)
{
	struct frame f = {.length = 0};

	add_u8(&f, 0x10);
	add_zeros(&f, 40);
	assert_int_equal(extra_of(&f, LINK_IP).ttl, 0);
	assert_int_equal(extra_of(&f, 200).ttl, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ethernet),
		cmocka_unit_test(test_links_without_ethernet),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_no_ip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
