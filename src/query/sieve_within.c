/* What is said of a computed value, said of the column that it is computed from, where it can be: a time of
 * microseconds is in a range where its milliseconds are in another. So a test is one loop over what is read
 * anyway, and can be held against the column's bounds. */
#include <stdlib.h>
#include <string.h>

#include "query/sieve_private.h"

void set_add(struct set *set, int128 low, int128 high)
{
	if (low <= high)
		set->list[set->count++] = (struct interval){low, high};
}

static int compare(const void *a, const void *b)
{
	const struct interval *left = a, *right = b;

	return left->low < right->low ? -1 : left->low > right->low;
}

void set_settle(struct set *set)
{
	uint32_t count = 0;

	qsort(set->list, set->count, sizeof *set->list, compare);
	for (uint32_t i = 0; i < set->count; i++) {
		struct interval *last = count ? &set->list[count - 1] : NULL;

		if (last && (set->list[i].low <= last->high ||
			     (uint128)set->list[i].low - (uint128)last->high == 1)) {
			if (set->list[i].high > last->high)
				last->high = set->list[i].high;
		} else {
			set->list[count++] = set->list[i];
		}
	}
	set->count = count;
}

static int128 least(int128 a, int128 b)
{
	return a < b ? a : b;
}

static int128 most(int128 a, int128 b)
{
	return a > b ? a : b;
}

/* What a value has to be for its `n`th part, rounded towards 0, to be within. */
static struct interval times(struct interval i, int128 n)
{
	return (struct interval){i.low > 0 ? i.low * n : i.low * n - (n - 1),
				 i.high >= 0 ? i.high * n + (n - 1) : i.high * n};
}

/* What a value has to be for its `n`-fold to be within. */
static struct interval parts(struct interval i, int128 n)
{
	return (struct interval){i.low > 0 ? (i.low + n - 1) / n : i.low / n,
				 i.high >= 0 ? i.high / n : (i.high - n + 1) / n};
}

/* The same set of what `node` is computed from. False: it cannot be said so. */
static bool step_down(const struct making *m, uint16_t operand, const struct node *node, struct set *set)
{
	const enum parquet_type of =
		node->kind > NODE_COLUMN ? (enum parquet_type)sieve_expression(m, operand, node->a)->type : 0;
	const bool rounds = node->kind == NODE_MILLISECONDS || node->kind == NODE_DIVIDE ||
			    (node->kind == NODE_MICROSECONDS && of == PARQUET_TIME_NS);
	const bool grows = node->kind == NODE_MICROSECONDS && of == PARQUET_TIME_MS;
	uint32_t count = 0;

	if (!rounds && !grows && node->kind != NODE_AS_NUMBER)
		return false;
	for (uint32_t i = 0; i < set->count; i++) {
		struct interval within = {most(set->list[i].low, node->range.low),
					  least(set->list[i].high, node->range.high)};

		if (within.low > within.high)
			continue;
		within = rounds  ? times(within, node->kind == NODE_DIVIDE ? (int128)node->number : 1000)
			 : grows ? parts(within, 1000)
				 : within;
		if (within.low <= within.high)
			set->list[count++] = within;
	}
	set->count = count;
	return true;
}

static bool set_copy(struct set *out, const struct set *set)
{
	out->list = malloc((set->count + 1) * sizeof *out->list);
	out->count = set->count;
	if (out->list)
		memcpy(out->list, set->list, set->count * sizeof *out->list);
	return out->list;
}

static int32_t add_coalesce(struct making *m, uint16_t operand, int16_t at, struct set *set)
{
	const struct node *n = sieve_expression(m, operand, at);
	const int16_t a = n->a, b = n->b;
	struct sieve_node both = {.kind = SIEVE_ELSE, .operand = operand, .at = a};
	struct set second;

	if (!set_copy(&second, set)) {
		free(set->list);
		return sieve_fail(m, ERR_MEMORY);
	}
	sieve_append(m, &both, sieve_within(m, operand, a, set));
	sieve_append(m, &both, sieve_within(m, operand, b, &second));
	return sieve_joint(m, &both);
}

