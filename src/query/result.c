#include "query/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/engine.h"

static bool is_number(duckdb_type type)
{
	return cell_readable(type) && type != DUCKDB_TYPE_BOOLEAN && type != DUCKDB_TYPE_VARCHAR &&
	       type != DUCKDB_TYPE_BLOB && type != DUCKDB_TYPE_UUID && type != DUCKDB_TYPE_TIMESTAMP &&
	       type != DUCKDB_TYPE_TIMESTAMP_S && type != DUCKDB_TYPE_TIMESTAMP_MS &&
	       type != DUCKDB_TYPE_TIMESTAMP_NS;
}

/* One row of a chunk: cells of the result, joined to the columns that are shown. */
static void show_chunk_row(struct show *show, duckdb_data_chunk chunk, const duckdb_type *types, idx_t row,
			   struct cell *cells)
{
	static const struct cell none = {.kind = CELL_NULL};
	const idx_t count = duckdb_data_chunk_get_column_count(chunk);

	for (idx_t i = 0, at = 0; i < show->count && at < count; i++, at++) {
		const enum cell_format format = (enum cell_format)show->columns[i].format;
		const struct cell first = cell_read(duckdb_data_chunk_get_vector(chunk, at), types[at], row);
		struct cell second = none;

		if (format == CELL_ADDRESS && ++at < count)
			second = cell_read(duckdb_data_chunk_get_vector(chunk, at), types[at], row);
		cells[i] = cell_join(format, &first, &second);
	}
	show_row(show, cells);
}

static enum status feed_rows(struct show *show, const struct result_sink *sink, duckdb_result *result,
			     const duckdb_type *types, struct cell *cells, struct error *err)
{
	duckdb_data_chunk chunk;

	while (!show->failed && !(sink->stop && atomic_load(sink->stop)) &&
	       (chunk = duckdb_fetch_chunk(*result))) {
		const idx_t rows = duckdb_data_chunk_get_size(chunk);

		for (idx_t row = 0; row < rows; row++)
			show_chunk_row(show, chunk, types, row, cells);
		duckdb_destroy_data_chunk(&chunk);
		if (rows == 0)
			break;
	}
	const char *why = duckdb_result_error(result);
	return why && *why ? engine_error(err, why) : OK;
}

void result_begin(const struct result_sink *sink, struct show *show, const struct show_column *columns,
		  uint32_t count)
{
	show->notes = sink->notes;
	show_begin(show, sink->type, sink->out, columns, count, sink->width);
}

enum status result_end(struct result_sink *sink, struct show *show, struct error *err)
{
	const bool good = show_end(show);

	sink->rows = show->rows;
	return good ? OK : error_errno(err, "standard output");
}

static enum status show_all(struct result_sink *sink, duckdb_result *result,
			    const struct show_column *columns, uint32_t count, struct error *err)
{
	const idx_t all = duckdb_column_count(result);
	struct cell *cells = calloc(count ? count : 1, sizeof *cells);
	duckdb_type *types = calloc(all ? all : 1, sizeof *types);
	struct show *show = calloc(1, sizeof *show);
	enum status s = ERR_MEMORY;

	if (cells && types && show) {
		for (idx_t i = 0; i < all; i++)
			types[i] = duckdb_column_type(result, i);
		result_begin(sink, show, columns, count);
		s = feed_rows(show, sink, result, types, cells, err);
		const enum status ended = result_end(sink, show, s == OK ? err : NULL);
		s = s == OK ? ended : s;
	} else {
		(void)error_set(err, s, "no memory");
	}
	free(show);
	free(types);
	free(cells);
	return s;
}

bool result_is_right(duckdb_type type, enum cell_format format)
{
	return is_number(type) && format != CELL_PROTOCOL && format != CELL_DIRECTION &&
	       format != CELL_FLAGS && format != CELL_TIME && format != CELL_ADDRESS && format != CELL_IPV4;
}

enum status result_show(struct result_sink *sink, duckdb_result *result, const struct ask_column *asked,
			uint32_t count, struct error *err)
{
	if (!asked)
		count = (uint32_t)duckdb_column_count(result);

	struct show_column *columns = calloc(count ? count : 1, sizeof *columns);
	if (!columns)
		return error_set(err, ERR_MEMORY, "no memory");
	for (uint32_t i = 0, at = 0; i < count; i++, at++) {
		const char *name = asked ? asked[i].name : duckdb_column_name(result, i);

		snprintf(columns[i].name, sizeof columns[i].name, "%s", name ? name : "");
		columns[i].format = asked ? asked[i].format : CELL_PLAIN;
		columns[i].right =
			result_is_right(duckdb_column_type(result, at), (enum cell_format)columns[i].format);
		at += columns[i].format == CELL_ADDRESS;
	}
	const enum status s = show_all(sink, result, columns, count, err);
	free(columns);
	return s;
}
