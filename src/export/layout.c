#include "export/layout.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ie/ie.h"
#include "message/writer.h"

enum {
	IPPROTO_DCCP_NUMBER = 33,
	IPPROTO_UDPLITE_NUMBER = 136,
	PROTOCOL_CLASSES = 5,
	ENTERPRISE_BIT = 0x8000,
	FORMS_TEMPLATE_STEP = 64
};

/* Masks that say what is left out. */
#define ONLY_IPV4    (FOR_ALL & ~FOR_IPV6)
#define ONLY_IPV6    (FOR_ALL & ~FOR_IPV4)
#define WITH_PORTS   (FOR_ALL & ~FOR_ICMP & ~FOR_RAW)
#define ONLY_TCP     (FOR_ALL & ~FOR_UDP & ~FOR_ICMP & ~FOR_SCTP & ~FOR_RAW)
#define ONLY_ICMP    (FOR_ALL & ~FOR_TCP & ~FOR_UDP & ~FOR_SCTP & ~FOR_RAW)
#define ONLY_INGRESS (FOR_ALL & ~FOR_EGRESS)
#define ONLY_EGRESS  (FOR_ALL & ~FOR_INGRESS)
#define ONLY_ALLOWED (FOR_ALL & ~FOR_DENIED)
#define ONLY_DENIED  (FOR_ALL & ~FOR_ALLOWED)

/* OCTETS: the member is in network byte order. NUMBER: host byte order. KEY_…: part of the Flow Key. */
#define OCTETS(name, member, length, mask)                                                                   \
	FIELD_ROW(struct flow_record, name, member, length, FORM_OCTETS, false, mask)
#define NUMBER(name, member, length, mask)                                                                   \
	FIELD_ROW(struct flow_record, name, member, length, FORM_NUMBER, false, mask)
#define KEY_OCTETS(name, member, length, mask)                                                               \
	FIELD_ROW(struct flow_record, name, member, length, FORM_OCTETS, true, mask)
#define KEY_NUMBER(name, member, length, mask)                                                               \
	FIELD_ROW(struct flow_record, name, member, length, FORM_NUMBER, true, mask)

/* Only with, or without, a form. */
#define FORM_ROW(needs, excludes, id, number, member, octets, how, mask)                                     \
	{                                                                                                    \
		.element = (id), .pen = (number), .length = (octets),                                        \
		.offset = offsetof(struct flow_record, member),                                              \
		.size = sizeof(((struct flow_record *)0)->member), .form = (how), .applies = (mask),         \
		.with = (needs), .without = (excludes)                                                       \
	}
