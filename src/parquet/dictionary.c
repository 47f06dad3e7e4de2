#include "parquet/dictionary.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum status dictionary_reserve(struct dictionary *d, size_t count)
{
	uint16_t *more;

	if (count <= d->room)
		return OK;
	more = realloc(d->index, count * sizeof *more);
	if (!more)
		return ERR_MEMORY;
	d->index = more;
	d->room = count;
	return OK;
}

static bool add_direct(struct dictionary *d, const uint64_t *values, size_t count, uint64_t least,
		       uint64_t range)
{
	memset(d->direct, 0, (size_t)(range + 1) * sizeof d->direct[0]);
	for (size_t i = 0; i < count; i++) {
		uint16_t *at = &d->direct[values[i] - least];

		if (*at == 0) {
			if (d->count == DICTIONARY_MOST)
				return false;
			d->numbers[d->count] = values[i];
			*at = (uint16_t)++d->count;
		}
		d->index[i] = (uint16_t)(*at - 1);
	}
	return true;
}

/* Whoever sends the values can choose them so that they meet in one slot: then there is no dictionary. */
static size_t probes_allowed(size_t count)
{
	return 4 * count + 4 * (size_t)DICTIONARY_SLOTS;
}

static bool add_hashed(struct dictionary *d, const uint64_t *values, size_t count)
{
	size_t left = probes_allowed(count);

	memset(d->slots, 0, sizeof d->slots);
	for (size_t i = 0; i < count; i++) {
		uint64_t slot = values[i] * UINT64_C(0x9e3779b97f4a7c15) >> 50;

		while (d->slots[slot] && d->numbers[d->slots[slot] - 1] != values[i] && --left)
			slot = (slot + 1) % DICTIONARY_SLOTS;
		if (left == 0)
			return false;
		if (d->slots[slot] == 0) {
			if (d->count == DICTIONARY_MOST)
				return false;
			d->numbers[d->count] = values[i];
			d->slots[slot] = (uint16_t)++d->count;
		}
		d->index[i] = (uint16_t)(d->slots[slot] - 1);
	}
	return true;
}

bool dictionary_numbers(struct dictionary *d, const uint64_t *values, size_t count, uint64_t least,
			uint64_t range)
{
	d->count = 0;
	return range < DICTIONARY_RANGE ? add_direct(d, values, count, least, range)
					: add_hashed(d, values, count);
}

static bool same_text(const union parquet_text *a, const union parquet_text *b)
{
	return memcmp(a, b, sizeof a->near.length + sizeof a->far.first) == 0 &&
	       memcmp(parquet_text_octets(a), parquet_text_octets(b), a->near.length) == 0;
}

bool dictionary_texts(struct dictionary *d, const union parquet_text *values, size_t count)
{
	size_t left = probes_allowed(count);

	d->count = 0;
	memset(d->slots, 0, sizeof d->slots);
	for (size_t i = 0; i < count; i++) {
		const union parquet_text *v = &values[i];

		/* The exporter's address, an interface's name: mostly that of the row before. */
		if (i && memcmp(v, v - 1, sizeof *v) == 0) {
			d->index[i] = d->index[i - 1];
			continue;
		}
		uint64_t slot = XXH3_64bits(parquet_text_octets(v), v->near.length) % DICTIONARY_SLOTS;
		while (d->slots[slot] && !same_text(&d->texts[d->slots[slot] - 1], v) && --left)
			slot = (slot + 1) % DICTIONARY_SLOTS;
		if (left == 0)
			return false;
		if (d->slots[slot] == 0) {
			if (d->count == DICTIONARY_MOST)
				return false;
			d->texts[d->count] = *v;
			d->slots[slot] = (uint16_t)++d->count;
		}
		d->index[i] = (uint16_t)(d->slots[slot] - 1);
	}
	return true;
}
