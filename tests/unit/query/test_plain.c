/* Questions answered from the columns themselves and by DuckDB: the same rows, letter for letter, over a
 * store of several partitions, row groups, templates and a tail. */
#include "query/engine.h"
#include "query/plain.h"
#include "records.h"

/* One question, both ways. */

struct question {
	const char *keys, *filter;
	bool grouped, upwards;
	enum ask_order order;
	int64_t limit, offset, from_ms, to_ms;
	bool only_duckdb; /* the columns alone do not answer it */
};

static void question_read(struct ask *ask, struct filter **filter, const struct question *q)
{
	struct filter_error wrong;

	*ask = (struct ask){.grouped = q->grouped,
			    .order = (uint8_t)q->order,
			    .limit = q->limit,
			    .offset = q->offset,
			    .upwards = q->upwards,
			    .from_ms = q->from_ms,
			    .to_ms = q->to_ms};
	if (ask_keys(ask, q->keys, q->grouped, &wrong) != OK)
		fail_msg("%s: %s", q->keys, wrong.text);
	*filter = NULL;
	if (q->filter && filter_parse(filter, q->filter, strlen(q->filter), 0, &wrong) != OK)
		fail_msg("%s: %s", q->filter, wrong.text);
	ask->filter = *filter;
}

struct answer {
	char *text;
	size_t size;
};

static struct answer by_columns(struct asking *a, const struct ask *ask, uint64_t records,
				const struct question *q, const struct show_type *type)
{
	struct answer answer = {NULL};
	FILE *out = open_memstream(&answer.text, &answer.size);
	struct result_sink sink = {.type = type, .out = out};
	struct error err = {0};
	const enum status s = plain_answer(a->store, ask, records, &sink, &err);

	fclose(out);
	if (q->only_duckdb) {
		assert_int_equal(s, ERR_UNSUPPORTED);
		assert_int_equal(answer.size, 0);
	} else if (s != OK) {
		fail_msg("%s | %s: %s", q->keys, q->filter ? q->filter : "", err.text);
	}
	return answer;
}

/* One statement, with DuckDB's own GROUP BY. */
static struct answer by_duckdb(struct asking *a, const struct ask *ask, const struct show_type *type)
{
	struct engine engine = {.connection = a->duck.connection};
	struct ask_column columns[ASK_COLUMNS_MAX];
	struct sql statement, sql;
	uint32_t count = 0;
	duckdb_result result;
	struct answer answer = {NULL};
	FILE *out = open_memstream(&answer.text, &answer.size);
	struct result_sink sink = {.type = type, .out = out};
	struct error err = {0};

	sql_init(&statement);
	sql_init(&sql);
	assert_int_equal(ask_sql(ask, store_columns(a->store), &statement, columns, &count), OK);
	store_flows(a->store, &sql, statement.text);
	sql_put(&sql, statement.text);
	if (engine_select(&engine, sql.text, &result, &err) != OK ||
	    result_show(&sink, &result, columns, count, &err) != OK)
		fail_msg("%s", err.text);
	duckdb_destroy_result(&result);
	sql_fini(&statement);
	sql_fini(&sql);
	fclose(out);
	return answer;
}

/* So many as to be worth threads, or not. */
static const uint64_t sizes[] = {1, 100000000};

static void compare_as(struct asking *a, const struct ask *ask, const struct question *q, uint64_t records,
		       const struct show_type *type)
{
	/* To DuckDB a key that no record has is none, and without keys there always is a row. */
	const bool asked = a->coverage.first_ms || !q->grouped;
	struct answer mine = by_columns(a, ask, records, q, type), theirs = {NULL};

	if (asked && !q->only_duckdb) {
		theirs = by_duckdb(a, ask, type);
		if (mine.size != theirs.size || memcmp(mine.text, theirs.text, mine.size) != 0)
			fail_msg("%s | %s as %s:\n%.3000s\nDuckDB:\n%.3000s", q->keys,
				 q->filter ? q->filter : "", type->name, mine.text, theirs.text);
	}
	free(mine.text);
	free(theirs.text);
}

/* In a file the types of the columns are seen too. */
static void compare(struct asking *a, const struct question *q)
{
	struct filter *filter;
	struct ask ask;

	question_read(&ask, &filter, q);
	compare_as(a, &ask, q, sizes[0], &show_json);
	compare_as(a, &ask, q, sizes[1], &show_json);
	compare_as(a, &ask, q, sizes[0], &show_parquet);
	filter_free(filter);
}

/* Equals come in one order, however many threads look: DuckDB has none for them. */
static void compare_threads(struct asking *a)
{
	static const struct question equals = {
		.keys = "received,src,packets", .filter = "vlan 3", .limit = 700};
	struct filter *filter;
	struct ask ask;

	question_read(&ask, &filter, &equals);
	struct answer alone = by_columns(a, &ask, sizes[0], &equals, &show_json);
	for (unsigned i = 0; i < 10; i++) {
		struct answer many = by_columns(a, &ask, sizes[1], &equals, &show_json);

		assert_string_equal(many.text, alone.text);
		free(many.text);
	}
	free(alone.text);
	filter_free(filter);
}

