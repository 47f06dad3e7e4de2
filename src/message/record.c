#include "message/record.h"

enum { LENGTH_FOLLOWS = 255 };

/* Walk one record whose template is of variable length. */
static enum status walk(struct record_reader *r, struct span *out, struct field_place *places)
{
	const struct template *t = r->template;
	const uint8_t *at = r->at;

	for (uint32_t i = 0; i < t->field_count; i++) {
		size_t left = (size_t)(r->end - at), length = t->fields[i].length;

		if (length == FIELD_VARIABLE) {
			size_t header = 1;

			if (left < 1)
				return ERR_FORMAT;
			length = at[0];
			if (length == LENGTH_FOLLOWS) {
				if (left < 3)
					return ERR_FORMAT;
				length = get_be16(at + 1);
				header = 3;
			}
			at += header;
			left -= header;
		}
		if (length > left)
			return ERR_FORMAT;
		if (places)
			places[i] = (struct field_place){(uint16_t)(at - r->at), (uint16_t)length};
		at += length;
	}
	*out = span_of(r->at, (size_t)(at - r->at));
	r->at = at;
	return OK;
}

enum status record_next(struct record_reader *r, struct span *out, struct field_place *places)
{
	if ((size_t)(r->end - r->at) < r->template->min_length)
		return END;
	if (r->template->variable)
		return walk(r, out, places);
	*out = span_of(r->at, r->template->min_length);
	r->at += r->template->min_length;
	return OK;
}

int32_t record_count(const struct template *t, struct span records, size_t *padding)
{
	struct record_reader r = record_reader_over(t, records);
	struct span record;
	int32_t count = 0;
	enum status s;

	if (!t->variable) {
		if (padding)
			*padding = records.length % t->min_length;
		return (int32_t)(records.length / t->min_length);
	}
	while ((s = record_next(&r, &record, NULL)) == OK)
		count++;
	if (padding)
		*padding = (size_t)(r.end - r.at);
	return s == END ? count : -1;
}
