/* Expressions over columns: each node a loop over the rows, or over the entries of a dictionary. */
#include <stdlib.h>
#include <string.h>

#include "query/expression_private.h"

enum { BLOCK = 1024 /* rows that stay in the nearest cache between two loops */ };

static bool truth_of(struct expression *e, int16_t at, const struct columns *c, uint64_t *yes,
		     uint64_t *known);

/* Memory is not given back when fewer rows follow. */
static bool need_data(struct node *n, uint32_t rows, size_t width)
{
	const size_t octets = (size_t)bits_words(rows) * 64 * width + 16;

	if (octets <= n->room)
		return true;
	free(n->data);
	n->data = calloc(1, octets);
	n->room = n->data ? octets : 0;
	return n->data;
}

static bool need_bits(uint64_t **bits, unsigned count, uint32_t *room, uint32_t rows)
{
	if (bits[0] && rows <= *room)
		return true;
	for (unsigned i = 0; i < count; i++) {
		free(bits[i]);
		bits[i] = calloc(bits_words(rows) + 1, sizeof **bits);
	}
	for (unsigned i = 0; i < count; i++)
		if (!bits[i]) {
			*room = 0;
			return false;
		}
	*room = rows;
	return true;
}

void expression_free(struct expression *e)
{
	if (!e)
		return;
	for (uint32_t i = 0; i < e->count; i++) {
		free(e->nodes[i].data);
		for (unsigned k = 0; k < 3; k++)
			free(e->nodes[i].bits[k]);
	}
	free(e->truth[0]);
	free(e->truth[1]);
	free(e);
}

/* No row has a value. */
static bool run_null(struct node *n, uint32_t rows, struct vector *out)
{
	const enum parquet_type type = (enum parquet_type)n->type;

	if (!need_bits(n->bits, 3, &n->bits_room, rows) || !need_data(n, rows, sizeof(union parquet_text)))
		return false;
	memset(n->bits[0], 0, bits_words(rows) * sizeof(uint64_t));
	*out = (struct vector){.type = type, .rows = rows, .valid = n->bits[0], .data = n->data};
	return true;
}

static bool run_column(struct node *n, const struct columns *c, struct vector *out)
{
	const struct vector *v = c->get(c->arg, (uint32_t)n->column);

	if (!v || v->rows != c->rows)
		return false;
	if (v->type != n->type) /* no value from which the type could be told */
		return run_null(n, c->rows, out);
	*out = *v;
	return true;
}

#define WIDEN(type)                                                                                          \
	do {                                                                                                 \
		const type *values = v->data;                                                                \
                                                                                                             \
		for (uint32_t i = 0; i < count; i++)                                                         \
			out[i] = (uint64_t)values[from + i];                                                 \
	} while (0)

/* Numbers as 64 bits. */
static void widen(const struct vector *v, uint32_t from, uint32_t count, uint64_t *out)
{
	switch (v->type) {
	case PARQUET_BOOLEAN:
	case PARQUET_UNSIGNED8: WIDEN(uint8_t); break;
	case PARQUET_UNSIGNED16: WIDEN(uint16_t); break;
	case PARQUET_UNSIGNED32: WIDEN(uint32_t); break;
	case PARQUET_SIGNED8: WIDEN(int8_t); break;
	case PARQUET_SIGNED16: WIDEN(int16_t); break;
	case PARQUET_SIGNED32: WIDEN(int32_t); break;
	default: WIDEN(uint64_t); break;
	}
}

#define GATHER(type)                                                                                         \
	do {                                                                                                 \
		const type *values = v->data;                                                                \
		type *to = out;                                                                              \
                                                                                                             \
		for (uint32_t i = 0; i < count; i++)                                                         \
			to[i] = values[codes[i]];                                                            \
	} while (0)

struct wide {
	uint64_t half[2];
};

