/* The rows of a batch as a table function of DuckDB. */
#include <stdlib.h>
#include <string.h>

#include "store/duck.h"
#include "store/pour.h"

struct scan {
	struct pour pour;
	bool *real; /* of each column asked for: it is one of ours */
};

static void scan_free(void *arg)
{
	struct scan *s = arg;

	if (!s)
		return;
	pour_fini(&s->pour);
	free(s->real);
	free(s);
}

static void bind(duckdb_bind_info info)
{
	const struct rows *r = duckdb_bind_get_extra_info(info);

	for (uint32_t i = 0; i < r->schema.count; i++) {
		duckdb_logical_type type = duckdb_create_logical_type(
			column_duckdb_type((enum column_kind)r->schema.columns[i].kind));

		duckdb_bind_add_result_column(info, r->schema.columns[i].name, type);
		duckdb_destroy_logical_type(&type);
	}
	duckdb_bind_set_cardinality(info, r->records, true);
}

static bool scan_prepare(struct scan *s, struct rows *rows, duckdb_init_info info)
{
	const idx_t count = duckdb_init_get_column_count(info);
	uint64_t *columns = calloc(count + 1, sizeof *columns);
	bool ready;

	s->real = calloc(count + 1, sizeof *s->real);
	for (idx_t i = 0; columns && s->real && i < count; i++) {
		columns[i] = duckdb_init_get_column_index(info, i);
		/* A count of rows asks for a column that is none of ours. */
		s->real[i] = columns[i] < rows->schema.count;
	}
	ready = columns && s->real && pour_init(&s->pour, rows, columns, (uint32_t)count) == OK;
	free(columns);
	return ready;
}

static void init(duckdb_init_info info)
{
	struct scan *s = calloc(1, sizeof *s);

	if (!s || !scan_prepare(s, duckdb_init_get_extra_info(info), info)) {
		scan_free(s);
		duckdb_init_set_error(info, "no memory for a scan of records");
		return;
	}
	duckdb_init_set_max_threads(info, 1);
	duckdb_init_set_init_data(info, s, scan_free);
}

static void fill(duckdb_function_info info, duckdb_data_chunk chunk)
{
	struct scan *s = duckdb_function_get_init_data(info);

	for (uint32_t i = 0; i < s->pour.count; i++) {
		duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);

		s->pour.targets[i] = (struct target){
			.vector = vector, .data = s->real[i] ? duckdb_vector_get_data(vector) : NULL};
	}
	duckdb_data_chunk_set_size(chunk, pour_next(&s->pour, (uint32_t)duckdb_vector_size()));
}

enum status rows_register(struct rows *r, duckdb_connection connection, const char *name, struct error *err)
{
	duckdb_table_function f = duckdb_create_table_function();

	duckdb_table_function_set_name(f, name);
	duckdb_table_function_set_extra_info(f, r, NULL);
	duckdb_table_function_set_bind(f, bind);
	duckdb_table_function_set_init(f, init);
	duckdb_table_function_set_function(f, fill);
	duckdb_table_function_supports_projection_pushdown(f, true);

	const duckdb_state state = duckdb_register_table_function(connection, f);
	duckdb_destroy_table_function(&f);
	return state == DuckDBSuccess
		       ? OK
		       : error_set(err, ERR_SYSTEM, "DuckDB refuses the table function %s", name);
}
