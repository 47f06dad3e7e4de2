/* pack.h: Parquet's encodings of numbers in few bits. All write into room that the caller has made, as much
 * as the function beside them says, and answer where they ended. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { VARINT_MAX = 10 };

/* LEB128: seven bits an octet, the lowest first. */
uint8_t *varint_put(uint8_t *out, uint64_t value);

static inline uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

/* Bits that the value needs: 0 for 0. */
static inline unsigned bits_of(uint64_t value)
{
	return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
}

/* RLE: `count` numbers below 2^`width` (1 to 16), runs of equal ones as a run, others packed. */
size_t hybrid_room(size_t count, unsigned width);
uint8_t *hybrid_put(uint8_t *out, const uint16_t *values, size_t count, unsigned width);

/* DELTA_BINARY_PACKED: the lower `octets` (4 or 8) of each number; differences wrap. */
size_t delta_room(size_t count, unsigned octets);
uint8_t *delta_put(uint8_t *out, const uint64_t *values, size_t count, unsigned octets);

/* About how many bits a number delta_put will take, from a few blocks. */
unsigned delta_width(const uint64_t *values, size_t count, unsigned octets);
