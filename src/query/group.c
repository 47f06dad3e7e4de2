#include "query/group_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "parquet/parquet.h"
__extension__ typedef unsigned __int128 uint128;

enum {
	FIRST_ROOM = 1 << 12,
	OCTETS_MAX = 512 << 20,
	LINE = 64,      /* octets of a cache line */
	PAGE = 2 << 20, /* a huge one */
	AHEAD = 64      /* rows whose cache lines are asked for together */
};

static uint32_t width_of(duckdb_type type)
{
	switch (type) {
	case DUCKDB_TYPE_BOOLEAN:
	case DUCKDB_TYPE_UTINYINT:
	case DUCKDB_TYPE_TINYINT: return 1;
	case DUCKDB_TYPE_USMALLINT:
	case DUCKDB_TYPE_SMALLINT: return 2;
	case DUCKDB_TYPE_VARCHAR:
	case DUCKDB_TYPE_UINTEGER:
	case DUCKDB_TYPE_INTEGER: return 4;
	case DUCKDB_TYPE_UBIGINT:
	case DUCKDB_TYPE_BIGINT:
	case DUCKDB_TYPE_TIMESTAMP:
	case DUCKDB_TYPE_TIMESTAMP_MS: return 8;
	case DUCKDB_TYPE_UUID: return 16;
	default: return 0;
	}
}

void groups_free(struct groups *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; i < g->column_count; i++)
		texts_free(g->columns[i].texts);
	free(g->rows);
	free(g->slots);
	free(g->keys);
	free(g->hashes);
	free(g);
}

/* Looked up all over the place: without huge pages the addresses cost as much as the lines. */
static void *wide(size_t octets)
{
	const size_t line = octets < PAGE ? LINE : PAGE;
	void *out = aligned_alloc(line, (octets + line - 1) / line * line);

	if (out && line == PAGE)
		(void)madvise(out, octets, MADV_HUGEPAGE);
	return out;
}

/* Memory for the first rows. */
static enum status prepare(struct groups *g)
{
	g->stride = (g->words + g->sums + LINE / 8 - 1) / (LINE / 8) * (LINE / 8);
	g->room = FIRST_ROOM;
	g->mask = 2 * FIRST_ROOM - 1;
	g->rows = wide((size_t)g->room * g->stride * sizeof *g->rows);
	g->slots = calloc(g->mask + 1, sizeof *g->slots);
	g->keys = malloc(GROUPS_STEP * g->words * sizeof *g->keys);
	g->hashes = malloc(GROUPS_STEP * sizeof *g->hashes);
	/* Who sends flows chooses the keys: not the places they get. */
	if (getrandom(&g->seed, sizeof g->seed, GRND_NONBLOCK) != sizeof g->seed)
		g->seed = (uint64_t)(uintptr_t)g->rows;
	for (uint32_t i = 0; i < g->column_count; i++)
		if (g->columns[i].type == DUCKDB_TYPE_VARCHAR &&
		    !(g->columns[i].texts = texts_new(g->octets_most / 4)))
			return ERR_MEMORY;
	return g->rows && g->slots && g->keys && g->hashes ? OK : ERR_MEMORY;
}

static enum status shape_keys(struct groups *g, const struct groups_shape *shape)
{
	if (shape->key_count > GROUPS_KEYS_MAX)
		return ERR_UNSUPPORTED;
	g->sums = shape->denied ? SUMS : DENIED;
	g->octets_most = shape->octets_most ? shape->octets_most : OCTETS_MAX;
	g->words = 1;
	for (uint32_t i = 0; i < shape->key_count; i++) {
		g->columns[i].type = shape->keys[i].type;
		g->columns[i].width = width_of(g->columns[i].type);
		g->columns[i].at = g->words;
		snprintf(g->columns[i].name, GROUPS_NAME_MAX, "%s", shape->keys[i].name);
		if (!g->columns[i].width)
			return ERR_UNSUPPORTED;
		g->words += g->columns[i].width == 16 ? 2 : 1;
	}
	g->column_count = shape->key_count;
	return OK;
}

enum status groups_new(struct groups **out, const struct groups_shape *shape)
{
	struct groups *g = calloc(1, sizeof *g);
	enum status s = g ? shape_keys(g, shape) : ERR_MEMORY;

	if (s == OK)
		s = prepare(g);
	*out = s == OK ? g : NULL;
	if (s != OK)
		groups_free(g);
	return s;
}

