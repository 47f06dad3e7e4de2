/* Nodes of an expression, made simpler as they are made. */
#include "query/expression_private.h"

bool expression_is_truth(const struct node *node)
{
	return node->type == PARQUET_BOOLEAN;
}

static struct node *node_at(struct expression *e, int16_t at)
{
	return &e->nodes[at];
}

static bool is(struct expression *e, int16_t at, enum node_kind kind)
{
	return at >= 0 && node_at(e, at)->kind == kind;
}

static int16_t add(struct expression *e, const struct node *node)
{
	if (e->count == NODES_MAX)
		return NODE_NONE;
	e->nodes[e->count] = *node;
	return (int16_t)e->count++;
}

int16_t node_null(struct expression *e)
{
	return add(e, &(struct node){.kind = NODE_NULL, .type = PARQUET_NOTHING, .counted = PARQUET_NOTHING});
}

int16_t node_number(struct expression *e, uint64_t number)
{
	return add(e, &(struct node){.kind = NODE_NUMBER, .type = PARQUET_NOTHING, .number = number});
}

int16_t node_truth(struct expression *e, bool truth)
{
	return add(e, &(struct node){.kind = NODE_TRUTH, .type = PARQUET_BOOLEAN, .number = truth});
}

int16_t node_column(struct expression *e, struct wanted *wanted, const char *name)
{
	const int32_t column = wanted_column(wanted, name);
	struct node n = {.kind = NODE_COLUMN, .column = column, .a = NODE_NONE};

	if (column == -1)
		return node_null(e);
	if (column < 0)
		return NODE_NONE;
	n.type = n.counted = (uint8_t)column_parquet_type((enum column_kind)wanted->columns[column].kind);
	if (bits_comparable((enum parquet_type)n.type))
		n.range = bits_range((enum parquet_type)n.type);
	/* The view has times of milliseconds as TIMESTAMP. Those beyond its range no store has. */
	if (n.type == PARQUET_TIME_MS)
		n.range = (struct interval){INT64_MIN / 1000, INT64_MAX / 1000};
	const int16_t at = add(e, &n);
	if (at < 0 || n.type != PARQUET_TIME_MS)
		return at;
	return add(e, &(struct node){.kind = NODE_MICROSECONDS,
				     .type = PARQUET_TIME_US,
				     .counted = PARQUET_TIME_US,
				     .a = at,
				     .range = bits_range(PARQUET_TIME_US)});
}

static bool is_unsigned(const struct node *n)
{
	return n->type >= PARQUET_UNSIGNED8 && n->type <= PARQUET_UNSIGNED64;
}

static bool is_whole(const struct node *n)
{
	return is_unsigned(n) || (n->type >= PARQUET_SIGNED8 && n->type <= PARQUET_SIGNED64);
}

/* A literal behind an operator: it gets the type of what stands in front, where it fits. */
static bool literal_of(struct expression *e, int16_t left, int16_t right, uint64_t *out)
{
	if (left < 0 || !is(e, right, NODE_NUMBER) || !is_whole(node_at(e, left)))
		return false;
	*out = node_at(e, right)->number;
	return *out <= INT64_MAX / 2 &&
	       (int128)*out <= bits_range((enum parquet_type)node_at(e, left)->counted).high;
}

static bool range_of(struct interval *out, const struct node *a, enum node_kind kind, uint64_t number)
{
	const int128 n = (int128)number;

	switch (kind) {
	case NODE_DIVIDE: *out = (struct interval){a->range.low / n, a->range.high / n}; return true;
	case NODE_REMAINDER: *out = (struct interval){a->range.low < 0 ? 1 - n : 0, n - 1}; return true;
	case NODE_TIMES: *out = (struct interval){a->range.low * n, a->range.high * n}; return true;
	case NODE_SHIFT:
		*out = (struct interval){a->range.low >> number, a->range.high >> number};
		return is_unsigned(a) && number < 8 * parquet_width((enum parquet_type)a->counted);
	case NODE_MASK:
		*out = (struct interval){0, a->range.high < n ? a->range.high : n};
		return is_unsigned(a);
	default: return false;
	}
}

