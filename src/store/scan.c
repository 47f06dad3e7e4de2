/* The rows of a batch as a table function of DuckDB. */
#include <stdlib.h>
#include <string.h>

#include "store/cursor.h"
#include "store/duck.h"

struct scan {
	struct rows *rows;
	struct cursor cursor;
	struct target *targets;
	idx_t *columns; /* of the schema, that are asked for */
	idx_t column_count;
	int32_t *asked; /* of each column of the schema: which target; -1: none */
};

static void scan_free(void *arg)
{
	struct scan *s = arg;

	if (!s)
		return;
	cursor_fini(&s->cursor);
	free(s->targets);
	free(s->columns);
	free(s->asked);
	free(s);
}

static void bind(duckdb_bind_info info)
{
	const struct rows *r = duckdb_bind_get_extra_info(info);

	for (uint32_t i = 0; i < r->schema.count; i++) {
		duckdb_logical_type type = i == BASE_EXPORTER_ADDRESS && r->addresses
						   ? duckdb_create_enum_type(r->addresses, r->address_count)
						   : duckdb_create_logical_type(column_duckdb_type(
							     (enum column_kind)r->schema.columns[i].kind));

		duckdb_bind_add_result_column(info, r->schema.columns[i].name, type);
		duckdb_destroy_logical_type(&type);
	}
	duckdb_bind_set_cardinality(info, r->records, true);
}

static bool scan_prepare(struct scan *s, duckdb_init_info info)
{
	const uint32_t all = s->rows->schema.count;

	s->column_count = duckdb_init_get_column_count(info);
	s->targets = calloc(s->column_count + 1, sizeof *s->targets);
	s->columns = calloc(s->column_count + 1, sizeof *s->columns);
	s->asked = malloc((all + 1) * sizeof *s->asked);
	if (cursor_init(&s->cursor, s->rows) != OK || !s->targets || !s->columns || !s->asked)
		return false;
	for (uint32_t i = 0; i < all; i++)
		s->asked[i] = -1;
	for (idx_t i = 0; i < s->column_count; i++) {
		s->columns[i] = duckdb_init_get_column_index(info, i);
		if (s->columns[i] < all)
			s->asked[s->columns[i]] = (int32_t)i;
	}
	return true;
}

static void init(duckdb_init_info info)
{
	struct scan *s = calloc(1, sizeof *s);

	if (s)
		s->rows = duckdb_init_get_extra_info(info);
	if (!s || !scan_prepare(s, info)) {
		scan_free(s);
		duckdb_init_set_error(info, "no memory for a scan of records");
		return;
	}
	/* Faults are counted by a scan of everything, so the last such scan holds. */
	for (uint32_t i = 0; i < s->rows->run_count; i++)
		memset(s->rows->runs[i].origin->batch_faults, 0,
		       sizeof s->rows->runs[i].origin->batch_faults);
	duckdb_init_set_max_threads(info, 1);
	duckdb_init_set_init_data(info, s, scan_free);
}

/* Every column of the piece that is asked for: from its fields, and NULL where the run has none. */
static void convert_piece(struct scan *s, const struct piece *p, idx_t row)
{
	const struct plan *plan = p->slot->plan;

	for (idx_t i = 0; i < s->column_count; i++)
		s->targets[i].row = row;
	for (uint32_t i = 0; i < BASE_COLUMN_COUNT; i++)
		if (s->asked[i] >= 0) {
			convert_base(p, (enum base_column)i, &s->targets[s->asked[i]]);
			s->targets[s->asked[i]].row = row + p->count;
		}
	for (uint32_t f = 0; f < plan->column_count; f++) {
		const int32_t column = p->slot->columns[f], derived = p->slot->derived[f];

		if (column >= 0 && s->asked[column] >= 0) {
			struct target *to = &s->targets[s->asked[column]];

			if (to->row == row) /* two names that are one to SQL: the first has the column */
				convert_field(s->rows, p, f, to);
			to->row = row + p->count;
		}
		if (derived >= 0 && s->asked[derived] >= 0) {
			struct target *to = &s->targets[s->asked[derived]];

			if (to->row == row)
				convert_derived(s->rows, p, f, to);
			to->row = row + p->count;
		}
	}
	for (idx_t i = 0; i < s->column_count; i++)
		if (s->targets[i].row == row && s->targets[i].data)
			target_nulls(&s->targets[i], row, p->count);
}

static void fill(duckdb_function_info info, duckdb_data_chunk chunk)
{
	struct scan *s = duckdb_function_get_init_data(info);
	const uint32_t room = (uint32_t)duckdb_vector_size();
	struct piece piece;
	idx_t rows = 0;

	for (idx_t i = 0; i < s->column_count; i++) {
		duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);
		const bool real = s->columns[i] < s->rows->schema.count;

		/* A count of rows asks for a column that is none of ours. */
		s->targets[i] = (struct target){.vector = vector,
						.data = real ? duckdb_vector_get_data(vector) : NULL,
						.enumerated = s->columns[i] == BASE_EXPORTER_ADDRESS &&
							      s->rows->addresses};
	}
	while (rows < room && rows < PIECE_MAX &&
	       cursor_next(&s->cursor, (room < PIECE_MAX ? room : PIECE_MAX) - (uint32_t)rows, &piece)) {
		convert_piece(s, &piece, rows);
		rows += piece.count;
	}
	duckdb_data_chunk_set_size(chunk, rows);
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