/* Texts as their numbers. False: no room for a new one. */
static bool gather_texts(struct groups *g, uint32_t column, const struct groups_values *from, idx_t rows)
{
	const union parquet_text *data = from->data; /* as DuckDB's strings */
	uint64_t *to = g->keys + g->columns[column].at;
	bool good = true;

	for (idx_t i = 0; i < rows; i++) {
		if (!groups_have(from, i)) {
			to[i * g->words] = 0;
			g->keys[i * g->words] |= UINT64_C(1) << column;
			continue;
		}
		const uint32_t number = texts_number(
			g->columns[column].texts, span_of(parquet_text_octets(&data[i]), data[i].near.length),
			!g->find_only);
		to[i * g->words] = number;
		good &= g->find_only || number != TEXTS_NONE;
	}
	return good;
}

/* One column into the keys of some rows. */
static void gather(struct groups *g, uint32_t column, const struct groups_values *from, idx_t rows)
{
	const void *data = from->data;
	const uint64_t *validity = from->valid;
	const uint32_t words = g->words;
	uint64_t *to = g->keys + g->columns[column].at;

	switch (g->columns[column].width) {
	case 1:
		for (idx_t i = 0; i < rows; i++)
			to[i * words] = ((const uint8_t *)data)[i];
		break;
	case 2:
		for (idx_t i = 0; i < rows; i++)
			to[i * words] = ((const uint16_t *)data)[i];
		break;
	case 4:
		for (idx_t i = 0; i < rows; i++)
			to[i * words] = ((const uint32_t *)data)[i];
		break;
	case 8:
		for (idx_t i = 0; i < rows; i++)
			to[i * words] = ((const uint64_t *)data)[i];
		break;
	default:
		for (idx_t i = 0; i < rows; i++)
			memcpy(to + i * words, (const uint64_t *)data + 2 * i, 16);
		break;
	}
	for (idx_t i = 0; validity && i < rows; i++)
		if (!groups_have(from, i)) {
			to[i * words] = 0;
			if (g->columns[column].width == 16)
				to[i * words + 1] = 0;
			g->keys[i * words] |= UINT64_C(1) << column;
		}
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	const uint128 product = (uint128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

__attribute__((always_inline)) static inline void hash_words(struct groups *g, idx_t rows, uint32_t words)
{
	const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15) ^ g->seed >> 7;

	for (idx_t i = 0; i < rows; i++) {
		const uint64_t *key = g->keys + i * words;
		uint64_t h = g->seed;

		for (uint32_t w = 0; w < words; w++)
			h = mix(h ^ key[w], factor);
		g->hashes[i] = h;
	}
}

static void hash_keys(struct groups *g, idx_t rows)
{
	if (g->words == 2) /* one key, the usual case: a loop of its own */
		hash_words(g, rows, 2);
	else
		hash_words(g, rows, g->words);
}

static bool grow(struct groups *g)
{
	const uint32_t room = 2 * g->room;
	const uint64_t mask = 2 * (uint64_t)room - 1;
	uint64_t *rows = wide((size_t)room * g->stride * sizeof *rows);
	uint64_t *slots = wide((mask + 1) * sizeof *slots);

	if (!rows || !slots) {
		free(rows);
		free(slots);
		return false;
	}
	memset(slots, 0, (mask + 1) * sizeof *slots);
	memcpy(rows, g->rows, (size_t)g->count * g->stride * sizeof *rows);
	free(g->rows);
	g->rows = rows;
	/* The low half of a hash is not kept: the keys tell it again, a chunk at a time. */
	const uint32_t step = GROUPS_STEP;
	free(g->slots);
	g->slots = slots;
	g->mask = mask;
	g->room = room;
	for (uint32_t first = 0; first < g->count; first += step) {
		const uint32_t n = g->count - first < step ? g->count - first : step;

		for (uint32_t i = 0; i < n; i++) {
			memcpy(g->keys + (size_t)i * g->words, rows + (size_t)(first + i) * g->stride,
			       g->words * sizeof *rows);
			g->keys[(size_t)i * g->words] &= NULLS;
		}
		hash_keys(g, n);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t at = g->hashes[i] & mask;

			while (slots[at])
				at = (at + 1) & mask;
			slots[at] = (g->hashes[i] >> 32 << 32) | (first + i + 1);
		}
	}
	return true;
}

static bool same_key(const uint64_t *row, const uint64_t *key, uint32_t words)
{
	bool same = (row[0] & NULLS) == key[0];

	for (uint32_t i = 1; i < words; i++)
		same &= row[i] == key[i];
	return same;
}

/* The row with the key: found, or made. The table has room for one more. */
static uint64_t *find(struct groups *g, const uint64_t *key, uint64_t hash)
{
	const uint64_t high = hash >> 32;

	for (uint64_t at = hash & g->mask;; at = (at + 1) & g->mask) {
		const uint64_t slot = g->slots[at];
		uint64_t *row;

		if (slot == 0) {
			row = g->rows + (size_t)g->count * g->stride;
			memcpy(row, key, g->words * sizeof *row);
			memset(row + g->words, 0, g->sums * sizeof *row);
			g->slots[at] = high << 32 | ++g->count;
			return row;
		}
		row = g->rows + ((slot & UINT32_MAX) - 1) * g->stride;
		if (slot >> 32 == high && same_key(row, key, g->words))
			return row;
	}
}