/* DuckDB refuses what overflows: so does this. */
int16_t node_arithmetic(struct expression *e, enum node_kind kind, int16_t left, int16_t right)
{
	struct node n = {.kind = (uint8_t)kind, .a = left};

	if (is(e, left, NODE_NULL) && is(e, right, NODE_NUMBER))
		return left;
	if (!literal_of(e, left, right, &n.number) ||
	    (n.number == 0 && (kind == NODE_DIVIDE || kind == NODE_REMAINDER)))
		return NODE_NONE;

	const struct node *a = node_at(e, left);
	const struct interval fits = bits_range((enum parquet_type)a->counted);
	if (!range_of(&n.range, a, kind, n.number) || n.range.low < fits.low || n.range.high > fits.high)
		return NODE_NONE;
	n.type = is_unsigned(a) ? PARQUET_UNSIGNED64 : PARQUET_SIGNED64;
	n.counted = a->counted;
	return add(e, &n);
}

int16_t node_minus(struct expression *e, int16_t left, int16_t right)
{
	struct node n = {.kind = NODE_MINUS, .a = left, .b = right, .type = PARQUET_SIGNED64};

	if (left < 0 || right < 0 || is(e, left, NODE_NUMBER) || is(e, right, NODE_NUMBER))
		return NODE_NONE;
	if (is(e, left, NODE_NULL) || is(e, right, NODE_NULL))
		return node_null(e);

	const struct node *a = node_at(e, left), *b = node_at(e, right);
	if (a->type != PARQUET_SIGNED64 || b->type != PARQUET_SIGNED64 || a->counted != a->type ||
	    b->counted != b->type)
		return NODE_NONE;
	n.counted = PARQUET_SIGNED64;
	n.range = (struct interval){a->range.low - b->range.high, a->range.high - b->range.low};
	if (n.range.low < INT64_MIN || n.range.high > INT64_MAX)
		return NODE_NONE;
	return add(e, &n);
}

/* What select and coalesce have in common: both of one type. */
static bool join_types(struct expression *e, struct node *n, int16_t left, int16_t right)
{
	const struct node *a = node_at(e, left), *b = node_at(e, right);

	if (a->kind == NODE_NUMBER || b->kind == NODE_NUMBER)
		return false;
	if (a->kind == NODE_NULL || b->kind == NODE_NULL) {
		const struct node *one = a->kind == NODE_NULL ? b : a;

		n->type = one->type;
		n->counted = one->counted;
		n->range = one->range;
		return !expression_is_truth(one);
	}
	n->type = a->type;
	n->counted = a->counted;
	n->range.low = a->range.low < b->range.low ? a->range.low : b->range.low;
	n->range.high = a->range.high > b->range.high ? a->range.high : b->range.high;
	return a->type == b->type && a->counted == b->counted &&
	       expression_is_truth(a) == expression_is_truth(b);
}

int16_t node_coalesce(struct expression *e, int16_t left, int16_t right)
{
	struct node n = {.kind = NODE_COALESCE, .a = left, .b = right};

	if (left < 0 || right < 0)
		return NODE_NONE;
	if (is(e, left, NODE_NULL))
		return right;
	if (is(e, left, NODE_TRUTH) || is(e, right, NODE_NULL))
		return left;
	if (is(e, left, NODE_COALESCE)) /* the first is one column, where it can be */
		return node_coalesce(e, node_at(e, left)->a, node_coalesce(e, node_at(e, left)->b, right));
	return join_types(e, &n, left, right) ? add(e, &n) : NODE_NONE;
}

int16_t node_case(struct expression *e, int16_t when, int16_t then, int16_t otherwise)
{
	struct node n = {.kind = NODE_CASE, .a = when, .b = then, .c = otherwise};

	if (when < 0 || then < 0 || otherwise < 0)
		return NODE_NONE;
	if (is(e, when, NODE_NULL))
		return otherwise;
	if (!expression_is_truth(node_at(e, when)))
		return NODE_NONE;
	if (is(e, when, NODE_TRUTH))
		return node_at(e, when)->number ? then : otherwise;
	if (is(e, then, NODE_NULL) && is(e, otherwise, NODE_NULL))
		return then;
	return join_types(e, &n, then, otherwise) && !expression_is_truth(&n) ? add(e, &n) : NODE_NONE;
}

int16_t node_equal(struct expression *e, int16_t left, int16_t right)
{
	struct node n = {.kind = NODE_WITHIN, .a = left, .type = PARQUET_BOOLEAN};

	if (left < 0 || right < 0)
		return NODE_NONE;
	if (is(e, left, NODE_NULL) && (is(e, right, NODE_NUMBER) || is(e, right, NODE_NULL)))
		return left;
	if (!is(e, right, NODE_NUMBER) || !is_whole(node_at(e, left)))
		return NODE_NONE;
	n.within.low = n.within.high = (int128)node_at(e, right)->number;
	return add(e, &n);
}

