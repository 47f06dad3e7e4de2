/* DELTA_BINARY_PACKED, read: the numbers of a piece come out of their bits and are added up in one go. */
#include <string.h>

#include "parquet/unpack.h"

enum {
	BLOCK = 1024, /* this and the next as pack.c writes them */
	PIECES = 8,
	PIECE = BLOCK / PIECES,
	GROUP = 8,
	DIFFERENCE16 = 17, /* bits of a difference of numbers of 16 bits */
};

_Static_assert((int)PIECE <= (int)UNPACK_MORE, "the last piece is written whole");

/* Number `i` of a group. */
__attribute__((always_inline)) static inline uint64_t number(const uint8_t *from, unsigned i, unsigned width)
{
	const unsigned bit = i * width, shift = bit % 8;
	const uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
	uint64_t word = width ? little64(from + bit / 8) >> shift : 0;

	if (shift + width > 64)
		word |= (uint64_t)from[bit / 8 + 8] << (64 - shift);
	return word & mask;
}

#define EACH(step) step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7)

__attribute__((always_inline)) static inline uint64_t piece64(uint64_t *out, const uint8_t *from,
							      unsigned width, uint64_t last, uint64_t least)
{
	for (unsigned g = 0; g < PIECE; g += GROUP, from += width, out += GROUP) {
#define STEP(i)                                                                                              \
	last += least + number(from, i, width);                                                              \
	out[i] = last;
		EACH(STEP)
#undef STEP
	}
	return last;
}

__attribute__((always_inline)) static inline uint64_t piece32(uint32_t *out, const uint8_t *from,
							      unsigned width, uint64_t last, uint64_t least)
{
	uint32_t sum = (uint32_t)last;

	for (unsigned g = 0; g < PIECE; g += GROUP, from += width, out += GROUP) {
#define STEP(i)                                                                                              \
	sum += (uint32_t)least + (uint32_t)number(from, i, width);                                           \
	out[i] = sum;
		EACH(STEP)
#undef STEP
	}
	return sum;
}

/* Bits of a number, `turn` added, that has no room in 16 are set in *over: ports are what there is most of.
 */
__attribute__((always_inline)) static inline uint64_t piece16(uint16_t *out, const uint8_t *from,
							      unsigned width, uint64_t last, uint64_t least,
							      uint32_t turn, uint32_t *over)
{
	uint32_t sum = (uint32_t)last, all = 0;

	for (unsigned g = 0; g < PIECE; g += GROUP, from += width, out += GROUP) {
#define STEP(i)                                                                                              \
	sum += (uint32_t)least + (uint32_t)number(from, i, width);                                           \
	out[i] = (uint16_t)sum;                                                                              \
	all |= sum + turn;
		EACH(STEP)
#undef STEP
	}
	*over = all >> 16;
	return sum;
}

#define WIDTH(n)                                                                                             \
	case n:                                                                                              \
		return PIECE_OF(out, from, n, last, least);
#define WIDTHS(n)                                                                                            \
	WIDTH(n) WIDTH(n + 1) WIDTH(n + 2) WIDTH(n + 3) WIDTH(n + 4) WIDTH(n + 5) WIDTH(n + 6) WIDTH(n + 7)

/* A loop for each width: shifts and masks are constants there. */
static uint64_t get_piece64(uint64_t *out, const uint8_t *from, unsigned width, uint64_t last, uint64_t least)
{
#define PIECE_OF piece64
	switch (width) {
		WIDTHS(0)
		WIDTHS(8)
		WIDTHS(16)
		WIDTHS(24)
		WIDTHS(32)
		WIDTHS(40)
		WIDTHS(48)
		WIDTHS(56)
	default: return piece64(out, from, 64, last, least);
	}
#undef PIECE_OF
}

static uint64_t get_piece32(uint32_t *out, const uint8_t *from, unsigned width, uint64_t last, uint64_t least)
{
#define PIECE_OF piece32
	switch (width) {
		WIDTHS(0)
		WIDTHS(8)
		WIDTHS(16)
		WIDTHS(24)
	default: return piece32(out, from, 32, last, least);
	}
#undef PIECE_OF
}

static uint64_t get_piece16(uint16_t *out, const uint8_t *from, unsigned width, uint64_t last, uint64_t least,
			    uint32_t turn, uint32_t *over)
{
#define PIECE_OF(out, from, n, last, least) piece16(out, from, n, last, least, turn, over)
	switch (width) {
		WIDTHS(0)
		WIDTHS(8)
		WIDTH(16)
	default: return piece16(out, from, DIFFERENCE16, last, least, turn, over);
	}
#undef PIECE_OF
}

struct delta {
	uint8_t *out;
	struct number_form form;
	const uint8_t *at, *end;
	uint64_t last, least;
};

/* By way of 32 bits. */
static bool get_narrow(struct delta *d, unsigned width, size_t count)
{
	uint32_t some[PIECE];

	d->last = get_piece32(some, d->at, width, d->last, d->least);
	return narrow(d->out, count, d->form, some);
}

/* `count` numbers, those of a piece or fewer. */
static bool get_piece(struct delta *d, unsigned width, size_t count)
{
	uint32_t over = 0;
	bool good = true;

	if (width > 8u * d->form.octets || d->end - d->at < PIECE / 8 * (ptrdiff_t)width)
		return false;
	if (d->form.memory == 8) {
		d->last = get_piece64((uint64_t *)(void *)d->out, d->at, width, d->last, d->least);
	} else if (d->form.memory == 4) {
		d->last = get_piece32((uint32_t *)(void *)d->out, d->at, width, d->last, d->least);
	} else if (d->form.memory == 2 && width <= DIFFERENCE16 && count == PIECE) {
		d->last = get_piece16((uint16_t *)(void *)d->out, d->at, width, d->last, d->least,
				      d->form.is_signed ? 1u << 15 : 0, &over);
		good = over == 0;
	} else {
		good = get_narrow(d, width, count);
	}
	d->at += (size_t)PIECE / 8 * width;
	d->out += count * d->form.memory;
	return good;
}

static bool get_block(struct delta *d, size_t count)
{
	const uint8_t *widths;
	uint64_t least;

	if (!varint_get(&d->at, d->end, &least) || d->end - d->at < PIECES)
		return false;
	d->least = (uint64_t)zigzag_back(least);
	widths = d->at;
	d->at += PIECES;
	for (unsigned i = 0; i < PIECES && count; i++) {
		const size_t n = count < PIECE ? count : PIECE;

		if (!get_piece(d, widths[i], n))
			return false;
		count -= n;
	}
	return true;
}

bool delta_get(void *out, size_t count, struct number_form form, const uint8_t *from, size_t length)
{
	struct delta d = {.out = out, .form = form, .at = from, .end = from + length};
	uint64_t block, pieces, total, first;
	uint8_t little[8];

	if (!varint_get(&d.at, d.end, &block) || block != BLOCK || !varint_get(&d.at, d.end, &pieces) ||
	    pieces != PIECES || !varint_get(&d.at, d.end, &total) || total != count ||
	    !varint_get(&d.at, d.end, &first))
		return false;
	if (count == 0)
		return d.at == d.end;
	d.last = (uint64_t)zigzag_back(first);
	first = htole64(d.last);
	memcpy(little, &first, sizeof little);
	if (!plain_get(d.out, 1, form, little))
		return false;
	d.out += form.memory;
	for (size_t left = count - 1, n; left; left -= n) {
		n = left < BLOCK ? left : BLOCK;
		if (!get_block(&d, n))
			return false;
	}
	return d.at == d.end;
}
