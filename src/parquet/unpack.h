/* unpack.h: what pack.h writes, read: Parquet's encodings of numbers in few bits.
 *
 * Whatever the octets are, only as much is written as is said below, and false is the answer when they are
 * not exactly what pack.h makes of so many numbers. UNPACK_SLACK octets behind `length` can be read (what
 * they are does not matter). */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	UNPACK_SLACK = 16,
	UNPACK_MORE = 128, /* numbers that `out` has room for above `count` */
	CODES_MORE = 7,    /* likewise, codes */
	CODE_BITS = 12     /* at most, of a code: DICTIONARY_MOST entries */
};

static inline bool varint_get(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	uint64_t v = 0;

	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		const uint8_t octet = *(*at)++;

		v |= (uint64_t)(octet & 127) << shift;
		if (octet < 128) {
			*value = v;
			return true;
		}
	}
	return false;
}

static inline uint64_t little64(const uint8_t *from)
{
	uint64_t word;

	memcpy(&word, from, sizeof word);
	return le64toh(word);
}

static inline int64_t zigzag_back(uint64_t value)
{
	return (int64_t)(value >> 1 ^ (UINT64_C(0) - (value & 1)));
}

/* RLE of one bit: which rows have a value, a bit each in `bits` ((rows + 63) / 64 words; those behind the
 * last row are 0). *ones: how many do. */
bool levels_get(uint64_t *bits, uint32_t rows, const uint8_t *from, size_t length, uint32_t *ones);

/* RLE of codes of `width` (1 to CODE_BITS) bits, each below `entries`. */
bool codes_get(uint16_t *out, size_t count, unsigned width, uint32_t entries, const uint8_t *from,
	       size_t length);

/* How numbers are stored, and in memory. */
struct number_form {
	uint8_t octets; /* stored, 4 or 8 */
	uint8_t memory; /* 1, 2, 4 or 8; not more than that */
	bool is_signed;
};

/* Numbers of 32 bits into fewer. False: one does not fit. */
bool narrow(void *out, size_t count, struct number_form form, const uint32_t *from);

/* DELTA_BINARY_PACKED. A number that is not of the form is an error too. */
bool delta_get(void *out, size_t count, struct number_form form, const uint8_t *from, size_t length);

/* PLAIN: `from` has count * form.octets octets, anywhere; it may be `out` if the form's octets are as many.
 */
bool plain_get(void *out, size_t count, struct number_form form, const uint8_t *from);

/* PLAIN of booleans, a bit each, into an octet each. */
void bits_get(uint8_t *out, size_t count, const uint8_t *from);

/* `count` values of `width` octets (1, 2, 4, 8 or 16) that stand one after the other to their rows, of which
 * that many are valid; other rows are 0. `from` may be `to`. There are fewer values than rows. */
void rows_spread(void *to, const void *from, unsigned width, size_t count, const uint64_t *valid,
		 uint32_t rows);
