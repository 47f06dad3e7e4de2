/* What WireGuard tells of its peers, whole and damaged. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "overlay/wireguard.h"

static const uint8_t key_a[PEER_KEY_SIZE] = {0xaa}, key_b[PEER_KEY_SIZE] = {0xbb};
static const uint8_t four[4] = {10, 0, 0, 1}, other_four[4] = {10, 0, 0, 2}, six[16] = {0xfd, [15] = 1};

#define KEY_A "aa00000000000000000000000000000000000000000000000000000000000000"
#define KEY_B "bb00000000000000000000000000000000000000000000000000000000000000"

static void put_prefix(struct nlmsghdr *h, uint16_t family, const uint8_t *address, uint16_t octets,
		       uint8_t length)
{
	struct nlattr *nest = mnl_attr_nest_start(h, 0);

	mnl_attr_put_u16(h, WGALLOWEDIP_A_FAMILY, family);
	mnl_attr_put(h, WGALLOWEDIP_A_IPADDR, octets, address);
	mnl_attr_put_u8(h, WGALLOWEDIP_A_CIDR_MASK, length);
	mnl_attr_nest_end(h, nest);
}

static struct nlmsghdr *begin(void *buffer, struct nlattr **peers)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

	mnl_nlmsg_put_extra_header(h, sizeof(struct genlmsghdr));
	*peers = mnl_attr_nest_start(h, WGDEVICE_A_PEERS);
	return h;
}

static void test_netlink(void **state)
{
	uint8_t buffer[4096] __attribute__((aligned(8)));
	const int64_t handshake[2] = {1234, 5};
	struct peer_table t = {0};
	struct nlattr *peers, *peer, *list;
	struct nlmsghdr *h = begin(buffer, &peers);

	peer = mnl_attr_nest_start(h, 0);
	mnl_attr_put(h, WGPEER_A_PUBLIC_KEY, sizeof key_a, key_a);
	mnl_attr_put(h, WGPEER_A_ENDPOINT, 16, buffer);
	mnl_attr_put(h, WGPEER_A_LAST_HANDSHAKE_TIME, sizeof handshake, handshake);
	list = mnl_attr_nest_start(h, WGPEER_A_ALLOWEDIPS);
	put_prefix(h, AF_INET, four, 4, 32);
	mnl_attr_nest_end(h, list);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, peers);
	wireguard_take_message(h, &t);

	h = begin(buffer, &peers); /* the rest of the same peer, and another one */
	peer = mnl_attr_nest_start(h, 0);
	mnl_attr_put(h, WGPEER_A_PUBLIC_KEY, sizeof key_a, key_a);
	list = mnl_attr_nest_start(h, WGPEER_A_ALLOWEDIPS);
	put_prefix(h, AF_INET6, six, 16, 128);
	mnl_attr_nest_end(h, list);
	mnl_attr_nest_end(h, peer);
	peer = mnl_attr_nest_start(h, 0);
	mnl_attr_put(h, WGPEER_A_PUBLIC_KEY, sizeof key_b, key_b);
	list = mnl_attr_nest_start(h, WGPEER_A_ALLOWEDIPS);
	put_prefix(h, AF_INET, other_four, 4, 32);
	mnl_attr_nest_end(h, list);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, peers);
	wireguard_take_message(h, &t);

	assert_false(t.incomplete);
	assert_int_equal(peer_table_complete(&t), OK);
	assert_int_equal(t.count, 2);
	const struct peer *a = peer_table_find(&t, 4, four), *b = peer_table_find(&t, 4, other_four);
	assert_ptr_equal(a, peer_table_find(&t, 6, six));
	assert_memory_equal(a->key, key_a, sizeof key_a);
	assert_true(a->has_endpoint && a->handshake_s == 1234);
	assert_memory_equal(b->key, key_b, sizeof key_b);
	assert_false(b->has_endpoint);
	peer_table_fini(&t);
}

static void test_netlink_damaged(void **state)
{
	static const struct {
		uint16_t family, octets;
		uint8_t length;
	} cases[] = {{AF_INET, 4, 33}, {AF_INET6, 4, 32}, {AF_INET, 16, 32}, {0, 4, 32}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint8_t buffer[4096] __attribute__((aligned(8)));
		struct peer_table t = {0};
		struct nlattr *peers, *peer, *list;
		struct nlmsghdr *h = begin(buffer, &peers);

		peer = mnl_attr_nest_start(h, 0);
		mnl_attr_put(h, WGPEER_A_PUBLIC_KEY, sizeof key_a, key_a);
		list = mnl_attr_nest_start(h, WGPEER_A_ALLOWEDIPS);
		put_prefix(h, cases[i].family, six, cases[i].octets, cases[i].length);
		mnl_attr_nest_end(h, list);
		mnl_attr_nest_end(h, peer);
		mnl_attr_nest_end(h, peers);
		wireguard_take_message(h, &t);
		assert_true(t.incomplete);
		peer_table_fini(&t);
	}
}

static void test_text(void **state)
{
	static const struct {
		const char *what, *text;
		bool more, failed, incomplete;
		uint32_t peers, prefixes;
	} cases[] = {
		{"two peers",
		 "private_key=" KEY_A "\npublic_key=" KEY_A "\nendpoint=[fd00::1]:5\nallowed_ip=10.0.0.1/32\n"
		 "allowed_ip=fd00::/64\npublic_key=" KEY_B "\nallowed_ip=0.0.0.0/0\nerrno=0\n\n",
		 false, false, false, 2, 3},
		{"nobody", "errno=0\n\n", false, false, false, 0, 0},
		{"not at its end", "public_key=" KEY_A "\nallowed_ip=10.0.0", true, false, false, 1, 0},
		{"an error", "errno=5\n\n", false, true, true, 0, 0},
		{"a prefix of nobody", "allowed_ip=10.0.0.1/32\nerrno=0\n\n", false, false, true, 0, 0},
		{"a short key", "public_key=aa\nallowed_ip=10.0.0.1/32\nerrno=0\n\n", false, false, true, 0,
		 0},
		{"no length", "public_key=" KEY_A "\nallowed_ip=10.0.0.1\n\n", false, false, true, 1, 0},
		{"too long", "public_key=" KEY_A "\nallowed_ip=10.0.0.1/33\n\n", false, false, true, 1, 0},
		{"not a line of it", "hello\n\n", false, true, true, 0, 0},
		{"what it may say one day", "colour=blue\nerrno=0\n\n", false, false, false, 0, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct peer_table t = {0};
		struct wireguard_text text = {.table = &t};
		bool more = true;

		for (const char *c = cases[i].text; *c && more; c++) /* in the smallest pieces */
			more = wireguard_take_text(&text, c, 1);
		if (more != cases[i].more || text.failed != cases[i].failed ||
		    t.incomplete != cases[i].incomplete || t.count != cases[i].peers ||
		    t.prefix_count != cases[i].prefixes)
			fail_msg("%s: more %d failed %d incomplete %d peers %u prefixes %u", cases[i].what,
				 more, text.failed, t.incomplete, t.count, t.prefix_count);
		peer_table_fini(&t);
	}
}

static void test_text_without_an_end(void **state)
{
	struct peer_table t = {0};
	struct wireguard_text text = {.table = &t};
	bool more = true;
	int n = 0;

	for (; more && n < 2 * WIREGUARD_LINE_MAX; n++)
		more = wireguard_take_text(&text, "a", 1);
	assert_true(text.failed && n <= WIREGUARD_LINE_MAX);
	peer_table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_netlink),
		cmocka_unit_test(test_netlink_damaged),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
