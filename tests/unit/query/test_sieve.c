/* Random filters over random records: the rows that a sieve lets pass, and those that DuckDB's WHERE does. */
#include "query/sieve.h"

#include "query/ask.h"
#include "query/bits.h"
#include "world.h"

enum { WORLDS = 24, FILTERS = 150, DEPTH = 4 };

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
