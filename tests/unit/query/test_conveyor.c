/* Chunks go by in order and whole, by a thread or without one, until somebody wants no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "query/conveyor.h"
#include "query/engine.h"

struct taker {
	int64_t next;
	idx_t fails_at; /* chunk; 0: never */
	idx_t chunks;
	atomic_bool *stop; /* set at the third chunk */
};

static enum status take(void *arg, duckdb_data_chunk chunk)
{
	struct taker *t = arg;
	const int64_t *values = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
	const idx_t rows = duckdb_data_chunk_get_size(chunk);

	t->chunks++;
	if (t->stop && t->chunks == 3)
		atomic_store(t->stop, true);
	if (t->fails_at == t->chunks)
		return ERR_LIMIT;
	for (idx_t i = 0; i < rows; i++)
		if (values[i] != t->next++)
			return ERR_FORMAT;
	return OK;
}

static enum status run(struct engine *e, const char *sql, struct taker *t, struct error *err)
{
	duckdb_result result;
	enum status s = engine_select(e, sql, &result, err);

	if (s != OK)
		fail_msg("%s", err->text);
	s = conveyor_run(&result, take, t, t->stop, err);
	duckdb_destroy_result(&result);
	return s;
}

static void all_kinds_of_ends(void **state)
{
	static const int64_t rows[] = {0, 1, 2048, 16 * 2048, 16 * 2048 + 1, 1000000};
	struct error err = {0};
	struct engine e;
	char sql[128];

	assert_int_equal(engine_open(&e, "/tmp", &err), OK);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct taker t = {0};

		snprintf(sql, sizeof sql, "SELECT range FROM range(%lld)", (long long)rows[i]);
		assert_int_equal(run(&e, sql, &t, &err), OK);
		assert_int_equal(t.next, rows[i]);
	}
	for (idx_t at = 1; at < 400; at += 57) {
		struct taker t = {.fails_at = at};

		assert_int_equal(run(&e, "SELECT range FROM range(1000000)", &t, &err), ERR_LIMIT);
		assert_int_equal(t.chunks, at);
	}
	atomic_bool stop = false;
	struct taker stopped = {.stop = &stop};
	assert_int_equal(run(&e, "SELECT range FROM range(1000000)", &stopped, &err), OK);
	assert_int_equal(stopped.chunks, 3);
	struct taker failed = {0};
	assert_int_equal(run(&e,
			     "SELECT CASE WHEN range < 500000 THEN range ELSE error('no more') END FROM "
			     "range(1000000)",
			     &failed, &err),
			 ERR_SYSTEM);
	assert_non_null(strstr(err.text, "no more"));
	duckdb_disconnect(&e.connection);
	duckdb_close(&e.database);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_kinds_of_ends)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
