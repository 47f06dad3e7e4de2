/* span.h: borrowed octets, and numbers in network byte order inside them. */
#pragma once

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* `length` octets at `data`, owned by somebody else and only good as long as they say. */
struct span {
	const uint8_t *data;
	size_t length;
};

static inline struct span span_of(const void *data, size_t length)
{
	return (struct span){.data = data, .length = length};
}

static inline uint16_t get_be16(const void *at)
{
	uint16_t v;
	memcpy(&v, at, sizeof v);
	return be16toh(v);
}

static inline uint32_t get_be32(const void *at)
{
	uint32_t v;
	memcpy(&v, at, sizeof v);
	return be32toh(v);
}

static inline uint64_t get_be64(const void *at)
{
	uint64_t v;
	memcpy(&v, at, sizeof v);
	return be64toh(v);
}

static inline void put_be16(void *at, uint16_t v)
{
	v = htobe16(v);
	memcpy(at, &v, sizeof v);
}

static inline void put_be32(void *at, uint32_t v)
{
	v = htobe32(v);
	memcpy(at, &v, sizeof v);
}

static inline void put_be64(void *at, uint64_t v)
{
	v = htobe64(v);
	memcpy(at, &v, sizeof v);
}

/* An unsigned number of 1 to 8 octets, most significant first. */
static inline uint64_t get_be(const uint8_t *at, size_t length)
{
	uint64_t v = 0;

	for (size_t i = 0; i < length; i++)
		v = v << 8 | at[i];
	return v;
}