/* Values of rows, without a dictionary. */
static void flatten(const struct vector *v, uint32_t from, uint32_t count, void *out)
{
	const size_t width = parquet_width(v->type);
	const uint16_t *codes = v->codes;

	if (!codes) {
		memcpy(out, (const uint8_t *)v->data + from * width, count * width);
		return;
	}
	if (!v->entries) {
		memset(out, 0, count * width);
		return;
	}
	codes += from;
	switch (width) {
	case 1: GATHER(uint8_t); break;
	case 2: GATHER(uint16_t); break;
	case 4: GATHER(uint32_t); break;
	case 8: GATHER(uint64_t); break;
	default: GATHER(struct wide); break;
	}
}

/* Rounded down: the high half of a product with 2^64 / n is right, or one less. */
static inline uint64_t quotient(uint64_t x, uint64_t n, uint64_t inverse)
{
	const uint64_t q = (uint64_t)((uint128)x * inverse >> 64);

	return q + (x - q * n >= n);
}

static void divide(uint64_t *x, uint32_t count, uint64_t n, bool is_signed)
{
	const uint64_t inverse = UINT64_MAX / n;

	for (uint32_t i = 0; i < count; i++) {
		const uint64_t sign = is_signed ? 0 - (x[i] >> 63) : 0;

		x[i] = (quotient((x[i] ^ sign) - sign, n, inverse) ^ sign) - sign;
	}
}

static void remainder_of(uint64_t *x, uint32_t count, uint64_t n, bool is_signed)
{
	const uint64_t inverse = UINT64_MAX / n;

	for (uint32_t i = 0; i < count; i++) {
		const uint64_t sign = is_signed ? 0 - (x[i] >> 63) : 0;
		const uint64_t plain = (x[i] ^ sign) - sign;

		x[i] = ((plain - quotient(plain, n, inverse) * n) ^ sign) - sign;
	}
}

static void multiply(uint64_t *x, uint32_t count, uint64_t n)
{
	for (uint32_t i = 0; i < count; i++)
		x[i] *= n;
}

static void compute(const struct node *n, enum parquet_type of, uint64_t *x, uint32_t count)
{
	const bool is_signed = n->type != PARQUET_UNSIGNED64;
	const uint64_t number = n->number;

	switch ((enum node_kind)n->kind) {
	case NODE_MICROSECONDS:
		if (of == PARQUET_TIME_MS)
			multiply(x, count, 1000);
		else
			divide(x, count, 1000, true);
		break;
	case NODE_MILLISECONDS: divide(x, count, 1000, true); break;
	case NODE_DIVIDE: divide(x, count, number, is_signed); break;
	case NODE_REMAINDER: remainder_of(x, count, number, is_signed); break;
	case NODE_TIMES: multiply(x, count, number); break;
	case NODE_SHIFT:
		for (uint32_t i = 0; i < count; i++)
			x[i] >>= number;
		break;
	case NODE_MASK:
		for (uint32_t i = 0; i < count; i++)
			x[i] &= number;
		break;
	default: break;
	}
}

static bool is_unary(const struct node *n)
{
	return n->kind > NODE_COLUMN && n->kind < NODE_MINUS;
}

/* All that is made of one value, one after the other while some rows are near. */
static void compute_chain(const struct expression *e, const struct node *n, uint64_t *x, uint32_t count)
{
	const struct node *of = &e->nodes[n->a];

	if (is_unary(of))
		compute_chain(e, of, x, count);
	compute(n, (enum parquet_type)of->type, x, count);
}

/* What is made of one value. */
static bool run_unary(struct expression *e, struct node *n, const struct columns *c, struct vector *out)
{
	int16_t from_node = n->a;
	struct vector in;

	while (is_unary(&e->nodes[from_node]))
		from_node = e->nodes[from_node].a;
	if (!expression_value(e, from_node, c, &in))
		return false;
	*out = in;
	out->type = (enum parquet_type)n->type;
	if (n->kind == NODE_AS_NUMBER && from_node == n->a)
		return true;

	const uint32_t count = in.codes ? in.entries : in.rows;
	if (!need_data(n, count, 8))
		return false;
	for (uint32_t from = 0; from < count; from += BLOCK) {
		const uint32_t some = count - from < BLOCK ? count - from : BLOCK;
		uint64_t *x = (uint64_t *)n->data + from;

		widen(&in, from, some, x);
		compute_chain(e, n, x, some);
	}
	out->data = n->data;
	return true;
}

