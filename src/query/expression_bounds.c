/* What is known of an expression's values without reading them. */
#include "query/expression_private.h"

int32_t expression_decides(const struct expression *e, int16_t at)
{
	const struct node *n = &e->nodes[at];

	while (n->kind > NODE_COLUMN && n->kind < NODE_MINUS)
		n = &e->nodes[n->a];
	return n->kind == NODE_COLUMN ? n->column : -1;
}

static int64_t scale(int64_t time, const struct node *n, enum parquet_type of)
{
	if (n->kind == NODE_AS_NUMBER)
		return time;
	if (n->kind == NODE_MICROSECONDS && of == PARQUET_TIME_MS)
		return time > INT64_MAX / 1000 || time < INT64_MIN / 1000 ? 0 : time * 1000;
	return time / 1000;
}

/* Times keep their order. Of other numbers only where there are none is known. */
static void unary_bounds(const struct expression *e, const struct node *n, const struct columns *c,
			 struct parquet_bounds *out)
{
	const enum parquet_type of = (enum parquet_type)e->nodes[n->a].type;

	expression_node_bounds(e, n->a, c, out);
	if (n->kind > NODE_AS_NUMBER) {
		out->bounded = false;
		return;
	}
	if (n->kind == NODE_MICROSECONDS && of == PARQUET_TIME_MS &&
	    (out->least.i < INT64_MIN / 1000 || out->greatest.i > INT64_MAX / 1000))
		out->bounded = false;
	out->least.i = scale(out->least.i, n, of);
	out->greatest.i = scale(out->greatest.i, n, of);
}

static bool is_below(const struct node *n, const struct parquet_bounds *a, const struct parquet_bounds *b,
		     bool greatest)
{
	if (n->type >= PARQUET_UNSIGNED8 && n->type <= PARQUET_UNSIGNED64)
		return greatest ? a->greatest.u < b->greatest.u : a->least.u < b->least.u;
	return greatest ? a->greatest.i < b->greatest.i : a->least.i < b->least.i;
}

static void coalesce_bounds(const struct expression *e, const struct node *n, const struct columns *c,
			    struct parquet_bounds *out)
{
	const enum nulls a_nulls = expression_nulls(e, n->a, c), b_nulls = expression_nulls(e, n->b, c);
	struct parquet_bounds b;

	expression_node_bounds(e, a_nulls == NULLS_ALL ? n->b : n->a, c, out);
	if (a_nulls != NULLS_SOME || b_nulls == NULLS_ALL)
		return;
	expression_node_bounds(e, n->b, c, &b);
	out->bounded &= b.bounded;
	if (is_below(n, &b, out, false))
		out->least = b.least;
	if (is_below(n, out, &b, true))
		out->greatest = b.greatest;
}

void expression_node_bounds(const struct expression *e, int16_t at, const struct columns *c,
			    struct parquet_bounds *out)
{
	const struct node *n = &e->nodes[at];

	*out = (struct parquet_bounds){.bounded = false};
	if (n->kind == NODE_COLUMN)
		c->bounds(c->arg, (uint32_t)n->column, out);
	else if (n->kind == NODE_COALESCE)
		coalesce_bounds(e, n, c, out);
	else if (n->kind > NODE_COLUMN && n->kind < NODE_MINUS)
		unary_bounds(e, n, c, out);
	if (n->kind != NODE_COLUMN)
		out->nulls = expression_nulls(e, at, c) == NULLS_ALL ? c->rows : 0;
}

static enum nulls column_nulls(const struct node *n, const struct columns *c)
{
	struct parquet_bounds bounds;

	c->bounds(c->arg, (uint32_t)n->column, &bounds);
	return bounds.nulls == 0 ? NULLS_NONE : bounds.nulls >= c->rows ? NULLS_ALL : NULLS_SOME;
}

enum nulls expression_nulls(const struct expression *e, int16_t at, const struct columns *c)
{
	const struct node *n = &e->nodes[at];
	enum nulls a, b;

	switch ((enum node_kind)n->kind) {
	case NODE_NULL: return NULLS_ALL;
	case NODE_TRUTH:
	case NODE_IS_NULL: return NULLS_NONE;
	case NODE_COLUMN: return column_nulls(n, c);
	case NODE_COALESCE:
		a = expression_nulls(e, n->a, c);
		b = expression_nulls(e, n->b, c);
		return a == NULLS_ALL                      ? b
		       : a == NULLS_NONE || b == NULLS_ALL ? a
		       : b == NULLS_NONE                   ? b
							   : NULLS_SOME;
	case NODE_MINUS:
	case NODE_LESS_EQUAL:
		a = expression_nulls(e, n->a, c);
		b = expression_nulls(e, n->b, c);
		return a > b ? a : b;
	case NODE_CASE:
		a = expression_nulls(e, n->b, c);
		b = expression_nulls(e, n->c, c);
		return a == b ? a : NULLS_SOME;
	case NODE_AND:
	case NODE_OR: return NULLS_SOME;
	default: return expression_nulls(e, n->a, c);
	}
}

void expression_bounds(const struct expression *e, const struct columns *columns, struct parquet_bounds *out)
{
	expression_node_bounds(e, e->root, columns, out);
}