/* The same, by a guess where it is (ask_ahead). */
static uint64_t *find_likely(struct groups *g, const uint64_t *key, uint64_t hash, uint32_t group)
{
	uint64_t *row = g->rows + (size_t)group * g->stride;

	return group != UINT32_MAX && same_key(row, key, g->words) ? row : find(g, key, hash);
}

static void add(uint64_t *sum, uint64_t value)
{
	sum[0] += value;
	sum[1] += sum[0] < value;
}

static void add_rows(struct groups *g, const struct groups_rows *from, idx_t i, idx_t end,
		     const uint32_t *likely, uint32_t *to)
{
	const uint64_t *octets = from->octets.data, *packets = from->packets.data;
	const bool *denied = g->sums > DENIED ? from->denied.data : NULL;

	for (; i < end; i++) {
		uint64_t *row = find_likely(g, g->keys + i * g->words, g->hashes[i], *likely++);
		uint64_t *sums = row + g->words;

		if (groups_have(&from->octets, i)) {
			row[0] |= HAS_OCTETS;
			add(sums + OCTETS, octets[i]);
		}
		if (groups_have(&from->packets, i)) {
			row[0] |= HAS_PACKETS;
			add(sums + PACKETS, packets[i]);
		}
		sums[FLOWS]++;
		if (denied)
			sums[DENIED] += groups_have(&from->denied, i) && denied[i];
		if (to)
			to[i] = (uint32_t)((size_t)(row - g->rows) / g->stride);
	}
}

/* Without a key all are one group. */
static void add_whole(struct groups *g, const struct groups_rows *from, idx_t rows, uint32_t *to)
{
	const uint64_t *octets = from->octets.data, *packets = from->packets.data;
	const bool *denied = g->sums > DENIED ? from->denied.data : NULL;
	uint64_t *row = find(g, g->keys, g->hashes[0]), *sums = row + g->words;

	for (idx_t i = 0; i < rows; i++) {
		if (groups_have(&from->octets, i)) {
			row[0] |= HAS_OCTETS;
			add(sums + OCTETS, octets[i]);
		}
		if (groups_have(&from->packets, i)) {
			row[0] |= HAS_PACKETS;
			add(sums + PACKETS, packets[i]);
		}
		if (denied)
			sums[DENIED] += groups_have(&from->denied, i) && denied[i];
	}
	sums[FLOWS] += rows;
	if (to)
		memset(to, 0, rows * sizeof *to);
}

/* Keys of some rows and their hashes. False: no room for a text. */
static bool gather_all(struct groups *g, const struct groups_rows *from)
{
	bool good = true;

	for (idx_t i = 0; i < from->count; i++)
		g->keys[i * g->words] = 0;
	for (uint32_t c = 0; c < g->column_count; c++)
		if (g->columns[c].texts)
			good &= gather_texts(g, c, &from->keys[c], from->count);
		else
			gather(g, c, &from->keys[c], from->count);
	hash_keys(g, from->count);
	return good;
}

/* Every row may be a new group. */
static enum status make_room(struct groups *g, uint32_t rows)
{
	while (g->room - g->count < rows) {
		if ((uint64_t)g->room * g->stride * 16 > g->octets_most)
			return ERR_LIMIT;
		if (!grow(g))
			return ERR_MEMORY;
	}
	return OK;
}

/* Ask for the lines that the keys `i` to `end` will look at, and tell the first row whose hash is theirs,
 * above the bits that chose the slot: as good as always their group. UINT32_MAX: none so far. */
static void ask_ahead(const struct groups *g, idx_t i, idx_t end, uint32_t *likely)
{
	for (idx_t j = i; j < end; j++)
		__builtin_prefetch(&g->slots[g->hashes[j] & g->mask]);
	for (; i < end; i++) { /* the slots have arrived: on to their rows */
		const uint64_t high = g->hashes[i] >> 32;
		uint64_t at = g->hashes[i] & g->mask, slot;

		while ((slot = g->slots[at]) && slot >> 32 != high)
			at = (at + 1) & g->mask;
		*likely++ = (uint32_t)slot - 1;
		__builtin_prefetch(g->rows + ((slot & UINT32_MAX) - (slot != 0)) * g->stride, 1);
	}
}

enum status groups_add(struct groups *g, const struct groups_rows *from, uint32_t *to)
{
	const idx_t rows = from->count;
	const enum status s = rows ? make_room(g, from->count) : OK;

