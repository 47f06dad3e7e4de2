#include "parquet/thrift_read.h"

#include "parquet/unpack.h"

enum {
	OCTET = 3,
	I16 = 4,
	DOUBLE = 7,
	SET = 10,
	MAP = 11,
	DEPTH = 16, /* of what is skipped */
	ID_MAX = INT16_MAX
};

struct thrift_reader thrift_read(const void *data, size_t length)
{
	return (struct thrift_reader){.at = data, .end = (const uint8_t *)data + length};
}

static void spoil(struct thrift_reader *r)
{
	r->bad = true;
	r->at = r->end;
}

static size_t left(const struct thrift_reader *r)
{
	return (size_t)(r->end - r->at);
}

static uint64_t get_varint(struct thrift_reader *r)
{
	uint64_t value = 0;

	if (!varint_get(&r->at, r->end, &value)) {
		spoil(r);
		return 0;
	}
	return value;
}

static const uint8_t *get_octets(struct thrift_reader *r, uint64_t length)
{
	const uint8_t *octets = r->at;

	if (length > left(r)) {
		spoil(r);
		return NULL;
	}
	r->at += length;
	return octets;
}

bool thrift_next(struct thrift_reader *r, struct thrift_field *f)
{
	const uint8_t *octet = get_octets(r, 1);
	uint64_t id;

	if (!octet || *octet == 0)
		return false;
	f->type = *octet & 15;
	id = *octet >> 4 ? f->id + (uint64_t)(*octet >> 4) : (uint64_t)zigzag_back(get_varint(r));
	if (id > ID_MAX)
		spoil(r);
	f->id = (unsigned)id;
	return !r->bad;
}

int64_t thrift_get_number(struct thrift_reader *r, unsigned type)
{
	if (type != THRIFT_I32 && type != THRIFT_I64) {
		spoil(r);
		return 0;
	}
	return zigzag_back(get_varint(r));
}

bool thrift_get_bool(struct thrift_reader *r, unsigned type)
{
	if (type != THRIFT_TRUE && type != THRIFT_FALSE)
		spoil(r);
	return type == THRIFT_TRUE;
}

struct span thrift_get_binary(struct thrift_reader *r, unsigned type)
{
	uint64_t length;
	const uint8_t *octets;

	if (type != THRIFT_BINARY)
		spoil(r);
	length = get_varint(r);
	octets = get_octets(r, length);
	return r->bad ? span_of(NULL, 0) : span_of(octets, (size_t)length);
}

/* The beginning of any list. */
static uint64_t open_list(struct thrift_reader *r, unsigned *of)
{
	const uint8_t *octet = get_octets(r, 1);
	uint64_t count;

	if (!octet)
		return 0;
	*of = *octet & 15;
	count = *octet >> 4 == 15 ? get_varint(r) : *octet >> 4;
	if (count > left(r)) /* none takes less than an octet */
		spoil(r);
	return r->bad ? 0 : count;
}

size_t thrift_get_list(struct thrift_reader *r, unsigned type, enum thrift_type of)
{
	unsigned is = of;
	uint64_t count;

	if (type != THRIFT_LIST)
		spoil(r);
	count = open_list(r, &is);
	if (count && is != of)
		spoil(r);
	return r->bad ? 0 : (size_t)count;
}

bool thrift_get_struct(struct thrift_reader *r, unsigned type)
{
	if (type != THRIFT_STRUCT)
		spoil(r);
	return !r->bad;
}

static void skip(struct thrift_reader *r, unsigned type, unsigned depth, bool element)
{
	struct thrift_field f = {0};
	unsigned of = 0;

	if (depth == DEPTH) {
		spoil(r);
		return;
	}
	switch (type) {
	case THRIFT_TRUE:
	case THRIFT_FALSE: (void)get_octets(r, element); break;
	case OCTET: (void)get_octets(r, 1); break;
	case I16:
	case THRIFT_I32:
	case THRIFT_I64: (void)get_varint(r); break;
	case DOUBLE: (void)get_octets(r, 8); break;
	case THRIFT_BINARY: (void)get_octets(r, get_varint(r)); break;
	case THRIFT_LIST:
	case SET:
		for (uint64_t n = open_list(r, &of); n && !r->bad; n--)
			skip(r, of, depth + 1, true);
		break;
	case THRIFT_STRUCT:
		while (thrift_next(r, &f))
			skip(r, f.type, depth + 1, false);
		break;
	case MAP: /* nothing of Parquet's has one */
	default: spoil(r); break;
	}
}

void thrift_skip(struct thrift_reader *r, unsigned type)
{
	skip(r, type, 0, false);
}
