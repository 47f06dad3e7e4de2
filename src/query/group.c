#include "query/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "query/engine.h"

__extension__ typedef unsigned __int128 uint128;

enum {
	COLUMNS_OF_KEY_MAX = 16,
	NAME_MAX_LENGTH = 16,
	FIRST_ROOM = 1 << 12,
	OCTETS_MAX = 512 << 20,
	LINE = 64,      /* octets of a cache line */
	PAGE = 2 << 20, /* a huge one */
	AHEAD = 64      /* rows whose cache lines are asked for together */
};

/* Behind the words of the key. */
enum { OCTETS, OCTETS_HIGH, PACKETS, PACKETS_HIGH, FLOWS, SUMS };

/* A group is one row of words, in as few cache lines as can be: which key columns are NULL (and which sums
 * have a value), the key, the sums.
 */
struct groups {
	struct {
		duckdb_type type;
		uint32_t width; /* octets: 1, 2, 4, 8, 16 */
		uint32_t at;    /* its word */
		char name[NAME_MAX_LENGTH];
	} columns[COLUMNS_OF_KEY_MAX];
	uint32_t column_count;
	uint32_t words, stride; /* of a key; of a row */
	uint64_t *rows;
	uint32_t count, room;
	uint64_t *
		slots; /* high half of the hash, then 1 + index of the row; 0: free. A power of two of them */
	uint64_t mask, seed;
	uint64_t *keys, *hashes; /* of one chunk */
};

enum { HAS_OCTETS = 1 << 30, HAS_PACKETS = 1 << 29, NULLS = HAS_PACKETS - 1 };

