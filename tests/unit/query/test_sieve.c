/* Random filters over random records: the rows that a sieve lets pass, and those that DuckDB's WHERE does. */
#include "query/sieve.h"

#include "query/ask.h"
#include "query/bits.h"
#include "world.h"

enum { WORLDS = 20, FILTERS = 100, DEPTH = 3 };

#define NOW 1763805600000

/* %u is a random number, %t a time, %a an address, %f a fraction. */
static const char *const patterns[] = {
	"host %a",
	"src net %a/%p",
	"dst {%a, %a, fd00::%d}",
	"host {%a/%p, fd00::/%p, %a}",
	"peer %a/%p",
	"peer fd00::%d",
	"src host fd00::%d/%q",
	"port %d",
	"src port %n",
	"dst port in {80, 443, %d-443}",
	"port {1, 3, 6, 17, 53, 80, %d, 256-400, 1000}",
	"src port {%d, 53, 64, 65, 66, 80, 128, 132}",
	"port > %n",
	"port <= %d",
	"srcport != %d",
	"proto %d",
	"proto {tcp, udp, %d}",
	"proto {1, 3, 17, 53, 64, 128, 132, %d}",
	"proto >= %d",
	"tcp",
	"udp",
	"icmp6",
	"ipv4",
	"ipv6",
	"flags %d",
	"flags = %d",
	"flags {S, %d, 0}",
	"flags != SA",
	"icmptype %d",
	"icmpcode > %d",
	"icmptype {0, 1, 2, 3, %d}",
	"tos %d",
	"dscp %d",
	"dscp < %d",
	"octets >= %n",
	"octets < %d",
	"octets 18446744073709551615",
	"octets {%d, 1k, 3-17, 53, 64, 80-90, 2999}",
	"packets 0-%n",
	"duration > %dms",
	"duration <= %ds",
	"duration {0s, 1s, %dms}",
	"start >= %t",
	"end < %t",
	"start = %t",
	"end in {%t, %t, %t}",
	"received > %t",
	"dir in",
	"dir != egress",
	"denied",
	"rule block-telnet",
	"rule {a, \"a rule of more octets\", wg0}",
	"rule != \"a rule of more octets\"",
	"reason %d",
	"endreason {1, 3}",
	"if %d",
	"in if wg0",
	"out if {eth0, %d, wg0}",
	"if {3, eth0, 100-%n}",
	"as %n",
	"src as 0-%n",
	"vlan %d",
	"exporter 10.0.0.1",
	"exporter {fd00::1, 10.0.0.11}",
	"domain %n",
	"any",
	"samplingProbability %f",
	"samplingProbability > %f",
	"absoluteError <= %f",
	"absoluteError {0, %f}",
	"mibObjectValueInteger -%d",
	"mibObjectValueInteger < -%d",
	"mibObjectValueInteger {%d, 0, -1, -%d, 64, 80}",
	"dataRecordsReliability",
	"dataRecordsReliability = false",
	"observationTimeMilliseconds > %t",
	"observationTimeMicroseconds <= %t",
	"observationTimeNanoseconds > %t",
	"observationTimeNanoseconds {%t, 1970-01-01}",
	"sourceIPv4Address %a/%p",
	"sourceIPv6Address {fd00::%d, fd00::/%p}",
	"interfaceName wg0",
	"paddingOctets 0x77673000",
	"e29305.1 {0x61, 0x, 0x777267}",
	"octetDeltaCount_scaled > %n",
};

static unsigned long long amount(struct world *w)
{
	static const unsigned few[] = {0, 1, 3, 6, 17, 53, 64, 80, 128, 132};

	return few[world_random(&w->seed) % 10];
}

static void put_piece(struct world *w, struct sql *out, char what)
{
	const unsigned r = world_random(&w->seed);

	switch (what) {
	case 'd': sql_format(out, "%llu", amount(w)); break;
	case 'n': sql_format(out, "%u", r % 3 ? 100 + r % 3000 : r % 65536); break;
	case 'a': sql_format(out, "10.%u.%u.%u", r % 2, r / 2 % 4 * 64, r / 8 % 4); break;
	case 'p': sql_format(out, "%u", r % 33); break;
	case 'q': sql_format(out, "%u", r % 129); break;
	case 'f': sql_format(out, "%s", r % 3 ? "0.5" : r % 2 ? "1e300" : "0.1"); break;
	default: sql_format(out, "@%u", r % 5 ? 1763805600 - 10 + r % 20 : r % 10); break;
	}
}

