/* A filter as the condition behind WHERE.
 *
 * "not" is pushed down to the tests, so that a test without it stays a plain comparison of a column with a
 * constant: those DuckDB holds against the minimum and maximum of a row group before it reads one. A test
 * that is NULL fails; under a "not" it becomes (…) IS NOT TRUE. Prefixes are ranges, for the same reason. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/span.h"
#include "query/filter.h"

struct writer {
	struct sql *sql;
	const struct filter *filter;
	const struct schema *schema;
	int split;   /* a node of which only one part is meant; -1: none */
	bool second; /* which */
};

static void operand(const struct writer *w, const struct filter_node *n, unsigned side, unsigned second)
{
	if (n->word)
		word_sql(w->sql, n->word->sql[side][second], w->schema);
	else
		word_column_sql(w->sql, n->column.name, (enum column_kind)n->column.kind, w->schema);
}

static void put_time(struct sql *sql, int64_t ms)
{
	const time_t seconds = (time_t)(ms >= 0 ? ms / 1000 : -((999 - ms) / 1000));
	struct tm tm;

	gmtime_r(&seconds, &tm);
	sql_format(sql, "TIMESTAMP '%04d-%02d-%02d %02d:%02d:%02d.%03d'", tm.tm_year + 1900, tm.tm_mon + 1,
		   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ms - (int64_t)seconds * 1000));
}