/* Bits behind the last row are 0. */
static const uint64_t *trim(uint64_t *bits, uint32_t rows)
{
	if (rows % 64)
		bits[rows / 64] &= (UINT64_C(1) << rows % 64) - 1;
	return bits;
}

/* Rows that have a value in both; NULL: all. */
static const uint64_t *both_valid(struct node *n, const struct vector *a, const struct vector *b)
{
	if (!a->valid || !b->valid)
		return a->valid ? a->valid : b->valid;
	for (uint32_t w = 0; w < bits_words(a->rows); w++)
		n->bits[0][w] = a->valid[w] & b->valid[w];
	return n->bits[0];
}

static bool run_minus(struct expression *e, struct node *n, const struct columns *c, struct vector *out)
{
	struct vector a, b;
	uint64_t subtract[BLOCK];

	if (!expression_value(e, n->a, c, &a) || !expression_value(e, n->b, c, &b) ||
	    !need_data(n, c->rows, 8) || !need_bits(n->bits, 3, &n->bits_room, c->rows))
		return false;
	for (uint32_t from = 0; from < c->rows; from += BLOCK) {
		const uint32_t some = c->rows - from < BLOCK ? c->rows - from : BLOCK;
		uint64_t *x = (uint64_t *)n->data + from;

		flatten(&a, from, some, x);
		flatten(&b, from, some, subtract);
		for (uint32_t i = 0; i < some; i++)
			x[i] -= subtract[i];
	}
	*out = (struct vector){
		.type = PARQUET_SIGNED64, .rows = c->rows, .valid = both_valid(n, &a, &b), .data = n->data};
	return true;
}

/* Rows of `yes` from a, the others from b. */
static void select_rows(uint8_t *out, const uint64_t *yes, const struct vector *a, const struct vector *b)
{
	const size_t width = parquet_width(a->type);
	struct wide other[64];

	for (uint32_t w = 0; w < bits_words(a->rows); w++, out += 64 * width) {
		const uint32_t from = 64 * w, some = a->rows - from < 64 ? a->rows - from : 64;
		const uint64_t all = some == 64 ? UINT64_MAX : (UINT64_C(1) << some) - 1;
		uint64_t no = all & ~yes[w];

		if (no == all) {
			flatten(b, from, some, out);
			continue;
		}
		flatten(a, from, some, out);
		if (!no)
			continue;
		flatten(b, from, some, other);
		for (; no; no &= no - 1) {
			const size_t at = (size_t)__builtin_ctzll(no) * width;

			memcpy(out + at, (const uint8_t *)other + at, width);
		}
	}
}

static uint64_t valid_word(const struct vector *v, uint32_t w)
{
	return v->valid ? v->valid[w] : UINT64_MAX;
}

static bool run_coalesce(struct expression *e, struct node *n, const struct columns *c, struct vector *out)
{
	struct vector a, b;

	if (expression_nulls(e, n->a, c) == NULLS_ALL)
		return expression_value(e, n->b, c, out);
	if (!expression_value(e, n->a, c, &a))
		return false;
	*out = a;
	if (!a.valid || expression_nulls(e, n->b, c) == NULLS_ALL)
		return true;
	if (!expression_value(e, n->b, c, &b) || !need_data(n, c->rows, parquet_width(a.type)) ||
	    !need_bits(n->bits, 3, &n->bits_room, c->rows))
		return false;
	select_rows(n->data, a.valid, &a, &b);
	for (uint32_t w = 0; w < bits_words(c->rows); w++)
		n->bits[0][w] = a.valid[w] | valid_word(&b, w);
	*out = (struct vector){.type = a.type,
			       .rows = c->rows,
			       .valid = b.valid ? trim(n->bits[0], c->rows) : NULL,
			       .data = n->data};
	return true;
}

/* One side of a CASE has no value: the other, where it is meant. */
static bool run_half(struct expression *e, struct node *n, const struct columns *c, bool then,
		     struct vector *out)
{
	if (!expression_value(e, then ? n->b : n->c, c, out))
		return false;
	for (uint32_t w = 0; w < bits_words(c->rows); w++)
		n->bits[0][w] = valid_word(out, w) & (then ? n->bits[1][w] : ~n->bits[1][w]);
	out->valid = trim(n->bits[0], c->rows);
	return true;
}

