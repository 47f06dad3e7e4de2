#include "message/writer.h"

void message_begin(struct message_writer *w, uint8_t *buffer, size_t capacity)
{
	*w = (struct message_writer){
		.buffer = buffer,
		.capacity = capacity < IPFIX_MESSAGE_MAX ? capacity : IPFIX_MESSAGE_MAX,
		.used = IPFIX_HEADER_LENGTH,
	};
}

static void close_set(const struct message_writer *w)
{
	if (w->set_at)
		put_be16(w->buffer + w->set_at + 2, (uint16_t)(w->used - w->set_at));
}

enum status message_put_record(struct message_writer *w, uint16_t set_id, struct span record)
{
	const int same = w->set_at && get_be16(w->buffer + w->set_at) == set_id;
	const size_t need = record.length + (same ? 0 : IPFIX_SET_HEADER_LENGTH);

	if (record.length == 0) /* would leave an empty set behind */
		return ERR_FORMAT;
	if (w->used > w->capacity || need > w->capacity - w->used)
		return ERR_LIMIT;
	if (!same) {
		close_set(w);
		w->set_at = w->used;
		put_be16(w->buffer + w->set_at, set_id);
		w->used += IPFIX_SET_HEADER_LENGTH;
	}
	memcpy(w->buffer + w->used, record.data, record.length);
	w->used += record.length;
	if (set_id >= SET_DATA_FIRST)
		w->data_records++;
	return OK;
}

struct span message_finish(struct message_writer *w, uint32_t export_time, uint32_t sequence, uint32_t domain)
{
	close_set(w);
	put_be16(w->buffer, IPFIX_VERSION);
	put_be16(w->buffer + 2, (uint16_t)w->used);
	put_be32(w->buffer + 4, export_time);
	put_be32(w->buffer + 8, sequence);
	put_be32(w->buffer + 12, domain);
	return span_of(w->buffer, w->used);
}
