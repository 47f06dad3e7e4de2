#include "query/thrift.h"

#include <stdlib.h>
#include <string.h>

void octets_fini(struct octets *o)
{
	free(o->data);
	*o = (struct octets){0};
}

void octets_put(struct octets *o, const void *data, size_t length)
{
	if (length == 0 || o->failed)
		return;
	if (o->room - o->used < length) {
		size_t room = o->room ? o->room : 256;

		while (room - o->used < length)
			room *= 2;
		uint8_t *more = realloc(o->data, room);
		if (!more) {
			o->failed = true;
			return;
		}
		o->data = more;
		o->room = room;
	}
	memcpy(o->data + o->used, data, length);
	o->used += length;
}

static void put_byte(struct octets *o, unsigned v)
{
	const uint8_t octet = (uint8_t)v;

	octets_put(o, &octet, 1);
}

void octets_le64(struct octets *o, uint64_t v)
{
	uint8_t octets[8];

	for (unsigned i = 0; i < 8; i++)
		octets[i] = (uint8_t)(v >> (8 * i));
	octets_put(o, octets, 8);
}

void octets_le32(struct octets *o, uint32_t v)
{
	uint8_t octets[4];

	for (unsigned i = 0; i < 4; i++)
		octets[i] = (uint8_t)(v >> (8 * i));
	octets_put(o, octets, 4);
}

void octets_varint(struct octets *o, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		put_byte(o, (unsigned)(v & 0x7f) | 0x80);
	put_byte(o, (unsigned)v);
}

void octets_zigzag(struct octets *o, int64_t v)
{
	octets_varint(o, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

static void put_field(struct thrift *t, int field, enum thrift_type type)
{
	int *last = &t->last[t->depth % THRIFT_DEPTH];
	const int step = field - *last;

	if (step > 0 && step < 16) {
		put_byte(t->out, (unsigned)step << 4 | type);
	} else {
		put_byte(t->out, type);
		octets_zigzag(t->out, field);
	}
	*last = field;
}

void thrift_i32(struct thrift *t, int field, int32_t v)
{
	put_field(t, field, THRIFT_I32);
	octets_zigzag(t->out, v);
}

void thrift_i64(struct thrift *t, int field, int64_t v)
{
	put_field(t, field, THRIFT_I64);
	octets_zigzag(t->out, v);
}

void thrift_string(struct thrift *t, int field, const char *text, size_t length)
{
	put_field(t, field, THRIFT_BINARY);
	octets_varint(t->out, length);
	octets_put(t->out, text, length);
}

void thrift_list(struct thrift *t, int field, enum thrift_type type, uint32_t count)
{
	put_field(t, field, THRIFT_LIST);
	if (count < 15) {
		put_byte(t->out, count << 4 | type);
	} else {
		put_byte(t->out, 0xf0u | type);
		octets_varint(t->out, count);
	}
}

void thrift_element(struct thrift *t)
{
	t->last[++t->depth % THRIFT_DEPTH] = 0;
}

void thrift_open(struct thrift *t, int field)
{
	put_field(t, field, THRIFT_STRUCT);
	thrift_element(t);
}

void thrift_close(struct thrift *t)
{
	put_byte(t->out, 0);
	t->depth--;
}

void thrift_end(struct thrift *t)
{
	put_byte(t->out, 0);
}
