/* Random filters over a small table: DuckDB's answer to their SQL beside that of a plain evaluator, which
 * knows nothing of SQL. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/span.h"
#include "query/filter.h"
#include "store/duck.h"

enum { ROWS = 400, FILTERS = 400, NONE = -1 };

struct row {
	int64_t src4, dst4; /* NONE: no value */
	int src6, dst6;     /* last octet of fd00::; NONE */
	int sport, dport, proto, flags, direction, denied, interface;
	int64_t octets, duration_ms;
};

static uint32_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static int maybe(uint64_t *seed, uint32_t bound)
{
	return next(seed) % 5 == 0 ? NONE : (int)(next(seed) % bound);
}

static void make_rows(struct row *rows, uint64_t *seed)
{
	for (unsigned i = 0; i < ROWS; i++) {
		struct row *r = &rows[i];
		const bool v6 = next(seed) % 3 == 0;

		r->src4 = v6 ? NONE : 0x0a000000 + (int64_t)(next(seed) % 8 << 14) + next(seed) % 4;
		r->dst4 = v6 ? NONE : 0x0a000000 + (int64_t)(next(seed) % 8 << 14) + next(seed) % 4;
		r->src6 = v6 ? (int)(next(seed) % 8) : NONE;
		r->dst6 = v6 ? (int)(next(seed) % 8) : NONE;
		r->sport = maybe(seed, 12);
		r->dport = maybe(seed, 12);
		r->proto = maybe(seed, 20);
		r->flags = maybe(seed, 64);
		r->direction = maybe(seed, 2);
		r->denied = (int)(next(seed) % 2);
		r->interface = maybe(seed, 4);
		r->octets = maybe(seed, 3000);
		r->duration_ms = maybe(seed, 9000);
	}
}

static void put(struct sql *sql, int64_t value, const char *type)
{
	if (value == NONE)
		sql_format(sql, "NULL::%s, ", type);
	else
		sql_format(sql, "%lld::%s, ", (long long)value, type);
}

static void put6(struct sql *sql, int value)
{
	if (value == NONE)
		sql_put(sql, "NULL::UUID, ");
	else
		sql_format(sql, "'fd000000-0000-0000-0000-0000000000%02x'::UUID, ", (unsigned)value);
}

static void make_table(duckdb_connection connection, const struct row *rows)
{
	struct sql sql;
	struct error err;

	sql_init(&sql);
	sql_put(&sql, "CREATE TABLE flows AS SELECT * FROM (VALUES ");
	for (unsigned i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];

		sql_put(&sql, i ? ", (" : "(");
		put(&sql, r->src4, "UINTEGER");
		put(&sql, r->dst4, "UINTEGER");
		put6(&sql, r->src6);
		put6(&sql, r->dst6);
		put(&sql, r->sport, "USMALLINT");
		put(&sql, r->dport, "USMALLINT");
		put(&sql, r->proto, "UTINYINT");
		put(&sql, r->flags, "USMALLINT");
		put(&sql, r->direction, "UTINYINT");
		put(&sql, r->interface, "UINTEGER");
		put(&sql, r->octets, "UBIGINT");
		sql_format(&sql, "make_timestamp(%lld), ", r->duration_ms == NONE ? 0LL : 1000000LL);
		if (r->duration_ms == NONE)
			sql_put(&sql, "NULL::TIMESTAMP, ");
		else
			sql_format(&sql, "make_timestamp(%lld), ",
				   1000000LL + (long long)r->duration_ms * 1000);
		sql_put(&sql, r->denied ? "true)" : "false)");
	}
	sql_put(&sql,
		") t(sourceIPv4Address, destinationIPv4Address, sourceIPv6Address, destinationIPv6Address, "
		"sourceTransportPort, destinationTransportPort, protocolIdentifier, tcpControlBits, "
		"flowDirection, "
		"ingressInterface, octetDeltaCount, flowStart, flowEnd, denied)");
	assert_false(sql.failed);
	if (duck_run(connection, sql.text, "table", &err) != OK)
		fail_msg("%s", err.text);
	sql_fini(&sql);
}