int16_t node_less_equal(struct expression *e, int16_t left, int16_t right)
{
	struct node n = {.kind = NODE_LESS_EQUAL, .a = left, .b = right, .type = PARQUET_BOOLEAN};

	if (left < 0 || right < 0 || is(e, left, NODE_NUMBER))
		return NODE_NONE;
	if (is(e, left, NODE_NULL) || is(e, right, NODE_NULL))
		return node_null(e);
	if (is(e, right, NODE_NUMBER)) {
		n.kind = NODE_WITHIN;
		n.within = (struct interval){INT64_MIN, (int128)node_at(e, right)->number};
		return is_whole(node_at(e, left)) ? add(e, &n) : NODE_NONE;
	}
	const struct node *a = node_at(e, left), *b = node_at(e, right);
	return is_unsigned(a) && is_unsigned(b) && !expression_is_truth(a) && !expression_is_truth(b)
		       ? add(e, &n)
		       : NODE_NONE;
}

int16_t node_is_null(struct expression *e, int16_t of)
{
	if (of < 0 || is(e, of, NODE_NUMBER))
		return NODE_NONE;
	if (is(e, of, NODE_NULL) || is(e, of, NODE_TRUTH))
		return node_truth(e, is(e, of, NODE_NULL));
	return add(e, &(struct node){.kind = NODE_IS_NULL, .a = of, .type = PARQUET_BOOLEAN});
}

int16_t node_not(struct expression *e, int16_t of)
{
	if (of < 0 || is(e, of, NODE_NULL))
		return of;
	if (!expression_is_truth(node_at(e, of)))
		return NODE_NONE;
	if (is(e, of, NODE_TRUTH))
		return node_truth(e, !node_at(e, of)->number);
	return add(e, &(struct node){.kind = NODE_NOT, .a = of, .type = PARQUET_BOOLEAN});
}

/* `decided`: the side that alone says how it ends: true of an or. */
int16_t node_joint(struct expression *e, enum node_kind kind, int16_t left, int16_t right)
{
	const bool decided = kind == NODE_OR;
	const int16_t sides[2] = {left, right};

	if (left < 0 || right < 0)
		return NODE_NONE;
	for (unsigned i = 0; i < 2; i++)
		if (!is(e, sides[i], NODE_NULL) && !expression_is_truth(node_at(e, sides[i])))
			return NODE_NONE;
	for (unsigned i = 0; i < 2; i++)
		if (is(e, sides[i], NODE_TRUTH))
			return node_at(e, sides[i])->number == decided ? sides[i] : sides[!i];
	if (is(e, left, NODE_NULL) && is(e, right, NODE_NULL))
		return left;
	return add(e, &(struct node){.kind = (uint8_t)kind, .a = left, .b = right, .type = PARQUET_BOOLEAN});
}

/* "x"::TIMESTAMP. */
int16_t node_timestamp(struct expression *e, int16_t of)
{
	if (of < 0 || is(e, of, NODE_NULL) || node_at(e, of)->type == PARQUET_TIME_US)
		return of;
	if (node_at(e, of)->type != PARQUET_TIME_NS)
		return NODE_NONE;
	return add(e, &(struct node){.kind = NODE_MICROSECONDS,
				     .type = PARQUET_TIME_US,
				     .counted = PARQUET_TIME_US,
				     .a = of,
				     .range = {INT64_MIN / 1000, INT64_MAX / 1000}});
}

/* epoch_ms(): pushed down to what counts milliseconds anyway. */
int16_t node_milliseconds(struct expression *e, int16_t of)
{
	struct node n = {.kind = NODE_MILLISECONDS,
			 .type = PARQUET_SIGNED64,
			 .counted = PARQUET_SIGNED64,
			 .a = of,
			 .range = {INT64_MIN / 1000, INT64_MAX / 1000}};

	if (of < 0 || is(e, of, NODE_NULL))
		return of;
	if (node_at(e, of)->type != PARQUET_TIME_US)
		return NODE_NONE;
	if (is(e, of, NODE_COALESCE)) {
		const int16_t left = node_milliseconds(e, node_at(e, of)->a);
		const int16_t right = node_milliseconds(e, node_at(e, of)->b);

		return node_coalesce(e, left, right);
	}
	if (is(e, of, NODE_MICROSECONDS) && node_at(e, node_at(e, of)->a)->type == PARQUET_TIME_MS) {
		n.kind = NODE_AS_NUMBER;
		n.a = node_at(e, of)->a;
	}
	return add(e, &n);
}
