#include "parquet/thrift.h"

#include "parquet/pack.h"

static void put_octet(struct thrift *t, unsigned octet)
{
	const uint8_t o = (uint8_t)octet;

	octets_put(t->out, &o, 1);
}

static void put_varint(struct thrift *t, uint64_t value)
{
	uint8_t buffer[VARINT_MAX];

	octets_put(t->out, buffer, (size_t)(varint_put(buffer, value) - buffer));
}

static void put_field(struct thrift *t, unsigned id, unsigned type)
{
	put_octet(t, (id - t->last[t->depth]) << 4 | type);
	t->last[t->depth] = id;
}

void thrift_open(struct thrift *t)
{
	t->last[++t->depth] = 0;
}

void thrift_close(struct thrift *t)
{
	put_octet(t, 0);
	t->depth--;
}

void thrift_open_field(struct thrift *t, unsigned id)
{
	put_field(t, id, THRIFT_STRUCT);
	thrift_open(t);
}

void thrift_number(struct thrift *t, unsigned id, enum thrift_type type, int64_t value)
{
	put_field(t, id, type);
	put_varint(t, zigzag(value));
}

void thrift_bool(struct thrift *t, unsigned id, bool value)
{
	put_field(t, id, value ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_binary(struct thrift *t, unsigned id, const void *data, size_t length)
{
	put_field(t, id, THRIFT_BINARY);
	thrift_element_binary(t, data, length);
}

void thrift_list(struct thrift *t, unsigned id, enum thrift_type of, size_t count)
{
	put_field(t, id, THRIFT_LIST);
	put_octet(t, (count < 15 ? (unsigned)count : 15u) << 4 | of);
	if (count >= 15)
		put_varint(t, count);
}

void thrift_element_number(struct thrift *t, int64_t value)
{
	put_varint(t, zigzag(value));
}

void thrift_element_binary(struct thrift *t, const void *data, size_t length)
{
	put_varint(t, length);
	octets_put(t->out, data, length);
}
