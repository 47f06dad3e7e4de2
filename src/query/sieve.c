/* Sieves run: each node clears, of the rows in question, those that do not pass. */
#include "query/sieve.h"

#include <stdlib.h>
#include <string.h>

#include "query/sieve_private.h"

static bool run(struct sieve *s, const struct columns *c, int32_t at, uint64_t *bits, uint32_t depth);

void sieve_free(struct sieve *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->node_count; i++)
		free(s->nodes[i].list);
	for (uint32_t i = 0; i < s->operand_count; i++)
		expression_free(s->operands[i].expression);
	for (uint32_t i = 0; i < SIEVE_SPARE_MAX; i++)
		free(s->spare[i]);
	free(s->nodes);
	free(s->operands);
	free(s);
}

enum status sieve_new(struct sieve **out, const struct filter *filter, int64_t from_ms, int64_t to_ms,
		      struct wanted *wanted)
{
	struct making m = {.s = calloc(1, sizeof *m.s), .filter = filter, .wanted = wanted};

	*out = NULL;
	if (!m.s)
		return ERR_MEMORY;
	const enum status status = sieve_make(&m, from_ms, to_ms);
	if (status == OK)
		*out = m.s;
	else
		sieve_free(m.s);
	return status;
}

/* What is known without reading. */

static const struct expression *expression_of(const struct sieve *s, const struct sieve_node *n)
{
	return s->operands[n->operand].expression;
}

/* Of the values that there are: `bounds` against the intervals. */
static enum verdict intervals_verdict(const struct sieve_node *n, int128 least, int128 greatest)
{
	for (uint32_t i = 0; i < n->count; i++)
		if (n->list[i].high >= least)
			return n->list[i].low > greatest                                ? NEVER
			       : n->list[i].low <= least && n->list[i].high >= greatest ? ALWAYS
											: MAYBE;
	return NEVER;
}

static enum verdict table_verdict(const struct sieve_node *n, int128 least, int128 greatest)
{
	uint32_t set = 0;

	if (least < 0 || greatest > 65535 || least > greatest)
		return MAYBE;
	const uint32_t first = (uint32_t)least, last = (uint32_t)greatest;
	for (uint32_t w = first / 64; w <= last / 64; w++) {
		uint64_t bits = n->table[w];

		if (w == first / 64)
			bits &= UINT64_MAX << first % 64;
		if (w == last / 64)
			bits &= UINT64_MAX >> (63 - last % 64);
		set += (uint32_t)__builtin_popcountll(bits);
	}
	return set == 0 ? NEVER : set == last - first + 1 ? ALWAYS : MAYBE;
}

/* Of the rows that have a value. */
static enum verdict value_verdict(const struct sieve *s, const struct sieve_node *n, const struct columns *c)
{
	const struct expression *e = expression_of(s, n);
	const enum parquet_type type = (enum parquet_type)e->nodes[n->at].type;
	const bool is_unsigned = type >= PARQUET_UNSIGNED8 && type <= PARQUET_UNSIGNED64;
	struct parquet_bounds b;

	if (n->kind == SIEVE_HAS)
		return ALWAYS;
	if (n->kind != SIEVE_WITHIN && n->kind != SIEVE_TABLE)
		return MAYBE;
	expression_node_bounds(e, n->at, c, &b);
	if (!b.bounded)
		return MAYBE;
	const int128 least = is_unsigned ? (int128)b.least.u : b.least.i;
	const int128 greatest = is_unsigned ? (int128)b.greatest.u : b.greatest.i;
	return n->kind == SIEVE_WITHIN ? intervals_verdict(n, least, greatest)
				       : table_verdict(n, least, greatest);
}

static enum verdict leaf_verdict(const struct sieve *s, const struct sieve_node *n, const struct columns *c)
{
	const enum nulls nulls = expression_nulls(expression_of(s, n), n->at, c);
	const enum verdict verdict = nulls == NULLS_ALL ? NEVER : value_verdict(s, n, c);

	return verdict == ALWAYS && nulls != NULLS_NONE ? MAYBE : verdict;
}

static enum verdict node_verdict(const struct sieve *s, int32_t at, const struct columns *c);

