/* Rows that DuckDB gives: the chunks of a result. */
#include "query/group_private.h"

#include <stdio.h>

#include "query/conveyor.h"

static struct groups_values values_of(duckdb_data_chunk chunk, uint32_t column)
{
	duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, column);

	return (struct groups_values){duckdb_vector_get_data(vector), duckdb_vector_get_validity(vector)};
}

/* Every column but the last two is a key of fixed width. */
static enum status shape_of(struct groups **out, duckdb_result *result)
{
	const idx_t columns = duckdb_column_count(result);
	struct groups_shape shape = {.key_count = (uint32_t)columns - 2};

	if (columns < 2 || shape.key_count > GROUPS_KEYS_MAX || duckdb_vector_size() > GROUPS_STEP ||
	    duckdb_column_type(result, columns - 2) != DUCKDB_TYPE_UBIGINT ||
	    duckdb_column_type(result, columns - 1) != DUCKDB_TYPE_UBIGINT)
		return ERR_UNSUPPORTED;
	for (uint32_t i = 0; i < shape.key_count; i++) {
		snprintf(shape.keys[i].name, GROUPS_NAME_MAX, "%s", duckdb_column_name(result, i));
		shape.keys[i].type = duckdb_column_type(result, i);
		if (shape.keys[i].type == DUCKDB_TYPE_VARCHAR)
			return ERR_UNSUPPORTED;
	}
	return groups_new(out, &shape);
}

static enum status take_chunk(void *arg, duckdb_data_chunk chunk)
{
	struct groups *g = arg;
	struct groups_rows rows = {.count = (uint32_t)duckdb_data_chunk_get_size(chunk),
				   .octets = values_of(chunk, g->column_count),
				   .packets = values_of(chunk, g->column_count + 1)};

	for (uint32_t i = 0; i < g->column_count; i++)
		rows.keys[i] = values_of(chunk, i);
	return groups_add(g, &rows, NULL);
}

enum status groups_collect(struct groups **out, duckdb_result *result, const atomic_bool *stop,
			   struct error *err)
{
	struct groups *g = NULL;
	enum status s = shape_of(&g, result);

	*out = NULL;
	if (s == OK)
		s = conveyor_run(result, take_chunk, g, stop, err);
	if (s == OK && stop && atomic_load(stop))
		s = error_set(err, ERR_SYSTEM, "interrupted");
	else if (s != OK && s != ERR_SYSTEM)
		(void)error_set(err, s, "the groups do not fit into memory");
	if (s == OK)
		*out = g;
	else
		groups_free(g);
	return s;
}
