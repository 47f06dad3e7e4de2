#include "observe/nft_table.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	REQUEST_OCTETS = 1 << 17, /* two rules for each of some hundred interfaces */
	REPLY_OCTETS = 1 << 16,
	RULE_OCTETS = 1024, /* room that one rule needs, generously */
	PRIORITY = -350,    /* before connection tracking and everybody's rules */
	COMMENT = 0,        /* the type of nft's own user data that holds a comment */
};

static const char ingress[] = "ingress", egress[] = "egress";

struct nft_table {
	struct mnl_socket *socket;
	uint32_t sequence;
	char name[32];
	uint8_t request[REQUEST_OCTETS] __attribute__((aligned(8)));
	uint8_t reply[REPLY_OCTETS] __attribute__((aligned(8)));
	size_t used;
};

/* ---- batches ---- */

static struct nlmsghdr *put(struct nft_table *t, uint16_t type, uint16_t flags, uint8_t family,
			    uint16_t res_id)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(t->request + t->used);
	struct nfgenmsg *g;

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++t->sequence;
	g = mnl_nlmsg_put_extra_header(h, sizeof *g);
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	g->res_id = htons(res_id);
	return h;
}

static void finish(struct nft_table *t, const struct nlmsghdr *h)
{
	t->used += (h->nlmsg_len + 3U) & ~3U; /* to the next message, as netlink aligns them */
}

static void put_edge(struct nft_table *t, uint16_t type)
{
	finish(t, put(t, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

static struct nlmsghdr *put_nft(struct nft_table *t, uint16_t type, uint16_t flags)
{
	return put(t, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), (uint16_t)(NLM_F_ACK | flags),
		   NFPROTO_INET, 0);
}

static void begin_batch(struct nft_table *t)
{
	t->used = 0;
	put_edge(t, NFNL_MSG_BATCH_BEGIN);
}

/* 0, or the first error. Answers are there when sendto is back. */
static int send_batch(struct nft_table *t)
{
	int first = 0;
	ssize_t n;

	put_edge(t, NFNL_MSG_BATCH_END);
	if (mnl_socket_sendto(t->socket, t->request, t->used) < 0)
		return errno;
	while ((n = mnl_socket_recvfrom(t->socket, t->reply, sizeof t->reply)) >= 0) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)t->reply;

		for (int left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_type != NLMSG_ERROR ||
			    mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr))
				continue;
			const int error = -((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
			first = first != 0 ? first : error;
		}
	}
	return first;
}

static void put_chain(struct nft_table *t, const char *name, uint32_t hook)
{
	struct nlmsghdr *h = put_nft(t, NFT_MSG_NEWCHAIN, NLM_F_CREATE);

	mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, t->name);
	mnl_attr_put_strz(h, NFTA_CHAIN_NAME, name);
	mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, "filter");
	struct nlattr *nest = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(h, NFTA_HOOK_HOOKNUM, htonl(hook));
	mnl_attr_put_u32(h, NFTA_HOOK_PRIORITY, htonl((uint32_t)PRIORITY));
	mnl_attr_nest_end(h, nest);
	finish(t, h);
}

/* ---- rules ---- */

struct expression {
	struct nlattr *element, *data;
};

static struct expression begin_expression(struct nlmsghdr *h, const char *name)
{
	struct expression e = {.element = mnl_attr_nest_start(h, NFTA_LIST_ELEM)};

	mnl_attr_put_strz(h, NFTA_EXPR_NAME, name);
	e.data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
	return e;
}

static void end_expression(struct nlmsghdr *h, struct expression e)
{
	mnl_attr_nest_end(h, e.data);
	mnl_attr_nest_end(h, e.element);
}

static void put_value(struct nlmsghdr *h, uint16_t type, const void *value, size_t size)
{
	struct nlattr *nest = mnl_attr_nest_start(h, type);

	mnl_attr_put(h, NFTA_DATA_VALUE, size, value);
	mnl_attr_nest_end(h, nest);
}

static void put_meta(struct nlmsghdr *h, uint32_t key, uint16_t register_attribute)
{
	const struct expression e = begin_expression(h, "meta");

	mnl_attr_put_u32(h, NFTA_META_KEY, htonl(key));
	mnl_attr_put_u32(h, register_attribute, htonl(NFT_REG_1));
	end_expression(h, e);
}

static void put_limit(struct nlmsghdr *h, uint32_t rate)
{
	const struct expression e = begin_expression(h, "limit");

	mnl_attr_put_u64(h, NFTA_LIMIT_RATE, htobe64(rate));
	mnl_attr_put_u64(h, NFTA_LIMIT_UNIT, htobe64(1)); /* second */
	mnl_attr_put_u32(h, NFTA_LIMIT_BURST, htonl(rate));
	mnl_attr_put_u32(h, NFTA_LIMIT_TYPE, htonl(NFT_LIMIT_PKTS));
	end_expression(h, e);
}

