/* record.h: the data records of a set, given their template (RFC 7011 sections 3.4.3 and 7). No I/O, no
 * allocation. */
#pragma once

#include "message/template.h"

/* Where the octets of one field lie. */
struct field_place {
	uint16_t offset; /* from the start of the record */
	uint16_t length; /* of the value; the length octets of a variable field are not in it */
};

struct record_reader {
	const struct template *template;
	const uint8_t *at, *end;
};

static inline struct record_reader record_reader_over(const struct template *template, struct span records)
{
	return (struct record_reader){template, records.data, records.data + records.length};
}

/* The next record. END: what is left is shorter than any record can be, so it is padding. ERR_FORMAT: a
 * field of variable length runs past the set.
 *
 * `places` gets one entry for each field of a template of variable length; for a template of fixed length it
 * is left alone, as the template says it all. It may be NULL when only the records are wanted. */
MUST_CHECK enum status record_next(struct record_reader *reader, struct span *out,
				   struct field_place *places);

/* The octets of field `i` of a record, `places` as record_next has filled it. */
static inline struct span record_field(const struct template *t, struct span record,
				       const struct field_place *places, uint16_t i)
{
	return t->variable ? span_of(record.data + places[i].offset, places[i].length)
			   : span_of(record.data + t->fields[i].offset, t->fields[i].length);
}

/* How many records the set has, walking it to its end; *padding (may be NULL) is what is left. -1 when a
 * record runs past the set. */
int32_t record_count(const struct template *template, struct span records, size_t *padding);
