/* Files as DuckDB reads them: every type, every way of encoding, with and without NULLs, value by value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <duckdb.h>

#include "made.h"

/* What a value is in DuckDB's vector. */
static void assert_value(const struct made *m, uint32_t row, const void *vector, idx_t at)
{
	const size_t width = parquet_width(m->column.type);
	const uint8_t *mine = m->data + row * width;
	const uint8_t *theirs = (const uint8_t *)vector + at * width;
	int64_t ms, us;

	switch (m->column.type) {
	case PARQUET_TIME_MS:
		memcpy(&ms, mine, 8);
		memcpy(&us, theirs, 8);
		assert_int_equal(ms * 1000, us);
		return;
	case PARQUET_UUID:
		for (unsigned i = 0; i < 16; i++) /* the other way round, the highest bit turned */
			assert_int_equal(mine[i], theirs[15 - i] ^ (i == 0 ? 0x80 : 0));
		return;
	case PARQUET_TEXT:
	case PARQUET_OCTETS: {
		const union parquet_text *a = (const void *)mine, *b = (const void *)theirs;

		assert_int_equal(a->near.length, b->near.length);
		assert_memory_equal(parquet_text_octets(a), parquet_text_octets(b), a->near.length);
		return;
	}
	default: assert_memory_equal(mine, theirs, width);
	}
}

static enum status put(void *arg, const void *data, size_t length, struct error *err)
{
	(void)err;
	assert_int_equal(fwrite(data, 1, length, arg), length);
	return OK;
}

struct asked {
	duckdb_database database;
	duckdb_connection connection;
	duckdb_result result;
};

static void ask(struct asked *a, const char *sql)
{
	assert_int_equal(duckdb_open(NULL, &a->database), DuckDBSuccess);
	assert_int_equal(duckdb_connect(a->database, &a->connection), DuckDBSuccess);
	if (duckdb_query(a->connection, sql, &a->result) != DuckDBSuccess)
		fail_msg("%s: %s", sql, duckdb_result_error(&a->result));
}

static void answered(struct asked *a)
{
	duckdb_destroy_result(&a->result);
	duckdb_disconnect(&a->connection);
	duckdb_close(&a->database);
}

/* The rows of one group, in the chunks that come. */
static void assert_rows(struct asked *a, const struct made *all, uint32_t count, uint32_t rows)
{
	duckdb_data_chunk chunk;
	uint32_t row = 0;

	while ((chunk = duckdb_fetch_chunk(a->result))) {
		const idx_t size = duckdb_data_chunk_get_size(chunk);

		for (uint32_t c = 0; c < count; c++) {
			duckdb_vector v = duckdb_data_chunk_get_vector(chunk, c);
			uint64_t *validity = duckdb_vector_get_validity(v);

			for (idx_t i = 0; i < size; i++) {
				const bool is = !validity || duckdb_validity_row_is_valid(validity, i);

				if (is != there(all[c].gaps, row + (uint32_t)i))
					fail_msg("%s: row %u is%s there", all[c].name, row + (uint32_t)i,
						 is ? "" : " not");
				if (is)
					assert_value(&all[c], row + (uint32_t)i, duckdb_vector_get_data(v),
						     i);
			}
		}
		row += (uint32_t)size;
		duckdb_destroy_data_chunk(&chunk);
	}
	assert_int_equal(row, rows);
}

/* One group a file, of so many rows. */
static void check_rows(struct made *all, uint32_t count, uint32_t rows)
{
	struct parquet_column columns[COLUMNS];
	struct parquet_values values[COLUMNS];
	char path[] = "/tmp/weir-parquet-XXXXXX", sql[128];
	FILE *file = fdopen(mkstemp(path), "wb");
	const struct parquet_sink sink = {.arg = file, .put = put};
	uint64_t random = rows;
	struct parquet *p;
	struct asked a;

	assert_non_null(file);
	for (uint32_t i = 0; i < count; i++) {
		make_values(&all[i], rows, &random);
		columns[i] = all[i].column;
		values[i] = (struct parquet_values){.data = all[i].data,
						    .valid = all[i].gaps == NEVER ? NULL : all[i].valid};
	}
	assert_int_equal(parquet_new(&p, &sink, path, columns, count, NULL), OK);
	assert_int_equal(parquet_group(p, values, rows, NULL), OK);
	assert_int_equal(parquet_end(p, NULL), OK);
	parquet_free(p);
	assert_int_equal(fclose(file), 0);
	snprintf(sql, sizeof sql, "SELECT * FROM read_parquet('%s')", path);
	ask(&a, sql);
	assert_rows(&a, all, count, rows);
	answered(&a);
	unlink(path);
}