/* Unsigned numbers of 16 bits that are in many intervals. */
static int32_t add_table(struct making *m, struct sieve_node *leaf, struct set *set)
{
	uint64_t *table = calloc(BITS_TABLE_WORDS, sizeof *table);

	for (uint32_t i = 0; table && i < set->count; i++)
		for (int128 n = most(set->list[i].low, 0); n <= least(set->list[i].high, 65535); n++)
			table[n / 64] |= UINT64_C(1) << n % 64;
	free(set->list);
	if (!table)
		return sieve_fail(m, ERR_MEMORY);
	leaf->kind = SIEVE_TABLE;
	leaf->table = table;
	return sieve_leaf(m, leaf);
}

int32_t sieve_within(struct making *m, uint16_t operand, int16_t at, struct set *set)
{
	enum { FEW = 4 };
	const struct node *n = sieve_expression(m, operand, at);

	while (step_down(m, operand, n, set)) {
		at = n->a;
		n = sieve_expression(m, operand, at);
	}
	if (set->count == 0 || n->kind == NODE_NULL) {
		free(set->list);
		return sieve_constant(m, false);
	}
	if (n->kind == NODE_COALESCE && expression_decides(m->s->operands[operand].expression, n->a) >= 0)
		return add_coalesce(m, operand, at, set);

	struct sieve_node leaf = {.kind = SIEVE_WITHIN, .operand = operand, .at = at};
	if (set->count > FEW && (n->type == PARQUET_UNSIGNED8 || n->type == PARQUET_UNSIGNED16))
		return add_table(m, &leaf, set);
	leaf.list = set->list;
	leaf.count = set->count;
	return sieve_leaf(m, &leaf);
}

/* Truths of an expression: where they are true. */

static int32_t add_has(struct making *m, uint16_t operand, int16_t at)
{
	const struct node *n = sieve_expression(m, operand, at);
	struct sieve_node any = {.kind = SIEVE_OR};

	if (n->kind != NODE_COALESCE)
		return sieve_leaf(m, &(struct sieve_node){.kind = SIEVE_HAS, .operand = operand, .at = at});
	sieve_append(m, &any, add_has(m, operand, n->a));
	sieve_append(m, &any, add_has(m, operand, n->b));
	return sieve_joint(m, &any);
}

int32_t sieve_truth(struct making *m, uint16_t operand, int16_t at)
{
	const struct node *n = sieve_expression(m, operand, at);
	const struct node *a = n->kind > NODE_COLUMN && n->a >= 0 ? sieve_expression(m, operand, n->a) : NULL;
	struct sieve_node joint = {.kind = n->kind == NODE_AND ? SIEVE_AND : SIEVE_OR};
	struct set set;

	switch ((enum node_kind)n->kind) {
	case NODE_NULL: return sieve_constant(m, false);
	case NODE_TRUTH: return sieve_constant(m, n->number);
	case NODE_WITHIN:
		if (!set_copy(&set, &(struct set){(struct interval[]){n->within}, 1}))
			return sieve_fail(m, ERR_MEMORY);
		return sieve_within(m, operand, n->a, &set);
	case NODE_AND:
	case NODE_OR:
		sieve_append(m, &joint, sieve_truth(m, operand, n->a));
		sieve_append(m, &joint, sieve_truth(m, operand, n->b));
		return sieve_joint(m, &joint);
	case NODE_COALESCE:
		if (sieve_expression(m, operand, n->b)->kind == NODE_TRUTH &&
		    !sieve_expression(m, operand, n->b)->number)
			return sieve_truth(m, operand, n->a);
		break;
	case NODE_NOT:
		if (a->kind == NODE_IS_NULL && !expression_is_truth(sieve_expression(m, operand, a->a)))
			return add_has(m, operand, a->a);
		break;
	default: break;
	}
	return sieve_leaf(m, &(struct sieve_node){.kind = SIEVE_TRUTH, .operand = operand, .at = at});
}
