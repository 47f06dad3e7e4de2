/* capture_format.h: between capture.c and the two file formats. Private to observe/. */
#pragma once

#include "observe/capture.h"
#include "observe/input.h"

enum {
	CAPTURE_INTERFACES_MAX = POINT_MAX, /* of one pcapng section */
	CAPTURE_OCTETS_MAX = 262144,        /* of one packet, as in other tools; more is taken for damage */
};

/* A pcapng interface, or the only one of a pcap file. */
struct capture_interface {
	uint64_t units;      /* of its time stamps, in a second */
	uint64_t multiplier; /* nanoseconds a unit, 0 when that is no whole number */
	int64_t offset_s;    /* added to its time stamps */
	uint32_t snap;       /* octets kept of a packet at most; 0: all */
	uint16_t link_type;  /* LINKTYPE_… as in the file */
	uint16_t point;      /* index of its observation point */
	uint8_t link;        /* enum link_layer; LINK_COUNT when not supported */
};

struct capture {
	struct packet_source source;
	struct source_statistics statistics;
	struct input input;
	char *name; /* owned; for messages */
	struct point_table *points;

	/* Add packets to the batch until it is full or a status other than OK comes up. ERR_FORMAT and all
	 * else with text, without where. */
	enum status (*fill)(struct capture *, struct packet_batch *, struct error *);
	enum status ended; /* what the next read answers */
	struct error error;

	uint64_t record_at;    /* offset of the record that is being read */
	struct mono_ns time;   /* of the last packet */
	bool swapped;          /* the file's byte order is not ours */
	bool lengths_swapped;  /* pcap before 2.3: original length first */
	uint8_t record_header; /* pcap: octets */
	uint32_t point_count;  /* observation points made by this file */
	uint32_t interface_count;
	struct capture_interface interface[CAPTURE_INTERFACES_MAX];
};

/* Both begin with the input at offset 0 and leave it behind the file header. */
MUST_CHECK bool pcap_magic(uint32_t magic);
MUST_CHECK enum status pcap_begin(struct capture *capture, struct error *err);
MUST_CHECK bool pcapng_magic(uint32_t magic);
MUST_CHECK enum status pcapng_begin(struct capture *capture, struct error *err);

/* Turn input_need's END into a good end or a text; `what` was cut short. */
MUST_CHECK enum status capture_cut(const struct capture *capture, const char *what, uint64_t octets,
				   struct error *err);

/* The link layer of a LINKTYPE, LINK_COUNT when it is not supported, and the text that says so. */
uint8_t capture_link(uint32_t link_type);
enum status capture_link_unsupported(uint32_t link_type, struct error *err);

/* The observation point of that name, with an ifindex when it is new. ERR_LIMIT. */
MUST_CHECK enum status capture_point(struct capture *capture, const char *name, uint16_t *out,
				     struct error *err);

static inline uint32_t u32_as(bool swapped, const uint8_t *at)
{
	uint32_t v;
	memcpy(&v, at, sizeof v);
	return swapped ? __builtin_bswap32(v) : v;
}

static inline uint32_t capture_u32(const struct capture *capture, const uint8_t *at)
{
	return u32_as(capture->swapped, at);
}

static inline uint16_t capture_u16(const struct capture *capture, const uint8_t *at)
{
	uint16_t v;
	memcpy(&v, at, sizeof v);
	return capture->swapped ? __builtin_bswap16(v) : v;
}

/* Cooked captures carry the kernel's packet type: 4 went out, the others came in. */
static inline uint8_t capture_direction(uint8_t link, const uint8_t *data, uint32_t captured)
{
	enum { SLL_TYPE_AT = 0, SLL2_TYPE_AT = 10, OUTGOING = 4 };

	if (link == LINK_SLL && captured >= SLL_TYPE_AT + 2)
		return get_be16(data + SLL_TYPE_AT) == OUTGOING ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	if (link == LINK_SLL2 && captured > SLL2_TYPE_AT)
		return data[SLL2_TYPE_AT] == OUTGOING ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	return DIRECTION_UNKNOWN;
}

/* Field by field into its place: made elsewhere and copied, it is read back by the processor in larger pieces
 * than it was written, which waits for each write. */
static inline void capture_put(struct packet *out, const struct capture_interface *interface,
			       const uint8_t *data, uint32_t captured, uint32_t length, struct mono_ns time,
			       uint8_t direction)
{
	out->data = data;
	out->captured = captured;
	out->length = length > captured ? length : captured;
	out->time = time;
	out->point = interface->point;
	out->gso_size = 0;
	out->link = interface->link;
	out->direction = direction;
	out->denial = 0;
}

/* Put one packet into the batch, which has room. */
static inline void capture_add(struct capture *capture, struct packet_batch *batch,
			       const struct capture_interface *interface, const uint8_t *data,
			       uint32_t captured, uint32_t length)
{
	struct packet *packet = &batch->packet[batch->count++];

	capture_put(packet, interface, data, captured, length, capture->time,
		    capture_direction(interface->link, data, captured));
	capture->statistics.octets += packet->length;
}
