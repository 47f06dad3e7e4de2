/* Any octets as messages to the loader; whatever it takes becomes columns. */
#include <stdint.h>
#include <stdlib.h>

#include "message/file.h"
#include "store/duck.h"
#include "store/loader.h"

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
		duck_close(&duck);
	}
	loader_close(loader);
	return 0;
}
