/* Any octets as messages to the loader; whatever it takes becomes columns. */
#include <stdint.h>
#include <stdlib.h>

#include "message/file.h"
#include "store/duck.h"
#include "store/loader.h"
#include "store/row_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_all(struct loader *loader, const uint8_t *data, size_t size)
{
	struct frame_reader frames = {0};
	struct input_message m = {.peer = {.transport = INPUT_FILE}};
	enum frame_result result;

	frame_more(&frames, data, size, true);
	while ((result = frame_next(&frames, &m.octets)) == FRAME_MESSAGE || result == FRAME_DAMAGE) {
		m.received.ns += 1000000000;
		m.next.offset += m.octets.length;
		if (result == FRAME_MESSAGE && loader_take(loader, &m) != OK)
			return; /* the batch is full */
	}
}

/* Every row there is must come out again. */
static void convert_all(struct duck *duck, struct rows *rows, const char *name, const char *sql)
{
	duckdb_result result;
	duckdb_data_chunk chunk;
	uint64_t count = 0;

	rows_seal(rows);
	if (rows->records == 0)
		return;
	if (rows_register(rows, duck->connection, name, NULL) != OK ||
	    duck_ask(duck->connection, sql, &result, "fuzz", NULL) != OK)
		abort();
	while ((chunk = duckdb_fetch_chunk(result))) {
		count += duckdb_data_chunk_get_size(chunk);
		duckdb_destroy_data_chunk(&chunk);
	}
	duckdb_destroy_result(&result);
	if (count != rows->records)
		abort();
}

static enum status drop(void *arg, const void *data, size_t length, struct error *err)
{
	uint64_t *octets = arg;

	(void)data;
	(void)err;
	*octets += length;
	return OK;
}

/* The same rows into a Parquet file, in groups so small that there are several. */
static void write_all(struct rows *rows)
{
	struct parquet_column *columns = calloc(rows->schema.count + 1, sizeof *columns);
	struct parquet_values *values = calloc(rows->schema.count + 1, sizeof *values);
	uint64_t octets = 0, count = 0;
	const struct parquet_sink sink = {.arg = &octets, .put = drop};
	struct batch_source batch;
	struct row_group group;
	struct parquet *p;

	if (rows->records == 0) {
		free(columns);
		free(values);
		return;
	}
	for (uint32_t i = 0; i < rows->schema.count; i++)
		columns[i] = (struct parquet_column){
			rows->schema.columns[i].name,
			column_parquet_type((enum column_kind)rows->schema.columns[i].kind)};
	if (batch_source_init(&batch, rows, &rows->schema) != OK ||
	    row_group_init(&group, &rows->schema, ROW_GROUP_STEP) != OK ||
	    parquet_new(&p, &sink, "fuzz", columns, rows->schema.count, NULL) != OK)
		abort();
	while (row_group_clear(&group), batch.source.fill(&batch, &group, NULL) == OK && group.rows) {
		for (uint32_t i = 0; i < rows->schema.count; i++)
			values[i] = (struct parquet_values){group.columns[i].data,
							    group.columns[i].nulls ? group.columns[i].valid
										   : NULL};
		if (parquet_group(p, values, group.rows, NULL) != OK)
			abort();
		count += group.rows;
	}
	if (parquet_end(p, NULL) != OK || count != rows->records || octets == 0)
		abort();
	parquet_free(p);
	row_group_fini(&group);
	batch_source_fini(&batch);
	free(columns);
	free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct loader_options options = {.store = "/nonexistent", .read_only = true};
	struct loader *loader;
	struct duck duck;

	if (loader_open(&loader, &options, NULL) != OK)
		abort();
	take_all(loader, data, size);
	if (loader_rows(loader, false, 0)->records || loader_rows(loader, true, 0)->records) {
		if (duck_open(&duck, "/nonexistent", NULL) != OK)
			abort();
		convert_all(&duck, loader_rows(loader, false, 0), "flows", "SELECT * FROM flows()");
		convert_all(&duck, loader_rows(loader, true, 0), "options", "SELECT * FROM options()");
		write_all(loader_rows(loader, false, 0));
		write_all(loader_rows(loader, true, 0));
		duck_close(&duck);
	}
	loader_close(loader);
	return 0;
}
