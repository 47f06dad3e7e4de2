/* pcap files (draft-ietf-opsawg-pcap): one header, then records of a header and a frame each. */
#include "observe/capture_format.h"

enum { FILE_HEADER = 24, RECORD_HEADER = 16 };

static const struct pcap_flavour {
	uint32_t magic;
	uint16_t record_header;
	uint16_t multiplier; /* nanoseconds in a unit of the second time field */
} flavours[] = {
	{0xa1b2c3d4, RECORD_HEADER, 1000},
	{0xa1b23c4d, RECORD_HEADER, 1},
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

/* A record that is not wholly in the window, or damaged: say so, or get more and go on. */
static __attribute__((noinline)) enum status next_window(struct capture *capture, bool pinned,
							 struct error *err)
{
	const uint32_t header = capture->record_header;
	struct input *input = &capture->input;

	enum status status = input_need(input, header, pinned, err);
	if (status != OK)
		return status == END ? capture_cut(capture, "record header", header, err) : status;
	const uint32_t captured =
		capture_u32(capture, input_here(input) + (capture->lengths_swapped ? 12 : 8));
	if (captured > CAPTURE_OCTETS_MAX)
		return error_set(err, ERR_FORMAT, "a captured length of %u octets is over %d", captured,
				 CAPTURE_OCTETS_MAX);
	status = input_need(input, header + captured, pinned, err);
	return status == END ? capture_cut(capture, "record", header + captured, err) : status;
}

/* plain: a file of this machine's byte order, of today's version and of a link layer that knows no direction,
 * as nearly all are. The compiler makes two functions of it. */
static inline __attribute__((always_inline)) enum status fill(struct capture *capture,
							      struct packet_batch *batch, bool plain,
							      struct error *err)
{
	const struct capture_interface interface = capture->interface[0];
	const uint32_t header = plain ? RECORD_HEADER : capture->record_header;
	const uint32_t captured_at = !plain && capture->lengths_swapped ? 12 : 8;
	const bool swapped = !plain && capture->swapped;
	struct input *input = &capture->input;
	uint32_t n = batch->count;

	while (n < PACKET_BATCH_MAX) {
		const uint8_t *record = input_here(input);
		uint32_t captured = 0;

		input_prefetch(input);
		if (likely(input_left(input) >= header))
			captured = u32_as(swapped, record + captured_at);
		if (unlikely(captured > CAPTURE_OCTETS_MAX || input_left(input) < header + captured)) {
			batch->count = n;
			capture->record_at = input_offset(input);
			const enum status status = next_window(capture, n > 0, err);
			if (status != OK)
				return status;
			continue;
		}
		const uint32_t length = u32_as(swapped, record + (captured_at ^ 4));
		capture->time.ns = (int64_t)u32_as(swapped, record) * NS_PER_S +
				   (int64_t)(u32_as(swapped, record + 4) * interface.multiplier);
		input->at += header + captured;
		capture_put(&batch->packet[n], &interface, record + header, captured, length, capture->time,
			    plain ? DIRECTION_UNKNOWN
				  : capture_direction(interface.link, record + header, captured));
		capture->statistics.octets += batch->packet[n++].length;
	}
	batch->count = n;
	return OK;
}

static enum status pcap_fill(struct capture *capture, struct packet_batch *batch, struct error *err)
{
	return fill(capture, batch, false, err);
}

static enum status pcap_fill_plain(struct capture *capture, struct packet_batch *batch, struct error *err)
{
	return fill(capture, batch, true, err);
}

static bool is_plain(const struct capture *capture)
{
	const uint8_t link = capture->interface[0].link;

	return !capture->swapped && !capture->lengths_swapped && capture->record_header == RECORD_HEADER &&
	       link != LINK_SLL && link != LINK_SLL2;
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
	capture->fill = is_plain(capture) ? pcap_fill_plain : pcap_fill;
	status = input_skip(&capture->input, FILE_HEADER);
	if (status != OK)
		return status;
	const char *slash = strrchr(capture->name, '/');
	return capture_point(capture, slash && slash[1] ? slash + 1 : capture->name, &interface->point, err);
}
