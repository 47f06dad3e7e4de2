#include "collect/payload.h"

#include <pcap/dlt.h>

enum {
	ETHER_IPV4 = 0x0800,
	ETHER_IPV6 = 0x86dd,
	ETHER_VLAN = 0x8100,
	ETHER_QINQ = 0x88a8,
	ETHER_QINQ_OLD = 0x9100,
	VLAN_TAGS_MAX = 4,
	EXTENSIONS_MAX = 8,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
};

/* Each answers where the IP header begins, 0 when there is none. */
static size_t ethernet_ip(struct span f, size_t type_at)
{
	for (int tags = 0; tags <= VLAN_TAGS_MAX && f.length >= type_at + 2; tags++, type_at += 4) {
		const uint16_t type = get_be16(f.data + type_at);

		if (type == ETHER_IPV4 || type == ETHER_IPV6)
			return type_at + 2;
		if (type != ETHER_VLAN && type != ETHER_QINQ && type != ETHER_QINQ_OLD)
			break;
	}
	return 0;
}

static size_t sll2_ip(struct span f)
{
	if (f.length < 20)
		return 0;

	const uint16_t type = get_be16(f.data);
	if (type == ETHER_IPV4 || type == ETHER_IPV6)
		return 20;
	return type == ETHER_VLAN || type == ETHER_QINQ ? ethernet_ip(f, 22) : 0;
}

bool payload_link_known(int link)
{
	return link == DLT_EN10MB || link == DLT_RAW || link == DLT_IPV4 || link == DLT_IPV6 ||
	       link == DLT_NULL || link == DLT_LOOP || link == DLT_LINUX_SLL || link == DLT_LINUX_SLL2;
}

/* False when the frame holds no IP packet. */
static bool find_ip(int link, struct span f, struct span *ip)
{
	size_t at = 0;

	if (link == DLT_EN10MB)
		at = ethernet_ip(f, 12);
	else if (link == DLT_LINUX_SLL)
		at = ethernet_ip(f, 14);
	else if (link == DLT_LINUX_SLL2)
		at = sll2_ip(f);
	else if (link == DLT_NULL || link == DLT_LOOP)
		at = 4; /* the address family has other numbers on each system; the version nibble does not */
	else
		at = 0;
	if ((at == 0 && link != DLT_RAW && link != DLT_IPV4 && link != DLT_IPV6) || at >= f.length)
		return false;
	*ip = span_of(f.data + at, f.length - at);
	return true;
}

/* Cut `o` to the length that a header claims. True: less than that was captured. */
static bool cut_to(struct span *o, size_t claimed)
{
	if (claimed > o->length)
		return true;
	o->length = claimed;
	return false;
}

static enum payload_result open_ipv4(struct span *ip, struct payload *out, bool *cut)
{
	const uint8_t *p = ip->data;
	const size_t header = (size_t)(p[0] & 15) * 4;

	if (ip->length < 20 || header < 20 || header > ip->length)
		return PAYLOAD_NONE;

	const size_t total = get_be16(p + 2);
	if (total < header && total != 0) /* 0: segmentation was left to the device */
		return PAYLOAD_NONE;
	if (get_be16(p + 6) & 0x3fff)
		return PAYLOAD_FRAGMENT;
	if (total)
		*cut |= cut_to(ip, total);
	out->flow.version = 4;
	out->flow.protocol = p[9];
	memcpy(out->flow.source, p + 12, 4);
	memcpy(out->flow.destination, p + 16, 4);
	*ip = span_of(ip->data + header, ip->length - header);
	return PAYLOAD_FOUND;
}

static enum payload_result open_ipv6(struct span *ip, struct payload *out, bool *cut)
{
	const uint8_t *p = ip->data;

	if (ip->length < 40)
		return PAYLOAD_NONE;

	uint8_t next = p[6];
	const size_t length = get_be16(p + 4);
	out->flow.version = 6;
	memcpy(out->flow.source, p + 8, 16);
	memcpy(out->flow.destination, p + 24, 16);
	*ip = span_of(p + 40, ip->length - 40);
	if (length)
		*cut |= cut_to(ip, length);
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (next == 44)
			return PAYLOAD_FRAGMENT;
		if (next != 0 && next != 43 && next != 60) /* hop-by-hop, routing, destination options */
			break;
		if (ip->length < 8)
			return PAYLOAD_NONE;

		const size_t extension = 8 + 8 * (size_t)ip->data[1];
		if (extension > ip->length)
			return PAYLOAD_NONE;
		next = ip->data[0];
		*ip = span_of(ip->data + extension, ip->length - extension);
	}
	out->flow.protocol = next;
	return PAYLOAD_FOUND;
}

static enum payload_result open_transport(struct span *t, struct payload *out, bool *cut)
{
	const uint8_t *p = t->data;
	size_t header = 8;

	if (out->flow.protocol == PROTOCOL_UDP && t->length >= 8) {
		const size_t length = get_be16(p + 4);

		if (length >= 8)
			*cut |= cut_to(t, length);
		else if (length != 0)
			return PAYLOAD_NONE;
	} else if (out->flow.protocol == PROTOCOL_TCP && t->length >= 20) {
		header = (size_t)(p[12] >> 4) * 4;
		out->sequence = get_be32(p + 4);
		out->flags = p[13];
		if (header < 20 || header > t->length)
			return PAYLOAD_NONE;
	} else {
		return PAYLOAD_NONE;
	}
	out->flow.source_port = get_be16(p);
	out->flow.destination_port = get_be16(p + 2);
	out->octets = span_of(p + header, t->length - header);
	return PAYLOAD_FOUND;
}

enum payload_result payload_find(int link, struct span frame, struct payload *out)
{
	enum payload_result result = PAYLOAD_NONE;
	struct span at;
	bool cut = false;

	*out = (struct payload){0};
	if (!find_ip(link, frame, &at))
		return PAYLOAD_NONE;
	if (at.data[0] >> 4 == 4)
		result = open_ipv4(&at, out, &cut);
	else if (at.data[0] >> 4 == 6)
		result = open_ipv6(&at, out, &cut);
	if (result == PAYLOAD_FOUND)
		result = open_transport(&at, out, &cut);
	return result == PAYLOAD_FOUND && cut ? PAYLOAD_CUT : result;
}
