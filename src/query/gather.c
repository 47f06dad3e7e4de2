#include "query/gather.h"

#include <stdlib.h>
#include <string.h>

#include "base/span.h"

struct slot {
	uint64_t valid[GROUPS_STEP / 64];
	uint64_t data[2 * GROUPS_STEP]; /* 16 octets a value at most */
};

struct gather {
	uint32_t first, count;
	bool all;                    /* rows that passed are all there are */
	uint16_t picks[GROUPS_STEP]; /* behind `first` */
	struct slot slots[];
};

struct gather *gather_new(uint32_t slots)
{
	return malloc(sizeof(struct gather) + slots * sizeof(struct slot));
}

void gather_free(struct gather *g)
{
	free(g);
}

static uint32_t pick_rows(uint16_t *picks, const uint64_t *bits, uint32_t count)
{
	uint32_t n = 0;
	uint64_t all = UINT64_MAX;

	for (uint32_t i = 0; i < count / 64; i++)
		all &= bits[i];
	if (all == UINT64_MAX && count % 64 == 0) { /* the usual case */
		for (; n < count; n++)
			picks[n] = (uint16_t)n;
		return n;
	}
	for (uint32_t i = 0; i * 64 < count; i++)
		for (uint64_t left = bits[i]; left; left &= left - 1)
			picks[n++] = (uint16_t)(64 * i + (uint32_t)__builtin_ctzll(left));
	return n;
}

#define PICK(type)                                                                                           \
	do {                                                                                                 \
		const type *from = v->data;                                                                  \
		type *out = to;                                                                              \
		if (v->codes)                                                                                \
			for (uint32_t i = 0; i < n; i++)                                                     \
				out[i] = from[v->codes[first + picks[i]]];                                   \
		else                                                                                         \
			for (uint32_t i = 0; i < n; i++)                                                     \
				out[i] = from[first + picks[i]];                                             \
	} while (0)

static void pick_values(void *to, const struct vector *v, uint32_t first, const uint16_t *picks, uint32_t n)
{
	switch (parquet_width(v->type)) {
	case 1: PICK(uint8_t); break;
	case 2: PICK(uint16_t); break;
	case 4: PICK(uint32_t); break;
	case 8: PICK(uint64_t); break;
	default:
		for (uint32_t i = 0; i < n; i++)
			memcpy((uint8_t *)to + 16 * (size_t)i,
			       (const uint8_t *)v->data + 16 * (size_t)vector_at(v, first + picks[i]), 16);
	}
}

static void turn_uuids(uint64_t *values, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const uint64_t high = get_be64((const uint8_t *)&values[2 * i]);

		values[2 * i] = get_be64((const uint8_t *)&values[2 * i + 1]);
		values[2 * i + 1] = high ^ UINT64_C(1) << 63;
	}
}

uint32_t gather_rows(struct gather *g, const uint64_t *bits, uint32_t first, uint32_t count)
{
	g->first = first;
	g->count = pick_rows(g->picks, bits + first / 64, count);
	g->all = g->count == count;
	return g->count;
}

struct groups_values gather_values(struct gather *g, uint32_t slot, const struct vector *v)
{
	struct slot *s = &g->slots[slot];
	struct groups_values out = {.data = s->data};

	if (g->all && !v->codes && v->type != PARQUET_UUID) {
		out.data = (const uint8_t *)v->data + g->first * parquet_width(v->type);
		out.valid = v->valid ? v->valid + g->first / 64 : NULL;
		return out;
	}
	pick_values(s->data, v, g->first, g->picks, g->count);
	if (v->type == PARQUET_UUID)
		turn_uuids(s->data, g->count);
	if (v->valid) {
		memset(s->valid, 0, sizeof s->valid);
		for (uint32_t i = 0; i < g->count; i++)
			s->valid[i / 64] |= (uint64_t)vector_has(v, g->first + g->picks[i]) << i % 64;
		out.valid = s->valid;
	}
	return out;
}

struct groups_values gather_nothing(void)
{
	static const uint64_t zero[2 * GROUPS_STEP];

	return (struct groups_values){zero, zero};
}
