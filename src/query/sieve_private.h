/* sieve_private.h: the tree of a sieve. */
#pragma once

#include "query/expression_private.h"
#include "query/sieve.h"

enum {
	SIEVE_DEPTH_MAX = 128,                      /* of nodes inside each other */
	SIEVE_SPARE_MAX = 3 * (SIEVE_DEPTH_MAX + 1) /* bitmaps at a time */
};

enum sieve_kind {
	SIEVE_ALL,
	SIEVE_NONE,
	/* Leaves: a node of an operand's expression … */
	SIEVE_WITHIN, /* … is in one of the intervals */
	SIEVE_TABLE,  /* … has its bit set */
	SIEVE_TEXTS,  /* … is one of the texts */
	SIEVE_HAS,    /* … has a value */
	SIEVE_TRUTH,  /* … is true */
	/* Of others. */
	SIEVE_ELSE, /* the first child, where its operand has a value, else the second */
	SIEVE_AND,
	SIEVE_OR
};

/* What is known without reading. */
enum verdict { NEVER, MAYBE, ALWAYS };

struct sieve_node {
	uint8_t kind; /* enum sieve_kind */
	bool negative;
	uint8_t verdict; /* of the rows at hand */
	uint8_t level;   /* of nodes below */
	int16_t at;      /* in the operand's expression */
	uint16_t operand;
	uint32_t cost;  /* octets that are read, or as much time as that */
	uint32_t count; /* of what is in the next */
	union {
		struct interval *list;
		uint64_t *table;
		union parquet_text *texts; /* their octets behind them, where they are not the filter's */
		int32_t *children;
	};
};

struct operand {
	struct expression *expression;
	const char *sql; /* borrowed: of words.h, or a name */
	bool is_name;
	int16_t ready; /* `value` is this node's; NODE_NONE: no node's */
	struct vector value;
};

struct sieve {
	struct sieve_node *nodes;
	struct operand *operands;
	uint32_t node_count, node_room, operand_count;
	int32_t root;
	uint64_t *spare[SIEVE_SPARE_MAX];
	uint32_t spare_rows;
};

/* Making one: each function answers a node's number, or -1 with m->status set. What a node has is taken. */
struct making {
	struct sieve *s;
	const struct filter *filter;
	struct wanted *wanted;
	enum status status;
};

int32_t sieve_fail(struct making *m, enum status status);
int32_t sieve_constant(struct making *m, bool all);
int32_t sieve_leaf(struct making *m, struct sieve_node *leaf);

/* Children of an AND, OR or ELSE, then the node itself or a simpler one. */
void sieve_append(struct making *m, struct sieve_node *parent, int32_t child);
int32_t sieve_joint(struct making *m, struct sieve_node *parent);

int32_t sieve_operand(struct making *m, const char *sql, bool is_name);
const struct node *sieve_expression(const struct making *m, uint16_t operand, int16_t at);

/* Numbers, as intervals in order and apart once settled. */
struct set {
	struct interval *list; /* room for all that are added */
	uint32_t count;
};

void set_add(struct set *set, int128 low, int128 high);
void set_settle(struct set *set);

/* The operand's node is in the set, which is taken; is true; has a value. */
int32_t sieve_within(struct making *m, uint16_t operand, int16_t at, struct set *set);
int32_t sieve_truth(struct making *m, uint16_t operand, int16_t at);

/* The whole tree. */
MUST_CHECK enum status sieve_make(struct making *m, int64_t from_ms, int64_t to_ms);
