/* Link headers: whatever stands in front of IP, walked in a bounded loop until an IP header or something else
 * is found. decode_packet begins here because frames do. */
#include "decode/ip.h"
#include "observe/counted.h"

const char *const decode_outcome_names[DECODE_OUTCOME_COUNT] = {
#define OUTCOME(constant, name, text) [DECODE_##constant] = name,
	DECODE_OUTCOMES(OUTCOME)
#undef OUTCOME
};

/* EtherTypes, and numbers from the 802.3 length range, which no EtherType uses, for what has none. */
enum ether_type {
	TYPE_NOT_IP = 0,
	TYPE_LLC = 4, /* also the number SLL gives it */
	TYPE_LENGTH_MAX = 1500,
	TYPE_IPV4 = 0x0800,
	TYPE_VLAN = 0x8100, /* 802.1Q */
	TYPE_IPV6 = 0x86dd,
	TYPE_MPLS = 0x8847,
	TYPE_MPLS_UPSTREAM = 0x8848, /* RFC 5332 */
	TYPE_PPPOE_SESSION = 0x8864,
	TYPE_QINQ = 0x88a8, /* 802.1ad */
	TYPE_QINQ_9100 = 0x9100,
	TYPE_QINQ_9200 = 0x9200,
	TYPE_QINQ_9300 = 0x9300,
};

enum { ETHERNET_HEADER = 14, NULL_HEADER = 4, SLL_HEADER = 16, SLL2_HEADER = 20, PPPOE_HEADER = 6 };

/* Each step below reads one kind of header, skips it and says in *type what follows. DECODE_FLOW: go on. */

static enum decode_outcome step_vlan(struct rest *rest, uint32_t *type)
{
	if (rest->captured < 4)
		return DECODE_LINK_SHORT;
	*type = get_be16(rest->at + 2);
	rest_skip(rest, 4);
	return DECODE_FLOW;
}

static enum decode_outcome step_ethernet(struct rest *rest, uint32_t *type)
{
	if (rest->captured < ETHERNET_HEADER)
		return DECODE_LINK_SHORT;
	*type = get_be16(rest->at + 12);
	rest_skip(rest, ETHERNET_HEADER);
	return DECODE_FLOW;
}

/* RFC 3032. Three labels say themselves what follows. What any other stands for is not in the packet; the
 * next nibble tells IP from a pseudowire (RFC 4928), which begins with a control word of nibble 0 (RFC 4385)
 * and mostly carries Ethernet. */
static enum decode_outcome step_mpls(struct rest *rest, uint32_t *type)
{
	enum { IPV4_EXPLICIT_NULL = 0, IPV6_EXPLICIT_NULL = 2, ASSOCIATED_CHANNEL = 13 };
	uint32_t label;

	for (unsigned labels = 0;; labels++) {
		if (rest->captured < 4)
			return DECODE_LINK_SHORT;
		if (labels == MPLS_LABELS_MAX)
			return DECODE_LINK_NESTED;
		const bool bottom = rest->at[2] & 1;
		label = get_be32(rest->at) >> 12;
		rest_skip(rest, 4);
		if (bottom)
			break;
	}
	switch (label) {
	case IPV4_EXPLICIT_NULL: *type = TYPE_IPV4; return DECODE_FLOW;
	case IPV6_EXPLICIT_NULL: *type = TYPE_IPV6; return DECODE_FLOW;
	case ASSOCIATED_CHANNEL: *type = TYPE_NOT_IP; return DECODE_FLOW; /* RFC 5586 */
	default: break;
	}
	if (rest->captured == 0)
		return DECODE_LINK_SHORT;
	switch (rest->at[0] >> 4) {
	case 4: *type = TYPE_IPV4; return DECODE_FLOW;
	case 6: *type = TYPE_IPV6; return DECODE_FLOW;
	case 0:
		if (rest->captured < 4)
			return DECODE_LINK_SHORT;
		rest_skip(rest, 4);
		return step_ethernet(rest, type);
	default: *type = TYPE_NOT_IP; return DECODE_FLOW;
	}
}

/* RFC 1661: the protocol field is one octet when that octet is odd (compressed), else two. RFC 1662: the
 * address and control octets ff 03 may stand in front. 0f 00 and 8f 00 there are Cisco HDLC, which is
 * followed by an EtherType. */
static enum decode_outcome step_ppp(struct rest *rest, uint32_t *type)
{
	enum { PPP_IPV4 = 0x0021, PPP_IPV6 = 0x0057, PPP_MPLS = 0x0281, PPP_MPLS_MULTICAST = 0x0283 };