static bool run_case(struct expression *e, struct node *n, const struct columns *c, struct vector *out)
{
	struct vector a, b;

	if (!need_bits(n->bits, 3, &n->bits_room, c->rows) || !truth_of(e, n->a, c, n->bits[1], n->bits[2]))
		return false;
	if (e->nodes[n->b].kind == NODE_NULL || e->nodes[n->c].kind == NODE_NULL)
		return run_half(e, n, c, e->nodes[n->c].kind == NODE_NULL, out);
	if (!expression_value(e, n->b, c, &a) || !expression_value(e, n->c, c, &b) ||
	    !need_data(n, c->rows, parquet_width(a.type)))
		return false;

	const uint64_t *yes = n->bits[1];
	select_rows(n->data, yes, &a, &b);
	for (uint32_t w = 0; w < bits_words(c->rows); w++)
		n->bits[0][w] = (yes[w] & valid_word(&a, w)) | (~yes[w] & valid_word(&b, w));
	*out = (struct vector){.type = a.type,
			       .rows = c->rows,
			       .valid = a.valid || b.valid ? trim(n->bits[0], c->rows) : NULL,
			       .data = n->data};
	return true;
}

/* A truth as octets. */
static bool run_truth(struct expression *e, int16_t at, const struct columns *c, struct vector *out)
{
	struct node *n = &e->nodes[at];
	uint8_t *octets;

	if (!need_bits(e->truth, 2, &e->truth_room, c->rows) || !need_data(n, c->rows, 1) ||
	    !truth_of(e, at, c, e->truth[0], e->truth[1]))
		return false;
	octets = n->data;
	for (uint32_t w = 0; w < bits_words(c->rows); w++) {
		const uint64_t yes = e->truth[0][w];

		for (unsigned i = 0; i < 64; i++)
			octets[64 * (size_t)w + i] = yes >> i & 1;
	}
	*out = (struct vector){
		.type = PARQUET_BOOLEAN, .rows = c->rows, .valid = e->truth[1], .data = n->data};
	return true;
}

bool expression_value(struct expression *e, int16_t at, const struct columns *c, struct vector *out)
{
	struct node *n = &e->nodes[at];

	switch ((enum node_kind)n->kind) {
	case NODE_NULL: return run_null(n, c->rows, out);
	case NODE_COLUMN: return run_column(n, c, out);
	case NODE_MINUS: return run_minus(e, n, c, out);
	case NODE_COALESCE:
		return expression_is_truth(n) ? run_truth(e, at, c, out) : run_coalesce(e, n, c, out);
	case NODE_CASE: return run_case(e, n, c, out);
	default: return n->kind < NODE_MINUS ? run_unary(e, n, c, out) : run_truth(e, at, c, out);
	}
}

/* Truths: the rows where they are true, and those where they are true or false. */

static bool run_within(struct expression *e, int16_t of, const struct interval *within,
		       const struct columns *c, uint64_t *yes, uint64_t *known)
{
	struct vector v;

	if (!expression_value(e, of, c, &v))
		return false;
	bits_fill(known, c->rows);
	bits_keep_valid(known, &v);
	memcpy(yes, known, bits_words(c->rows) * sizeof *yes);
	bits_keep_within(yes, &v, within, 1);
	return true;
}

static bool run_less_equal(struct expression *e, const struct node *n, const struct columns *c, uint64_t *yes,
			   uint64_t *known)
{
	struct vector a, b;

	if (!expression_value(e, n->a, c, &a) || !expression_value(e, n->b, c, &b))
		return false;
	bits_fill(known, c->rows);
	bits_keep_valid(known, &a);
	bits_keep_valid(known, &b);
	for (uint32_t w = 0; w < bits_words(c->rows); w++) {
		const uint32_t some = c->rows - 64 * w < 64 ? c->rows - 64 * w : 64;
		struct vector left = {.type = a.type, .rows = some}, right = {.type = b.type, .rows = some};
		uint64_t narrow[64], x[64] = {0}, y[64] = {0};
		uint8_t flags[64];

		left.data = right.data = narrow;
		flatten(&a, 64 * w, some, narrow);
		widen(&left, 0, some, x);
		flatten(&b, 64 * w, some, narrow);
		widen(&right, 0, some, y);
		for (unsigned i = 0; i < 64; i++)
			flags[i] = x[i] <= y[i];
		yes[w] = known[w] & bits_pack(flags);
	}
	return true;
}