static void test_every_value(void **state)
{
	static const uint32_t sizes[] = {1, 64, 65, 2047, ROWS_MAX};
	static uint8_t pool[POOL];
	static struct made all[COLUMNS];
	const uint32_t count = make_columns(all, pool);

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		check_rows(all, count, sizes[i]);
	free_columns(all, count);
}

static void assert_number(const char *path, const char *what, int64_t expected)
{
	struct asked a;
	char sql[512];

	snprintf(sql, sizeof sql, "SELECT (%s)::BIGINT FROM read_parquet('%s')", what, path);
	ask(&a, sql);
	duckdb_data_chunk chunk = duckdb_fetch_chunk(a.result);
	const int64_t *answer = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
	if (*answer != expected)
		fail_msg("%s: %lld, not %lld", what, (long long)*answer, (long long)expected);
	duckdb_destroy_data_chunk(&chunk);
	answered(&a);
}

/* Groups one after the other; a column that gets its type with the third; bounds that let groups be skipped.
 */
static void test_groups(void **state)
{
	static uint32_t ascending[1000];
	static int64_t late[1000];
	static const uint64_t none[16];
	char path[] = "/tmp/weir-parquet-XXXXXX", sql[256];
	FILE *file = fdopen(mkstemp(path), "wb");
	const struct parquet_sink sink = {.arg = file, .put = put};
	const struct parquet_column columns[] = {
		{"n", PARQUET_UNSIGNED32}, {"late", PARQUET_NOTHING}, {"never", PARQUET_NOTHING}};
	struct parquet *p;

	(void)state;
	assert_non_null(file);
	assert_int_equal(parquet_new(&p, &sink, path, columns, 3, NULL), OK);
	parquet_note(p, "question", "all of it");
	for (uint32_t g = 0; g < 5; g++) {
		struct parquet_values values[] = {{ascending, NULL}, {NULL, none}, {NULL, none}};

		for (uint32_t i = 0; i < 1000; i++) {
			ascending[i] = UINT32_MAX - 4999 + g * 1000 + i;
			late[i] = -(int64_t)i;
		}
		if (g == 2)
			parquet_settle(p, 1, PARQUET_SIGNED64);
		if (g >= 2)
			values[1] = (struct parquet_values){late, NULL};
		assert_int_equal(parquet_group(p, values, 1000, NULL), OK);
	}
	assert_int_equal(parquet_end(p, NULL), OK);
	parquet_free(p);
	assert_int_equal(fclose(file), 0);

	assert_number(path, "count(*)", 5000);
	assert_number(path, "count(late)", 3000);
	assert_number(path, "sum(late)", -3 * 999 * 500);
	assert_number(path, "count(never)", 0);
	assert_number(path, "min(n)", UINT32_MAX - 4999);
	assert_number(path, "max(n)", UINT32_MAX);
	assert_number(path, "count(*) FILTER (n = 4294963296)", 1);
	assert_number(path, "count(*) FILTER (n > 4294966295)", 1000);
	snprintf(sql, sizeof sql,
		 "(SELECT count(*) FROM parquet_kv_metadata('%s') WHERE decode(key) = 'question' AND "
		 "decode(value) = 'all of it') + 0 * count(*)",
		 path);
	assert_number(path, sql, 1);
	unlink(path);
}

static void test_limits(void **state)
{
	static const uint8_t octets[1];
	const struct parquet_column column = {"n", PARQUET_UNSIGNED8};
	const struct parquet_values values = {octets, NULL};
	const struct parquet_sink sink = {.arg = stdout, .put = put};
	struct error err = {0};
	struct parquet *p;

	(void)state;
	assert_int_equal(parquet_new(&p, &sink, "here", &column, 1, NULL), OK);
	assert_int_equal(parquet_group(p, &values, 0, &err), ERR_LIMIT);
	assert_string_equal(err.text, "here: a row group of 0 rows, allowed are 1 to 1048576");
	assert_int_equal(parquet_group(p, &values, (1 << 20) + 1, &err), ERR_LIMIT);
	parquet_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_value),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