static void put_test(struct world *w, struct sql *out)
{
	const char *p = patterns[world_random(&w->seed) % (sizeof patterns / sizeof patterns[0])];

	for (; *p; p++)
		if (*p == '%')
			put_piece(w, out, *++p);
		else
			sql_format(out, "%c", *p);
}

static void put_filter(struct world *w, struct sql *out, unsigned depth)
{
	const unsigned what = world_random(&w->seed) % 8;

	if (depth == DEPTH || what < 2) {
		put_test(w, out);
		return;
	}
	sql_put(out, what == 2 ? "not (" : "(");
	put_filter(w, out, depth + 1);
	for (unsigned i = what == 2 ? 0 : 1 + world_random(&w->seed) % 2; i; i--) {
		sql_put(out, what < 5 ? " and " : " or ");
		put_filter(w, out, depth + 1);
	}
	sql_put(out, ")");
}

static struct filter *parse(const char *text)
{
	struct filter *filter;
	struct filter_error err;

	if (filter_parse(&filter, text, strlen(text), NOW, &err) != OK)
		fail_msg("%s: %s", text, err.text);
	return filter;
}

static void by_duckdb(struct world *w, const struct ask *ask, uint64_t *bits)
{
	struct sql sql;
	duckdb_result result;
	duckdb_data_chunk chunk;
	struct error err;

	memset(bits, 0, bits_words(WORLD_ROWS) * sizeof *bits);
	sql_init(&sql);
	sql_put(&sql, "SELECT row_number FROM flows");
	ask_where(ask, &w->schema, &sql);
	if (duck_ask(w->duck.connection, sql.text, &result, "filter", &err) != OK)
		fail_msg("%s\n%s", err.text, sql.text);
	while ((chunk = duckdb_fetch_chunk(result))) {
		const int64_t *rows = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));

		for (idx_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++)
			bits[rows[i] / 64] |= UINT64_C(1) << rows[i] % 64;
		duckdb_destroy_data_chunk(&chunk);
	}
	duckdb_destroy_result(&result);
	sql_fini(&sql);
}

static void compare(struct world *w, const char *text, const struct ask *ask, struct sieve *s)
{
	uint64_t ours[WORLD_ROWS / 64 + 1], theirs[WORLD_ROWS / 64 + 1];
	uint32_t passed, count = 0;

	assert_true(sieve_run(s, &w->columns, ours, &passed));
	by_duckdb(w, ask, theirs);
	for (uint32_t row = 0; row < WORLD_ROWS; row++) {
		const bool here = ours[row / 64] >> row % 64 & 1, there = theirs[row / 64] >> row % 64 & 1;

		count += here;
		if (here != there)
			fail_msg("%s [%" PRId64 ", %" PRId64 "), row %u: %s here, %s by DuckDB", text,
				 ask->from_ms, ask->to_ms, row, here ? "passes" : "fails",
				 there ? "passes" : "fails");
	}
	assert_int_equal(passed, count);
	assert_int_equal(ours[WORLD_ROWS / 64] >> WORLD_ROWS % 64, 0);
	if (passed)
		assert_true(sieve_may_pass(s, &w->columns));
}

static void check(struct world *w, const char *text, int64_t from_ms, int64_t to_ms)
{
	struct filter *filter = text ? parse(text) : NULL;
	const struct ask ask = {.filter = filter, .from_ms = from_ms, .to_ms = to_ms};
	struct sieve *s;
	const enum status status = sieve_new(&s, filter, from_ms, to_ms, &w->wanted);

	if (status != OK)
		fail_msg("not understood: %s", text ? text : "");
	compare(w, text ? text : "", &ask, s);
	sieve_free(s);
	filter_free(filter);
}

static void test_patterns(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WORLDS; i++) {
		struct world w;

		world_make(&w, 100 + i, world_names, i % 4 == 0);
		check(&w, NULL, 0, 0);
		check(&w, NULL, NOW - 3000, NOW + 2000);
		for (unsigned k = 0; k < FILTERS; k++) {
			const bool window = k % 4 == 0;
			struct sql text;

			sql_init(&text);
			put_filter(&w, &text, k % 3 ? 0 : DEPTH);
			check(&w, text.text, window ? NOW - (int64_t)amount(&w) * 100 : 0,
			      window && k % 8 ? NOW + (int64_t)amount(&w) * 100 : 0);
			sql_fini(&text);
		}
		world_end(&w);
	}
}