static bool run_is_null(struct expression *e, const struct node *n, const struct columns *c, uint64_t *yes,
			uint64_t *known)
{
	struct vector v;

	if (expression_is_truth(&e->nodes[n->a])) {
		if (!truth_of(e, n->a, c, known, yes))
			return false;
	} else {
		if (!expression_value(e, n->a, c, &v))
			return false;
		bits_fill(yes, c->rows);
		bits_keep_valid(yes, &v);
	}
	bits_fill(known, c->rows);
	for (uint32_t w = 0; w < bits_words(c->rows); w++)
		yes[w] = known[w] & ~yes[w];
	return true;
}

static bool run_joint(struct expression *e, struct node *n, const struct columns *c, uint64_t *yes,
		      uint64_t *known)
{
	if (!need_bits(n->bits, 3, &n->bits_room, c->rows) || !truth_of(e, n->a, c, yes, known) ||
	    !truth_of(e, n->b, c, n->bits[0], n->bits[1]))
		return false;
	for (uint32_t w = 0; w < bits_words(c->rows); w++) {
		const uint64_t a = yes[w], b = n->bits[0][w], there = known[w], here = n->bits[1][w];

		if (n->kind == NODE_OR) {
			yes[w] = a | b;
			known[w] = (there & here) | a | b;
		} else if (n->kind == NODE_AND) {
			yes[w] = a & b;
			known[w] = (there & here) | (there & ~a) | (here & ~b);
		} else {
			yes[w] = a | (~there & b);
			known[w] = there | here;
		}
	}
	return true;
}

static bool truth_of(struct expression *e, int16_t at, const struct columns *c, uint64_t *yes,
		     uint64_t *known)
{
	static const struct interval set = {1, 1};
	struct node *n = &e->nodes[at];

	switch ((enum node_kind)n->kind) {
	case NODE_WITHIN: return run_within(e, n->a, &n->within, c, yes, known);
	case NODE_LESS_EQUAL: return run_less_equal(e, n, c, yes, known);
	case NODE_IS_NULL: return run_is_null(e, n, c, yes, known);
	case NODE_NOT:
		if (!truth_of(e, n->a, c, yes, known))
			return false;
		for (uint32_t w = 0; w < bits_words(c->rows); w++)
			yes[w] = known[w] & ~yes[w];
		return true;
	case NODE_AND:
	case NODE_OR:
	case NODE_COALESCE: return run_joint(e, n, c, yes, known);
	case NODE_TRUTH:
		bits_fill(known, c->rows);
		memset(yes, 0, bits_words(c->rows) * sizeof *yes);
		if (n->number)
			bits_fill(yes, c->rows);
		return true;
	case NODE_NULL:
		memset(yes, 0, bits_words(c->rows) * sizeof *yes);
		memset(known, 0, bits_words(c->rows) * sizeof *known);
		return true;
	default: return run_within(e, at, &set, c, yes, known);
	}
}

bool expression_keep(struct expression *e, int16_t at, const struct columns *c, uint64_t *bits)
{
	if (!need_bits(e->truth, 2, &e->truth_room, c->rows) || !truth_of(e, at, c, e->truth[0], e->truth[1]))
		return false;
	for (uint32_t w = 0; w < bits_words(c->rows); w++)
		bits[w] &= e->truth[0][w];
	return true;
}

bool expression_run(struct expression *e, const struct columns *columns, struct vector *out)
{
	return expression_value(e, e->root, columns, out);
}

enum parquet_type expression_type(const struct expression *e)
{
	return (enum parquet_type)e->nodes[e->root].type;
}

bool expression_is_null(const struct expression *e)
{
	return e->nodes[e->root].kind == NODE_NULL;
}
