/* Groups read back: one by one, and as a table function. */
#include "query/group_private.h"

#include <stdlib.h>
#include <string.h>

#include "query/cell.h"

uint32_t groups_count(const struct groups *g)
{
	return g->count;
}

struct groups_sums groups_sums_of(const struct groups *g, uint32_t group)
{
	const uint64_t *row = groups_row(g, group), *sums = row + g->words;

	return (struct groups_sums){.has_octets = row[0] & HAS_OCTETS,
				    .has_packets = row[0] & HAS_PACKETS,
				    .octets = {sums[OCTETS], sums[OCTETS_HIGH]},
				    .packets = {sums[PACKETS], sums[PACKETS_HIGH]},
				    .flows = sums[FLOWS],
				    .denied = g->sums > DENIED ? sums[DENIED] : 0};
}

struct cell groups_key(const struct groups *g, uint32_t group, uint32_t key)
{
	const uint64_t *row = groups_row(g, group), *word = row + g->columns[key].at;

	if (row[0] >> key & 1)
		return (struct cell){.kind = CELL_NULL};
	if (g->columns[key].texts)
		return (struct cell){.kind = CELL_TEXT,
				     .text = texts_at(g->columns[key].texts, (uint32_t)*word)};
	return cell_of(word,
		       g->columns[key].type); /* little end first: a narrow value is where the word is */
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
	if (g->sums > DENIED)
		add_column(info, "denied", DUCKDB_TYPE_BIGINT);
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

static void free_groups(void *arg)
{
	groups_free(arg);
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
		if (g->columns[column].texts) {
			const struct span text = texts_at(g->columns[column].texts, (uint32_t)*word);

			duckdb_vector_assign_string_element_len(vector, i, (const char *)text.data,
								text.length);
			continue;
		}
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

static void emit_count(const struct groups *g, uint32_t sum, const uint64_t *row, idx_t count,
		       duckdb_vector vector)
{
	int64_t *to = duckdb_vector_get_data(vector);

	for (idx_t i = 0; i < count; i++, row += g->stride)
		to[i] = (int64_t)row[g->words + sum];
}

static void emit(duckdb_function_info info, duckdb_data_chunk chunk)
{
	const struct groups *g = duckdb_function_get_extra_info(info);
	uint32_t *next = duckdb_function_get_init_data(info);
	const uint32_t left = g->count - *next, room = (uint32_t)duckdb_vector_size(),
		       count = left < room ? left : room;
	const uint64_t *rows = g->rows + (size_t)*next * g->stride;

	for (uint32_t c = 0; c < g->column_count; c++)
		emit_key(g, c, rows, count, duckdb_data_chunk_get_vector(chunk, c));
	emit_sum(g, OCTETS, HAS_OCTETS, rows, count, duckdb_data_chunk_get_vector(chunk, g->column_count));
	emit_sum(g, PACKETS, HAS_PACKETS, rows, count,
		 duckdb_data_chunk_get_vector(chunk, g->column_count + 1));
	for (uint32_t sum = FLOWS; sum < g->sums; sum++)
		emit_count(g, sum, rows, count,
			   duckdb_data_chunk_get_vector(chunk, g->column_count + 2 + sum - FLOWS));
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
