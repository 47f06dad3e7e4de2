#include "observe/nflog_message.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>

#include "base/span.h"
#include "base/time.h"

static int read_attribute(const struct nlattr *a, void *logged)
{
	struct logged *out = logged;
	const uint8_t *at = mnl_attr_get_payload(a);
	const uint32_t length = mnl_attr_get_payload_len(a);
	uint64_t seconds, microseconds;

	switch (mnl_attr_get_type(a)) {
	case NFULA_PAYLOAD:
		out->payload = at;
		out->length = length;
		break;
	case NFULA_IFINDEX_INDEV: out->in = length == 4 ? get_be32(at) : 0; break;
	case NFULA_IFINDEX_OUTDEV: out->out = length == 4 ? get_be32(at) : 0; break;
	case NFULA_SEQ:
		out->has_sequence = length == 4;
		out->sequence = length == 4 ? get_be32(at) : 0;
		break;
	case NFULA_TIMESTAMP:
		if (length != sizeof(struct nfulnl_msg_packet_timestamp))
			break;
		memcpy(&seconds, at, sizeof seconds);
		memcpy(&microseconds, at + sizeof seconds, sizeof microseconds);
		seconds = be64toh(seconds);
		microseconds = be64toh(microseconds);
		if (seconds < UINT32_MAX && microseconds < 1000000)
			out->wall_ns = (int64_t)seconds * NS_PER_S + (int64_t)microseconds * 1000;
		break;
	case NFULA_PREFIX: {
		const uint32_t n = length < sizeof out->prefix ? length : sizeof out->prefix - 1;
		memcpy(out->prefix, at, n);
		out->prefix[n] = 0;
		break;
	}
	}
	return MNL_CB_OK;
}

bool nflog_message_read(const struct nlmsghdr *h, uint16_t *group, struct logged *out)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);

	if (h->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof *g)
		return false;
	*group = ntohs(g->res_id);
	return mnl_attr_parse(h, sizeof *g, read_attribute, out) == MNL_CB_OK;
}