/* Long chains and sets, and what is nested as deep as the language allows. */
static void test_large(void **state)
{
	struct world w;
	struct sql text;

	(void)state;
	world_make(&w, 5, world_names, true);
	sql_init(&text);
	for (unsigned i = 0; i < 900; i++)
		sql_format(&text, "%ssrc port %u", i ? i % 3 ? " or " : " and " : "", i);
	check(&w, text.text, 0, 0);
	sql_fini(&text);
	sql_init(&text);
	sql_put(&text, "host {");
	for (unsigned i = 0; i < 3000; i++)
		sql_format(&text, "10.%u.%u.%u ", i % 4, i / 4 % 250, i % 5);
	sql_put(&text, "} or octets {");
	for (unsigned i = 0; i < 3000; i++)
		sql_format(&text, "%u ", 3 * i);
	sql_put(&text, "}");
	check(&w, text.text, 0, 0);
	sql_fini(&text);
	sql_init(&text);
	for (unsigned i = 0; i < 60; i++)
		sql_format(&text, i % 2 ? "not (tcp and " : "(src port %u or ", i);
	sql_put(&text, "denied");
	for (unsigned i = 0; i < 60; i++)
		sql_put(&text, ")");
	check(&w, text.text, NOW - 1000, 0);
	sql_fini(&text);
	world_end(&w);
}

/* What is left to DuckDB. */
static void test_left_out(void **state)
{
	static const char *const texts[] = {
		"bps > 1000",  "pps 3", "bpp < 100", "rule ~ telnet", "sourceAddress 10.0.0.1",
		"tcp or bps 1"};
	struct world w;
	struct sieve *s;

	(void)state;
	world_make(&w, 6, world_names, true);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct filter *filter = parse(texts[i]);

		assert_int_equal(sieve_new(&s, filter, 0, 0, &w.wanted), ERR_UNSUPPORTED);
		filter_free(filter);
	}
	world_end(&w);
}

static bool may_pass(struct world *w, const char *text, int64_t from_ms, int64_t to_ms)
{
	struct filter *filter = parse(text);
	struct sieve *s;

	assert_int_equal(sieve_new(&s, filter, from_ms, to_ms, &w->wanted), OK);
	w->reads = false;
	const bool out = sieve_may_pass(s, &w->columns);
	assert_false(w->reads);
	sieve_free(s);
	filter_free(filter);
	return out;
}

static void bounds(struct world *w, const char *name, uint64_t least, uint64_t greatest, uint32_t nulls)
{
	for (uint32_t i = 0; i < w->count; i++)
		if (strcmp(w->list[i].column.name, name) == 0)
			w->list[i].bounds = (struct parquet_bounds){.nulls = nulls,
								    .bounded = nulls < WORLD_ROWS,
								    .least.u = least,
								    .greatest.u = greatest};
}

