/* A filter's tests as nodes of a sieve. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "query/sieve_private.h"

/* Further than any value. */
#define FAR ((int128)1 << 126)

/* Which of two columns a value is looked for in. */
static unsigned half_of(const struct filter_node *n, const struct filter_value *v)
{
	if (n->type == WORD_ADDRESS)
		return v->version == 6;
	return n->type == WORD_INTERFACE && v->kind == FILTER_TEXT;
}

static bool is_text(const struct filter_node *n, const struct filter_value *v)
{
	return v->kind == FILTER_TEXT || n->type == WORD_EXPORTER;
}

static bool is_whole(enum parquet_type type)
{
	return type >= PARQUET_UNSIGNED8 && type <= PARQUET_SIGNED64;
}

/* The value's number among those of the operand's type. False: they cannot be compared. */
static bool number_of(const struct filter_node *n, const struct filter_value *v, enum parquet_type type,
		      int128 *low, int128 *high)
{
	uint8_t last[16];

	switch ((enum filter_value_kind)v->kind) {
	case FILTER_NUMBER:
		*low = (int128)v->number.low;
		*high = (int128)v->number.high;
		return n->type == WORD_BOOLEAN ? type == PARQUET_BOOLEAN && *low == *high : is_whole(type);
	case FILTER_SIGNED:
		*low = *high = (int128)v->integer * (n->type != WORD_TIME      ? 1
						     : type == PARQUET_TIME_NS ? 1000000
									       : 1000);
		if (n->type != WORD_TIME)
			return is_whole(type);
		return (type == PARQUET_TIME_US || type == PARQUET_TIME_NS) && *low > INT64_MIN &&
		       *low < INT64_MAX;
	case FILTER_REAL:
		*low = *high = bits_of_real(v->real);
		return type == PARQUET_FLOAT || type == PARQUET_DOUBLE;
	case FILTER_PREFIX:
		memcpy(last, v->address, sizeof last);
		for (unsigned bit = v->prefix; bit < (v->version == 4 ? 32 : 128); bit++)
			last[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		*low = v->version == 4 ? (int128)get_be32(v->address) : bits_of_address(v->address);
		*high = v->version == 4 ? (int128)get_be32(last) : bits_of_address(last);
		return type == (v->version == 4 ? PARQUET_UNSIGNED32 : PARQUET_UUID);
	default: return false;
	}
}

static void set_compared(struct set *set, enum filter_compare compare, int128 low, int128 high)
{
	switch (compare) {
	case COMPARE_LESS: set_add(set, -FAR, low - 1); break;
	case COMPARE_LESS_EQUAL: set_add(set, -FAR, low); break;
	case COMPARE_MORE: set_add(set, low + 1, FAR); break;
	case COMPARE_MORE_EQUAL: set_add(set, low, FAR); break;
	default: set_add(set, low, high); break;
	}
}

/* The values that are looked for in this half. */
static int32_t add_numbers(struct making *m, const struct filter_node *n, unsigned half, uint16_t operand)
{
	const int16_t root = m->s->operands[operand].expression->root;
	const enum parquet_type type = (enum parquet_type)sieve_expression(m, operand, root)->type;
	struct set set = {.list = malloc((n->count + 1u) * sizeof *set.list)};

	if (!set.list)
		return sieve_fail(m, ERR_MEMORY);
	for (unsigned i = 0; i < n->count; i++) {
		const struct filter_value *v = &m->filter->values[n->first + i];
		int128 low, high;

		if (half_of(n, v) != half || is_text(n, v))
			continue;
		if (!number_of(n, v, type, &low, &high)) {
			free(set.list);
			return sieve_fail(m, ERR_UNSUPPORTED);
		}
		set_compared(&set, (enum filter_compare)n->compare, low, high);
	}
	set_settle(&set);
	return sieve_within(m, operand, root, &set);
}

static int32_t add_flags(struct making *m, const struct filter_node *n, uint16_t operand)
{
	const int16_t root = m->s->operands[operand].expression->root;
	const struct node *e = sieve_expression(m, operand, root);
	struct sieve_node leaf = {.kind = SIEVE_TABLE, .operand = operand, .at = root};

	if (e->type != PARQUET_UNSIGNED8 && e->type != PARQUET_UNSIGNED16)
		return sieve_fail(m, ERR_UNSUPPORTED);
	leaf.table = calloc(BITS_TABLE_WORDS, sizeof *leaf.table);
	if (!leaf.table)
		return sieve_fail(m, ERR_MEMORY);
	for (unsigned i = 0; i < n->count; i++) {
		const uint32_t bits = (uint32_t)m->filter->values[n->first + i].number.low;
		const uint32_t mask = n->compare == COMPARE_EQUAL || bits == 0 ? 0xff | bits : bits;

		for (uint32_t x = 0; x < 65536; x++)
			leaf.table[x / 64] |= (uint64_t)((x & mask) == bits) << x % 64;
	}
	return sieve_leaf(m, &leaf);
}

static unsigned hex(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c | 0x20) - 'a' + 10;
}