	if (rest->captured < 2)
		return DECODE_LINK_SHORT;
	const uint32_t framing = get_be16(rest->at);
	if (framing == 0x0f00 || framing == 0x8f00)
		return step_vlan(rest, type); /* as long, and the type in the same place */
	if (framing == 0xff03)
		rest_skip(rest, 2);
	if (rest->captured < 1 || (!(rest->at[0] & 1) && rest->captured < 2))
		return DECODE_LINK_SHORT;
	const uint32_t octets = rest->at[0] & 1 ? 1 : 2;
	switch (octets == 1 ? rest->at[0] : get_be16(rest->at)) {
	case PPP_IPV4: *type = TYPE_IPV4; break;
	case PPP_IPV6: *type = TYPE_IPV6; break;
	case PPP_MPLS:
	case PPP_MPLS_MULTICAST: *type = TYPE_MPLS; break;
	default: *type = TYPE_NOT_IP; break;
	}
	rest_skip(rest, octets);
	return DECODE_FLOW;
}

/* RFC 2516: version 1, type 1, code 0 is data; the rest is set-up. */
static enum decode_outcome step_pppoe(struct rest *rest, uint32_t *type)
{
	if (rest->captured < PPPOE_HEADER)
		return DECODE_LINK_SHORT;
	const bool data = rest->at[0] == 0x11 && rest->at[1] == 0;
	rest_skip(rest, PPPOE_HEADER);
	if (data)
		return step_ppp(rest, type);
	*type = TYPE_NOT_IP;
	return DECODE_FLOW;
}

/* 802.2 LLC: SNAP (RFC 1042) with an EtherType, or IP by its own SAP. */
static enum decode_outcome step_llc(struct rest *rest, uint32_t *type)
{
	static const uint8_t snap[6] = {0xaa, 0xaa, 0x03, 0, 0, 0};

	*type = TYPE_NOT_IP;
	if (rest->captured < 3)
		return DECODE_LINK_SHORT;
	if (rest->at[0] == 6 && rest->at[1] == 6 && rest->at[2] == 3) {
		*type = TYPE_IPV4;
		rest_skip(rest, 3);
	} else if (rest->at[0] == 0xaa && rest->at[1] == 0xaa) {
		if (rest->captured < 8)
			return DECODE_LINK_SHORT;
		if (memcmp(rest->at, snap, sizeof snap) == 0)
			*type = get_be16(rest->at + 6);
		if (*type <= TYPE_LENGTH_MAX)
			*type = TYPE_NOT_IP; /* a bridged frame, a spanning tree, … */
		rest_skip(rest, 8);
	}
	return DECODE_FLOW;
}

/* Walk from an EtherType to IP. The bounds make LINK_NESTED of a frame that is built to keep us busy. */
static enum decode_outcome decode_typed(const struct packet *packet, struct rest rest, uint32_t type,
					struct flow_key *key, struct packet_facts *facts)
{
	unsigned tags = 0, tunnels = 0;

	for (;;) {
		enum decode_outcome outcome = DECODE_NOT_IP;

		switch (type) {
		case TYPE_IPV4: return decode_ip(packet, rest, IP_V4, key, facts);
		case TYPE_IPV6: return decode_ip(packet, rest, IP_V6, key, facts);
		case TYPE_VLAN:
		case TYPE_QINQ:
		case TYPE_QINQ_9100:
		case TYPE_QINQ_9200:
		case TYPE_QINQ_9300:
			outcome = tags++ < VLAN_TAGS_MAX ? step_vlan(&rest, &type) : DECODE_LINK_NESTED;
			break;
		case TYPE_NOT_IP: return DECODE_NOT_IP;
		default:
			if (tunnels++ == TUNNELS_MAX)
				return DECODE_LINK_NESTED;
			if (type == TYPE_MPLS || type == TYPE_MPLS_UPSTREAM)
				outcome = step_mpls(&rest, &type);
			else if (type == TYPE_PPPOE_SESSION)
				outcome = step_pppoe(&rest, &type);
			else if (type <= TYPE_LENGTH_MAX)
				outcome = step_llc(&rest, &type);
			break;
		}
		if (outcome != DECODE_FLOW)
			return outcome;
	}
}

/* LINKTYPE_NULL has the family in the byte order of the host that wrote it, LOOP in network byte order. All
 * families are small, so the half that is zero tells. */
