#include "decode/extra.h"

#include <string.h>

#include "base/span.h"
#include "decode/layers.h"

enum {
	MAC_OCTETS = 6,
	TYPE_AT = 2 * MAC_OCTETS,
	ETHERNET_OCTETS = 14,
	TAG_OCTETS = 4,
	TYPE_8021Q = 0x8100,
	TYPE_8021AD = 0x88a8,
	TYPE_QINQ = 0x9100,
	TPID_MASK = 0x0fff,
	TTL_AT_IPV4 = 8,
	TTL_AT_IPV6 = 7,
};

static bool is_tag(uint32_t type)
{
	return type == TYPE_8021Q || type == TYPE_8021AD || type == TYPE_QINQ;
}

/* Where the IP header begins, as far as this goes. */
static uint32_t read_ethernet(const struct packet *p, struct packet_extra *out)
{
	uint32_t at = TYPE_AT;

	if (p->captured < ETHERNET_OCTETS)
		return p->captured;
	memcpy(out->destination_mac, p->data, MAC_OCTETS);
	memcpy(out->source_mac, p->data + MAC_OCTETS, MAC_OCTETS);
	for (int tags = 0; tags < VLAN_TAGS_MAX && is_tag(get_be16(p->data + at)); tags++) {
		if (p->captured < at + TAG_OCTETS + 2)
			return p->captured;
		if (tags == 0)
			out->vlan = get_be16(p->data + at + 2) & TPID_MASK;
		at += TAG_OCTETS;
	}
	return at + 2;
}

void decode_extra(const struct packet *p, struct packet_extra *out)
{
	static const uint8_t headers[LINK_COUNT] = {[LINK_NULL] = 4, [LINK_SLL] = 16, [LINK_SLL2] = 20};
	uint32_t at;

	*out = (struct packet_extra){0};
	if (p->link == LINK_ETHERNET)
		at = read_ethernet(p, out);
	else if (p->link == LINK_IP || (p->link < LINK_COUNT && headers[p->link]))
		at = headers[p->link];
	else
		return;
	if (p->captured < at + TTL_AT_IPV4 + 1)
		return;
	if (p->data[at] >> 4 == 4)
		out->ttl = p->data[at + TTL_AT_IPV4];
	else if (p->data[at] >> 4 == 6)
		out->ttl = p->data[at + TTL_AT_IPV6];
}
