#include "observe/nft_event.h"

#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/span.h"

static void copy_name(char out[NFT_NAME_SIZE], const struct nlattr *a)
{
	const uint32_t length = mnl_attr_get_payload_len(a);
	const uint32_t n = length < NFT_NAME_SIZE ? length : NFT_NAME_SIZE - 1;

	memcpy(out, mnl_attr_get_payload(a), n);
	out[n] = 0;
}

static uint32_t number_32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) == 4 ? get_be32(mnl_attr_get_payload(a)) : 0;
}

static int read_verdict(const struct nlattr *a, void *event)
{
	struct nft_event *e = event;

	if (mnl_attr_get_type(a) == NFTA_VERDICT_CODE && mnl_attr_get_payload_len(a) == 4) {
		e->verdict = number_32(a);
		e->has_verdict = true;
	}
	return MNL_CB_OK;
}

static int read_attribute(const struct nlattr *a, void *event)
{
	struct nft_event *e = event;
	uint64_t handle;

	switch (mnl_attr_get_type(a)) {
	case NFTA_TRACE_ID: e->id = number_32(a); break;
	case NFTA_TRACE_TYPE: e->type = number_32(a); break;
	case NFTA_TRACE_IIF: e->in = number_32(a); break;
	case NFTA_TRACE_OIF: e->out = number_32(a); break;
	case NFTA_TRACE_TABLE: copy_name(e->table, a); break;
	case NFTA_TRACE_CHAIN: copy_name(e->chain, a); break;
	case NFTA_TRACE_RULE_HANDLE:
		if (mnl_attr_get_payload_len(a) == sizeof handle) {
			memcpy(&handle, mnl_attr_get_payload(a), sizeof handle);
			e->handle = be64toh(handle);
		}
		break;
	case NFTA_TRACE_VERDICT: (void)mnl_attr_parse_nested(a, read_verdict, e); break;
	case NFTA_TRACE_POLICY:
		if (mnl_attr_get_payload_len(a) == 4) { /* else 0, which is to drop */
			e->verdict = number_32(a);
			e->has_verdict = true;
		}
		break;
	case NFTA_TRACE_NETWORK_HEADER:
		e->network = mnl_attr_get_payload(a);
		e->network_length = mnl_attr_get_payload_len(a);
		break;
	case NFTA_TRACE_TRANSPORT_HEADER:
		e->transport = mnl_attr_get_payload(a);
		e->transport_length = mnl_attr_get_payload_len(a);
		break;
	}
	return MNL_CB_OK;
}

bool nft_event_read(const struct nlmsghdr *h, struct nft_event *out)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);

	if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof *g)
		return false;
	out->family = g->nfgen_family;
	return mnl_attr_parse(h, sizeof *g, read_attribute, out) == MNL_CB_OK;
}