static void put_uuid(struct sql *sql, const uint8_t *octets)
{
	sql_put(sql, "'");
	for (unsigned i = 0; i < 16; i++)
		sql_format(sql, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", octets[i]);
	sql_put(sql, "'::UUID");
}

/* `a` AND `b` as one range of the operand's column. */
static void prefix_test(const struct writer *w, const struct filter_node *n, unsigned side,
			const struct filter_value *v)
{
	const bool v4 = v->version == 4;
	const unsigned octets = v4 ? 4 : 16;
	const bool range = v->prefix < 8 * octets;
	uint8_t last[16];

	memcpy(last, v->address, sizeof last);
	for (unsigned bit = v->prefix; bit < 8 * octets; bit++)
		last[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	operand(w, n, side, n->type == WORD_ADDRESS && !v4);
	sql_put(w->sql, range ? " BETWEEN " : " = ");
	if (v4)
		sql_format(w->sql, "%" PRIu32, get_be32(v->address));
	else
		put_uuid(w->sql, v->address);
	if (!range)
		return;
	sql_put(w->sql, " AND ");
	if (v4)
		sql_format(w->sql, "%" PRIu32, get_be32(last));
	else
		put_uuid(w->sql, last);
}

static void literal(const struct writer *w, const struct filter_node *n, const struct filter_value *v)
{
	char address[INET6_ADDRSTRLEN] = "";

	switch ((enum filter_value_kind)v->kind) {
	case FILTER_NUMBER:
		if (n->type == WORD_BOOLEAN)
			sql_put(w->sql, v->number.low ? "true" : "false");
		else
			sql_format(w->sql, "%" PRIu64, v->number.low);
		break;
	case FILTER_SIGNED:
		if (n->type == WORD_TIME)
			put_time(w->sql, v->integer);
		else
			sql_format(w->sql, "%" PRId64, v->integer);
		break;
	case FILTER_REAL: sql_format(w->sql, "%.17g::DOUBLE", v->real); break;
	case FILTER_PREFIX:
		inet_ntop(v->version == 4 ? AF_INET : AF_INET6, v->address, address, sizeof address);
		sql_text(w->sql, address);
		break;
	case FILTER_TEXT:
		if (n->type == WORD_OCTETS) { /* hexadecimal digits, as the parser has seen */
			sql_put(w->sql, "from_hex('");
			sql_put(w->sql, v->text + 2);
			sql_put(w->sql, "')");
		} else {
			sql_text(w->sql, v->text);
		}
		break;
	}
}

static const char *sign_of(const struct filter_node *n)
{
	static const char *const signs[] = {
		[COMPARE_EQUAL] = " = ", [COMPARE_LESS] = " < ",        [COMPARE_LESS_EQUAL] = " <= ",
		[COMPARE_MORE] = " > ",  [COMPARE_MORE_EQUAL] = " >= ", [COMPARE_CONTAINS] = "",
		[COMPARE_HAS] = "",
	};

	return signs[n->compare];
}

static void flags_test(const struct writer *w, const struct filter_node *n, uint64_t bits)
{
	const unsigned exact = 0xff;

	sql_put(w->sql, "(");
	operand(w, n, 0, 0);
	if (n->compare == COMPARE_EQUAL || bits == 0)
		sql_format(w->sql, " & %u) = %" PRIu64, exact | (unsigned)bits, bits);
	else
		sql_format(w->sql, " & %" PRIu64 ") = %" PRIu64, bits, bits);
}

static void value_test(const struct writer *w, const struct filter_node *n, unsigned side,
		       const struct filter_value *v)
{
	if (v->kind == FILTER_PREFIX && n->type != WORD_EXPORTER) {
		prefix_test(w, n, side, v);
	} else if (n->type == WORD_FLAGS) {
		flags_test(w, n, v->number.low);
	} else if (n->compare == COMPARE_CONTAINS) {
		sql_put(w->sql, "contains(lower(");
		operand(w, n, side, 0);
		sql_put(w->sql, "), lower(");
		literal(w, n, v);
		sql_put(w->sql, "))");
	} else if (v->kind == FILTER_NUMBER && v->number.low != v->number.high) {
		operand(w, n, side, 0);
		sql_format(w->sql, " BETWEEN %" PRIu64 " AND %" PRIu64, v->number.low, v->number.high);
	} else {
		operand(w, n, side, n->type == WORD_INTERFACE && v->kind == FILTER_TEXT);
		sql_put(w->sql, sign_of(n));
		literal(w, n, v);
	}
}

/* Values that one IN can hold: constants of the first column. */
static bool plain(const struct filter_node *n, const struct filter_value *v)
{
	if (n->type == WORD_FLAGS || n->type == WORD_BOOLEAN)
		return false;
	if (v->kind == FILTER_NUMBER)
		return v->number.low == v->number.high;
	return v->kind == FILTER_SIGNED || (v->kind == FILTER_PREFIX && n->type == WORD_EXPORTER) ||
	       (v->kind == FILTER_TEXT && n->type == WORD_TEXT);
}

/* Any of the values, on one side. */
static void side_test(const struct writer *w, const struct filter_node *n, unsigned side)
{
	const struct filter_value *values = &w->filter->values[n->first];
	unsigned in = 0, put = 0;

	for (unsigned i = 0; i < n->count; i++)
		in += plain(n, &values[i]);
	const bool list = in > 1 && n->compare == COMPARE_EQUAL;
	if (list) {
		operand(w, n, side, 0);
		sql_put(w->sql, " IN (");
		for (unsigned i = 0; i < n->count; i++)
			if (plain(n, &values[i])) {
				sql_put(w->sql, put++ ? ", " : "");
				literal(w, n, &values[i]);
			}
		sql_put(w->sql, ")");
	}
	for (unsigned i = 0; i < n->count; i++) {
		if (list && plain(n, &values[i]))
			continue;
		sql_put(w->sql, put++ ? " OR " : "");
		value_test(w, n, side, &values[i]);
	}
}

static void test(const struct writer *w, const struct filter_node *n)
{
	if (n->type == WORD_BARE) {
		word_sql(w->sql, n->word->sql[0][0], w->schema);
		return;
	}
	if (w->split >= 0 && n == &w->filter->nodes[w->split]) {
		side_test(w, n, w->second);
		return;
	}
	if (n->word && n->word->sided && n->side == SIDE_EITHER) {
		side_test(w, n, 0);
		sql_put(w->sql, " OR ");
		side_test(w, n, 1);
	} else {
		side_test(w, n, n->side == SIDE_DESTINATION);
	}
}

/* The test is alternatives, which "and" would tear apart. */
static bool test_is_or(const struct filter_node *n)
{
	return n->type != WORD_BARE &&
	       (n->count > 1 || (n->word && n->word->sided && n->side == SIDE_EITHER));
}

/* A chain of the same kind stays flat, however long: `inside` says what stands around. */
static void write_node(const struct writer *w, uint16_t at, bool negative, bool inside_and)
{
	const struct filter_node *n = &w->filter->nodes[at];

	if (n->kind == FILTER_NOT) {
		write_node(w, n->left, !negative, inside_and);
		return;
	}
	if (n->kind == FILTER_TEST) {
		const bool parentheses = negative || (inside_and && test_is_or(n));

		sql_put(w->sql, parentheses ? "(" : "");
		test(w, n);
		sql_put(w->sql, parentheses ? ")" : "");
		sql_put(w->sql, negative ? " IS NOT TRUE" : "");
		return;
	}
	const bool both = (n->kind == FILTER_AND) != negative;
	const bool parentheses = inside_and && !both;
	sql_put(w->sql, parentheses ? "(" : "");
	write_node(w, n->left, negative, both);
	sql_put(w->sql, both ? " AND " : " OR ");
	write_node(w, n->right, negative, both);
	sql_put(w->sql, parentheses ? ")" : "");
}

bool filter_has_sides(const struct filter *filter, uint16_t *test)
{
	uint16_t waiting[FILTER_NODES_MAX];
	unsigned count = 0;

	waiting[count++] = filter->root;
	while (count) {
		const uint16_t at = waiting[--count];
		const struct filter_node *n = &filter->nodes[at];

		if (n->kind == FILTER_TEST && n->word && n->word->sided && n->side == SIDE_EITHER &&
		    n->type != WORD_BARE) {
			*test = at;
			return true;
		}
		if (n->kind == FILTER_AND && count + 2 <= FILTER_NODES_MAX) {
			waiting[count++] = n->left;
			waiting[count++] = n->right;
		}
	}
	return false;
}

void filter_sql_side(struct sql *sql, const struct filter *filter, const struct schema *schema, uint16_t test,
		     bool second)
{
	const struct writer w = {sql, filter, schema, test, second};

	write_node(&w, filter->root, false, true);
	if (second) {
		sql_put(sql, " AND (");
		side_test(&w, &filter->nodes[test], 0);
		sql_put(sql, ") IS NOT TRUE");
	}
}

void filter_sql(struct sql *sql, const struct filter *filter, const struct schema *schema)
{
	const struct writer w = {sql, filter, schema, -1, false};

	write_node(&w, filter->root, false, true);
}