/* The plain evaluator: one value of a record against one value of the filter. */
static bool number_holds(const struct filter_node *n, const struct filter_value *v, int64_t x)
{
	const int64_t low = v->kind == FILTER_NUMBER ? (int64_t)v->number.low : v->integer;
	const int64_t high = v->kind == FILTER_NUMBER ? (int64_t)v->number.high : v->integer;

	if (x == NONE)
		return false;
	switch ((enum filter_compare)n->compare) {
	case COMPARE_EQUAL: return x >= low && x <= high;
	case COMPARE_LESS: return x < low;
	case COMPARE_LESS_EQUAL: return x <= low;
	case COMPARE_MORE: return x > low;
	case COMPARE_MORE_EQUAL: return x >= low;
	case COMPARE_HAS: return low == 0 ? x == 0 : (x & low) == low;
	default: return false;
	}
}

static bool address_holds(const struct filter_value *v, int64_t v4, int v6)
{
	uint8_t octets[16] = {0xfd};

	if ((v->version == 4 && v4 == NONE) || (v->version == 6 && v6 == NONE))
		return false;
	if (v->version == 4)
		put_be32(octets, (uint32_t)v4);
	else
		octets[15] = (uint8_t)v6;
	for (unsigned bit = 0; bit < v->prefix; bit++)
		if ((octets[bit / 8] ^ v->address[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static bool value_holds(const struct filter_node *n, const struct filter_value *v, const struct row *r)
{
	const char *w = n->word->name;
	const bool src = n->side != SIDE_DESTINATION, dst = n->side != SIDE_SOURCE;

	if (strcmp(w, "src") == 0)
		return address_holds(v, r->src4, r->src6);
	if (strcmp(w, "host") == 0 || strcmp(w, "net") == 0)
		return (src && address_holds(v, r->src4, r->src6)) ||
		       (dst && address_holds(v, r->dst4, r->dst6));
	if (strcmp(w, "port") == 0)
		return (src && number_holds(n, v, r->sport)) || (dst && number_holds(n, v, r->dport));
	if (strcmp(w, "if") == 0)
		return number_holds(n, v, r->interface);
	return number_holds(n, v,
			    strcmp(w, "proto") == 0    ? r->proto
			    : strcmp(w, "flags") == 0  ? r->flags
			    : strcmp(w, "dir") == 0    ? r->direction
			    : strcmp(w, "octets") == 0 ? r->octets
						       : r->duration_ms);
}

static bool holds(const struct filter *f, uint16_t at, const struct row *r)
{
	const struct filter_node *n = &f->nodes[at];

	if (n->kind == FILTER_NOT)
		return !holds(f, n->left, r);
	if (n->kind == FILTER_AND)
		return holds(f, n->left, r) && holds(f, n->right, r);
	if (n->kind == FILTER_OR)
		return holds(f, n->left, r) || holds(f, n->right, r);
	if (n->type == WORD_BARE)
		return strcmp(n->word->name, "denied") == 0 ? r->denied
		       : strcmp(n->word->name, "tcp") == 0  ? r->proto == 6
		       : strcmp(n->word->name, "ipv4") == 0 ? r->src4 != NONE || r->dst4 != NONE
							    : r->src6 != NONE || r->dst6 != NONE;
	for (unsigned i = 0; i < n->count; i++)
		if (value_holds(n, &f->values[n->first + i], r))
			return true;
	return false;
}

static void random_filter(struct sql *out, uint64_t *seed, unsigned depth)
{
	static const char *const tests[] = {
		"host 10.%u.0.1",
		"src net 10.0.0.0/%u",
		"src fd00::%u",
		"dst host {fd00::3, 10.0.0.%u}",
		"port %u",
		"dst port != %u",
		"src port in {%u, 3, 7-9}",
		"port > %u",
		"proto %u",
		"proto {6, %u}",
		"flags %u",
		"flags = %u",
		"flags {S, %u}",
		"octets >= %uk",
		"octets < 1.%uk",
		"duration > %us",
		"duration <= %u00ms",
		"dir egress",
		"dir != in",
		"denied",
		"tcp",
		"ipv4",
		"ipv6",
		"in if %u",
		"host fd00::/12%u",
	};
	const uint32_t kind = next(seed) % 4;

	if (depth == 0 || kind == 0) {
		const char *test = tests[next(seed) % (sizeof tests / sizeof tests[0])],
			   *mark = strstr(test, "%u");

		sql_format(out, "%.*s", mark ? (int)(mark - test) : 100, test);
		if (mark) {
			sql_format(out, "%u", next(seed) % 9);
			sql_put(out, mark + 2);
		}
		return;
	}
	sql_put(out, kind == 3 ? "not (" : "(");
	random_filter(out, seed, depth - 1);
	if (kind != 3) {
		sql_put(out, kind == 1 ? " and " : " or ");
		random_filter(out, seed, depth - 1);
	}
	sql_put(out, ")");
}

/* The filter as one condition; or the two parts of it that select.h puts together. */
static void put_condition(struct sql *sql, const struct filter *filter, bool sides)
{
	uint16_t test = 0;

	if (!sides) {
		filter_sql(sql, filter, NULL);
		return;
	}
	/* Rows that came by both would be there twice. */
	sql_put(sql, "rowid IN (SELECT any_value(r) FROM (SELECT rowid AS r FROM flows WHERE ");
	if (!filter_has_sides(filter, &test)) {
		filter_sql(sql, filter, NULL);
	} else {
		filter_sql_side(sql, filter, NULL, test, false);
		sql_put(sql, " UNION ALL SELECT rowid AS r FROM flows WHERE ");
		filter_sql_side(sql, filter, NULL, test, true);
	}
	sql_put(sql, ") GROUP BY r HAVING count(*) = 1)");
}

static void compare(duckdb_connection connection, const struct row *rows, const char *text, bool sides,
		    unsigned *hits)
{
	struct filter *filter;
	struct filter_error err;
	struct error error;
	struct sql sql;
	duckdb_result result;
	uint64_t sum = 0, count = 0;

	if (filter_parse(&filter, text, strlen(text), 0, &err) != OK)
		fail_msg("%s: %s", text, err.text);
	sql_init(&sql);
	sql_put(&sql, "SELECT count(*), coalesce(sum(rowid * rowid), 0)::BIGINT FROM flows WHERE ");
	put_condition(&sql, filter, sides);
	if (duck_ask(connection, sql.text, &result, "filter", &error) != OK)
		fail_msg("%s\n%s\n%s", text, sql.text, error.text);
	for (unsigned i = 0; i < ROWS; i++)
		if (holds(filter, filter->root, &rows[i])) {
			count++;
			sum += (uint64_t)i * i;
		}
	if ((uint64_t)duckdb_value_int64(&result, 0, 0) != count ||
	    (uint64_t)duckdb_value_int64(&result, 1, 0) != sum)
		fail_msg("%s\n%s\nexpected %llu rows, got %lld", text, sql.text, (unsigned long long)count,
			 (long long)duckdb_value_int64(&result, 0, 0));
	*hits += count > 0 && count < ROWS;
	duckdb_destroy_result(&result);
	sql_fini(&sql);
	filter_free(filter);
}

static void test_against_oracle(void **state)
{
	static struct row rows[ROWS];
	uint64_t seed = 7;
	struct duck duck;
	struct error err;
	unsigned hits = 0;

	(void)state;
	assert_int_equal(duck_open(&duck, "/nonexistent", &err), OK);
	make_rows(rows, &seed);
	make_table(duck.connection, rows);
	for (unsigned i = 0; i < FILTERS; i++) {
		struct sql text;

		sql_init(&text);
		random_filter(&text, &seed, i % 6);
		compare(duck.connection, rows, text.text, i & 1, &hits);
		sql_fini(&text);
	}
	assert_true(hits > FILTERS / 2); /* most of them tell records apart */
	duck_close(&duck);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_oracle)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
