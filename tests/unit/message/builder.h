/* builder.h: lay out IPFIX messages for tests, right or wrong as wanted: nothing is checked. Lengths are
 * filled in when a set or message ends; whoever wants others writes them with poke16. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/span.h"

struct build {
	uint8_t data[1 << 17];
	size_t used;
	size_t set_at; /* 0: no set is open */
};

static inline void b8(struct build *b, uint8_t v)
{
	b->data[b->used++] = v;
}

static inline void b16(struct build *b, uint16_t v)
{
	put_be16(b->data + b->used, v);
	b->used += 2;
}

static inline void b32(struct build *b, uint32_t v)
{
	put_be32(b->data + b->used, v);
	b->used += 4;
}

static inline void b64(struct build *b, uint64_t v)
{
	put_be64(b->data + b->used, v);
	b->used += 8;
}

static inline void b_octets(struct build *b, const void *octets, size_t length)
{
	memcpy(b->data + b->used, octets, length);
	b->used += length;
}

static inline void poke16(struct build *b, size_t at, uint16_t v)
{
	put_be16(b->data + at, v);
}

static inline void b_begin(struct build *b, uint32_t time, uint32_t sequence, uint32_t domain)
{
	b->used = b->set_at = 0;
	b16(b, 10);
	b16(b, 0);
	b32(b, time);
	b32(b, sequence);
	b32(b, domain);
}

static inline void b_end_set(struct build *b)
{
	if (b->set_at)
		poke16(b, b->set_at + 2, (uint16_t)(b->used - b->set_at));
	b->set_at = 0;
}

static inline void b_set(struct build *b, uint16_t id)
{
	b_end_set(b);
	b->set_at = b->used;
	b16(b, id);
	b16(b, 0);
}

static inline struct span b_end(struct build *b)
{
	b_end_set(b);
	poke16(b, 2, (uint16_t)b->used);
	return span_of(b->data, b->used);
}

/* Template record header; field specifiers follow. */
static inline void b_template(struct build *b, uint16_t id, uint16_t fields)
{
	b16(b, id);
	b16(b, fields);
}

static inline void b_options(struct build *b, uint16_t id, uint16_t fields, uint16_t scopes)
{
	b_template(b, id, fields);
	b16(b, scopes);
}

static inline void b_field(struct build *b, uint16_t id, uint16_t length)
{
	b16(b, id);
	b16(b, length);
}

static inline void b_pen(struct build *b, uint16_t id, uint16_t length, uint32_t pen)
{
	b16(b, (uint16_t)(id | 0x8000));
	b16(b, length);
	b32(b, pen);
}

/* A copy on the heap of exactly this size, so that a read past its end is seen. The caller frees it. */
static inline uint8_t *exact_copy(struct span s)
{
	uint8_t *copy = malloc(s.length ? s.length : 1);

	if (copy && s.length)
		memcpy(copy, s.data, s.length);
	return copy;
}
