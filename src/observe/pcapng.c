/* pcapng files (draft-ietf-opsawg-pcapng): sections of blocks, each in the byte order of its writer. Blocks
 * that hold no packet and no interface are passed over by their length. */
#include "observe/capture_format.h"

enum block_type {
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 2, /* obsolete */
	BLOCK_SIMPLE_PACKET = 3,
	BLOCK_ENHANCED_PACKET = 6,
	BLOCK_SECTION = 0x0a0d0d0a,
};

enum {
	BLOCK_HEADER = 8, /* type and total length; the length once more at the end */
	BLOCK_LEAST = 12,
	BLOCK_MAX = INPUT_NEED_MAX, /* of the blocks that are read */
	SECTION_LEAST = 28,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
};

enum { OPTION_END = 0, EPB_FLAGS = 2, IF_NAME = 2, IF_TSRESOL = 9, IF_TSOFFSET = 14 };

/* Options of a block: code, length, value padded to four octets. Ends at the first that does not fit. */
static bool next_option(const struct capture *capture, struct span *rest, uint16_t *code, struct span *value)
{
	if (rest->length < 4)
		return false;
	*code = capture_u16(capture, rest->data);
	value->length = capture_u16(capture, rest->data + 2);
	value->data = rest->data + 4;
	if (*code == OPTION_END || value->length > rest->length - 4)
		return false;
	const size_t padded = 4 + ((value->length + 3) & ~(size_t)3);
	*rest = padded < rest->length ? span_of(rest->data + padded, rest->length - padded)
				      : span_of(rest->data, 0);
	return true;
}

static uint64_t power(uint64_t base, unsigned exponent)
{
	uint64_t value = 1;

	while (exponent--)
		value *= base;
	return value;
}

/* if_tsresol: a negative power of 10, or of 2 when the highest bit is set. */
static enum status set_resolution(struct capture_interface *interface, uint8_t resolution, struct error *err)
{
	const unsigned exponent = resolution & 0x7f;

	if (exponent > (resolution & 0x80 ? 63 : 19))
		return error_set(err, ERR_FORMAT, "a time stamp resolution of %u^-%u s does not fit 64 bits",
				 resolution & 0x80 ? 2 : 10, exponent);
	interface->units = power(resolution & 0x80 ? 2 : 10, exponent);
	interface->multiplier = NS_PER_S % interface->units == 0 ? NS_PER_S / interface->units : 0;
	return OK;
}

/* Packet time is kept from 1970 to 2116, so that nobody behind us can overflow by adding to it. */
static int64_t to_ns(const struct capture_interface *interface, uint64_t stamp)
{
	__extension__ typedef __int128 wide;
	const wide latest = (wide)1 << 62;
	wide ns;

	if (interface->multiplier)
		ns = (wide)stamp * (wide)interface->multiplier;
	else
		ns = (wide)stamp * NS_PER_S / (wide)interface->units;
	ns += (wide)interface->offset_s * NS_PER_S;
	if (ns < 0)
		return 0;
	return (int64_t)(ns < latest ? ns : latest);
}

static enum status read_interface(struct capture *capture, struct span body, struct error *err)
{
	char name[POINT_NAME_MAX];
	struct span value;
	uint16_t code;

	if (body.length < 8)
		return error_set(err, ERR_FORMAT, "an interface description of %zu octets is too short",
				 body.length + BLOCK_LEAST);
	if (capture->interface_count == CAPTURE_INTERFACES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d interfaces in a section",
				 CAPTURE_INTERFACES_MAX);
	struct capture_interface *interface = &capture->interface[capture->interface_count];
	*interface = (struct capture_interface){.units = 1000000, .multiplier = 1000};
	interface->link_type = capture_u16(capture, body.data);
	interface->link = capture_link(interface->link_type);
	interface->snap = capture_u32(capture, body.data + 4);
	snprintf(name, sizeof name, "if%u", capture->interface_count);

	struct span options = span_of(body.data + 8, body.length - 8);
	while (next_option(capture, &options, &code, &value)) {
		if (code == IF_NAME && value.length > 0 && value.data[0] != 0) {
			snprintf(name, sizeof name, "%.*s", (int)value.length, (const char *)value.data);
		} else if (code == IF_TSRESOL && value.length >= 1) {
			const enum status status = set_resolution(interface, value.data[0], err);
			if (status != OK)
				return status;
		} else if (code == IF_TSOFFSET && value.length >= 8) {
			uint64_t offset;
			memcpy(&offset, value.data, sizeof offset);
			interface->offset_s =
				(int64_t)(capture->swapped ? __builtin_bswap64(offset) : offset);
		}
	}
	capture->interface_count++;
	return capture_point(capture, name, &interface->point, err);
}

