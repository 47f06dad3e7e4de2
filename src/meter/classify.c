/* classify.c: is a packet wanted, and which flow is it of, where its own octets do not say it. */
#include "meter/state.h"

static bool wanted(const struct meter *m, const struct flow_key *key)
{
	if (m->options.directions == DIRECTIONS_BOTH || key->kind & KIND_DENIED)
		return true;
	return (m->options.directions == DIRECTIONS_SENDING) == ((key->kind & KIND_EGRESS) != 0);
}

static void join_fragment(struct meter *m, struct flow_key *key, const struct packet_facts *facts)
{
	/* A refused fragment and the same one as the interface saw it find the same ports. */
	const uint8_t denied = key->kind & KIND_DENIED;

	key->kind &= (uint8_t)~KIND_DENIED;
	if (facts->fragment & FRAGMENT_FIRST)
		fragment_table_remember(m->fragments, key, facts);
	else if (fragment_table_join(m->fragments, key, facts))
		m->statistics.fragments_joined++;
	else
		m->statistics.fragments_unjoined++;
	key->kind |= denied;
}

bool meter_classify(struct meter *m, struct flow_key *key, struct packet_facts *facts)
{
	if (!wanted(m, key)) {
		m->statistics.filtered_packets += facts->packets;
		m->statistics.filtered_octets += facts->octets;
		facts->packets = 0;
		facts->octets = 0;
		return facts->tcp_flags & (TCP_FIN | TCP_RST); /* it may end the other direction */
	}
	if (facts->fragment != 0)
		join_fragment(m, key, facts);
	if (m->options.dscp_key)
		key->point |= (uint16_t)(facts->class_of_service >> 2 << 10);
	return true;
}