#define NUMBER_WITH(needs, name, member, octets, mask)                                                       \
	FORM_ROW(needs, 0, IE_##name, 0, member, octets, FORM_NUMBER, mask)
#define OCTETS_WITH(needs, name, member, octets, mask)                                                       \
	FORM_ROW(needs, 0, IE_##name, 0, member, octets, FORM_OCTETS, mask)
#define NUMBER_WITHOUT(excludes, name, member, octets, mask)                                                 \
	FORM_ROW(0, excludes, IE_##name, 0, member, octets, FORM_NUMBER, mask)
#define REVERSE_WITH(needs, excludes, name, member, octets, mask)                                            \
	FORM_ROW(needs, excludes, IE_##name, REVERSE_PEN, member, octets, FORM_NUMBER, mask)

/* Of struct denied_record, which begins with a flow record. */
#define DENIED(name, member, octets, how, number)                                                            \
	{                                                                                                    \
		.element = IE_##name, .length = (octets), .pen = (number),                                   \
		.offset = offsetof(struct denied_record, member),                                            \
		.size = sizeof(((struct denied_record *)0)->member), .form = (how), .applies = ONLY_DENIED   \
	}

static const struct field flow_fields[] = {
	KEY_OCTETS(sourceIPv4Address, key.source, 4, ONLY_IPV4),
	KEY_OCTETS(destinationIPv4Address, key.destination, 4, ONLY_IPV4),
	KEY_OCTETS(sourceIPv6Address, key.source, 16, ONLY_IPV6),
	KEY_OCTETS(destinationIPv6Address, key.destination, 16, ONLY_IPV6),
	KEY_OCTETS(sourceTransportPort, key.source_port, 2, WITH_PORTS),
	KEY_OCTETS(destinationTransportPort, key.destination_port, 2, WITH_PORTS),
	KEY_OCTETS(icmpTypeCodeIPv4, key.destination_port, 2, ONLY_ICMP &ONLY_IPV4),
	KEY_OCTETS(icmpTypeCodeIPv6, key.destination_port, 2, ONLY_ICMP &ONLY_IPV6),
	KEY_NUMBER(protocolIdentifier, key.protocol, 1, FOR_ALL),
	NUMBER(tcpControlBits, tcp_flags, 2, ONLY_TCP),
	NUMBER(ipClassOfService, class_of_service, 1, FOR_ALL),
	NUMBER(octetDeltaCount, octets, 8, FOR_ALL),
	NUMBER(packetDeltaCount, packets, 8, FOR_ALL),
	NUMBER_WITHOUT(FORM_MICROSECONDS, flowStartMilliseconds, start_ms, 8, FOR_ALL),
	NUMBER_WITHOUT(FORM_MICROSECONDS, flowEndMilliseconds, end_ms, 8, FOR_ALL),
	NUMBER_WITH(FORM_MICROSECONDS, flowStartMicroseconds, start_ntp, 8, FOR_ALL),
	NUMBER_WITH(FORM_MICROSECONDS, flowEndMicroseconds, end_ntp, 8, FOR_ALL),
	KEY_NUMBER(ingressInterface, interface, 4, ONLY_INGRESS),
	KEY_NUMBER(egressInterface, interface, 4, ONLY_EGRESS),
	KEY_NUMBER(flowDirection, direction, 1, FOR_ALL),
	NUMBER(flowEndReason, end_reason, 1, FOR_ALL),
	NUMBER(flowId, flow_id, 8, FOR_ALL),
	KEY_NUMBER(observationPointId, point_id, 8, FOR_ALL),
	NUMBER_WITH(FORM_SELECTION, selectorId, selector, 8, ONLY_ALLOWED),
	NUMBER_WITH(FORM_TOTALS, octetTotalCount, total_octets, 8, ONLY_ALLOWED),
	NUMBER_WITH(FORM_TOTALS, packetTotalCount, total_packets, 8, ONLY_ALLOWED),
	NUMBER_WITH(FORM_TTL, ipTTL, extra.ttl, 1, ONLY_ALLOWED),
	NUMBER_WITH(FORM_TTL, minimumTTL, ttl_least, 1, ONLY_ALLOWED),
	NUMBER_WITH(FORM_TTL, maximumTTL, ttl_most, 1, ONLY_ALLOWED),
	OCTETS_WITH(FORM_MAC, sourceMacAddress, extra.source_mac, 6, ONLY_ALLOWED),
	OCTETS_WITH(FORM_MAC, destinationMacAddress, extra.destination_mac, 6, ONLY_ALLOWED),
	NUMBER_WITH(FORM_VLAN, vlanId, extra.vlan, 2, ONLY_ALLOWED),
	NUMBER_WITH(FORM_VLAN, dot1qVlanId, extra.vlan, 2, ONLY_ALLOWED),
	NUMBER_WITH(FORM_BIFLOW, biflowDirection, biflow_direction, 1, ONLY_ALLOWED),
	REVERSE_WITH(FORM_BIFLOW, 0, octetDeltaCount, reverse_octets, 8, ONLY_ALLOWED),
	REVERSE_WITH(FORM_BIFLOW, 0, packetDeltaCount, reverse_packets, 8, ONLY_ALLOWED),
	REVERSE_WITH(FORM_BIFLOW, 0, tcpControlBits, reverse_tcp_flags, 2, ONLY_TCP &ONLY_ALLOWED),
	REVERSE_WITH(FORM_BIFLOW, FORM_MICROSECONDS, flowStartMilliseconds, reverse_start_ms, 8,
		     ONLY_ALLOWED),
	REVERSE_WITH(FORM_BIFLOW, FORM_MICROSECONDS, flowEndMilliseconds, reverse_end_ms, 8, ONLY_ALLOWED),
	REVERSE_WITH(FORM_BIFLOW | FORM_MICROSECONDS, 0, flowStartMicroseconds, reverse_start_ntp, 8,
		     ONLY_ALLOWED),
	REVERSE_WITH(FORM_BIFLOW | FORM_MICROSECONDS, 0, flowEndMicroseconds, reverse_end_ntp, 8,
		     ONLY_ALLOWED),
	NUMBER(droppedOctetDeltaCount, dropped_octets, 8, ONLY_DENIED),
	NUMBER(droppedPacketDeltaCount, dropped_packets, 8, ONLY_DENIED),
	DENIED(forwardingStatus, forwarding_status, 1, FORM_NUMBER, 0),
	DENIED(firewallEvent, firewall_event, 1, FORM_NUMBER, 0),
	DENIED(denialReason, reason, 1, FORM_NUMBER, WEIR_PEN),
	DENIED(denialClass, policy, 1, FORM_NUMBER, WEIR_PEN),
	DENIED(denialRuleName, rule, FIELD_VARIABLE, FORM_TEXT, WEIR_PEN),
};

static const struct {
	const char *name;
	uint32_t bit;
} protocol_class[PROTOCOL_CLASSES] = {
	{"TCP", FOR_TCP}, {"UDP", FOR_UDP}, {"ICMP", FOR_ICMP}, {"SCTP", FOR_SCTP}, {"raw", FOR_RAW}};

enum { CLASS_TCP, CLASS_UDP, CLASS_ICMP, CLASS_SCTP, CLASS_RAW };

static uint32_t class_of(const struct flow_key *key)
{
	if (!(key->kind & KIND_PORTS))
		return CLASS_RAW;
	switch (key->protocol) {
	case IPPROTO_TCP: return CLASS_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE_NUMBER:
	case IPPROTO_DCCP_NUMBER: return CLASS_UDP;
	case IPPROTO_SCTP: return CLASS_SCTP;
	case IPPROTO_ICMP: return key->kind & KIND_IPV6 ? CLASS_RAW : CLASS_ICMP;
	case IPPROTO_ICMPV6: return key->kind & KIND_IPV6 ? CLASS_ICMP : CLASS_RAW;
	default: return CLASS_RAW;
	}
}

/* A layout's number, from the outer group to the inner: denied or, among biflows, one way; version, protocol,
 * direction. */
uint32_t layout_of(const struct flow_record *r)
{
	const uint32_t denied =
		(r->key.kind & KIND_DENIED) != 0 || (r->biflow_direction && r->reverse_packets == 0);
	const uint32_t v6 = (r->key.kind & KIND_IPV6) != 0;
	const uint32_t egress = r->direction == DIRECTION_EGRESS;

	return ((denied * 2 + v6) * PROTOCOL_CLASSES + class_of(&r->key)) * 2 + egress;
}

static uint32_t bits_of(uint32_t number)
{
	const uint32_t egress = number % 2, protocol = number / 2 % PROTOCOL_CLASSES;
	const uint32_t v6 = number / (2 * PROTOCOL_CLASSES) % 2, denied = number / FLOW_LAYOUT_ALLOWED;

	return (egress ? FOR_EGRESS : FOR_INGRESS) | protocol_class[protocol].bit |
	       (v6 ? FOR_IPV6 : FOR_IPV4) | (denied ? FOR_DENIED : FOR_ALLOWED);
}

void layout_name(uint32_t number, char *out, size_t size)
{
	const uint32_t bits = bits_of(number);

	snprintf(out, size, "%s %s %s%s", bits & FOR_IPV6 ? "IPv6" : "IPv4",
		 protocol_class[number / 2 % PROTOCOL_CLASSES].name, bits & FOR_EGRESS ? "egress" : "ingress",
		 bits & FOR_DENIED ? " denied" : "");
}

/* Text of n octets takes n + 1, or n + 3 from 255 on (RFC 7011 section 7). */
static uint16_t most_octets(const struct field *f)
{
	if (f->length != FIELD_VARIABLE)
		return f->length;
	return (uint16_t)(f->size + (f->size < 255 ? 1 : 3));
}

static uint16_t least_octets(const struct field *f)
{
	return f->length != FIELD_VARIABLE ? f->length : f->size < 255 ? 1 : 3;
}

void layout_use_enterprise(struct layout *layout, uint32_t pen)
{
	for (uint32_t i = 0; i < layout->field_count; i++)
		if (layout->field[i].pen == WEIR_PEN)
			layout->field[i].pen = pen;
}

void denied_record_of(struct denied_record *out, const struct flow_record *record,
		      const struct denial_table *denials)
{
	enum { FLOW_DENIED = 3 }; /* IANA firewallEvent (233) */
	const struct denial *d = denial_table_get(denials, record->denial);

	out->flow = *record;
	out->forwarding_status = denial_forwarding_status(d);
	out->firewall_event = FLOW_DENIED;
	out->reason = d->reason;
	out->policy = d->kind;
	memcpy(out->rule, d->rule, sizeof out->rule);
}

void layout_make(struct layout *out, uint16_t template_id, uint8_t scope_count, const struct field *rows,
		 size_t row_count, uint32_t want)
{
	*out = (struct layout){.template_id = template_id, .scope_count = scope_count};
	for (size_t i = 0; i < row_count; i++) {
		if ((rows[i].applies & want) != want)
			continue;
		if (out->field_count == FIELDS_MAX)
			abort(); /* a table of ours is too long: every test would show it */
		out->field[out->field_count++] = rows[i];
		out->record_length = (uint16_t)(out->record_length + most_octets(&rows[i]));
		out->least_length = (uint16_t)(out->least_length + least_octets(&rows[i]));
	}
	encode_plan(out);
}

/* Not those of another form. */
static size_t rows_with(struct field *out, uint32_t forms)
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof flow_fields / sizeof flow_fields[0]; i++) {
		const struct field *f = &flow_fields[i];

		if ((f->with & forms) == f->with && (f->without & forms) == 0)
			out[n++] = *f;
	}
	return n;
}

static uint16_t first_template(uint32_t forms)
{
	return (uint16_t)(forms ? FORMS_TEMPLATE_FIRST + forms * FORMS_TEMPLATE_STEP : FLOW_TEMPLATE_FIRST);
}

/* Layouts `from` … `to` - 1 are those that have the numbers from `number` on without biflows. */
static void make_flows(struct layout *out, uint32_t from, uint32_t to, uint32_t number, uint32_t forms)
{
	struct field rows[sizeof flow_fields / sizeof flow_fields[0]];
	const size_t count = rows_with(rows, forms);

	for (uint32_t i = from; i < to; i++, number++) {
		layout_make(&out[i], (uint16_t)(first_template(forms) + number), 0, rows, count,
			    bits_of(number));
		shuffle_plan(&out[i], sizeof(struct flow_record));
	}
}

/* Biflows and refused frames exclude each other, so that in place of refused flows there are those one way:
 * in templates without reverse elements (RFC 5103 section 4), which are those of everybody else. */
void layout_make_flows(struct layout out[static FLOW_LAYOUT_COUNT], uint32_t forms)
{
	const bool biflows = forms & FORM_BIFLOW;

	make_flows(out, 0, FLOW_LAYOUT_ALLOWED, 0, forms);
	make_flows(out, FLOW_LAYOUT_ALLOWED, FLOW_LAYOUT_COUNT, biflows ? 0 : FLOW_LAYOUT_ALLOWED,
		   biflows ? forms & ~(uint32_t)FORM_BIFLOW : forms);
}

uint16_t layout_template_set(const struct layout *layout)
{
	return layout->scope_count ? SET_OPTIONS_TEMPLATE : SET_TEMPLATE;
}

size_t layout_template(const struct layout *layout, uint8_t *out)
{
	uint8_t *at = out;

	put_be16(at, layout->template_id);
	put_be16(at + 2, layout->field_count);
	at += 4;
	if (layout->scope_count) {
		put_be16(at, layout->scope_count);
		at += 2;
	}
	for (uint32_t i = 0; i < layout->field_count; i++) {
		const struct field *f = &layout->field[i];

		put_be16(at, (uint16_t)(f->element | (f->pen ? ENTERPRISE_BIT : 0)));
		put_be16(at + 2, f->length);
		at += 4;
		if (f->pen) {
			put_be32(at, f->pen);
			at += 4;
		}
	}
	return (size_t)(at - out);
}

uint64_t layout_key_bits(const struct layout *layout)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < layout->field_count && i < FIELDS_MAX; i++)
		bits |= (uint64_t)layout->field[i].key << i;
	return bits;
}