static enum verdict joint_verdict(const struct sieve *s, const struct sieve_node *n, const struct columns *c)
{
	const enum verdict decides = n->kind == SIEVE_AND ? NEVER : ALWAYS;
	enum verdict out = n->kind == SIEVE_AND ? ALWAYS : NEVER;

	for (uint32_t i = 0; i < n->count && out != decides; i++) {
		const enum verdict one = node_verdict(s, n->children[i], c);

		if (one == decides || one == MAYBE)
			out = one;
	}
	return out;
}

/* The first child is a test of one column, whatever it is made of. */
static enum verdict else_verdict(const struct sieve *s, const struct sieve_node *n, const struct columns *c)
{
	const enum nulls nulls = expression_nulls(expression_of(s, n), n->at, c);
	const struct sieve_node *first = &s->nodes[n->children[0]];
	const enum verdict a = node_verdict(s, n->children[0], c), b = node_verdict(s, n->children[1], c);

	if (nulls != NULLS_SOME)
		return nulls == NULLS_NONE ? a : b;
	return (first->kind == SIEVE_NONE ? NEVER : value_verdict(s, first, c)) == b ? b : MAYBE;
}

/* It is noted at each node that decides nothing alone, and at what is below it. */
static enum verdict node_verdict(const struct sieve *s, int32_t at, const struct columns *c)
{
	struct sieve_node *n = &s->nodes[at];
	enum verdict out;

	switch ((enum sieve_kind)n->kind) {
	case SIEVE_ALL: out = ALWAYS; break;
	case SIEVE_NONE: out = NEVER; break;
	case SIEVE_ELSE: out = else_verdict(s, n, c); break;
	case SIEVE_AND:
	case SIEVE_OR: out = joint_verdict(s, n, c); break;
	default: out = leaf_verdict(s, n, c); break;
	}
	n->verdict = (uint8_t)(n->negative ? ALWAYS - out : out);
	return (enum verdict)n->verdict;
}

bool sieve_may_pass(const struct sieve *s, const struct columns *c)
{
	return node_verdict(s, s->root, c) != NEVER;
}

/* Running. */

/* A bitmap for a node; each depth has three of its own. NULL: no memory. */
static uint64_t *spare(struct sieve *s, uint32_t depth, unsigned which)
{
	uint64_t **at = &s->spare[3 * depth + which];

	if (!*at)
		*at = malloc((bits_words(s->spare_rows) + 1) * sizeof **at);
	return *at;
}

static uint64_t *copy(struct sieve *s, uint32_t depth, unsigned which, const uint64_t *bits, uint32_t rows)
{
	uint64_t *out = spare(s, depth, which);

	if (out)
		memcpy(out, bits, bits_words(rows) * sizeof *out);
	return out;
}

static void clear(uint64_t *bits, const uint64_t *of, uint32_t rows)
{
	for (uint32_t w = 0; w < bits_words(rows); w++)
		bits[w] &= ~of[w];
}

static void keep(const struct sieve_node *n, const struct vector *v, uint64_t *bits)
{
	switch ((enum sieve_kind)n->kind) {
	case SIEVE_WITHIN: bits_keep_within(bits, v, n->list, n->count); break;
	case SIEVE_TABLE: bits_keep_table(bits, v, n->table); break;
	case SIEVE_TEXTS: bits_keep_texts(bits, v, n->texts, n->count); break;
	default: bits_keep_valid(bits, v); break;
	}
}

/* A column's dictionary has no value that passes: its rows need not be read. */
static bool no_entry_passes(const struct sieve *s, const struct columns *c, const struct sieve_node *n)
{
	const struct node *node = &expression_of(s, n)->nodes[n->at];
	uint64_t passed[BITS_TABLE_WORDS];
	const struct vector *entries;

	if (n->kind == SIEVE_HAS || node->kind != NODE_COLUMN)
		return false;
	entries = c->entries(c->arg, (uint32_t)node->column);
	if (!entries)
		return false;
	bits_fill(passed, entries->rows);
	keep(n, entries, passed);
	return !bits_any(passed, entries->rows);
}