static enum decode_outcome decode_null(const struct packet *packet, struct rest rest, struct flow_key *key,
				       struct packet_facts *facts)
{
	if (rest.captured < NULL_HEADER)
		return DECODE_LINK_SHORT;
	uint32_t family = get_be32(rest.at);
	if (family > UINT16_MAX)
		family = __builtin_bswap32(family);
	rest_skip(&rest, NULL_HEADER);
	switch (family) {
	case 2: return decode_ip(packet, rest, IP_V4, key, facts);
	case 10: /* Linux */
	case 24: /* NetBSD, OpenBSD */
	case 28: /* FreeBSD */
	case 30: /* macOS */ return decode_ip(packet, rest, IP_V6, key, facts);
	default: return DECODE_NOT_IP;
	}
}

/* LINKTYPE_LINUX_SLL and SLL2 give an EtherType, the length range meaning Linux's own numbers. */
static enum decode_outcome decode_cooked(const struct packet *packet, struct rest rest, uint32_t header,
					 uint32_t type_at, struct flow_key *key, struct packet_facts *facts)
{
	if (rest.captured < header)
		return DECODE_LINK_SHORT;
	uint32_t type = get_be16(rest.at + type_at);
	if (type <= TYPE_LENGTH_MAX && type != TYPE_LLC)
		return DECODE_NOT_IP;
	rest_skip(&rest, header);
	return decode_typed(packet, rest, type, key, facts);
}

static enum decode_outcome decode_ppp(const struct packet *packet, struct rest rest, struct flow_key *key,
				      struct packet_facts *facts)
{
	uint32_t type;
	const enum decode_outcome outcome = step_ppp(&rest, &type);

	return outcome == DECODE_FLOW ? decode_typed(packet, rest, type, key, facts) : outcome;
}

/* Nothing to decode: whoever counted has done it. */
static enum decode_outcome decode_counted(const struct packet *packet, struct flow_key *key,
					  struct packet_facts *facts)
{
	struct counted_packets counted;

	if (packet->captured < sizeof counted)
		return DECODE_LINK_SHORT;
	memcpy(&counted, packet->data, sizeof counted);
	_Static_assert(sizeof counted.key == sizeof *key, "the same octets");
	memcpy(key, counted.key, sizeof *key);
	key->kind &= KIND_IPV6 | KIND_PORTS;
	key->kind |= packet->direction == DIRECTION_EGRESS ? KIND_EGRESS : 0;
	key->point = packet->point; /* the meter puts DSCP there, too, where it is a key */
	*facts = (struct packet_facts){
		.time = packet->time,
		.octets = counted.octets,
		.packets = counted.packets,
		.tcp_flags = counted.tcp_flags,
		.class_of_service = counted.class_of_service,
	};
	return DECODE_FLOW;
}

static __attribute__((noinline)) enum decode_outcome decode_link(const struct packet *packet,
								 struct flow_key *key,
								 struct packet_facts *facts)
{
	struct rest rest = {.at = packet->data, .captured = packet->captured, .length = packet->length};
	uint32_t type;

	switch (packet->link) {
	case LINK_IP: return decode_ip(packet, rest, IP_ANY, key, facts);
	case LINK_ETHERNET:
		if (step_ethernet(&rest, &type) != DECODE_FLOW)
			return DECODE_LINK_SHORT;
		return decode_typed(packet, rest, type, key, facts);
	case LINK_NULL: return decode_null(packet, rest, key, facts);
	case LINK_SLL: return decode_cooked(packet, rest, SLL_HEADER, 14, key, facts);
	case LINK_SLL2: return decode_cooked(packet, rest, SLL2_HEADER, 0, key, facts);
	case LINK_PPP: return decode_ppp(packet, rest, key, facts);
	case LINK_PPPOE: return decode_typed(packet, rest, TYPE_PPPOE_SESSION, key, facts);
	case LINK_COUNTED: return decode_counted(packet, key, facts);
	default: return DECODE_NOT_IP;
	}
}

/* The common packet, at once or in plain Ethernet, is read here and now; all else takes the walk. */
enum decode_outcome decode_packet(const struct packet *packet, struct flow_key *key,
				  struct packet_facts *facts)
{
	const uint8_t *at = packet->data;
	uint32_t captured = packet->captured;
	unsigned version = IP_ANY;

	if (packet->link == LINK_ETHERNET && likely(captured >= ETHERNET_HEADER)) {
		const uint32_t type = get_be16(at + 12);

		if (unlikely(type != TYPE_IPV4 && type != TYPE_IPV6))
			return decode_link(packet, key, facts);
		version = type == TYPE_IPV4 ? IP_V4 : IP_V6;
		at += ETHERNET_HEADER;
		captured -= ETHERNET_HEADER;
	} else if (packet->link != LINK_IP) {
		return decode_link(packet, key, facts);
	}
	if (likely(decode_common_ip(packet, at, captured, version, key, facts)))
		return DECODE_FLOW;
	return decode_link(packet, key, facts);
}
