#include "parquet/pack.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

enum {
	BLOCK = 1024, /* differences that share a least one */
	PIECES = 8,   /* of a block, each with a width of its own */
	PIECE = BLOCK / PIECES,
	GROUP = 8, /* packed numbers come in groups of so many */
	SAMPLES = 8,
};

uint8_t *varint_put(uint8_t *out, uint64_t value)
{
	for (; value >= 128; value >>= 7)
		*out++ = (uint8_t)(value | 128);
	*out++ = (uint8_t)value;
	return out;
}

static uint8_t *put_le64(uint8_t *out, uint64_t word)
{
	word = htole64(word);
	memcpy(out, &word, sizeof word);
	return out + sizeof word;
}

/* Numbers of `width` bits (1 to 64) in a row, the lowest bits first. */
struct packer {
	uint8_t *out;
	uint64_t word;
	unsigned have;
};

static inline void pack_one(struct packer *p, uint64_t value, unsigned width)
{
	p->word |= value << p->have;
	p->have += width;
	if (p->have < 64)
		return;
	p->out = put_le64(p->out, p->word);
	p->have -= 64;
	p->word = p->have ? value >> (width - p->have) : 0;
}

static inline uint8_t *pack_end(struct packer *p)
{
	while (p->have) {
		*p->out++ = (uint8_t)p->word;
		p->word >>= 8;
		p->have -= p->have > 8 ? 8 : p->have;
	}
	return p->out;
}

/* Numbers below 2^width; so many that they end at a whole octet. Narrow ones go two or four at a time, for
 * each waits for the one before it. */
static uint8_t *pack64(uint8_t *out, const uint64_t *v, size_t count, unsigned width)
{
	struct packer p = {.out = out};

	if (width == 0)
		return out;
	if (width <= 16)
		for (size_t i = 0; i < count; i += 4)
			pack_one(&p, v[i] | v[i + 1] << width | (v[i + 2] | v[i + 3] << width) << 2 * width,
				 4 * width);
	else if (width <= 32)
		for (size_t i = 0; i < count; i += 2)
			pack_one(&p, v[i] | v[i + 1] << width, 2 * width);
	else
		for (size_t i = 0; i < count; i++)
			pack_one(&p, v[i], width);
	return pack_end(&p);
}

static uint8_t *pack16(uint8_t *out, const uint16_t *v, size_t count, unsigned width)
{
	struct packer p = {.out = out};

	for (size_t i = 0; i < count; i += 4) {
		const uint64_t low = v[i] | (uint64_t)v[i + 1] << width;
		const uint64_t high = v[i + 2] | (uint64_t)v[i + 3] << width;

		pack_one(&p, low | high << 2 * width, 4 * width);
	}
	return pack_end(&p);
}

/* Runs. */

size_t hybrid_room(size_t count, unsigned width)
{
	/* Packed groups, and for each of them at worst the length of a run and of what is packed after it. */
	return (count / GROUP + 1) * (width + (size_t)2 * 6);
}

static uint8_t *put_packed(uint8_t *out, const uint16_t *values, size_t count, unsigned width)
{
	const size_t whole = count / GROUP * GROUP;
	uint16_t rest[GROUP] = {0};

	if (count == 0)
		return out;
	out = varint_put(out, (count + GROUP - 1) / GROUP << 1 | 1);
	out = pack16(out, values, whole, width);
	if (whole == count)
		return out;
	memcpy(rest, values + whole, (count - whole) * sizeof rest[0]);
	return pack16(out, rest, GROUP, width);
}

static bool all_equal(const uint16_t *group)
{
	uint64_t low, high;

	memcpy(&low, group, sizeof low);
	memcpy(&high, group + 4, sizeof high);
	return low == high && low == group[0] * UINT64_C(0x0001000100010001);
}