/* meta iif IFINDEX limit rate N/second meta nftrace set 1 */
static void put_rule(struct nft_table *t, const char *chain, uint32_t key, uint32_t ifindex, uint32_t rate)
{
	struct nlmsghdr *h = put_nft(t, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	const uint8_t on = 1;
	struct expression e;

	mnl_attr_put_strz(h, NFTA_RULE_TABLE, t->name);
	mnl_attr_put_strz(h, NFTA_RULE_CHAIN, chain);
	struct nlattr *list = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);
	put_meta(h, key, NFTA_META_DREG);
	e = begin_expression(h, "cmp");
	mnl_attr_put_u32(h, NFTA_CMP_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(h, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
	put_value(h, NFTA_CMP_DATA, &ifindex, sizeof ifindex); /* host byte order, as the kernel has it */
	end_expression(h, e);
	put_limit(h, rate);
	e = begin_expression(h, "immediate");
	mnl_attr_put_u32(h, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_1));
	put_value(h, NFTA_IMMEDIATE_DATA, &on, sizeof on);
	end_expression(h, e);
	put_meta(h, NFT_META_NFTRACE, NFTA_META_SREG);
	mnl_attr_nest_end(h, list);
	finish(t, h);
}

static void put_flush(struct nft_table *t, const char *chain)
{
	struct nlmsghdr *h = put_nft(t, NFT_MSG_DELRULE, 0);

	mnl_attr_put_strz(h, NFTA_RULE_TABLE, t->name);
	mnl_attr_put_strz(h, NFTA_RULE_CHAIN, chain);
	finish(t, h);
}

enum status nft_table_trace(struct nft_table *t, const uint32_t *ifindex, uint32_t count, uint32_t rate,
			    struct error *err)
{
	begin_batch(t);
	put_flush(t, ingress);
	put_flush(t, egress);
	for (uint32_t i = 0; i < count && t->used + 3 * RULE_OCTETS < sizeof t->request; i++) {
		put_rule(t, ingress, NFT_META_IIF, ifindex[i], rate);
		put_rule(t, egress, NFT_META_OIF, ifindex[i], rate);
	}
	const int error = send_batch(t);
	return error == 0 ? OK : error_set(err, ERR_SYSTEM, "nftables: rules to trace: %s", strerror(error));
}

/* ---- other tables ---- */

struct comment {
	char *out;
	bool found;
};

static int find_comment(const struct nlattr *a, void *arg)
{
	const uint8_t *at = mnl_attr_get_payload(a);
	const uint32_t length = mnl_attr_get_payload_len(a);
	struct comment *c = arg;

	if (mnl_attr_get_type(a) != NFTA_RULE_USERDATA)
		return MNL_CB_OK;
	for (uint32_t i = 0; i + 2 <= length && i + 2U + at[i + 1] <= length; i += 2U + at[i + 1]) {
		if (at[i] != COMMENT)
			continue;
		const uint32_t n = at[i + 1] < RULE_COMMENT_MAX ? at[i + 1] : RULE_COMMENT_MAX - 1;
		memcpy(c->out, at + i + 2, n);
		c->out[n] = 0;
		c->found = c->out[0] != 0;
	}
	return MNL_CB_OK;
}

bool nft_table_comment(struct nft_table *t, uint8_t family, const char *of, const char *chain,
		       uint64_t handle, char comment[RULE_COMMENT_MAX])
{
	struct comment c = {.out = comment};
	ssize_t n;

	t->used = 0;
	struct nlmsghdr *h = put(t, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, 0, family, 0);
	mnl_attr_put_strz(h, NFTA_RULE_TABLE, of);
	mnl_attr_put_strz(h, NFTA_RULE_CHAIN, chain);
	mnl_attr_put_u64(h, NFTA_RULE_HANDLE, htobe64(handle));
	const uint32_t sequence = h->nlmsg_seq;
	if (mnl_socket_sendto(t->socket, h, h->nlmsg_len) < 0)
		return false;
	while ((n = mnl_socket_recvfrom(t->socket, t->reply, sizeof t->reply)) >= 0) {
		const struct nlmsghdr *r = (const struct nlmsghdr *)t->reply;

		if (mnl_nlmsg_ok(r, (int)n) && r->nlmsg_seq == sequence &&
		    r->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE) &&
		    mnl_nlmsg_get_payload_len(r) >= sizeof(struct nfgenmsg))
			(void)mnl_attr_parse(r, sizeof(struct nfgenmsg), find_comment, &c);
	}
	return c.found;
}

/* ---- the table ---- */

static enum status make_table(struct nft_table *t, struct error *err)
{
	struct nlmsghdr *h;

	begin_batch(t);
	h = put_nft(t, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, t->name);
	mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_OWNER));
	finish(t, h);
	put_chain(t, ingress, NF_INET_PRE_ROUTING);
	put_chain(t, egress, NF_INET_LOCAL_OUT);
	const int error = send_batch(t);
	if (error == 0)
		return OK;
	if (error == EPERM)
		return error_set(err, ERR_PERMISSION, "nftables: CAP_NET_ADMIN is missing");
	if (error == EOPNOTSUPP || error == EINVAL || error == ENOENT)
		return error_set(err, ERR_UNSUPPORTED,
				 "nftables: the kernel has none, or no tables with an owner (Linux 5.12)");
	return error_set(err, ERR_SYSTEM, "nftables: a table to trace with: %s", strerror(error));
}

enum status nft_table_open(struct nft_table **out, struct error *err)
{
	struct nft_table *t = calloc(1, sizeof *t);
	enum status status;

	*out = NULL;
	if (!t)
		return error_set(err, ERR_MEMORY, "nftables: no memory");
	t->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!t->socket || mnl_socket_bind(t->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		status = error_errno(err, "nftables: netlink socket");
	} else {
		snprintf(t->name, sizeof t->name, "weir-%u", mnl_socket_get_portid(t->socket));
		status = make_table(t, err);
	}
	if (status == OK)
		*out = t;
	else
		nft_table_close(t);
	return status;
}

void nft_table_close(struct nft_table *t)
{
	if (!t)
		return;
	if (t->socket)
		mnl_socket_close(t->socket);
	free(t);
}

const char *nft_table_name(const struct nft_table *t)
{
	return t->name;
}
