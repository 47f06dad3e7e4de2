/* The small SQL of words.h and view.h by recursive descent, made simpler as it is read. Precedence is
 * PostgreSQL's, which DuckDB's parser is made of. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "query/expression_private.h"
#include "store/view.h"

enum { DEPTH_MAX = 32, TOKEN_MAX = COLUMN_NAME_MAX };

enum lexeme { LEX_END, LEX_NAME, LEX_WORD, LEX_NUMBER, LEX_SIGN, LEX_WRONG };

struct reading {
	struct expression *e;
	struct wanted *wanted;
	const char *at;
	enum lexeme kind; /* of the token that is looked at */
	char token[TOKEN_MAX];
	unsigned depth;
};

static int16_t read_or(struct reading *r);

static bool take(struct reading *r, size_t length, enum lexeme kind)
{
	if (length >= sizeof r->token) {
		r->kind = LEX_WRONG;
		return false;
	}
	memcpy(r->token, r->at, length);
	r->token[length] = '\0';
	r->at += length;
	r->kind = kind;
	return true;
}

/* A column: {name} or "name", neither of which has its closing sign inside. */
static void take_name(struct reading *r, char closing)
{
	const char *end = strchr(++r->at, closing);

	if (!end)
		r->kind = LEX_WRONG;
	else if (take(r, (size_t)(end - r->at), LEX_NAME))
		r->at++;
}

static void advance(struct reading *r)
{
	static const char *const signs[] = {"<=", "::", "//", ">>", "(", ")", ",", "=", "%", "&", "-", "*"};

	while (*r->at == ' ')
		r->at++;
	if (*r->at == '\0') {
		take(r, 0, LEX_END);
	} else if (*r->at == '{' || *r->at == '"') {
		take_name(r, *r->at == '{' ? '}' : '"');
	} else if (isdigit((unsigned char)*r->at)) {
		take(r, strspn(r->at, "0123456789"), LEX_NUMBER);
		if (*r->at == '.' || isalpha((unsigned char)*r->at)) /* decimals are not counted here */
			r->kind = LEX_WRONG;
	} else if (isalpha((unsigned char)*r->at)) {
		size_t length = 1;

		while (isalnum((unsigned char)r->at[length]) || r->at[length] == '_')
			length++;
		take(r, length, LEX_WORD);
	} else {
		r->kind = LEX_WRONG;
		for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
			if (strncmp(r->at, signs[i], strlen(signs[i])) == 0) {
				take(r, strlen(signs[i]), LEX_SIGN);
				return;
			}
	}
}

static bool skip(struct reading *r, enum lexeme kind, const char *token)
{
	if (r->kind != kind || strcasecmp(r->token, token) != 0)
		return false;
	advance(r);
	return true;
}

/* Reading. */

/* A column of the view: as it is, or what the view makes it of. */
static int16_t read_column(struct reading *r)
{
	const char *sql = view_derived_sql(r->token), *behind = r->at;
	struct column column;
	enum word_type type;
	int16_t out;

	if (!sql) {
		if (word_element(&column, &type, r->token, strlen(r->token)))
			out = node_column(r->e, r->wanted, column.name);
		else
			out = node_column(r->e, r->wanted, r->token);
		advance(r);
		return out;
	}
	if (++r->depth > DEPTH_MAX)
		return NODE_NONE;
	r->at = sql;
	advance(r);
	out = read_or(r);
	if (r->kind != LEX_END)
		out = NODE_NONE;
	r->at = behind;
	r->depth--;
	advance(r);
	return out;
}

static int16_t read_coalesce(struct reading *r)
{
	int16_t out = read_or(r);

	if (out >= 0 && skip(r, LEX_SIGN, ",")) {
		const int16_t rest = read_coalesce(r); /* up to the parenthesis */

		return node_coalesce(r->e, out, rest);
	}
	return skip(r, LEX_SIGN, ")") ? out : NODE_NONE;
}

static int16_t read_nullif(struct reading *r)
{
	const int16_t value = read_or(r);

	if (value < 0 || !skip(r, LEX_SIGN, ","))
		return NODE_NONE;
	const int16_t when = node_equal(r->e, value, read_or(r));
	return skip(r, LEX_SIGN, ")") ? node_case(r->e, when, node_null(r->e), value) : NODE_NONE;
}

static int16_t read_function(struct reading *r, const char *name)
{
	int16_t out;

	if (strcasecmp(name, "coalesce") == 0)
		return read_coalesce(r);
	if (strcasecmp(name, "nullif") == 0)
		return read_nullif(r);
	if (strcasecmp(name, "epoch_ms") != 0)
		return NODE_NONE;
	out = read_or(r);
	return skip(r, LEX_SIGN, ")") ? node_milliseconds(r->e, out) : NODE_NONE;
}

/* Behind CASE [x]: WHEN … THEN … [WHEN …] [ELSE …] END. */
static int16_t read_branches(struct reading *r, int16_t value)
{
	if (++r->depth > DEPTH_MAX)
		return NODE_NONE;
	if (skip(r, LEX_WORD, "WHEN")) {
		const int16_t is_it = read_or(r);
		const int16_t when = value >= 0 ? node_equal(r->e, value, is_it) : is_it;
		const int16_t then = skip(r, LEX_WORD, "THEN") ? read_or(r) : NODE_NONE;

		if (then < 0)
			return NODE_NONE;
		const int16_t otherwise = read_branches(r, value);
		r->depth--;
		return node_case(r->e, when, then, otherwise);
	}
	r->depth--;
	const int16_t otherwise = skip(r, LEX_WORD, "ELSE") ? read_or(r) : node_null(r->e);
	return skip(r, LEX_WORD, "END") ? otherwise : NODE_NONE;
}

