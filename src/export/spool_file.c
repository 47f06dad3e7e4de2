#include "export/spool_file.h"

#include <stdio.h>

#include "base/crc32c.h"
#include "ie/ie.h"
#include "message/reader.h"
#include "message/writer.h"

void spool_file_name(uint32_t number, const char *ending, char out[static SPOOL_NAME_MAX])
{
	snprintf(out, SPOOL_NAME_MAX, "%08u.%s", number, ending);
}

static size_t field_length(const struct field *f, const uint8_t *at, size_t left, size_t *header)
{
	*header = 0;
	if (f->length != FIELD_VARIABLE)
		return f->length;
	if (left < 1 || (at[0] == 255 && left < 3))
		return SIZE_MAX;
	*header = at[0] == 255 ? 3 : 1;
	return at[0] == 255 ? get_be16(at + 1) : at[0];
}

static uint64_t counter(const struct field *f, const uint8_t *at)
{
	return f->length <= 8 ? get_be(at, f->length) : 0;
}

size_t spool_measure(const struct layout *layout, const uint8_t *data, size_t left, struct ring_view *out)
{
	size_t used = 0;

	*out = (struct ring_view){.data = data};
	for (uint32_t i = 0; i < layout->field_count; i++) {
		const struct field *f = &layout->field[i];
		size_t header;
		const size_t length = field_length(f, data + used, left - used, &header);

		if (length > left - used || header > left - used - length)
			return 0;
		if (f->pen == 0 && f->element == IE_octetDeltaCount)
			out->octets = counter(f, data + used);
		else if (f->pen == 0 && f->element == IE_packetDeltaCount)
			out->packets = counter(f, data + used);
		used += header + length;
	}
	if (used > layout->record_length)
		return 0;
	out->length = (uint16_t)used;
	return used;
}

static const struct layout *layout_of_id(const struct spool_options *o, uint16_t id)
{
	for (uint32_t i = 0; i < o->layout_count; i++) {
		if (o->layout[i].template_id == id)
			return &o->layout[i];
	}
	return NULL;
}

/* Each Template Record is one of ours, octet by octet; so the data behind it can be sent as it lies. */
static bool templates_are_ours(const struct spool_options *o, struct span records)
{
	while (records.length > 0) {
		uint8_t ours[TEMPLATE_RECORD_MAX];
		const struct layout *layout =
			records.length >= 4 ? layout_of_id(o, get_be16(records.data)) : NULL;
		const size_t length = layout ? layout_template(layout, ours) : 0;

		if (length == 0 || length > records.length || memcmp(ours, records.data, length) != 0)
			return false;
		records = span_of(records.data + length, records.length - length);
	}
	return true;
}

static bool records_fit(const struct layout *layout, struct span records)
{
	struct ring_view v;

	for (size_t at = 0, n; at < records.length; at += n) {
		n = spool_measure(layout, records.data + at, records.length - at, &v);
		if (n == 0)
			return false;
	}
	return true;
}

static const char *message_fault_of(const struct spool_options *o, struct span message)
{
	struct message_reader r;
	struct set set;

	if (message_open(&r, message) != MESSAGE_FAULT_NONE)
		return "a message is malformed";
	while (message_next_set(&r, &set)) {
		const struct layout *layout = layout_of_id(o, set.id);

		if (set.id == SET_TEMPLATE ? !templates_are_ours(o, set.records) : !layout)
			return "it has templates of another version or profile";
		if (layout && !records_fit(layout, set.records))
			return "a record does not fit its template";
	}
	return NULL;
}

size_t spool_file_check(const struct spool_options *o, struct span octets, struct span marks,
			const char **fault)
{
	size_t good = 0;

	*fault = NULL;
	for (size_t m = 0; m + SPOOL_MARK <= marks.length && !*fault; m += SPOOL_MARK) {
		const size_t end = get_be32(marks.data + m);

		if (end <= good || end - good > IPFIX_MESSAGE_MAX || end > octets.length)
			*fault = "its list of messages does not fit it";
		else if (crc32c(0, octets.data + good, end - good) != get_be32(marks.data + m + 4))
			*fault = "a checksum is wrong";
		else
			*fault = message_fault_of(o, span_of(octets.data + good, end - good));
		if (!*fault)
			good = end;
	}
	return good;
}

static bool enter_message(struct span octets, struct spool_cursor *c)
{
	if (c->at + IPFIX_HEADER_LENGTH > octets.length)
		return false;
	c->message_end = c->at + get_be16(octets.data + c->at + 2);
	c->at += IPFIX_HEADER_LENGTH;
	c->set_end = c->at;
	return true;
}

enum status spool_cursor_peek(const struct spool_options *o, struct span octets, struct spool_cursor *c,
			      struct ring_view *out)
{
	for (;;) {
		if (c->at < c->set_end && c->set_id >= SET_DATA_FIRST) {
			const struct layout *layout = layout_of_id(o, c->set_id);
			const size_t n = spool_measure(layout, octets.data + c->at, c->set_end - c->at, out);

			out->layout = (uint16_t)(layout - o->layout);
			out->next = c->at + n;
			return OK;
		}
		c->at = c->set_end > c->at ? c->set_end : c->at;
		if (c->at == c->message_end && !enter_message(octets, c))
			return END;
		if (c->at < c->message_end) {
			c->set_id = get_be16(octets.data + c->at);
			c->set_end = c->at + get_be16(octets.data + c->at + 2);
			c->at += IPFIX_SET_HEADER_LENGTH;
		}
	}
}
