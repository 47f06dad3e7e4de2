/* Sums by group.c against DuckDB's own GROUP BY, over rows with every width of key, NULLs and sums beyond 64
 * bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "query/group.h"
#include "store/duck.h"

static void must(duckdb_connection c, const char *sql)
{
	struct error err = {0};

	if (duck_run(c, sql, "test", &err) != OK)
		fail_msg("%s", err.text);
}

static int64_t number(duckdb_connection c, const char *sql)
{
	duckdb_result result;
	struct error err = {0};

	if (duck_ask(c, sql, &result, "test", &err) != OK)
		fail_msg("%s", err.text);
	duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
	const int64_t n = ((int64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0)))[0];
	duckdb_destroy_data_chunk(&chunk);
	duckdb_destroy_result(&result);
	return n;
}

static const struct {
	const char *what, *keys;
	enum status expected;
} cases[] = {
	{"one key of 4 octets", "a4", OK},
	{"a UUID", "a16", OK},
	{"every width", "a1,a2,a4,a8,a16,yes,at_time", OK},
	{"many groups", "i", OK},
	{"no key", "", OK},
	{"text", "txt", ERR_UNSUPPORTED},
	{"a fraction", "real", ERR_UNSUPPORTED},
};

static void compare(duckdb_connection c, const char *keys)
{
	const char *comma = *keys ? "," : "";
	char sql[2048];

	for (unsigned turned = 0; turned < 2; turned++) {
		char own[400], theirs[500];

		snprintf(own, sizeof own, "(SELECT %s%soctets,packets,flows FROM sums())", keys, comma);
		snprintf(theirs, sizeof theirs,
			 "(SELECT %s%ssum(o) AS octets,sum(p) AS packets,count(*) AS flows FROM t GROUP BY "
			 "ALL)",
			 keys, comma);
		snprintf(sql, sizeof sql, "SELECT count(*) FROM (%s EXCEPT ALL %s)", turned ? theirs : own,
			 turned ? own : theirs);
		assert_int_equal(number(c, sql), 0);
	}
}

static void test_same_as_duckdb(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct duck duck;
		struct groups *groups;
		struct error err = {0};
		duckdb_result result;
		char sql[256];

		print_message("%s\n", cases[i].what);
		assert_int_equal(duck_open(&duck, "/", &err), OK);
		must(duck.connection,
		     "CREATE TABLE t AS SELECT i::UINTEGER AS i, nullif(i % 7, 3)::UTINYINT AS a1, "
		     "nullif(i % 1000, 5)::SMALLINT AS a2, nullif(hash(i) % 5000, 9)::UINTEGER AS a4, "
		     "nullif(i % 11, 1)::BIGINT - 5 AS a8, CASE WHEN i % 3 <> 0 THEN "
		     "('fd000000-0000-0000-0000-"
		     "00000000' || printf('%04x', (i % 64)::INTEGER))::UUID END AS a16, i % 5 = 0 AS yes, "
		     "make_timestamp(i % 13) AS at_time, 'x' || (i % 3) AS txt, (i % 3)::DOUBLE AS real, "
		     "CASE WHEN i % 4 <> 0 THEN 18446744073709551615 - i END::UBIGINT AS o, "
		     "CASE WHEN i % 11 <> 1 THEN i END::UBIGINT AS p FROM range(60000) r(i)");
		snprintf(sql, sizeof sql, "SELECT %s%so AS octets, p AS packets FROM t", cases[i].keys,
			 *cases[i].keys ? "," : "");
		assert_int_equal(duck_ask(duck.connection, sql, &result, "test", &err), OK);
		assert_int_equal(groups_collect(&groups, &result, NULL, &err), cases[i].expected);
		duckdb_destroy_result(&result);
		if (cases[i].expected == OK) {
			assert_int_equal(groups_register(groups, duck.connection, "sums", &err), OK);
			compare(duck.connection, cases[i].keys);
		}
		duck_close(&duck);
	}
}

static void test_stop(void **state)
{
	const atomic_bool stop = true;
	struct duck duck;
	struct groups *groups;
	struct error err = {0};
	duckdb_result result;

	(void)state;
	assert_int_equal(duck_open(&duck, "/", &err), OK);
	assert_int_equal(duck_ask(duck.connection, "SELECT 1, 1::UBIGINT, 1::UBIGINT", &result, "test", &err),
			 OK);
	assert_int_equal(groups_collect(&groups, &result, &stop, &err), ERR_SYSTEM);
	duckdb_destroy_result(&result);
	duck_close(&duck);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_as_duckdb),
					   cmocka_unit_test(test_stop)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