static int16_t read_word(struct reading *r)
{
	char name[TOKEN_MAX];

	snprintf(name, sizeof name, "%s", r->token);
	advance(r);
	if (strcasecmp(name, "true") == 0 || strcasecmp(name, "false") == 0)
		return node_truth(r->e, strcasecmp(name, "true") == 0);
	if (strcasecmp(name, "NULL") == 0)
		return node_null(r->e);
	if (strcasecmp(name, "CASE") == 0) {
		const bool has_value = r->kind != LEX_WORD || strcasecmp(r->token, "WHEN") != 0;
		const int16_t value = has_value ? read_or(r) : NODE_NONE;

		return has_value && value < 0 ? NODE_NONE : read_branches(r, value);
	}
	return skip(r, LEX_SIGN, "(") ? read_function(r, name) : NODE_NONE;
}

static int16_t read_number(struct reading *r)
{
	uint64_t number;

	if (strlen(r->token) > 18)
		return NODE_NONE;
	number = strtoull(r->token, NULL, 10);
	advance(r);
	return node_number(r->e, number);
}

static int16_t read_primary(struct reading *r)
{
	int16_t out = NODE_NONE;

	if (++r->depth > DEPTH_MAX)
		return NODE_NONE;
	if (r->kind == LEX_NAME) {
		out = read_column(r);
	} else if (r->kind == LEX_NUMBER) {
		out = read_number(r);
	} else if (r->kind == LEX_WORD) {
		out = read_word(r);
	} else if (skip(r, LEX_SIGN, "(")) {
		out = read_or(r);
		if (!skip(r, LEX_SIGN, ")"))
			out = NODE_NONE;
	}
	while (out >= 0 && skip(r, LEX_SIGN, "::"))
		out = skip(r, LEX_WORD, "TIMESTAMP") ? node_timestamp(r->e, out) : NODE_NONE;
	r->depth--;
	return out;
}

/* Operators of one strength, from the left. */
static const struct strength {
	struct {
		const char *sign;
		enum node_kind kind;
	} operators[3];
} strengths[] = {
	{{{">>", NODE_SHIFT}, {"&", NODE_MASK}}},
	{{{"-", NODE_MINUS}}},
	{{{"//", NODE_DIVIDE}, {"%", NODE_REMAINDER}, {"*", NODE_TIMES}}},
};

static int16_t read_arithmetic(struct reading *r, unsigned strength)
{
	if (strength == sizeof strengths / sizeof strengths[0])
		return read_primary(r);
	int16_t out = read_arithmetic(r, strength + 1);
	for (unsigned i = 0; out >= 0 && i < 3 && strengths[strength].operators[i].sign;) {
		const enum node_kind kind = strengths[strength].operators[i].kind;

		if (!skip(r, LEX_SIGN, strengths[strength].operators[i].sign)) {
			i++;
			continue;
		}
		const int16_t right = read_arithmetic(r, strength + 1);
		out = kind == NODE_MINUS ? node_minus(r->e, out, right)
					 : node_arithmetic(r->e, kind, out, right);
		i = 0;
	}
	return out;
}

static int16_t read_compare(struct reading *r)
{
	int16_t out = read_arithmetic(r, 0);

	if (skip(r, LEX_SIGN, "="))
		out = node_equal(r->e, out, read_arithmetic(r, 0));
	else if (skip(r, LEX_SIGN, "<="))
		out = node_less_equal(r->e, out, read_arithmetic(r, 0));
	if (out < 0 || !skip(r, LEX_WORD, "IS"))
		return out;
	const bool negative = skip(r, LEX_WORD, "NOT");
	if (!skip(r, LEX_WORD, "NULL"))
		return NODE_NONE;
	out = node_is_null(r->e, out);
	return negative ? node_not(r->e, out) : out;
}

static int16_t read_and(struct reading *r)
{
	int16_t out = read_compare(r);

	while (out >= 0 && skip(r, LEX_WORD, "AND"))
		out = node_joint(r->e, NODE_AND, out, read_compare(r));
	return out;
}

static int16_t read_or(struct reading *r)
{
	int16_t out;

	if (++r->depth > DEPTH_MAX)
		return NODE_NONE;
	out = read_and(r);
	while (out >= 0 && skip(r, LEX_WORD, "OR"))
		out = node_joint(r->e, NODE_OR, out, read_and(r));
	r->depth--;
	return out;
}

enum status expression_new(struct expression **out, const char *sql, struct wanted *wanted)
{
	struct reading r = {.wanted = wanted, .at = sql, .e = calloc(1, sizeof(struct expression))};

	*out = NULL;
	if (!r.e)
		return ERR_MEMORY;
	advance(&r);
	r.e->root = read_or(&r);
	if (r.e->root < 0 || r.kind != LEX_END || r.e->nodes[r.e->root].kind == NODE_NUMBER) {
		expression_free(r.e);
		return ERR_UNSUPPORTED;
	}
	*out = r.e;
	return OK;
}

enum status expression_column(struct expression **out, const char *name, struct wanted *wanted)
{
	char quoted[COLUMN_NAME_MAX + 3];

	*out = NULL;
	if (strlen(name) >= COLUMN_NAME_MAX || strpbrk(name, "\"{}"))
		return ERR_UNSUPPORTED;
	snprintf(quoted, sizeof quoted, "\"%s\"", name);
	return expression_new(out, quoted, wanted);
}
