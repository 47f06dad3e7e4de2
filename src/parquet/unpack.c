#include "parquet/unpack.h"

#include <endian.h>
#include <string.h>

#include "parquet/pack.h"

enum { GROUP = 8, LANES = 4 /* codes in a word */ };

/* Runs. */

struct hybrid {
	const uint8_t *at, *end;
	unsigned octets; /* of a run's value */
};

/* A run of equal values or packed groups, of which `left` values at most are meant. */
struct stretch {
	bool packed;
	size_t count;          /* values; packed ones are whole groups, `left` may end within the last */
	unsigned value;        /* of a run */
	const uint8_t *groups; /* packed ones */
};

static bool next_stretch(struct hybrid *h, struct stretch *s, size_t left, unsigned width)
{
	uint64_t header;

	if (!varint_get(&h->at, h->end, &header))
		return false;
	s->packed = header & 1;
	header >>= 1;
	const uint64_t most = s->packed ? (left + GROUP - 1) / GROUP : left;
	const uint64_t octets = s->packed ? header * width : h->octets;
	if (header == 0 || header > most || (uint64_t)(h->end - h->at) < octets)
		return false;
	s->count = (size_t)(s->packed ? header * GROUP : header);
	s->groups = h->at;
	s->value = (unsigned)h->at[0] | (h->octets > 1 ? (unsigned)h->at[1] << 8 : 0);
	h->at += octets;
	return true;
}

/* Definition levels. */

