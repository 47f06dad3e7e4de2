/* expression_private.h: the tree of an expression, for those who read it, run it, or look into it.
 *
 * A node is a value (a vector) or a truth (true, false, unknown). What lacks a column is simplified when it
 * is made: a tree has NODE_NULL and NODE_TRUTH nowhere but as its root, or as what a CASE gives. */
#pragma once

#include "query/bits.h"
#include "query/expression.h"

enum { NODES_MAX = 96, NODE_NONE = -1 };

enum node_kind {
	NODE_NULL,
	NODE_NUMBER, /* a literal: beside an operator only, never evaluated */
	NODE_COLUMN,
	/* of one value, from here on */
	NODE_MICROSECONDS, /* of a TIME_MS or TIME_NS */
	NODE_MILLISECONDS, /* epoch_ms() of a TIME_US: rounded towards 0 */
	NODE_AS_NUMBER,    /* epoch_ms() of what counts milliseconds */
	NODE_DIVIDE,       /* by `number`, rounded towards 0; so do the others */
	NODE_REMAINDER,
	NODE_TIMES,
	NODE_SHIFT,
	NODE_MASK,
	/* of two or three */
	NODE_MINUS,
	NODE_COALESCE, /* a, else b */
	NODE_CASE,     /* when a: b, else c */
	/* truths */
	NODE_TRUTH,  /* `number` */
	NODE_WITHIN, /* a is one of `within` */
	NODE_LESS_EQUAL,
	NODE_IS_NULL,
	NODE_NOT,
	NODE_AND,
	NODE_OR
};

struct node {
	uint8_t kind;    /* enum node_kind */
	uint8_t type;    /* enum parquet_type of the values */
	uint8_t counted; /* enum parquet_type: what SQL counts in, where it may be narrower than `type` */
	int16_t a, b, c; /* NODE_NONE: there is none */
	int32_t column;  /* that is wanted */
	uint64_t number;
	struct interval range;  /* of the values */
	struct interval within; /* of a NODE_WITHIN */
	/* What it evaluates to, where that is not handed through. */
	void *data;
	size_t room; /* octets */
	uint64_t *bits[3];
	uint32_t bits_room; /* rows */
};

struct expression {
	struct node nodes[NODES_MAX];
	uint32_t count;
	int16_t root;
	uint64_t *truth[2]; /* of the whole: true; known */
	uint32_t truth_room;
};

/* Make a node of others, or the simpler one that says the same. NODE_NONE, which they pass on: SQL that is
 * not understood. */
int16_t node_column(struct expression *e, struct wanted *wanted, const char *name);
int16_t node_null(struct expression *e);
int16_t node_number(struct expression *e, uint64_t number);
int16_t node_truth(struct expression *e, bool truth);
int16_t node_arithmetic(struct expression *e, enum node_kind kind, int16_t left, int16_t right);
int16_t node_minus(struct expression *e, int16_t left, int16_t right);
int16_t node_coalesce(struct expression *e, int16_t left, int16_t right);
int16_t node_case(struct expression *e, int16_t when, int16_t then, int16_t otherwise);
int16_t node_equal(struct expression *e, int16_t left, int16_t right);
int16_t node_less_equal(struct expression *e, int16_t left, int16_t right);
int16_t node_is_null(struct expression *e, int16_t of);
int16_t node_not(struct expression *e, int16_t of);
int16_t node_joint(struct expression *e, enum node_kind kind, int16_t left, int16_t right); /* and, or */
int16_t node_timestamp(struct expression *e, int16_t of);                                   /* ::TIMESTAMP */
int16_t node_milliseconds(struct expression *e, int16_t of);                                /* epoch_ms() */

/* A value or, out->type is PARQUET_BOOLEAN, a truth. */
MUST_CHECK bool expression_value(struct expression *expression, int16_t at, const struct columns *columns,
				 struct vector *out);

/* Of a truth: of the rows set in `bits` those stay where it is true. */
MUST_CHECK bool expression_keep(struct expression *expression, int16_t at, const struct columns *columns,
				uint64_t *bits);

bool expression_is_truth(const struct node *node);

/* How many rows have no value, as far as it is known without reading. */
enum nulls { NULLS_NONE, NULLS_SOME, NULLS_ALL };
enum nulls expression_nulls(const struct expression *expression, int16_t at, const struct columns *columns);

/* The column that decides whether the node has a value; -1: not one alone. */
int32_t expression_decides(const struct expression *expression, int16_t at);

/* As expression_bounds. */
void expression_node_bounds(const struct expression *expression, int16_t at, const struct columns *columns,
			    struct parquet_bounds *out);