uint8_t *hybrid_put(uint8_t *out, const uint16_t *values, size_t count, unsigned width)
{
	/* A run costs about four octets, with the length of what follows: shorter ones are packed. */
	const size_t least = width < 4 ? 32 / width : GROUP;
	size_t packed = 0, at = 0; /* [packed, at) is to be packed */

	while (at + GROUP <= count) {
		size_t end = at + GROUP;

		if (!all_equal(values + at)) {
			at = end;
			continue;
		}
		while (end < count && values[end] == values[at])
			end++;
		if (end - at < least) {
			at += GROUP;
			continue;
		}
		out = put_packed(out, values + packed, at - packed, width);
		out = varint_put(out, (uint64_t)(end - at) << 1);
		*out++ = (uint8_t)values[at];
		if (width > 8)
			*out++ = (uint8_t)(values[at] >> 8);
		packed = at = end;
	}
	return put_packed(out, values + packed, count - packed, width);
}

/* Differences. */

size_t delta_room(size_t count, unsigned octets)
{
	return (size_t)4 * VARINT_MAX + (count / BLOCK + 1) * (VARINT_MAX + PIECES + (size_t)BLOCK * octets);
}

/* One block, and its least difference; padded with it. */
static int64_t differences(uint64_t *out, const uint64_t *values, size_t count, unsigned octets)
{
	const uint64_t *before = values - 1; /* there is one before the first of a block */
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < count; i++) {
		const uint64_t d = values[i] - before[i];
		const int64_t signed_d = octets == 4 ? (int32_t)(uint32_t)d : (int64_t)d;

		out[i] = (uint64_t)signed_d;
		least = signed_d < least ? signed_d : least;
	}
	for (size_t i = 0; i < count; i++)
		out[i] -= (uint64_t)least;
	for (size_t i = count; i < BLOCK; i++)
		out[i] = 0;
	return least;
}

static unsigned width_of(const uint64_t *piece)
{
	uint64_t all = 0;

	for (size_t i = 0; i < PIECE; i++)
		all |= piece[i];
	return bits_of(all);
}

static uint8_t *put_block(uint8_t *out, const uint64_t *values, size_t count, unsigned octets)
{
	uint64_t block[BLOCK];
	const int64_t least = differences(block, values, count, octets);
	uint8_t *widths;

	out = varint_put(out, zigzag(least));
	widths = out;
	out += PIECES;
	for (size_t i = 0; i < PIECES; i++) {
		const bool used = i * PIECE < count;
		const unsigned width = used ? width_of(block + i * PIECE) : 0;

		widths[i] = (uint8_t)width;
		out = pack64(out, block + i * PIECE, PIECE, width);
	}
	return out;
}

uint8_t *delta_put(uint8_t *out, const uint64_t *values, size_t count, unsigned octets)
{
	const uint64_t first = count ? values[0] : 0;

	out = varint_put(out, BLOCK);
	out = varint_put(out, PIECES);
	out = varint_put(out, count);
	out = varint_put(out, zigzag(octets == 4 ? (int32_t)(uint32_t)first : (int64_t)first));
	for (size_t at = 1; at < count; at += BLOCK)
		out = put_block(out, values + at, count - at < BLOCK ? count - at : BLOCK, octets);
	return out;
}

unsigned delta_width(const uint64_t *values, size_t count, unsigned octets)
{
	const size_t blocks = (count + BLOCK - 1) / BLOCK, step = blocks / SAMPLES + 1;
	uint64_t block[BLOCK];
	size_t bits = 0, seen = 0;

	for (size_t at = 1; at < count; at += step * BLOCK) {
		const size_t n = count - at < BLOCK ? count - at : BLOCK;

		(void)differences(block, values + at, n, octets);
		for (size_t i = 0; i * PIECE < n; i++)
			bits += (size_t)width_of(block + i * PIECE) * PIECE;
		seen += n;
	}
	return seen ? (unsigned)((bits + seen - 1) / seen) : 0;
}