	if (rows == 0 || s != OK)
		return s;
	if (!gather_all(g, from))
		return ERR_LIMIT;
	if (g->column_count == 0) {
		add_whole(g, from, rows, to);
		return OK;
	}
	for (idx_t i = 0; i < rows; i += AHEAD) {
		const idx_t end = rows - i < AHEAD ? rows : i + AHEAD;
		uint32_t likely[AHEAD];

		ask_ahead(g, i, end, likely);
		add_rows(g, from, i, end, likely, to);
	}
	return OK;
}

/* The key of one group as the key `at`, with texts by the numbers of `g`. False: no room. */
static bool copy_key(struct groups *g, uint32_t at, const struct groups *from, uint32_t group)
{
	uint64_t *key = g->keys + (size_t)at * g->words;

	memcpy(key, groups_row(from, group), g->words * sizeof *key);
	key[0] &= NULLS;
	for (uint32_t c = 0; c < g->column_count; c++)
		if (g->columns[c].texts && !(key[0] >> c & 1)) {
			const struct span text =
				texts_at(from->columns[c].texts, (uint32_t)key[g->columns[c].at]);
			const uint32_t number = texts_number(g->columns[c].texts, text, true);

			if (number == TEXTS_NONE)
				return false;
			key[g->columns[c].at] = number;
		}
	return true;
}

static void add_sums(uint64_t *row, const uint64_t *other, uint32_t words, uint32_t sums)
{
	uint64_t *to = row + words;
	const uint64_t *from = other + words;

	row[0] |= other[0] & (HAS_OCTETS | HAS_PACKETS);
	for (unsigned i = OCTETS; i <= PACKETS; i += PACKETS) {
		add(to + i, from[i]);
		to[i + 1] += from[i + 1];
	}
	for (unsigned i = FLOWS; i < sums; i++)
		to[i] += from[i];
}

static void merge_rows(struct groups *g, const struct groups *from, uint32_t first, uint32_t count)
{
	uint32_t likely[AHEAD];

	for (uint32_t i = 0; i < count; i++) {
		if (i % AHEAD == 0)
			ask_ahead(g, i, count - i < AHEAD ? count : i + AHEAD, likely);
		add_sums(find_likely(g, g->keys + (size_t)i * g->words, g->hashes[i], likely[i % AHEAD]),
			 groups_row(from, first + i), g->words, g->sums);
	}
}

enum status groups_merge(struct groups *g, const struct groups *from, size_t octets_most)
{
	g->octets_most = octets_most;
	for (uint32_t first = 0; first < from->count; first += GROUPS_STEP) {
		const uint32_t left = from->count - first, n = left < GROUPS_STEP ? left : GROUPS_STEP;
		const enum status s = make_room(g, n);

		if (s != OK)
			return s;
		for (uint32_t i = 0; i < n; i++)
			if (!copy_key(g, i, from, first + i))
				return ERR_LIMIT;
		hash_keys(g, n);
		merge_rows(g, from, first, n);
	}
	return OK;
}

enum status groups_pick(struct groups **out, const struct groups *from, const uint32_t *which, uint32_t count)
{
	struct groups *g = calloc(1, sizeof *g);
	bool good = g && count <= FIRST_ROOM;

	*out = NULL;
	if (good) {
		memcpy(g->columns, from->columns, sizeof g->columns);
		for (uint32_t i = 0; i < from->column_count; i++)
			g->columns[i].texts = NULL;
		g->column_count = from->column_count;
		g->words = from->words;
		g->sums = from->sums;
		g->octets_most = from->octets_most;
		good = prepare(g) == OK;
	}
	for (uint32_t i = 0; good && i < count; i++) {
		good = copy_key(g, 0, from, which[i]);
		if (good) {
			hash_keys(g, 1);
			(void)find(g, g->keys, g->hashes[0]);
		}
	}
	if (!good) {
		groups_free(g);
		return ERR_MEMORY;
	}
	g->find_only = true;
	*out = g;
	return OK;
}

void groups_find(struct groups *g, const struct groups_rows *from, uint32_t *to)
{
	(void)gather_all(g, from);
	for (idx_t i = 0; i < from->count; i++) {
		const uint64_t *key = g->keys + i * g->words, high = g->hashes[i] >> 32;
		uint64_t at = g->hashes[i] & g->mask, slot;

		to[i] = UINT32_MAX;
		for (; (slot = g->slots[at]); at = (at + 1) & g->mask)
			if (slot >> 32 == high &&
			    same_key(g->rows + ((slot & UINT32_MAX) - 1) * g->stride, key, g->words)) {
				to[i] = (uint32_t)slot - 1;
				break;
			}
	}
}
