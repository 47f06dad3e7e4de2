/* layout.h: what Data Records look like (RFC 7011 section 3.4): one table of fields over a plain struct, from
 * which Template Records, the encoder's plan and docs/wire.md are made.
 *
 * Template IDs are for ever: 256 + the number of a flow layout. Rows and layouts are only ever appended. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "meter/flow_record.h"
#include "observe/denial.h"

enum {
	FIELDS_MAX = 40,
	TEMPLATE_RECORD_MAX = 6 + 8 * FIELDS_MAX,
	FLOW_TEMPLATE_FIRST = 256,
	FLOW_LAYOUT_ALLOWED = 20, /* {IPv4, IPv6} x {TCP, UDP, ICMP, SCTP, raw} x {ingress, egress} */
	FLOW_LAYOUT_COUNT = 40, /* and the same for frames refused by policy; with FORM_BIFLOW, which excludes
				   those, for flows without an answer */
	OPTIONS_TEMPLATE_FIRST = 512,
	FORMS_TEMPLATE_FIRST = 1024, /* + 64 times the forms + the number of the flow layout */
};

/* How a member becomes octets. */
enum field_form {
	FORM_OCTETS, /* as it lies: addresses, and numbers that are in network byte order already */
	FORM_NUMBER, /* host byte order, widened to the length on the wire */
	FORM_TEXT,   /* char array up to its NUL; variable length; octets that are not UTF-8 become '?' */
};

/* What is sent of a refused flow: the record, and what the table of denials says of it. */
struct denied_record {
	struct flow_record flow;
	uint8_t forwarding_status;
	uint8_t firewall_event;
	uint8_t reason, policy; /* enum denial_reason, enum denial_class */
	char rule[DENIAL_RULE_MAX];
};
_Static_assert(offsetof(struct denied_record, flow) == 0, "fields of a flow record are where they are in it");

/* Fill *out from a record with KIND_DENIED. No table: nothing is known. */
void denied_record_of(struct denied_record *out, const struct flow_record *record,
		      const struct denial_table *denials);

/* Which layouts have a field: one bit of each group. */
enum {
	FOR_IPV4 = 1 << 0,
	FOR_IPV6 = 1 << 1,
	FOR_TCP = 1 << 2,
	FOR_UDP = 1 << 3, /* and UDP-Lite, DCCP */
	FOR_ICMP = 1 << 4,
	FOR_SCTP = 1 << 5,
	FOR_RAW = 1 << 6, /* any other protocol, and those above where the ports are not known */
	FOR_INGRESS = 1 << 7,
	FOR_EGRESS = 1 << 8,
	FOR_ALLOWED = 1 << 9,
	FOR_DENIED = 1 << 10,
	FOR_ALL = (1 << 11) - 1,
};

/* Forms: fields that a profile asks for, one bit each. A Template ID says which of them it has. */
enum {
	FORM_SELECTION = 1 << 0,    /* which selector its packets went through */
	FORM_TOTALS = 1 << 1,       /* counters since the flow began */
	FORM_MICROSECONDS = 1 << 2, /* times in microseconds, in place of milliseconds */
	FORM_TTL = 1 << 3,          /* hop limits seen */
	FORM_MAC = 1 << 4,          /* MAC addresses of the first packet */
	FORM_VLAN = 1 << 5,         /* its VLAN */
	FORM_BIFLOW = 1 << 6,       /* what came back (RFC 5103) */
	FORMS_ALL = (1 << 7) - 1,
};

/* One row: the element and the member that its value comes from. */
struct field {
	uint16_t element;
	uint16_t length; /* on the wire; FIELD_VARIABLE for text */
	uint32_t pen;    /* 0: IANA's own */
	uint16_t offset; /* of the member */
	uint16_t size;
	uint8_t form; /* enum field_form */
	bool key;     /* part of the Flow Key (flowKeyIndicator) or, in options, a scope */
	uint16_t applies;
	uint16_t with, without; /* forms: only with all of these, and with none of those */
};

#define FIELD_ROW(type, name, member, octets, how, is_key, mask)                                             \
	{                                                                                                    \
		.element = IE_##name, .length = (octets), .offset = offsetof(type, member),                  \
		.size = sizeof(((type *)0)->member), .form = (how), .key = (is_key), .applies = (mask)       \
	}

/* One step of encoding: `length` octets of the record at `from` in some way to the next octets out. */
struct encode_step {
	uint8_t what; /* enum step in encode.c */
	uint8_t length;
	uint16_t from;
};

/* Sixteen octets of the record at `from`, moved about: mask[n] is the one that becomes octet n, over 127 none
 * does. What several of them give together goes to `to` of the Data Record. */
enum { SHUFFLE_OCTETS = 16, SHUFFLES_MAX = 32, SHUFFLE_GOES_ON = UINT16_MAX };
struct shuffle {
	uint8_t mask[SHUFFLE_OCTETS];
	uint16_t from, to; /* SHUFFLE_GOES_ON: the next one adds to the same octets */
};

struct layout {
	uint16_t template_id;
	uint16_t record_length; /* octets of a Data Record; the most it can have when it holds text */
	uint16_t least_length;  /* … with all text empty */
	uint8_t field_count, scope_count, step_count;
	uint8_t shuffle_count; /* 0: by steps */
	struct field field[FIELDS_MAX];
	struct encode_step step[FIELDS_MAX];
	struct shuffle shuffle[SHUFFLES_MAX];
};

/* Number of the layout that serves a record: 0 to FLOW_LAYOUT_COUNT - 1. */
uint32_t layout_of(const struct flow_record *record);

/* Fill in all flow layouts with these forms; those of refused frames are over struct denied_record. */
void layout_make_flows(struct layout out[static FLOW_LAYOUT_COUNT], uint32_t forms);

/* Our own elements are written under this Private Enterprise Number instead of WEIR_PEN. */
void layout_use_enterprise(struct layout *layout, uint32_t pen);

/* Take the rows that have all bits of `want`. `scope_count` > 0: an Options Template. */
void layout_make(struct layout *out, uint16_t template_id, uint8_t scope_count, const struct field *rows,
		 size_t row_count, uint32_t want);

/* "IPv4 TCP ingress", "IPv6 raw egress denied". */
void layout_name(uint32_t number, char *out, size_t size);

/* Write the (Options) Template Record; returns its octets, at most TEMPLATE_RECORD_MAX. */
size_t layout_template(const struct layout *layout, uint8_t *out);

/* The Set that its Template Record belongs in: 2 or 3. */
uint16_t layout_template_set(const struct layout *layout);

/* flowKeyIndicator (173): bit n is set when field n is part of the Flow Key. */
uint64_t layout_key_bits(const struct layout *layout);

/* encode.c: plan the steps (called by layout_make), and write one Data Record; returns its octets, at most
 * record_length. `record` is the struct that the rows were written over. */
void encode_plan(struct layout *layout);
size_t encode_record(const struct layout *layout, const void *record, uint8_t *out);

/* The plain way, whatever was planned besides. */
size_t encode_by_steps(const struct layout *layout, const void *record, uint8_t *out);

/* shuffle.c: the same for a layout without text over a struct of `size` octets, where the processor can. */
void shuffle_plan(struct layout *layout, size_t size);
size_t shuffle_record(const struct layout *layout, const void *record, uint8_t *out);