/* epb_flags: 1 came in, 2 went out, 0 unknown; then what the link header says stands. */
static void read_flags(const struct capture *capture, struct span options, struct packet *packet)
{
	struct span value;
	uint16_t code;

	while (next_option(capture, &options, &code, &value)) {
		if (code != EPB_FLAGS || value.length < 4)
			continue;
		const uint32_t direction = capture_u32(capture, value.data) & 3;
		if (direction == 1)
			packet->direction = DIRECTION_INGRESS;
		if (direction == 2)
			packet->direction = DIRECTION_EGRESS;
	}
}

static enum status find_interface(const struct capture *capture, uint32_t number,
				  const struct capture_interface **out, struct error *err)
{
	if (number >= capture->interface_count)
		return error_set(err, ERR_FORMAT, "interface %u of a section that describes %u", number,
				 capture->interface_count);
	*out = &capture->interface[number];
	return (*out)->link == LINK_COUNT ? capture_link_unsupported((*out)->link_type, err) : OK;
}

static enum status too_long(uint32_t captured, size_t room, struct error *err)
{
	if (captured > room)
		return error_set(err, ERR_FORMAT,
				 "a captured length of %u octets in a block that has room for %zu", captured,
				 room);
	return error_set(err, ERR_FORMAT, "a captured length of %u octets is over %d", captured,
			 CAPTURE_OCTETS_MAX);
}

/* Enhanced and obsolete packet blocks differ only in how they number interfaces. */
static enum status read_packet(struct capture *capture, uint32_t type, struct span body,
			       struct packet_batch *batch, struct error *err)
{
	enum { FIXED = 20 };
	const struct capture_interface *interface = NULL;

	if (body.length < FIXED)
		return error_set(err, ERR_FORMAT, "a packet block of %zu octets is too short",
				 body.length + BLOCK_LEAST);
	const uint32_t number =
		type == BLOCK_PACKET ? capture_u16(capture, body.data) : capture_u32(capture, body.data);
	const enum status status = find_interface(capture, number, &interface, err);
	if (status != OK)
		return status;
	const uint64_t stamp =
		(uint64_t)capture_u32(capture, body.data + 4) << 32 | capture_u32(capture, body.data + 8);
	const uint32_t captured = capture_u32(capture, body.data + 12);
	if (captured > body.length - FIXED || captured > CAPTURE_OCTETS_MAX)
		return too_long(captured, body.length - FIXED, err);
	capture->time.ns = to_ns(interface, stamp);
	capture_add(capture, batch, interface, body.data + FIXED, captured,
		    capture_u32(capture, body.data + 16));
	const size_t options = FIXED + ((captured + 3) & ~(size_t)3);
	if (options < body.length)
		read_flags(capture, span_of(body.data + options, body.length - options),
			   &batch->packet[batch->count - 1]);
	return OK;
}

/* A simple packet has no time: it gets that of the packet before it. */
static enum status read_simple(struct capture *capture, struct span body, struct packet_batch *batch,
			       struct error *err)
{
	const struct capture_interface *interface = NULL;
	const enum status status = find_interface(capture, 0, &interface, err);

	if (status != OK)
		return status;
	if (body.length < 4)
		return error_set(err, ERR_FORMAT, "a packet block of %zu octets is too short",
				 body.length + BLOCK_LEAST);
	const uint32_t length = capture_u32(capture, body.data);
	const uint32_t captured = interface->snap && interface->snap < length ? interface->snap : length;
	if (captured > body.length - 4 || captured > CAPTURE_OCTETS_MAX)
		return too_long(captured, body.length - 4, err);
	capture_add(capture, batch, interface, body.data + 4, captured, length);
	return OK;
}

/* A section header starts a new numbering of interfaces, maybe in the other byte order. */
static enum status read_section(struct capture *capture, const uint8_t *block, struct error *err)
{
	uint32_t magic;

