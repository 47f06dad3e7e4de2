/* Questions answered from the columns themselves and by DuckDB: the same rows, letter for letter, over a
 * store of several partitions, row groups, templates and a tail. */
#include "../store/build.h"
#include "collect/journal.h"
#include "query/engine.h"
#include "query/plain.h"
#include "store/journal_source.h"

enum { A_MESSAGE = 500 };

static const struct field four[] = {
	{IE_sourceIPv4Address, 4, 0},     {IE_destinationIPv4Address, 4, 0},
	{IE_sourceTransportPort, 2, 0},   {IE_destinationTransportPort, 2, 0},
	{IE_protocolIdentifier, 1, 0},    {IE_tcpControlBits, 2, 0},
	{IE_octetDeltaCount, 8, 0},       {IE_packetDeltaCount, 4, 0},
	{IE_flowStartMilliseconds, 8, 0}, {IE_flowEndMilliseconds, 8, 0},
	{IE_ingressInterface, 4, 0},      {IE_flowDirection, 1, 0},
	{IE_firewallEvent, 1, 0},         {IE_ipClassOfService, 1, 0},
};
static const struct field six[] = {
	{IE_sourceIPv6Address, 16, 0}, {IE_destinationIPv6Address, 16, 0},
	{IE_protocolIdentifier, 1, 0}, {IE_destinationTransportPort, 2, 0},
	{IE_octetDeltaCount, 4, 0},    {IE_flowStartSeconds, 4, 0},
	{IE_flowEndSeconds, 4, 0},     {IE_forwardingStatus, 1, 0},
	{IE_egressInterface, 4, 0},    {IE_icmpTypeCodeIPv6, 2, 0},
};
static const struct field poor[] = {
	{IE_sourceIPv4Address, 4, 0},
	{IE_interfaceName, 8, 0},
	{IE_vlanId, 2, 0},
	{IE_packetDeltaCount, 8, 0},
};

static uint32_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Ends differ from record to record, so that lists have one order. */
static void put_four(struct build *b, uint64_t *seed, uint64_t number)
{
	const uint64_t end = (uint64_t)RECEIVED_MS + 10000 + number * 3 % 1000003;

	build_number(b, 0x0a000000 + next(seed) % 5000, 4);
	build_number(b, 0x0a010000 + next(seed) % 90000, 4);
	build_number(b, next(seed) % 60000, 2);
	build_number(b, (uint64_t[]){80, 443, 53, 22, 8080}[next(seed) % 5], 2);
	build_number(b, (uint64_t[]){6, 6, 17, 1}[next(seed) % 4], 1);
	build_number(b, next(seed) % 64, 2);
	build_number(b, (uint64_t)next(seed) << 9 ^ number, 8);
	build_number(b, 1 + next(seed) % 400, 4);
	build_number(b, end - next(seed) % 40000, 8);
	build_number(b, end, 8);
	build_number(b, next(seed) % 3, 4);
	build_number(b, next(seed) % 2, 1);
	build_number(b, next(seed) % 50 == 0 ? 3 : 0, 1);
	build_number(b, 0x48, 1);
}

static void put_six(struct build *b, uint64_t *seed)
{
	for (unsigned i = 0; i < 2; i++) {
		build_number(b, 0xfd00000000000000u, 8);
		build_number(b, next(seed) % 200, 8);
	}
	build_number(b, (uint64_t[]){6, 17, 58}[next(seed) % 3], 1);
	build_number(b, next(seed) % 4 ? 443 : 53, 2);
	build_number(b, next(seed), 4);
	build_number(b, EXPORTED + next(seed) % 1000, 4);
	build_number(b, EXPORTED + 1000 + next(seed) % 1000, 4);
	build_number(b, next(seed) % 9 == 0 ? 0x83 : 0x40, 1);
	build_number(b, 7, 4);
	build_number(b, next(seed) % 4 << 8, 2);
}

static void put_poor(struct build *b, uint64_t *seed)
{
	char name[9];

	build_number(b, 0xc0000200 + next(seed) % 20, 4);
	snprintf(name, sizeof name, "port-%03u", next(seed) % 12);
	build_octets(b, name, 8);
	build_number(b, next(seed) % 6, 2);
	build_number(b, next(seed), 8);
}

struct bench {
	char *folder;
	struct journal *journal;
	struct journal_peer peers[2];
	struct build *b;
	uint64_t seed, records;
	uint32_t sequence;
};

static void append(struct bench *t, unsigned count)
{
	const unsigned kind = (unsigned)(t->records / A_MESSAGE % 5);

	build_begin(t->b, t->sequence, 1);
	build_template(t->b, 256, 0, four, sizeof four / sizeof *four);
	build_template(t->b, 257, 0, six, sizeof six / sizeof *six);
	build_template(t->b, 258, 0, poor, sizeof poor / sizeof *poor);
	build_set(t->b, kind == 3 ? 257 : kind == 4 ? 258 : 256);
	for (unsigned i = 0; i < count; i++, t->records++)
		if (kind == 3)
			put_six(t->b, &t->seed);
		else if (kind == 4)
			put_poor(t->b, &t->seed);
		else
			put_four(t->b, &t->seed, t->records);
	t->sequence += count;
	const struct journal_message m = {.octets = build_end(t->b),
					  .received = {(RECEIVED_MS + (int64_t)t->sequence) * NS_PER_MS},
					  .peer = &t->peers[kind == 2]};
	assert_int_equal(journal_append(journal_writer_of(t->journal, 0), &m, 1, mono_now()), 1);
}

static void append_many(struct bench *t, unsigned records)
{
	for (unsigned done = 0; done < records; done += A_MESSAGE)
		append(t, records - done < A_MESSAGE ? records - done : A_MESSAGE);
	assert_int_equal(journal_sync(journal_writer_of(t->journal, 0), mono_now(), true), OK);
}

static void load(struct bench *t)
{
	struct input_position positions[INPUT_WORKERS_MAX];
	struct loader *l = open_loader(t->folder);
	struct journal_source *source;
	struct error err = {0};
	struct input input;

	for (uint32_t i = 0; i < INPUT_WORKERS_MAX; i++)
		positions[i] = loader_position(l, i);
	if (journal_source_open(&source, &input, t->folder, positions, true, &err) != OK)
		fail_msg("%s", err.text);
	assert_int_equal(loader_pull(l, &input, UINT64_MAX, &err), END);
	flush(l);
	assert_int_equal(input.release(input.arg, loader_position(l, 0), &err), OK);
	journal_source_close(source);
	loader_close(l);
}

static void bench_begin(struct bench *t)
{
	struct error err = {0};

	*t = (struct bench){.folder = folder_new(), .b = malloc(sizeof *t->b), .seed = 20261122};
	const struct journal_options options = {.store = t->folder, .workers = 1, .segment_octets = 4 << 20};
	if (journal_open(&t->journal, &options, NULL, &err) != OK)
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < 2; i++)
		t->peers[i].session = (struct journal_session){
			.address = {.s6_addr = {[10] = 0xff, 0xff, 192, 0, 2, (uint8_t)(i + 1)}},
			.port = 2055,
			.transport = JOURNAL_UDP};
}

static void bench_end(struct bench *t)
{
	journal_close(t->journal);
	folder_free(t->folder);
	free(t->b);
}

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
	ask_all(t.folder);       /* empty */
	append_many(&t, 125000); /* two row groups */
	load(&t);
	append_many(&t, 700);
	load(&t);
	append_many(&t, 70000); /* two pieces */
	ask_all(t.folder);
	bench_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_store_with_partitions_and_a_tail)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