static uint32_t width_of(duckdb_type type)
{
	switch (type) {
	case DUCKDB_TYPE_BOOLEAN:
	case DUCKDB_TYPE_UTINYINT:
	case DUCKDB_TYPE_TINYINT: return 1;
	case DUCKDB_TYPE_USMALLINT:
	case DUCKDB_TYPE_SMALLINT: return 2;
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

static void free_groups(void *arg)
{
	groups_free(arg);
}

/* Columns and memory for the first rows. */
static enum status prepare(struct groups *g, duckdb_result *result)
{
	const idx_t columns = duckdb_column_count(result);

	if (columns < 2 || columns - 2 > COLUMNS_OF_KEY_MAX ||
	    duckdb_column_type(result, columns - 2) != DUCKDB_TYPE_UBIGINT ||
	    duckdb_column_type(result, columns - 1) != DUCKDB_TYPE_UBIGINT)
		return ERR_UNSUPPORTED;
	g->column_count = (uint32_t)columns - 2;
	g->words = 1;
	for (uint32_t i = 0; i < g->column_count; i++) {
		g->columns[i].type = duckdb_column_type(result, i);
		g->columns[i].width = width_of(g->columns[i].type);
		g->columns[i].at = g->words;
		snprintf(g->columns[i].name, NAME_MAX_LENGTH, "%s", duckdb_column_name(result, i));
		if (!g->columns[i].width)
			return ERR_UNSUPPORTED;
		g->words += g->columns[i].width == 16 ? 2 : 1;
	}
	g->stride = (g->words + SUMS + LINE / 8 - 1) / (LINE / 8) * (LINE / 8);
	g->room = FIRST_ROOM;
	g->mask = 2 * FIRST_ROOM - 1;
	g->rows = wide((size_t)g->room * g->stride * sizeof *g->rows);
	g->slots = calloc(g->mask + 1, sizeof *g->slots);
	g->keys = malloc(duckdb_vector_size() * g->words * sizeof *g->keys);
	g->hashes = malloc(duckdb_vector_size() * sizeof *g->hashes);
	/* Who sends flows chooses the keys: not the places they get. */
	if (getrandom(&g->seed, sizeof g->seed, GRND_NONBLOCK) != sizeof g->seed)
		g->seed = (uint64_t)(uintptr_t)g->rows;
	return g->rows && g->slots && g->keys && g->hashes ? OK : ERR_MEMORY;
}

static bool is_there(const uint64_t *validity, idx_t row)
{
	return !validity || (validity[row / 64] >> row % 64 & 1);
}

/* One column into the keys of a chunk. */
static void gather(struct groups *g, uint32_t column, duckdb_vector vector, idx_t rows)
{
	const void *data = duckdb_vector_get_data(vector);
	const uint64_t *validity = duckdb_vector_get_validity(vector);
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
		if (!is_there(validity, i)) {
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

static void hash_keys(struct groups *g, idx_t rows)
{
	const uint32_t words = g->words;

	for (idx_t i = 0; i < rows; i++) {
		const uint64_t *key = g->keys + i * words;
		uint64_t h = g->seed;

		for (uint32_t w = 0; w < words; w++)
			h = mix(h ^ key[w], UINT64_C(0x9e3779b97f4a7c15) ^ g->seed >> 7);
		g->hashes[i] = h;
	}
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
	const uint32_t step = (uint32_t)duckdb_vector_size();
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
			memset(row + g->words, 0, SUMS * sizeof *row);
			g->slots[at] = high << 32 | ++g->count;
			return row;
		}
		row = g->rows + ((slot & UINT32_MAX) - 1) * g->stride;
		if (slot >> 32 == high && same_key(row, key, g->words))
			return row;
	}
}

static void add(uint64_t *sum, uint64_t value)
{
	sum[0] += value;
	sum[1] += sum[0] < value;
}

struct sums {
	const uint64_t *octets, *packets, *octets_there, *packets_there;
};

static void add_rows(struct groups *g, const struct sums *from, idx_t i, idx_t end)
{
	for (; i < end; i++) {
		uint64_t *row = find(g, g->keys + i * g->words, g->hashes[i]), *sums = row + g->words;

		if (is_there(from->octets_there, i)) {
			row[0] |= HAS_OCTETS;
			add(sums + OCTETS, from->octets[i]);
		}
		if (is_there(from->packets_there, i)) {
			row[0] |= HAS_PACKETS;
			add(sums + PACKETS, from->packets[i]);
		}
		sums[FLOWS]++;
	}
}

static enum status take_chunk(struct groups *g, duckdb_data_chunk chunk, idx_t rows)
{
	duckdb_vector octets = duckdb_data_chunk_get_vector(chunk, g->column_count);
	duckdb_vector packets = duckdb_data_chunk_get_vector(chunk, g->column_count + 1);
	const struct sums sums = {
		.octets = duckdb_vector_get_data(octets),
		.packets = duckdb_vector_get_data(packets),
		.octets_there = duckdb_vector_get_validity(octets),
		.packets_there = duckdb_vector_get_validity(packets),
	};

	while (g->room - g->count < rows) { /* every row may be a new group */
		if ((uint64_t)g->room * g->stride * 16 > OCTETS_MAX)
			return ERR_LIMIT;
		if (!grow(g))
			return ERR_MEMORY;
	}
	for (idx_t i = 0; i < rows; i++)
		g->keys[i * g->words] = 0;
	for (uint32_t c = 0; c < g->column_count; c++)
		gather(g, c, duckdb_data_chunk_get_vector(chunk, c), rows);
	hash_keys(g, rows);
	for (idx_t i = 0; i < rows; i += AHEAD) {
		const idx_t end = rows - i < AHEAD ? rows : i + AHEAD;

		for (idx_t j = i; j < end; j++)
			__builtin_prefetch(&g->slots[g->hashes[j] & g->mask]);
		for (idx_t j = i; j < end; j++) { /* the slots have arrived: on to their rows */
			const uint64_t slot = g->slots[g->hashes[j] & g->mask];

			__builtin_prefetch(g->rows + ((slot & UINT32_MAX) - (slot != 0)) * g->stride, 1);
		}
		add_rows(g, &sums, i, end);
	}
	return OK;
}

enum status groups_collect(struct groups **out, duckdb_result *result, const atomic_bool *stop,
			   struct error *err)
{
	struct groups *g = calloc(1, sizeof *g);
	enum status s = g ? prepare(g, result) : ERR_MEMORY;
	duckdb_data_chunk chunk;

	*out = NULL;
	while (s == OK && !(stop && atomic_load(stop)) && (chunk = duckdb_fetch_chunk(*result))) {
		const idx_t rows = duckdb_data_chunk_get_size(chunk);

		if (rows)
			s = take_chunk(g, chunk, rows);
		duckdb_destroy_data_chunk(&chunk);
		if (rows == 0)
			break;
	}
	const char *why = s == OK ? duckdb_result_error(result) : NULL;
	if (why && *why)
		s = engine_error(err, why);
	else if (s == OK && stop && atomic_load(stop))
		s = error_set(err, ERR_SYSTEM, "interrupted");
	else if (s != OK)
		(void)error_set(err, s, "the groups do not fit into memory");
	if (s == OK)
		*out = g;
	else
		groups_free(g);
	return s;
}

/* The groups as a table function. */

static void add_column(duckdb_bind_info info, const char *name, duckdb_type type)
{
	duckdb_logical_type logical = duckdb_create_logical_type(type);

	duckdb_bind_add_result_column(info, name, logical);
	duckdb_destroy_logical_type(&logical);
}

static void bind(duckdb_bind_info info)
{
	const struct groups *g = duckdb_bind_get_extra_info(info);

	for (uint32_t i = 0; i < g->column_count; i++)
		add_column(info, g->columns[i].name, g->columns[i].type);
	add_column(info, "octets", DUCKDB_TYPE_HUGEINT);
	add_column(info, "packets", DUCKDB_TYPE_HUGEINT);
	add_column(info, "flows", DUCKDB_TYPE_BIGINT);
	duckdb_bind_set_cardinality(info, g->count, true);
}

static void init(duckdb_init_info info)
{
	uint32_t *next = calloc(1, sizeof *next);

	if (!next)
		duckdb_init_set_error(info, "no memory for the groups");
	duckdb_init_set_max_threads(info, 1);
	duckdb_init_set_init_data(info, next, free);
}

static void set_null(duckdb_vector vector, idx_t row)
{
	duckdb_vector_ensure_validity_writable(vector);
	duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector), row);
}

