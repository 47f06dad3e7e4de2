/* Messages of the trace of nftables, whole and damaged. */
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
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "observe/nft_event.h"

static struct nlmsghdr *begin(void *buffer, uint16_t type)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);

	h->nlmsg_type = type;
	g->nfgen_family = NFPROTO_INET;
	return h;
}

static struct nlmsghdr *begin_trace(void *buffer)
{
	return begin(buffer, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE);
}

static void test_rule(void **state)
{
	static const uint8_t network[20] = {0x45, [9] = 6}, transport[20] = {1, 2};
	uint8_t buffer[1024] __attribute__((aligned(8)));
	struct nlmsghdr *h = begin_trace(buffer);
	const uint64_t handle = htobe64(0x123456789);
	struct nft_event e = {0};

	mnl_attr_put_u32(h, NFTA_TRACE_ID, htonl(0xabcdef01));
	mnl_attr_put_u32(h, NFTA_TRACE_TYPE, htonl(NFT_TRACETYPE_RULE));
	mnl_attr_put_strz(h, NFTA_TRACE_TABLE, "netbird");
	mnl_attr_put_strz(h, NFTA_TRACE_CHAIN, "input");
	mnl_attr_put(h, NFTA_TRACE_RULE_HANDLE, sizeof handle, &handle);
	mnl_attr_put_u32(h, NFTA_TRACE_IIF, htonl(3));
	mnl_attr_put_u32(h, NFTA_TRACE_OIF, htonl(4));
	mnl_attr_put(h, NFTA_TRACE_NETWORK_HEADER, sizeof network, network);
	mnl_attr_put(h, NFTA_TRACE_TRANSPORT_HEADER, sizeof transport, transport);
	struct nlattr *verdict = mnl_attr_nest_start(h, NFTA_TRACE_VERDICT);
	mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl(NF_ACCEPT));
	mnl_attr_nest_end(h, verdict);
	assert_true(nft_event_read(h, &e));
	assert_int_equal(e.id, 0xabcdef01);
	assert_int_equal(e.type, NFT_TRACETYPE_RULE);
	assert_int_equal(e.family, NFPROTO_INET);
	assert_string_equal(e.table, "netbird");
	assert_string_equal(e.chain, "input");
	assert_int_equal(e.handle, 0x123456789);
	assert_int_equal(e.in, 3);
	assert_int_equal(e.out, 4);
	assert_true(e.has_verdict);
	assert_int_equal(e.verdict, NF_ACCEPT);
	assert_int_equal(e.network_length, sizeof network);
	assert_memory_equal(e.network, network, sizeof network);
	assert_int_equal(e.transport_length, sizeof transport);
	assert_memory_equal(e.transport, transport, sizeof transport);
}

static void test_policy(void **state)
{
	uint8_t buffer[256] __attribute__((aligned(8)));
	struct nlmsghdr *h = begin_trace(buffer);
	struct nft_event e = {0};

	mnl_attr_put_u32(h, NFTA_TRACE_TYPE, htonl(NFT_TRACETYPE_POLICY));
	mnl_attr_put_u32(h, NFTA_TRACE_POLICY, htonl(NF_DROP));
	assert_true(nft_event_read(h, &e));
	assert_true(e.has_verdict);
	assert_int_equal(e.verdict, NF_DROP);
	assert_null(e.network);
}

/* A verdict of another size is none: 0 would be NF_DROP. */
static void test_damaged(void **state)
{
	uint8_t buffer[1024] __attribute__((aligned(8)));
	struct nlmsghdr *h = begin_trace(buffer);
	struct nft_event e = {0};
	char name[512];

	memset(name, 'n', sizeof name);
	struct nlattr *verdict = mnl_attr_nest_start(h, NFTA_TRACE_VERDICT);
	mnl_attr_put_u16(h, NFTA_VERDICT_CODE, 1);
	mnl_attr_nest_end(h, verdict);
	mnl_attr_put(h, NFTA_TRACE_TABLE, sizeof name, name); /* no NUL at all */
	mnl_attr_put_u32(h, NFTA_TRACE_RULE_HANDLE, 1);
	mnl_attr_put_u16(h, NFTA_TRACE_IIF, 1);
	mnl_attr_put(h, NFTA_TRACE_NETWORK_HEADER, 0, NULL);
	assert_true(nft_event_read(h, &e));
	assert_false(e.has_verdict);
	assert_int_equal(strlen(e.table), sizeof e.table - 1);
	assert_int_equal(e.handle, 0);
	assert_int_equal(e.in, 0);
	assert_int_equal(e.network_length, 0);
	for (uint16_t length = 0; length <= 5; length++) { /* so of the policy */
		struct nft_event p = {0};

		h = begin_trace(buffer);
		mnl_attr_put(h, NFTA_TRACE_POLICY, length, name);
		assert_true(nft_event_read(h, &p));
		if (p.has_verdict != (length == 4))
			fail_msg("policy of %u octets", length);
	}
}

static void test_not_a_trace(void **state)
{
	uint8_t buffer[64] __attribute__((aligned(8)));
	struct nft_event e = {0};

	assert_false(nft_event_read(begin(buffer, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE), &e));
	struct nlmsghdr *h = begin_trace(buffer);
	h->nlmsg_len = NLMSG_HDRLEN + 3; /* its own header is cut */
	assert_false(nft_event_read(h, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_not_a_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