static bool run_leaf(struct sieve *s, const struct columns *c, const struct sieve_node *n, uint64_t *bits)
{
	struct operand *o = &s->operands[n->operand];

	if (n->kind == SIEVE_TRUTH)
		return expression_keep(o->expression, n->at, c, bits);
	if (no_entry_passes(s, c, n)) {
		memset(bits, 0, bits_words(c->rows) * sizeof *bits);
		return true;
	}
	if (o->ready != n->at && !expression_value(o->expression, n->at, c, &o->value))
		return false;
	o->ready = n->at;
	keep(n, &o->value, bits);
	return true;
}

static bool run_and(struct sieve *s, const struct columns *c, const struct sieve_node *n, uint64_t *bits,
		    uint32_t depth)
{
	for (uint32_t i = 0; i < n->count && bits_any(bits, c->rows); i++)
		if (!run(s, c, n->children[i], bits, depth + 1))
			return false;
	return true;
}

static bool run_or(struct sieve *s, const struct columns *c, const struct sieve_node *n, uint64_t *bits,
		   uint32_t depth)
{
	uint64_t *left = copy(s, depth, 0, bits, c->rows);

	if (!left)
		return false;
	for (uint32_t i = 0; i < n->count && bits_any(left, c->rows); i++) {
		uint64_t *passed = copy(s, depth, 1, left, c->rows);

		if (!passed || !run(s, c, n->children[i], passed, depth + 1))
			return false;
		clear(left, passed, c->rows);
	}
	clear(bits, left, c->rows);
	return true;
}

static bool run_else(struct sieve *s, const struct columns *c, const struct sieve_node *n, uint64_t *bits,
		     uint32_t depth)
{
	const enum nulls nulls = expression_nulls(expression_of(s, n), n->at, c);
	const int32_t column = expression_decides(expression_of(s, n), n->at);
	uint64_t *there, *left;
	const struct vector *v;

	if (nulls != NULLS_SOME)
		return run(s, c, n->children[nulls == NULLS_ALL], bits, depth + 1);
	there = copy(s, depth, 0, bits, c->rows);
	left = copy(s, depth, 1, bits, c->rows);
	v = c->get(c->arg, (uint32_t)column);
	if (!there || !left || !v)
		return false;
	bits_keep_valid(there, v);
	clear(left, there, c->rows);
	if (!run(s, c, n->children[0], there, depth + 1) ||
	    (bits_any(left, c->rows) && !run(s, c, n->children[1], left, depth + 1)))
		return false;
	for (uint32_t w = 0; w < bits_words(c->rows); w++)
		bits[w] = there[w] | left[w];
	return true;
}

static bool run(struct sieve *s, const struct columns *c, int32_t at, uint64_t *bits, uint32_t depth)
{
	const struct sieve_node *n = &s->nodes[at];
	const enum verdict verdict = (enum verdict)n->verdict;
	uint64_t *in = bits;
	bool good;

	if (verdict == NEVER)
		memset(bits, 0, bits_words(c->rows) * sizeof *bits);
	if (verdict != MAYBE)
		return true;
	if (n->negative && !(in = copy(s, depth, 2, bits, c->rows)))
		return false;
	switch ((enum sieve_kind)n->kind) {
	case SIEVE_AND: good = run_and(s, c, n, in, depth); break;
	case SIEVE_OR: good = run_or(s, c, n, in, depth); break;
	case SIEVE_ELSE: good = run_else(s, c, n, in, depth); break;
	default: good = run_leaf(s, c, n, in); break;
	}
	if (n->negative)
		clear(bits, in, c->rows);
	return good;
}

static void begin(struct sieve *s, uint32_t rows)
{
	for (uint32_t i = 0; i < s->operand_count; i++)
		s->operands[i].ready = NODE_NONE;
	if (rows <= s->spare_rows)
		return;
	for (uint32_t i = 0; i < SIEVE_SPARE_MAX; i++) {
		free(s->spare[i]);
		s->spare[i] = NULL;
	}
	s->spare_rows = rows;
}

bool sieve_run(struct sieve *s, const struct columns *c, uint64_t *bits, uint32_t *passed)
{
	*passed = 0;
	begin(s, c->rows);
	bits_fill(bits, c->rows);
	node_verdict(s, s->root, c);
	if (!run(s, c, s->root, bits, 0))
		return false;
	for (uint32_t w = 0; w < bits_words(c->rows); w++)
		*passed += (uint32_t)__builtin_popcountll(bits[w]);
	return true;
}
