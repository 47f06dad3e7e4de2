#include "observe/rule_counters.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

enum { REPLY_OCTETS = 1 << 16, REQUEST_OCTETS = 256, REPLIES_MAX = 256 };

struct rule_counters {
	struct mnl_socket *socket;
	uint32_t sequence;
	bool seen[RULE_TABLE_MAX];
	uint8_t reply[REPLY_OCTETS] __attribute__((aligned(8)));
};

/* ---- what the kernel tells ---- */

struct object {
	char name[RULE_NAME_MAX + 32];
	uint64_t packets, octets;
};

static uint64_t number_64(const struct nlattr *a)
{
	uint64_t v = 0;

	if (mnl_attr_get_payload_len(a) == sizeof v)
		memcpy(&v, mnl_attr_get_payload(a), sizeof v);
	return be64toh(v);
}

static int read_counter(const struct nlattr *a, void *arg)
{
	struct object *o = arg;

	if (mnl_attr_get_type(a) == NFTA_COUNTER_PACKETS)
		o->packets = number_64(a);
	else if (mnl_attr_get_type(a) == NFTA_COUNTER_BYTES)
		o->octets = number_64(a);
	return MNL_CB_OK;
}

static int read_object(const struct nlattr *a, void *arg)
{
	struct object *o = arg;
	const uint32_t length = mnl_attr_get_payload_len(a);

	if (mnl_attr_get_type(a) == NFTA_OBJ_NAME && length < sizeof o->name)
		memcpy(o->name, mnl_attr_get_payload(a), length);
	else if (mnl_attr_get_type(a) == NFTA_OBJ_DATA)
		(void)mnl_attr_parse_nested(a, read_counter, o);
	return MNL_CB_OK;
}

static void take(struct rule_counters *c, const struct nlmsghdr *h, struct rule_table *table)
{
	struct object o = {0};
	struct rule_count found, *r;

	if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWOBJ) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg) ||
	    mnl_attr_parse(h, sizeof(struct nfgenmsg), read_object, &o) != MNL_CB_OK ||
	    !rule_counter_parse(&found, o.name))
		return;
	r = rule_table_find(table, (enum rule_action)found.action, SOURCE_COUNTER, found.direction,
			    found.name);
	if (!r)
		return;
	r->packets = o.packets;
	r->octets = o.octets;
	c->seen[r - table->rule] = true;
}

/* ---- a question and its answers ---- */

static bool ask(struct rule_counters *c)
{
	uint8_t request[REQUEST_OCTETS] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *h = mnl_nlmsg_put_header(request);
	struct nfgenmsg *g;

	h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETOBJ;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = ++c->sequence;
	g = mnl_nlmsg_put_extra_header(h, sizeof *g);
	g->nfgen_family = NFPROTO_INET;
	g->version = NFNETLINK_V0;
	mnl_attr_put_strz(h, NFTA_OBJ_TABLE, POLICY_TABLE);
	mnl_attr_put_u32(h, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	return mnl_socket_sendto(c->socket, h, h->nlmsg_len) >= 0;
}

/* True: all of it was read. A dump that a change of the rules went through may miss some: not all. */
static bool receive(struct rule_counters *c, struct rule_table *table)
{
	for (int i = 0; i < REPLIES_MAX; i++) {
		const ssize_t n = mnl_socket_recvfrom(c->socket, c->reply, sizeof c->reply);
		const struct nlmsghdr *h = (const struct nlmsghdr *)c->reply;

		if (n < 0)
			return false;
		for (int left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_seq != c->sequence)
				continue;
			if (h->nlmsg_flags & NLM_F_DUMP_INTR || h->nlmsg_type == NLMSG_ERROR)
				return false;
			if (h->nlmsg_type == NLMSG_DONE)
				return true;
			take(c, h, table);
		}
	}
	return false;
}

static void forget_unseen(const struct rule_counters *c, struct rule_table *table)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->count; i++)
		if (c->seen[i] || table->rule[i].source != SOURCE_COUNTER)
			table->rule[kept++] = table->rule[i];
	table->count = kept;
}

void rule_counters_read(struct rule_counters *c, struct rule_table *table)
{
	memset(c->seen, 0, sizeof c->seen);
	if (ask(c) && receive(c, table))
		forget_unseen(c, table);
}

enum status rule_counters_open(struct rule_counters **out, struct error *err)
{
	struct rule_counters *c = calloc(1, sizeof *c);
	enum status status = OK;

	*out = NULL;
	if (!c)
		return error_set(err, ERR_MEMORY, "counters of rules: no memory");
	c->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!c->socket || mnl_socket_bind(c->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		status = error_errno(err, "counters of rules: netlink socket");
	if (status == OK)
		*out = c;
	else
		rule_counters_close(c);
	return status;
}

void rule_counters_close(struct rule_counters *c)
{
	if (!c)
		return;
	if (c->socket)
		mnl_socket_close(c->socket);
	free(c);
}
