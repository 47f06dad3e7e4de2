#include "message/reader.h"

#include "message/template.h"

static const struct {
	const char *name, *text;
} faults[MESSAGE_FAULT_COUNT] = {
#define FAULT(constant, name, text) [MESSAGE_FAULT_##constant] = {name, text},
	MESSAGE_FAULTS(FAULT)
#undef FAULT
};

const char *message_fault_name(enum message_fault fault)
{
	return faults[fault].name;
}

const char *message_fault_text(enum message_fault fault)
{
	return faults[fault].text;
}

static enum message_fault open_header(struct message_header *h, struct span octets)
{
	if (octets.length >= 2 && get_be16(octets.data) != IPFIX_VERSION)
		return MESSAGE_FAULT_VERSION;
	if (octets.length < IPFIX_HEADER_LENGTH)
		return MESSAGE_FAULT_HEADER_CUT;
	h->length = get_be16(octets.data + 2);
	h->export_time = get_be32(octets.data + 4);
	h->sequence = get_be32(octets.data + 8);
	h->domain = get_be32(octets.data + 12);
	if (h->length < IPFIX_HEADER_LENGTH)
		return MESSAGE_FAULT_LENGTH_SMALL;
	if (h->length > octets.length)
		return MESSAGE_FAULT_LENGTH_OVER;
	return h->length < octets.length ? MESSAGE_FAULT_LENGTH_UNDER : MESSAGE_FAULT_NONE;
}

static enum message_fault check_sets(const uint8_t *at, const uint8_t *end)
{
	while (at < end) {
		const size_t left = (size_t)(end - at);

		if (left < IPFIX_SET_HEADER_LENGTH)
			return MESSAGE_FAULT_SET_HEADER_CUT;

		const uint16_t id = get_be16(at), length = get_be16(at + 2);
		if (length < IPFIX_SET_HEADER_LENGTH)
			return MESSAGE_FAULT_SET_LENGTH_SMALL;
		if (length > left)
			return MESSAGE_FAULT_SET_LENGTH_OVER;
		if (id == SET_TEMPLATE || id == SET_OPTIONS_TEMPLATE) {
			const struct set set = {id, span_of(at + IPFIX_SET_HEADER_LENGTH,
							    (size_t)length - IPFIX_SET_HEADER_LENGTH)};
			struct template_reader templates = template_reader_over(&set);
			struct template_record record;
			enum status s;

			while ((s = template_next(&templates, &record)) == OK)
				;
			if (s != END)
				return MESSAGE_FAULT_TEMPLATE_CUT;
		}
		at += length;
	}
	return MESSAGE_FAULT_NONE;
}

enum message_fault message_open(struct message_reader *reader, struct span octets)
{
	enum message_fault fault;

	*reader = (struct message_reader){0};
	fault = open_header(&reader->header, octets);
	if (fault)
		return fault;
	fault = check_sets(octets.data + IPFIX_HEADER_LENGTH, octets.data + octets.length);
	if (fault)
		return fault;
	reader->at = octets.data + IPFIX_HEADER_LENGTH;
	reader->end = octets.data + octets.length;
	return MESSAGE_FAULT_NONE;
}

bool message_next_set(struct message_reader *reader, struct set *out)
{
	if (reader->at == reader->end)
		return false;

	const uint16_t length = get_be16(reader->at + 2);
	out->id = get_be16(reader->at);
	out->records =
		span_of(reader->at + IPFIX_SET_HEADER_LENGTH, (size_t)length - IPFIX_SET_HEADER_LENGTH);
	reader->at += length;
	return true;
}
