/* pcap files (draft-ietf-opsawg-pcap): one header, then records of a header and a frame each. */
#include "observe/capture_format.h"

enum { FILE_HEADER = 24 };

static const struct pcap_flavour {
	uint32_t magic;
	uint16_t record_header;
	uint16_t multiplier; /* nanoseconds in a unit of the second time field */
} flavours[] = {
	{0xa1b2c3d4, 16, 1000},
	{0xa1b23c4d, 16, 1},
	{0xa1b2cd34, 24, 1000}, /* Kuznetzov's: eight octets more in each record */
};

static const struct pcap_flavour *find_flavour(uint32_t magic)
{
	for (size_t i = 0; i < sizeof flavours / sizeof flavours[0]; i++)
		if (flavours[i].magic == magic)
			return &flavours[i];
	return NULL;
}

bool pcap_magic(uint32_t magic)
{
	return find_flavour(magic) || find_flavour(__builtin_bswap32(magic));
}

static enum status pcap_fill(struct capture *capture, struct packet_batch *batch, struct error *err)
{
	const struct capture_interface *interface = &capture->interface[0];
	const uint32_t header = capture->record_header;
	const uint32_t captured_at = capture->lengths_swapped ? 12 : 8;
	struct input *input = &capture->input;

	while (batch->count < PACKET_BATCH_MAX) {
		capture->record_at = input_offset(input);
		enum status status = input_need(input, header, batch->count > 0, err);
		if (status != OK)
			return status == END ? capture_cut(capture, "record header", header, err) : status;
		input_prefetch(input);
		const uint8_t *record = input_here(input);
		const uint32_t captured = capture_u32(capture, record + captured_at);
		const uint32_t length = capture_u32(capture, record + (captured_at ^ 4));
		if (captured > CAPTURE_OCTETS_MAX)
			return error_set(err, ERR_FORMAT, "a captured length of %u octets is over %d",
					 captured, CAPTURE_OCTETS_MAX);
		status = input_need(input, header + captured, batch->count > 0, err);
		if (status != OK)
			return status == END ? capture_cut(capture, "record", header + captured, err)
					     : status;
		record = input_here(input);
		capture->time.ns = (int64_t)capture_u32(capture, record) * NS_PER_S +
				   (int64_t)(capture_u32(capture, record + 4) * interface->multiplier);
		input->at += header + captured;
		capture_add(capture, batch, interface, record + header, captured, length);
	}
	return OK;
}

enum status pcap_begin(struct capture *capture, struct error *err)
{
	enum { RESERVED_BITS = 0x03ff0000 }; /* above them: what is known of a frame check sequence */
	struct capture_interface *interface = &capture->interface[0];
	enum status status = input_need(&capture->input, FILE_HEADER, false, err);

	if (status != OK)
		return status == END ? capture_cut(capture, "file header", FILE_HEADER, err) : status;
	const uint8_t *header = input_here(&capture->input);
	const struct pcap_flavour *flavour = find_flavour(capture_u32(capture, header));
	if (!flavour) {
		capture->swapped = true;
		flavour = find_flavour(capture_u32(capture, header));
	}
	const uint32_t major = capture_u16(capture, header + 4), minor = capture_u16(capture, header + 6);
	if (major != 2)
		return error_set(err, ERR_UNSUPPORTED, "pcap version %u.%u; 2.x is supported", major, minor);
	const uint32_t link_type = capture_u32(capture, header + 20);
	interface->link_type = (uint16_t)link_type;
	interface->link = capture_link(interface->link_type);
	if (interface->link == LINK_COUNT || link_type & RESERVED_BITS)
		return capture_link_unsupported(link_type & RESERVED_BITS ? link_type : interface->link_type,
						err);
	interface->multiplier = flavour->multiplier;
	capture->record_header = (uint8_t)flavour->record_header;
	capture->lengths_swapped = minor < 3;
	capture->interface_count = 1;
	capture->fill = pcap_fill;
	status = input_skip(&capture->input, FILE_HEADER);
	if (status != OK)
		return status;
	const char *slash = strrchr(capture->name, '/');
	return capture_point(capture, slash && slash[1] ? slash + 1 : capture->name, &interface->point, err);
}