static void emit_key(const struct groups *g, uint32_t column, const uint64_t *row, idx_t count,
		     duckdb_vector vector)
{
	const uint32_t width = g->columns[column].width;
	uint8_t *to = duckdb_vector_get_data(vector);

	for (idx_t i = 0; i < count; i++, row += g->stride) {
		if (row[0] >> column & 1) {
			set_null(vector, i);
			continue;
		}
		const uint64_t *word = row + g->columns[column].at;
		const uint8_t one = (uint8_t)*word;
		const uint16_t two = (uint16_t)*word;
		const uint32_t four = (uint32_t)*word;
		memcpy(to + i * width,
		       width == 1   ? (const void *)&one
		       : width == 2 ? (const void *)&two
		       : width == 4 ? (const void *)&four
				    : (const void *)word,
		       width);
	}
}

static void emit_sum(const struct groups *g, uint32_t sum, uint64_t has, const uint64_t *row, idx_t count,
		     duckdb_vector vector)
{
	duckdb_hugeint *to = duckdb_vector_get_data(vector);

	for (idx_t i = 0; i < count; i++, row += g->stride) {
		to[i].lower = row[g->words + sum];
		to[i].upper = (int64_t)row[g->words + sum + 1];
		if (!(row[0] & has))
			set_null(vector, i);
	}
}

static void emit(duckdb_function_info info, duckdb_data_chunk chunk)
{
	const struct groups *g = duckdb_function_get_extra_info(info);
	uint32_t *next = duckdb_function_get_init_data(info);
	const uint32_t left = g->count - *next, room = (uint32_t)duckdb_vector_size(),
		       count = left < room ? left : room;
	const uint64_t *rows = g->rows + (size_t)*next * g->stride;
	int64_t *flows = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, g->column_count + 2));

	for (uint32_t c = 0; c < g->column_count; c++)
		emit_key(g, c, rows, count, duckdb_data_chunk_get_vector(chunk, c));
	emit_sum(g, OCTETS, HAS_OCTETS, rows, count, duckdb_data_chunk_get_vector(chunk, g->column_count));
	emit_sum(g, PACKETS, HAS_PACKETS, rows, count,
		 duckdb_data_chunk_get_vector(chunk, g->column_count + 1));
	for (uint32_t i = 0; i < count; i++)
		flows[i] = (int64_t)rows[(size_t)i * g->stride + g->words + FLOWS];
	*next += count;
	duckdb_data_chunk_set_size(chunk, count);
}

enum status groups_register(struct groups *g, duckdb_connection connection, const char *name,
			    struct error *err)
{
	duckdb_table_function f = duckdb_create_table_function();

	duckdb_table_function_set_name(f, name);
	duckdb_table_function_set_extra_info(f, g, free_groups);
	duckdb_table_function_set_bind(f, bind);
	duckdb_table_function_set_init(f, init);
	duckdb_table_function_set_function(f, emit);

	const duckdb_state state = duckdb_register_table_function(connection, f);
	duckdb_destroy_table_function(&f);
	return state == DuckDBSuccess
		       ? OK
		       : error_set(err, ERR_SYSTEM, "DuckDB refuses the table function %s", name);
}
