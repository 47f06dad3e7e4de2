/* parse.h: a reader of IPFIX Messages for the tests alone, written from RFC 7011 and sharing no line with the
 * code under test. Whatever is not as the standard wants it fails the test on the spot. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { PARSE_FIELDS = 64, PARSE_TEMPLATES = 128 };

struct parsed_field {
	uint16_t id;     /* with the enterprise bit */
	uint16_t length; /* of the value */
	const uint8_t *at;
};

struct parsed_template {
	uint16_t id, scopes, count;
	struct {
		uint16_t id, length;
	} field[PARSE_FIELDS];
	uint32_t seen; /* messages that carried it */
	uint64_t first_message;
};

struct parsed_record {
	const struct parsed_template *template;
	uint32_t count;
	struct parsed_field field[PARSE_FIELDS];
	uint32_t export_time;
};

struct parser {
	void (*on_record)(void *arg, const struct parsed_record *record); /* NULL: only checks */
	void *arg;
	uint64_t messages, octets, template_records, data_records, options_records;
	uint64_t template_messages; /* messages with at least one template */
	uint64_t largest;
	uint32_t domain, export_time, sequence; /* sequence: expected next */
	uint64_t gaps;                          /* records that the sequence says are missing */
	uint32_t template_count;
	struct parsed_template template[PARSE_TEMPLATES];
};

static inline uint64_t parse_number(const uint8_t *at, size_t n)
{
	uint64_t v = 0;

	while (n--)
		v = v * 256 + *at++;
	return v;
}

static inline struct parsed_template *parse_find(struct parser *p, uint32_t id)
{
	for (uint32_t i = 0; i < p->template_count; i++) {
		if (p->template[i].id == id)
			return &p->template[i];
	}
	return NULL;
}

/* One Template or Options Template Record; returns its octets. */
static inline size_t parse_template(struct parser *p, const uint8_t *at, size_t left, bool options)
{
	struct parsed_template t = {.id = (uint16_t)parse_number(at, 2),
				    .count = (uint16_t)parse_number(at + 2, 2)};
	size_t used = 4;

	assert_in_range(t.id, 256, 65535);
	assert_in_range(t.count, 1, PARSE_FIELDS); /* 0 would be a withdrawal (point 56) */
	if (options) {
		t.scopes = (uint16_t)parse_number(at + 4, 2);
		used = 6;
		assert_in_range(t.scopes, 1, t.count);
	}
	for (uint32_t i = 0; i < t.count; i++, used += 4) {
		assert_true(used + 4 <= left);
		t.field[i].id = (uint16_t)parse_number(at + used, 2);
		t.field[i].length = (uint16_t)parse_number(at + used + 2, 2);
		if (t.field[i].id & 0x8000) { /* point 10: an enterprise element names whose it is */
			assert_true(used + 8 <= left);
			assert_int_equal(parse_number(at + used + 4, 4), 32473);
			used += 4;
		}
		assert_true(t.field[i].length > 0);
	}
	struct parsed_template *known = parse_find(p, t.id);
	if (!known) {
		assert_true(p->template_count < PARSE_TEMPLATES);
		known = &p->template[p->template_count++];
		*known = t;
		known->first_message = p->messages;
	} else { /* the same again, never another layout under an old number */
		assert_int_equal(known->count, t.count);
		assert_int_equal(known->scopes, t.scopes);
		assert_memory_equal(known->field, t.field, sizeof t.field);
	}
	known->seen++;
	p->template_records++;
	return used;
}

static inline size_t parse_record(struct parser *p, const struct parsed_template *t, const uint8_t *at,
				  size_t left)
{
	struct parsed_record r = {.template = t, .count = t->count, .export_time = p->export_time};
	size_t used = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		size_t length = t->field[i].length;

		if (length == 65535) {
			assert_true(used < left);
			length = at[used++];
			if (length == 255) {
				length = (size_t)parse_number(at + used, 2);
				used += 2;
			}
		}
		assert_true(used + length <= left);
		r.field[i] = (struct parsed_field){t->field[i].id, (uint16_t)length, at + used};
		used += length;
	}
	if (t->scopes)
		p->options_records++;
	p->data_records++;
	if (p->on_record)
		p->on_record(p->arg, &r);
	return used;
}

static inline void parse_message(struct parser *p, const uint8_t *m, size_t length)
{
	bool templates = false;

	assert_true(length >= 16);
	assert_int_equal(parse_number(m, 2), 10);
	assert_int_equal(parse_number(m + 2, 2), length);
	const uint32_t time = (uint32_t)parse_number(m + 4, 4), sequence = (uint32_t)parse_number(m + 8, 4);
	if (p->messages) {
		assert_true((int32_t)(time - p->export_time) >= 0);
		assert_int_equal(parse_number(m + 12, 4), p->domain);
	}
	p->export_time = time;
	p->domain = (uint32_t)parse_number(m + 12, 4);
	p->gaps += sequence - p->sequence;
	const uint64_t before = p->data_records;
	for (size_t at = 16; at < length;) {
		const uint32_t id = (uint32_t)parse_number(m + at, 2);
		const size_t set = (size_t)parse_number(m + at + 2, 2), end = at + set;

		assert_true(set > 4); /* no empty set */
		assert_true(end <= length);
		for (at += 4; at < end;) { /* records fill the set to its end: no padding */
			if (id == 2 || id == 3) {
				templates = true;
				at += parse_template(p, m + at, end - at, id == 3);
			} else {
				const struct parsed_template *t = parse_find(p, id);

				if (!t)
					fail_msg("data set %u before its template", id);
				at += parse_record(p, t, m + at, end - at);
			}
		}
		assert_int_equal(at, end);
	}
	p->sequence = sequence + (uint32_t)(p->data_records - before);
	p->template_messages += templates;
	p->messages++;
	p->octets += length;
	p->largest = length > p->largest ? length : p->largest;
}

/* The n-th field with this id; fails when there is none. */
static inline const struct parsed_field *parsed_nth(const struct parsed_record *r, uint16_t id, uint32_t n)
{
	for (uint32_t i = 0; i < r->count; i++) {
		if (r->field[i].id == id && n-- == 0)
			return &r->field[i];
	}
	fail_msg("template %u has no element %u", r->template->id, id);
	return NULL;
}

static inline uint64_t parsed_number(const struct parsed_record *r, uint16_t id)
{
	const struct parsed_field *f = parsed_nth(r, id, 0);

	return parse_number(f->at, f->length);
}

static inline bool parsed_has(const struct parsed_record *r, uint16_t id)
{
	for (uint32_t i = 0; i < r->count; i++) {
		if (r->field[i].id == id)
			return true;
	}
	return false;
}