static void test_may_pass(void **state)
{
	static const char *const names[] = {"receiveTime",
					    "flowStartMilliseconds",
					    "flowEndMilliseconds",
					    "sourceTransportPort",
					    "destinationTransportPort",
					    "protocolIdentifier",
					    "sourceIPv4Address",
					    "sourceIPv6Address",
					    "firewallEvent",
					    "exporterAddress",
					    NULL};
	static const struct {
		const char *text;
		bool may;
	} cases[] = {
		{"any", true},
		{"not any", false},
		{"src port 99", false},
		{"src port 100", true},
		{"src port {1, 2, 3, 4, 5, 6, 300-400}", false},
		{"src port {1, 2, 3, 4, 5, 6, 150-400}", true},
		{"src port < 100", false},
		{"src port >= 200", true},
		{"dst port 1", false},
		{"dst port != 1", true},
		{"port 50", false},
		{"port 150", true},
		{"tcp", true},
		{"udp", false},
		{"not tcp", false},
		{"not udp", true},
		{"tcp and src port 99", false},
		{"tcp or src port 99", true},
		{"udp or src port 99", false},
		{"src net 10.0.0.0/8", true},
		{"src net 11.0.0.0/8", false},
		{"src host fd00::1", true},
		{"dst host 10.0.0.1", false},
		{"denied", false},
		{"not denied", true},
		{"ipv4", true},
		{"exporter 10.0.0.1", true},
		{"start < 2025-11-22T10:00:00Z", false},
		{"start >= 2025-11-22T10:00:00Z", true},
		{"end > 2025-11-22T10:00:10Z", false},
		{"end = 2025-11-22T10:00:10Z", true},
		{"vlan 3", false},
		{"vlan != 3", true},
	};
	struct world w;

	(void)state;
	world_make(&w, 7, names, true);
	bounds(&w, "sourceTransportPort", 100, 200, 10);
	bounds(&w, "destinationTransportPort", 0, 0, WORLD_ROWS);
	bounds(&w, "protocolIdentifier", 6, 6, 0);
	bounds(&w, "sourceIPv4Address", 0x0a000001, 0x0aff0000, 10);
	bounds(&w, "sourceIPv6Address", 0, 0, 10);
	for (uint32_t i = 0; i < w.count; i++)
		if (w.list[i].column.kind == COLUMN_IPV6)
			w.list[i].bounds.bounded = false;
	bounds(&w, "exporterAddress", 0, 0, 10);
	bounds(&w, "firewallEvent", 1, 2, 5);
	bounds(&w, "flowStartMilliseconds", NOW, NOW + 5000, 0);
	bounds(&w, "flowEndMilliseconds", NOW + 1000, NOW + 10000, 3);
	bounds(&w, "receiveTime", NOW + 2000, NOW + 9000, 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (may_pass(&w, cases[i].text, 0, 0) != cases[i].may)
			fail_msg("%s: %s", cases[i].text, cases[i].may ? "might pass" : "cannot pass");
	assert_false(may_pass(&w, "any", NOW + 10001, 0));
	assert_true(may_pass(&w, "any", NOW + 10000, 0));
	assert_false(may_pass(&w, "any", 0, NOW));
	assert_true(may_pass(&w, "any", 0, NOW + 1));
	world_end(&w);
}

/* What the bounds decide is not read. */
static void test_unread(void **state)
{
	static const char *const names[] = {"receiveTime", "protocolIdentifier", "vlanId", NULL};
	struct filter *filter = parse("vlan <= 65535 and not proto 3-5");
	uint64_t bits[WORLD_ROWS / 64 + 1];
	struct world w;
	struct sieve *s;
	uint32_t passed;

	(void)state;
	world_make(&w, 8, names, true);
	bounds(&w, "vlanId", 1, 4000, 0);
	bounds(&w, "protocolIdentifier", 6, 17, 100);
	bounds(&w, "receiveTime", NOW, NOW + 9000, 0);
	assert_int_equal(sieve_new(&s, filter, NOW, NOW + 10000, &w.wanted), OK);
	w.reads = false;
	assert_true(sieve_run(s, &w.columns, bits, &passed));
	assert_int_equal(passed, WORLD_ROWS);
	assert_false(w.reads);
	sieve_free(s);
	filter_free(filter);
	world_end(&w);
}

/* A dictionary that has none of the values answers for its rows. */
static void test_entries(void **state)
{
	static const char *const names[] = {"sourceTransportPort", NULL};
	struct filter *has = parse("src port 7"), *has_not = parse("src port 8");
	uint64_t bits[WORLD_ROWS / 64 + 1];
	struct sieve *s;
	struct world w;
	uint32_t passed, seed = 1;

	(void)state;
	for (world_make(&w, seed, names, true); !w.list[0].vector.codes; world_make(&w, ++seed, names, true))
		world_end(&w);
	for (uint32_t i = 0; i < w.list[0].vector.entries; i++)
		((uint16_t *)w.list[0].data.numbers)[i] = i ? 9 : 7;
	w.list[0].bounds = (struct parquet_bounds){0};
	w.list[0].vector.valid = NULL;
	assert_int_equal(sieve_new(&s, has_not, 0, 0, &w.wanted), OK);
	w.reads = false;
	assert_true(sieve_run(s, &w.columns, bits, &passed));
	assert_int_equal(passed, 0);
	assert_false(w.reads);
	sieve_free(s);
	assert_int_equal(sieve_new(&s, has, 0, 0, &w.wanted), OK);
	assert_true(sieve_run(s, &w.columns, bits, &passed));
	assert_true(passed > 0 && w.reads);
	sieve_free(s);
	filter_free(has);
	filter_free(has_not);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns), cmocka_unit_test(test_large),
		cmocka_unit_test(test_left_out), cmocka_unit_test(test_may_pass),
		cmocka_unit_test(test_unread),   cmocka_unit_test(test_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