/* Octets of a value, put at `to` where they are not the filter's: so many are. */
static size_t text_of(const struct filter_node *n, const struct filter_value *v, char *to,
		      union parquet_text *out)
{
	size_t length;

	if (n->type == WORD_EXPORTER) {
		if (!inet_ntop(v->version == 4 ? AF_INET : AF_INET6, v->address, to, INET6_ADDRSTRLEN))
			to[0] = '\0';
		length = strlen(to);
	} else if (n->type == WORD_OCTETS) {
		length = strlen(v->text) / 2 - 1;
		for (size_t i = 0; i < length; i++)
			to[i] = (char)(hex(v->text[2 + 2 * i]) << 4 | hex(v->text[3 + 2 * i]));
	} else {
		*out = parquet_text(v->text, strlen(v->text));
		return 0;
	}
	*out = parquet_text(to, length);
	return length;
}

static size_t room_of(const struct filter_node *n, const struct filter_value *v)
{
	return n->type == WORD_EXPORTER ? INET6_ADDRSTRLEN : n->type == WORD_OCTETS ? strlen(v->text) / 2 : 0;
}

static int32_t add_texts(struct making *m, const struct filter_node *n, uint16_t operand)
{
	const int16_t root = m->s->operands[operand].expression->root;
	const enum parquet_type type = (enum parquet_type)sieve_expression(m, operand, root)->type;
	struct sieve_node leaf = {.kind = SIEVE_TEXTS, .operand = operand, .at = root};
	const struct filter_value *values = &m->filter->values[n->first];
	size_t octets = 0;

	if (n->compare != COMPARE_EQUAL || type != (n->type == WORD_OCTETS ? PARQUET_OCTETS : PARQUET_TEXT))
		return sieve_fail(m, ERR_UNSUPPORTED);
	for (unsigned i = 0; i < n->count; i++)
		octets += is_text(n, &values[i]) ? room_of(n, &values[i]) : 0;
	leaf.texts = malloc(n->count * sizeof *leaf.texts + octets + INET6_ADDRSTRLEN);
	if (!leaf.texts)
		return sieve_fail(m, ERR_MEMORY);
	char *to = (char *)(leaf.texts + n->count);
	for (unsigned i = 0; i < n->count; i++)
		if (is_text(n, &values[i]))
			to += text_of(n, &values[i], to, &leaf.texts[leaf.count++]);
	qsort(leaf.texts, leaf.count, sizeof *leaf.texts, bits_text_compare);
	return sieve_leaf(m, &leaf);
}