static void put_ones(uint64_t *bits, size_t at, size_t count)
{
	while (count) {
		const size_t room = 64 - at % 64, n = count < room ? count : room;

		bits[at / 64] |= (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << at % 64;
		at += n;
		count -= n;
	}
}

static void put_bits(uint64_t *bits, size_t at, size_t count, const uint8_t *from)
{
	for (size_t i = 0; i < count; i += 64) {
		const size_t n = count - i < 64 ? count - i : 64, shift = (at + i) % 64;
		const uint64_t mask = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
		const uint64_t word = little64(from + i / 8) & mask;

		bits[(at + i) / 64] |= word << shift;
		if (shift + n > 64)
			bits[(at + i) / 64 + 1] |= word >> (64 - shift);
	}
}

bool levels_get(uint64_t *bits, uint32_t rows, const uint8_t *from, size_t length, uint32_t *ones)
{
	struct hybrid h = {from, from + length, 1};
	const size_t words = (rows + (size_t)63) / 64;
	size_t done = 0;
	struct stretch s;

	*ones = 0;
	memset(bits, 0, words * sizeof *bits);
	while (done < rows) {
		if (!next_stretch(&h, &s, rows - done, 1))
			return false;
		if (s.count > rows - done)
			s.count = rows - done;
		if (s.packed)
			put_bits(bits, done, s.count, s.groups);
		else if (s.value == 1)
			put_ones(bits, done, s.count);
		else if (s.value)
			return false;
		done += s.count;
	}
	for (size_t i = 0; i < words; i++)
		*ones += (uint32_t)__builtin_popcountll(bits[i]);
	return h.at == h.end;
}

/* Codes. */

/* Four numbers of `width` bits become four of 16. */
__attribute__((always_inline)) static inline uint64_t spread(uint64_t four, unsigned width)
{
	const uint64_t pair = (UINT64_C(1) << 2 * width) - 1;
	const uint64_t one = ((UINT64_C(1) << width) - 1) * UINT64_C(0x0000000100000001);

	four = (four & pair) | (four >> 2 * width & pair) << 32;
	return (four & one) | (four >> width & one) << 16;
}

static inline void store_lanes(uint16_t *out, uint64_t lanes)
{
	lanes = htole64(lanes);
	memcpy(out, &lanes, sizeof lanes);
	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		for (unsigned i = 0; i < LANES; i++)
			out[i] = le16toh(out[i]);
}

/* Highest bits of the lanes that are set in the answer: a code was not below 2^15 - `spare`. */
__attribute__((always_inline)) static inline uint64_t unpack_codes(uint16_t *out, const uint8_t *from,
								   size_t groups, unsigned width,
								   uint64_t spare)
{
	uint64_t over = 0;

	for (size_t i = 0; i < groups; i++, from += width, out += GROUP) {
		const uint64_t low = spread(little64(from), width);
		const uint64_t high = spread(little64(from + width / 2) >> width % 2 * 4, width);

		over |= (low + spare) | (high + spare);
		store_lanes(out, low);
		store_lanes(out + LANES, high);
	}
	return over;
}

#define CODES(n)                                                                                             \
	case n: return unpack_codes(out, from, groups, n, spare)

static uint64_t unpack_groups(uint16_t *out, const uint8_t *from, size_t groups, unsigned width,
			      uint64_t spare)
{
	switch (width) {
		CODES(1);
		CODES(2);
		CODES(3);
		CODES(4);
		CODES(5);
		CODES(6);
		CODES(7);
		CODES(8);
		CODES(9);
		CODES(10);
		CODES(11);
		CODES(CODE_BITS);
	default: return UINT64_MAX;
	}
}

bool codes_get(uint16_t *out, size_t count, unsigned width, uint32_t entries, const uint8_t *from,
	       size_t length)
{
	const uint64_t lanes = UINT64_C(0x0001000100010001);
	const uint64_t spare = ((1u << 15) - entries) * lanes;
	struct hybrid h = {from, from + length, width > 8 ? 2 : 1};
	uint64_t over = 0;
	struct stretch s;

	if (width == 0 || width > CODE_BITS || entries == 0 || entries > 1u << CODE_BITS)
		return false;
	for (size_t done = 0; done < count; done += s.count) {
		if (!next_stretch(&h, &s, count - done, width))
			return false;
		if (s.packed) {
			over |= unpack_groups(out + done, s.groups, s.count / GROUP, width, spare);
			continue;
		}
		if (s.value >= entries)
			return false;
		for (size_t i = 0; i < s.count; i++)
			out[done + i] = (uint16_t)s.value;
	}
	return h.at == h.end && !(over & lanes << 15);
}

/* Numbers in fewer octets. */

bool narrow(void *out, size_t count, struct number_form form, const uint32_t *from)
{
	const unsigned bits = 8u * form.memory;
	const uint32_t turn = form.is_signed ? 1u << (bits - 1) : 0;
	uint8_t *out8 = out;
	uint16_t *out16 = out;
	uint32_t over = 0;

	for (size_t i = 0; i < count; i++)
		over |= from[i] + turn;
	for (size_t i = 0; bits == 8 && i < count; i++)
		out8[i] = (uint8_t)from[i];
	for (size_t i = 0; bits == 16 && i < count; i++)
		out16[i] = (uint16_t)from[i];
	return over >> bits == 0;
}

/* PLAIN. */

static void from_little(void *out, size_t count, unsigned octets)
{
	uint32_t *out32 = out;
	uint64_t *out64 = out;

	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		return;
	for (size_t i = 0; octets == 4 && i < count; i++)
		out32[i] = le32toh(out32[i]);
	for (size_t i = 0; octets == 8 && i < count; i++)
		out64[i] = le64toh(out64[i]);
}

bool plain_get(void *out, size_t count, struct number_form form, const uint8_t *from)
{
	uint32_t some[UNPACK_MORE];
	bool good = true;

	if (form.octets == form.memory) {
		if (out != from)
			memcpy(out, from, count * form.octets);
		from_little(out, count, form.octets);
		return true;
	}
	for (size_t i = 0; i < count; i += UNPACK_MORE) {
		const size_t n = count - i < UNPACK_MORE ? count - i : UNPACK_MORE;

		memcpy(some, from + 4 * i, 4 * n);
		from_little(some, n, 4);
		good &= narrow((uint8_t *)out + i * form.memory, n, form, some);
	}
	return good;
}

void bits_get(uint8_t *out, size_t count, const uint8_t *from)
{
	size_t i = 0;

	for (; i + 8 <= count; i += 8) { /* each octet of a word gets its bit, and that becomes 1 */
		const uint64_t bits =
			from[i / 8] * UINT64_C(0x0101010101010101) & UINT64_C(0x8040201008040201);
		const uint64_t word =
			htole64((bits + UINT64_C(0x007f7f7f7f7f7f7f)) >> 7 & UINT64_C(0x0101010101010101));

		memcpy(out + i, &word, sizeof word);
	}
	for (; i < count; i++)
		out[i] = from[i / 8] >> i % 8 & 1;
}

/* Rows. */

/* The values of a word's `rows` rows (1 to 64), of which `word` says which are there; `from` is behind the
 * last of them. Answers where the first is. */
__attribute__((always_inline)) static inline const uint8_t *spread_word(uint8_t *to, const uint8_t *from,
									size_t width, uint64_t word,
									unsigned rows)
{
	const size_t half = width < 8 ? width : 8;
	word <<= 64 - rows;
	to += rows * width;
	for (unsigned i = 0; i < rows; i++, word <<= 1) {
		const uint64_t there = word >> 63, keep = 0 - there;
		uint64_t low = 0, high = 0;

		from -= there * width;
		to -= width;
		memcpy(&low, from, half);
		low &= keep;
		if (width == 16) {
			memcpy(&high, from + half, half);
			high &= keep;
			memcpy(to + half, &high, half);
		}
		memcpy(to, &low, half);
	}
	return from;
}

/* From the last row on, so that `from` may be `to`: a value never moves forward. */
__attribute__((always_inline)) static inline void spread_rows(uint8_t *to, const uint8_t *from, size_t width,
							      size_t count, const uint64_t *valid,
							      uint32_t rows)
{
	size_t word = (rows - (size_t)1) / 64;
	unsigned n = (rows - 1) % 64 + 1;

	from += count * width;
	for (to += word * 64 * width;; to -= 64 * width, n = 64) {
		if (valid[word] == 0) {
			memset(to, 0, n * width);
		} else if (valid[word] == UINT64_MAX) {
			from -= 64 * width;
			memmove(to, from, 64 * width);
		} else {
			from = spread_word(to, from, width, valid[word], n);
		}
		if (word-- == 0)
			break;
	}
}

void rows_spread(void *to, const void *from, unsigned width, size_t count, const uint64_t *valid,
		 uint32_t rows)
{
	switch (width) {
	case 1: spread_rows(to, from, 1, count, valid, rows); break;
	case 2: spread_rows(to, from, 2, count, valid, rows); break;
	case 4: spread_rows(to, from, 4, count, valid, rows); break;
	case 8: spread_rows(to, from, 8, count, valid, rows); break;
	default: spread_rows(to, from, 16, count, valid, rows); break;
	}
}