#define EVERY  "start,end,duration,proto,src,srcport,dst,dstport,flags,dir,packets,octets,denied,exporter,tos"
#define A_TIME (RECEIVED_MS + 300000)

static const struct question questions[] = {
	{.keys = "proto", .grouped = true, .filter = "ipv4"},
	{.keys = "proto", .grouped = true, .filter = "ipv6"},
	{.keys = "src", .grouped = true},
	{.keys = "src", .grouped = true, .limit = -1},
	{.keys = "src,dstport,proto", .grouped = true, .limit = 500, .order = ORDER_FLOWS},
	{.keys = "dst", .grouped = true, .order = ORDER_PACKETS, .filter = "dst net 10.1.128.0/17"},
	{.keys = "exporter,dir", .grouped = true},
	{.keys = "time 1m", .grouped = true},
	{.keys = "time 5m,proto", .grouped = true, .order = ORDER_OCTETS},
	{.keys = "interfaceName,vlanId", .grouped = true, .limit = -1},
	{.keys = "interfaceName", .grouped = true, .filter = "vlan in {1,3}", .order = ORDER_TIME},
	{.keys = "port", .grouped = true},
	{.keys = "peer", .grouped = true},
	{.keys = "denied", .grouped = true},
	{.keys = "if,flags", .grouped = true, .filter = "flags S and not flags A"},
	{.keys = "icmptype,icmpcode", .grouped = true},
	{.keys = "tos,dscp", .grouped = true},
	{.keys = "natEvent", .grouped = true},
	{.keys = "src", .grouped = true, .filter = "proto 255"},
	{.keys = "src", .grouped = true, .filter = "host fd00::7 or host 10.0.3.77", .limit = -1},
	{.keys = "src,dst", .grouped = true, .filter = "host 10.0.3.77", .limit = -1},
	{.keys = "dst", .grouped = true, .from_ms = A_TIME, .to_ms = A_TIME + 60000},
	{.keys = "proto", .grouped = true, .filter = "denied"},
	{.keys = "proto", .grouped = true, .filter = "not (denied or udp) and octets > 1M"},
	{.keys = "duration", .grouped = true, .filter = "duration > 39s", .limit = 30},
	{.keys = "sourceAddress", .grouped = true, .only_duckdb = true},
	{.keys = "bps", .grouped = true, .filter = "dst 10.1.0.7", .only_duckdb = true},
	{.keys = EVERY, .filter = "dstport 443 and proto udp and ipv4"},
	{.keys = EVERY, .filter = "dstport 443 and proto tcp and ipv4", .limit = 4000},
	{.keys = EVERY, .filter = "src 10.0.3.77", .limit = 20},
	{.keys = EVERY, .filter = "src 10.0.3.77", .limit = 7, .offset = 5},
	{.keys = EVERY, .filter = "src 10.0.3.77", .limit = 12, .upwards = true},
	{.keys = EVERY, .order = ORDER_OCTETS, .limit = 30, .filter = "ipv4"},
	{.keys = EVERY,
	 .order = ORDER_OCTETS,
	 .limit = 30,
	 .filter = "ipv4 and octets < 100M",
	 .upwards = true},
	{.keys = "end", .limit = 100},
	{.keys = "end", .limit = 100, .upwards = true},
	{.keys = "packets", .order = ORDER_PACKETS, .limit = 40, .filter = "packets > 10 or ipv6"},
	{.keys = "received,end", .filter = "vlan 3 and src 192.0.2.7", .limit = 4000, .upwards = true},
	{.keys = "src,dst,octets", .filter = "host fd00::9 and dstport 53", .order = ORDER_OCTETS},
	{.keys = "src", .limit = -1, .filter = "src 10.0.3.77", .only_duckdb = true},
	{.keys = "proto", .filter = "proto 255"},
	{.keys = EVERY, .from_ms = A_TIME, .to_ms = A_TIME + 5000, .filter = "ipv4", .limit = 100},
};

static void ask_all(const char *folder)
{
	struct asking a;

	ask_open(&a, folder);
	for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
		compare(&a, &questions[i]);
	compare_threads(&a);
	ask_close(&a);
}

static void a_store_with_partitions_and_a_tail(void **state)
{
	struct bench t;

	bench_begin(&t);
	ask_all(t.folder);           /* empty */
	append_and_load(&t, 125000); /* two row groups */
	append_and_load(&t, 700);
	append_many(&t, 70000); /* two pieces */
	ask_all(t.folder);
	bench_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_store_with_partitions_and_a_tail)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