	memcpy(&magic, block + BLOCK_HEADER, sizeof magic);
	if (magic != BYTE_ORDER_MAGIC && magic != __builtin_bswap32(BYTE_ORDER_MAGIC))
		return error_set(err, ERR_FORMAT, "a section header without a byte order");
	capture->swapped = magic != BYTE_ORDER_MAGIC;
	if (capture_u16(capture, block + 12) != 1)
		return error_set(err, ERR_UNSUPPORTED, "pcapng version %u.%u; 1.x is supported",
				 capture_u16(capture, block + 12), capture_u16(capture, block + 14));
	capture->interface_count = 0;
	return OK;
}

/* The block at input_here is present whole; `length` is a multiple of four and at least BLOCK_LEAST. */
static enum status read_block(struct capture *capture, uint32_t type, uint32_t length,
			      struct packet_batch *batch, struct error *err)
{
	const uint8_t *block = input_here(&capture->input);
	const struct span body = span_of(block + BLOCK_HEADER, length - BLOCK_LEAST);
	const uint32_t again = capture_u32(capture, block + length - 4);

	if (again != capture_u32(capture, block + 4))
		return error_set(err, ERR_FORMAT, "a block of %u octets that ends as one of %u", length,
				 again);
	switch (type) {
	case BLOCK_SECTION: return OK; /* read_section saw it */
	case BLOCK_INTERFACE: return read_interface(capture, body, err);
	case BLOCK_SIMPLE_PACKET: return read_simple(capture, body, batch, err);
	default: return read_packet(capture, type, body, batch, err);
	}
}

/* Read the header of the next block: its type and its length, padded. */
static enum status next_block(struct capture *capture, bool pinned, uint32_t *type, uint32_t *length,
			      struct error *err)
{
	struct input *input = &capture->input;
	enum status status = input_need(input, BLOCK_LEAST, pinned, err);

	if (status != OK)
		return status == END ? capture_cut(capture, "block header", BLOCK_LEAST, err) : status;
	memcpy(type, input_here(input), sizeof *type); /* a section header reads the same in either order */
	if (*type == BLOCK_SECTION) {
		status = input_need(input, SECTION_LEAST, pinned, err);
		if (status != OK)
			return status == END ? capture_cut(capture, "section header", SECTION_LEAST, err)
					     : status;
		status = read_section(capture, input_here(input), err);
		if (status != OK)
			return status;
	}
	*type = capture_u32(capture, input_here(input));
	*length = capture_u32(capture, input_here(input) + 4);
	if (*length < (*type == BLOCK_SECTION ? SECTION_LEAST : BLOCK_LEAST) || *length % 4)
		return error_set(err, ERR_FORMAT, "a block of type 0x%08x with a length of %u octets", *type,
				 *length);
	return OK;
}

static bool is_read(uint32_t type)
{
	return type == BLOCK_ENHANCED_PACKET || type == BLOCK_INTERFACE || type == BLOCK_SIMPLE_PACKET ||
	       type == BLOCK_PACKET || type == BLOCK_SECTION;
}

static enum status pcapng_fill(struct capture *capture, struct packet_batch *batch, struct error *err)
{
	struct input *input = &capture->input;
	uint32_t type = 0, length = 0;

	while (batch->count < PACKET_BATCH_MAX) {
		const bool pinned = batch->count > 0;
		if (input->skip == 0)
			capture->record_at = input_offset(input);
		enum status status = next_block(capture, pinned, &type, &length, err);
		if (status != OK)
			return status;
		capture->record_at = input_offset(input);
		input_prefetch(input);
		if (!is_read(type)) {
			status = input_skip(input, length);
			if (status != OK)
				return capture_cut(capture, "block", length, err);
			continue;
		}
		if (length > BLOCK_MAX)
			return error_set(err, ERR_FORMAT, "a block of type %u with %u octets is over %d",
					 type, length, BLOCK_MAX);
		status = input_need(input, length, pinned, err);
		if (status != OK)
			return status == END ? capture_cut(capture, "block", length, err) : status;
		status = read_block(capture, type, length, batch, err);
		if (status != OK)
			return status;
		input->at += length;
	}
	return OK;
}

bool pcapng_magic(uint32_t magic)
{
	return magic == BLOCK_SECTION;
}

enum status pcapng_begin(struct capture *capture, struct error *err)
{
	uint32_t type = 0, length = 0;

	capture->fill = pcapng_fill;
	return next_block(capture, false, &type, &length, err); /* it comes again in the first read */
}
