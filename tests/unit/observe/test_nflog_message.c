/* Messages of nfnetlink_log, whole and damaged. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>

#include "base/time.h"
#include "observe/nflog_message.h"

static const uint8_t frame[] = {0x45, 0, 0, 21, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 'x'};

static struct nlmsghdr *begin(void *buffer, uint16_t type)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);

	h->nlmsg_type = type;
	g->res_id = htons(513);
	return h;
}

static struct nlmsghdr *begin_packet(void *buffer)
{
	return begin(buffer, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET);
}

static void test_whole(void **state)
{
	uint8_t buffer[1024] __attribute__((aligned(8)));
	const uint64_t stamp[2] = {htobe64(1234), htobe64(56)};
	struct nlmsghdr *h = begin_packet(buffer);
	struct logged f = {0};
	uint16_t group = 0;

	mnl_attr_put(h, NFULA_TIMESTAMP, sizeof stamp, stamp);
	mnl_attr_put_strz(h, NFULA_PREFIX, "acl:web");
	mnl_attr_put_u32(h, NFULA_IFINDEX_INDEV, htonl(7));
	mnl_attr_put_u32(h, NFULA_IFINDEX_OUTDEV, htonl(8));
	mnl_attr_put_u32(h, NFULA_SEQ, htonl(0xfffffffe));
	mnl_attr_put(h, NFULA_PAYLOAD, sizeof frame, frame);
	assert_true(nflog_message_read(h, &group, &f));
	assert_int_equal(group, 513);
	assert_int_equal(f.in, 7);
	assert_int_equal(f.out, 8);
	assert_true(f.has_sequence);
	assert_int_equal(f.sequence, 0xfffffffe);
	assert_int_equal(f.wall_ns, 1234 * NS_PER_S + 56000);
	assert_string_equal(f.prefix, "acl:web");
	assert_int_equal(f.length, sizeof frame);
	assert_memory_equal(f.payload, frame, sizeof frame);
}

static void test_bare(void **state)
{
	uint8_t buffer[64] __attribute__((aligned(8)));
	struct logged f = {0};
	uint16_t group;

	assert_true(nflog_message_read(begin_packet(buffer), &group, &f));
	assert_null(f.payload);
	assert_false(f.has_sequence);
	assert_int_equal(f.wall_ns, 0);
	assert_string_equal(f.prefix, "");
}

/* One attribute of a size or with a value that it cannot have: as if it were not there. */
static void test_attributes_of_other_sizes(void **state)
{
	static const uint16_t types[] = {NFULA_IFINDEX_INDEV, NFULA_IFINDEX_OUTDEV, NFULA_SEQ,
					 NFULA_TIMESTAMP};
	uint8_t octets[17];

	memset(octets, 0x11, sizeof octets);
	for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
		for (uint16_t length = 0; length <= sizeof octets; length++) {
			uint8_t buffer[128] __attribute__((aligned(8)));
			struct nlmsghdr *h = begin_packet(buffer);
			const bool good = types[t] != NFULA_TIMESTAMP && length == 4;
			struct logged f = {0};
			uint16_t group;

			mnl_attr_put(h, types[t], length, octets);
			assert_true(nflog_message_read(h, &group, &f));
			if ((f.in || f.out || f.has_sequence) != good || f.wall_ns != 0)
				fail_msg("attribute %u of %u octets", types[t], length);
		}
	}
	const uint64_t stamps[][2] = {{htobe64(1), htobe64(1000000)}, {UINT64_MAX, 0}};
	for (size_t i = 0; i < 2; i++) {
		uint8_t buffer[128] __attribute__((aligned(8)));
		struct nlmsghdr *h = begin_packet(buffer);
		struct logged f = {0};
		uint16_t group;

		mnl_attr_put(h, NFULA_TIMESTAMP, sizeof stamps[i], stamps[i]);
		assert_true(nflog_message_read(h, &group, &f));
		assert_int_equal(f.wall_ns, 0);
	}
}

static void test_long_prefix(void **state)
{
	uint8_t buffer[1024] __attribute__((aligned(8)));
	struct nlmsghdr *h = begin_packet(buffer);
	struct logged f = {0};
	char prefix[512];
	uint16_t group;

	memset(prefix, 'p', sizeof prefix); /* no NUL at all */
	mnl_attr_put(h, NFULA_PREFIX, sizeof prefix, prefix);
	assert_true(nflog_message_read(h, &group, &f));
	assert_int_equal(strlen(f.prefix), sizeof f.prefix - 1);
}

static void test_not_a_logged_frame(void **state)
{
	uint8_t buffer[64] __attribute__((aligned(8)));
	struct logged f = {0};
	uint16_t group;

	assert_false(
		nflog_message_read(begin(buffer, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG), &group, &f));
	assert_false(nflog_message_read(begin(buffer, NLMSG_ERROR), &group, &f));
	struct nlmsghdr *h = begin_packet(buffer);
	h->nlmsg_len = NLMSG_HDRLEN + 3; /* its own header is cut */
	assert_false(nflog_message_read(h, &group, &f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_bare),
		cmocka_unit_test(test_long_prefix),
		cmocka_unit_test(test_attributes_of_other_sizes),
		cmocka_unit_test(test_not_a_logged_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