/* Values of one half (numbers or texts, IPv4 or IPv6) on one side. */
static int32_t add_half(struct making *m, const struct filter_node *n, unsigned side, unsigned half)
{
	const struct filter_value *v = &m->filter->values[n->first];
	unsigned i = 0;

	while (i < n->count && half_of(n, &v[i]) != half)
		i++;
	if (i == n->count)
		return sieve_constant(m, false);
	const int32_t of = n->word ? sieve_operand(m, n->word->sql[side][half], false)
				   : sieve_operand(m, n->column.name, true);
	if (of < 0)
		return -1;
	if (expression_is_null(m->s->operands[of].expression))
		return sieve_constant(m, false);
	if (n->type == WORD_FLAGS)
		return add_flags(m, n, (uint16_t)of);
	return is_text(n, &v[i]) ? add_texts(m, n, (uint16_t)of) : add_numbers(m, n, half, (uint16_t)of);
}

static int32_t add_test(struct making *m, const struct filter_node *n)
{
	const bool either = n->word && n->word->sided && n->side == SIDE_EITHER;
	struct sieve_node any = {.kind = SIEVE_OR};

	if (n->type == WORD_BARE) {
		const int32_t of = sieve_operand(m, n->word->sql[0][0], false);

		return of < 0 ? -1 : sieve_truth(m, (uint16_t)of, m->s->operands[of].expression->root);
	}
	for (unsigned side = 0; side < 2; side++)
		for (unsigned half = 0; half < 2; half++)
			if (either || side == (n->side == SIDE_DESTINATION))
				sieve_append(m, &any, add_half(m, n, side, half));
	return sieve_joint(m, &any);
}

static int32_t add_node(struct making *m, uint16_t at);

/* All that a chain of one kind joins: it leans to the left, however long it is. */
static void add_chain(struct making *m, struct sieve_node *parent, uint16_t at, enum filter_kind kind)
{
	const struct filter_node *n = &m->filter->nodes[at];

	if (n->kind == kind) {
		add_chain(m, parent, n->left, kind);
		add_chain(m, parent, n->right, kind);
	} else {
		sieve_append(m, parent, add_node(m, at));
	}
}

static int32_t add_node(struct making *m, uint16_t at)
{
	const struct filter_node *n = &m->filter->nodes[at];
	struct sieve_node joint = {.kind = n->kind == FILTER_AND ? SIEVE_AND : SIEVE_OR};

	if (m->status != OK)
		return -1;
	if (n->kind == FILTER_TEST)
		return add_test(m, n);
	if (n->kind == FILTER_NOT) {
		const int32_t child = add_node(m, n->left);

		if (child >= 0)
			m->s->nodes[child].negative = !m->s->nodes[child].negative;
		return child;
	}
	add_chain(m, &joint, at, (enum filter_kind)n->kind);
	return sieve_joint(m, &joint);
}

/* A time of the record, or else of its reception, microseconds. */
static int32_t add_window(struct making *m, const char *sql, int128 low, int128 high)
{
	const int32_t of = sieve_operand(m, sql, false);
	struct set set = {.list = malloc(sizeof *set.list)};

	if (of < 0 || !set.list) {
		free(set.list);
		return sieve_fail(m, ERR_MEMORY);
	}
	set_add(&set, low, high);
	return sieve_within(m, (uint16_t)of, m->s->operands[of].expression->root, &set);
}

enum status sieve_make(struct making *m, int64_t from_ms, int64_t to_ms)
{
	struct sieve_node all = {.kind = SIEVE_AND};

	if (from_ms)
		sieve_append(
			m, &all,
			add_window(m, "coalesce({flowEnd}, {receiveTime})", (int128)from_ms * 1000, FAR));
	if (to_ms)
		sieve_append(m, &all,
			     add_window(m, "coalesce({flowStart}, {receiveTime})", -FAR,
					(int128)to_ms * 1000 - 1));
	if (m->filter)
		sieve_append(m, &all, add_node(m, m->filter->root));
	m->s->root = sieve_joint(m, &all);
	return m->status;
}
