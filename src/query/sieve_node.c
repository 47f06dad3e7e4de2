/* Nodes of a sieve. */
#include <stdlib.h>
#include <string.h>

#include "query/sieve_private.h"

int32_t sieve_fail(struct making *m, enum status status)
{
	if (m->status == OK)
		m->status = status;
	return -1;
}

static int32_t add_node(struct sieve *s, const struct sieve_node *node)
{
	if (s->node_count == s->node_room) {
		const uint32_t room = s->node_room ? 2 * s->node_room : 16;
		struct sieve_node *nodes = realloc(s->nodes, room * sizeof *nodes);

		if (!nodes)
			return -1;
		s->nodes = nodes;
		s->node_room = room;
	}
	s->nodes[s->node_count] = *node;
	return (int32_t)s->node_count++;
}

static int32_t add(struct making *m, const struct sieve_node *node)
{
	const int32_t at = add_node(m->s, node);

	if (at < 0) {
		free(node->list);
		return sieve_fail(m, ERR_MEMORY);
	}
	return at;
}

int32_t sieve_constant(struct making *m, bool all)
{
	return add(m, &(struct sieve_node){.kind = all ? SIEVE_ALL : SIEVE_NONE});
}

/* It changes nothing, as one of the parent's children. */
static bool is_idle(const struct sieve_node *parent, const struct sieve_node *child)
{
	const bool all = child->kind == SIEVE_ALL, none = child->kind == SIEVE_NONE;

	if (parent->kind == SIEVE_ELSE)
		return false;
	return parent->kind == SIEVE_AND ? (child->negative ? none : all) : (child->negative ? all : none);
}

void sieve_append(struct making *m, struct sieve_node *parent, int32_t child)
{
	if (child < 0 || is_idle(parent, &m->s->nodes[child]))
		return;
	const struct sieve_node *c = &m->s->nodes[child];
	int32_t *children = realloc(parent->children, (parent->count + 1) * sizeof *children);
	if (!children) {
		sieve_fail(m, ERR_MEMORY);
		return;
	}
	children[parent->count++] = child;
	parent->children = children;
	parent->cost += c->cost;
	if (c->level >= parent->level)
		parent->level = (uint8_t)(c->level + 1);
}

/* The cheapest first; of equals, the one that was first. */
static void order(const struct sieve *s, struct sieve_node *parent)
{
	for (uint32_t i = 1; i < parent->count; i++) {
		const int32_t moved = parent->children[i];
		uint32_t k = i;

		for (; k && s->nodes[parent->children[k - 1]].cost > s->nodes[moved].cost; k--)
			parent->children[k] = parent->children[k - 1];
		parent->children[k] = moved;
	}
}

/* An AND or OR whose children are there: of one, that child. */
int32_t sieve_joint(struct making *m, struct sieve_node *parent)
{
	if (m->status == OK && parent->level > SIEVE_DEPTH_MAX)
		sieve_fail(m, ERR_UNSUPPORTED);
	if (m->status != OK || parent->count == 0) {
		free(parent->children);
		return m->status == OK ? sieve_constant(m, parent->kind == SIEVE_AND) : -1;
	}
	if (parent->count == 1 && !parent->negative) {
		const int32_t only = parent->children[0];

		free(parent->children);
		return only;
	}
	if (parent->kind != SIEVE_ELSE)
		order(m->s, parent);
	return add(m, parent);
}

int32_t sieve_operand(struct making *m, const char *sql, bool is_name)
{
	struct sieve *s = m->s;
	struct operand new = {.sql = sql, .is_name = is_name, .ready = NODE_NONE}, *operands;

	for (uint32_t i = 0; i < s->operand_count; i++)
		if (s->operands[i].is_name == is_name && strcmp(s->operands[i].sql, sql) == 0)
			return (int32_t)i;
	const enum status status = is_name ? expression_column(&new.expression, sql, m->wanted)
					   : expression_new(&new.expression, sql, m->wanted);
	if (status != OK)
		return sieve_fail(m, status);
	operands = realloc(s->operands, (s->operand_count + 1) * sizeof *operands);
	if (!operands) {
		expression_free(new.expression);
		return sieve_fail(m, ERR_MEMORY);
	}
	s->operands = operands;
	operands[s->operand_count] = new;
	return (int32_t)s->operand_count++;
}

const struct node *sieve_expression(const struct making *m, uint16_t operand, int16_t at)
{
	return &m->s->operands[operand].expression->nodes[at];
}

static uint32_t cost_of(const struct expression *e, int16_t at)
{
	const struct node *n = &e->nodes[at];
	const int16_t below[] = {n->a, n->b, n->c};
	const unsigned count = n->kind == NODE_CASE ? 3
			       : n->kind == NODE_MINUS || n->kind == NODE_COALESCE ||
					       n->kind == NODE_LESS_EQUAL || n->kind >= NODE_AND
				       ? 2
			       : n->kind == NODE_COLUMN || n->kind == NODE_TRUTH || n->kind == NODE_NULL ? 0
													 : 1;
	uint32_t cost = n->kind == NODE_COLUMN ? (uint32_t)parquet_width((enum parquet_type)n->type) : 8;

	for (unsigned i = 0; i < count; i++)
		cost += cost_of(e, below[i]);
	return cost;
}

int32_t sieve_leaf(struct making *m, struct sieve_node *leaf)
{
	const struct expression *e = m->s->operands[leaf->operand].expression;

	leaf->cost = cost_of(e, leaf->at);
	for (uint32_t n = leaf->count; leaf->kind == SIEVE_WITHIN && n > 1; n /= 2)
		leaf->cost += 4;
	return add(m, leaf);
}
