#include "store/row_source.h"

#include <stdlib.h>
#include <string.h>

/* A batch. */

static enum status fill_from_batch(void *arg, struct row_group *g, struct error *err)
{
	struct batch_source *b = arg;

	(void)err;
	for (uint32_t i = 0; i < b->pour.count; i++)
		b->pour.targets[i] = (struct target){
			.group = g, .column = &g->columns[i], .data = g->columns[i].data, .counts = true};
	g->rows = pour_next(&b->pour, g->room);
	return OK;
}

enum status batch_source_init(struct batch_source *b, struct rows *rows, const struct schema *schema)
{
	uint64_t *columns = calloc(schema->count + 1, sizeof *columns);
	enum status s = ERR_MEMORY;

	*b = (struct batch_source){.source = {.arg = b, .fill = fill_from_batch}};
	for (uint32_t i = 0; columns && i < schema->count; i++)
		columns[i] = (uint32_t)schema_find(&rows->schema, schema->columns[i].name);
	if (columns)
		s = pour_init(&b->pour, rows, columns, schema->count);
	free(columns);
	return s;
}

void batch_source_fini(struct batch_source *b)
{
	pour_fini(&b->pour);
}

/* A query. */

/* Texts lie in the chunk, which goes. */
static void keep_texts(struct row_group *g, const struct row_group_column *c, uint32_t row, uint32_t count)
{
	union parquet_text *texts = c->data;

	for (uint32_t i = row; i < row + count; i++) {
		const uint8_t *kept;

		if ((c->nulls && !(c->valid[i / 64] >> i % 64 & 1)) || texts[i].near.length <= PARQUET_NEAR)
			continue;
		kept = row_group_keep(g, texts[i].far.octets, texts[i].far.length);
		if (kept)
			texts[i].far.octets = kept;
	}
}

static void take_vector(struct row_group *g, uint32_t column, duckdb_vector vector, uint32_t count)
{
	const enum parquet_type type = column_parquet_type((enum column_kind)g->schema->columns[column].kind);
	struct row_group_column *c = &g->columns[column];
	const uint64_t *valid = duckdb_vector_get_validity(vector);
	const size_t width = parquet_width(type);

	memcpy((uint8_t *)c->data + g->rows * width, duckdb_vector_get_data(vector), count * width);
	for (uint32_t i = 0, end; valid && i < count; i = end + 1) {
		for (end = i; end < count && !(valid[end / 64] >> end % 64 & 1); end++)
			;
		if (end > i)
			row_group_nulls(g, c, g->rows + i, end - i);
	}
	if (type == PARQUET_TEXT || type == PARQUET_OCTETS)
		keep_texts(g, c, g->rows, count);
}

static enum status fill_from_query(void *arg, struct row_group *g, struct error *err)
{
	struct query_source *q = arg;

	while (g->kept < ROW_GROUP_OCTETS) {
		if (!q->chunk)
			q->chunk = duckdb_fetch_chunk(q->result);
		if (!q->chunk)
			return duck_ended(&q->result, "rows of a query", err);
		const uint32_t count = (uint32_t)duckdb_data_chunk_get_size(q->chunk);
		if (count > g->room - g->rows)
			return OK;
		for (uint32_t i = 0; i < g->schema->count; i++)
			take_vector(g, i, duckdb_data_chunk_get_vector(q->chunk, i), count);
		g->rows += count;
		duckdb_destroy_data_chunk(&q->chunk);
	}
	return OK;
}

static bool has_columns(duckdb_result *result, const struct schema *schema)
{
	if (duckdb_column_count(result) != schema->count)
		return false;
	for (uint32_t i = 0; i < schema->count; i++)
		if (duckdb_column_type(result, i) !=
		    column_duckdb_type((enum column_kind)schema->columns[i].kind))
			return false;
	return true;
}

enum status query_source_init(struct query_source *q, duckdb_connection connection, const char *select,
			      const struct schema *schema, struct error *err)
{
	enum status s;

	*q = (struct query_source){.source = {.arg = q, .fill = fill_from_query}};
	s = duck_stream(connection, select, &q->result, "rows of a query", err);
	if (s != OK || has_columns(&q->result, schema))
		return s;
	query_source_fini(q);
	return error_set(err, ERR_SYSTEM, "rows of a query: not of the columns that were asked for");
}

void query_source_fini(struct query_source *q)
{
	duckdb_destroy_data_chunk(&q->chunk);
	duckdb_destroy_result(&q->result);
}
