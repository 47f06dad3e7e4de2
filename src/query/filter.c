/* The tree of a filter: made from text by recursive descent, and printed again. */
#include "query/filter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/lexer.h"
#include "query/value.h"

struct parser {
	struct lexer lexer;
	struct token token; /* the one that is looked at */
	struct filter *filter;
	struct filter_error *err;
	int64_t now_ms;
	unsigned depth;
};

static enum status fail_at(struct parser *p, const struct token *t, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static enum status fail_at(struct parser *p, const struct token *t, const char *format, ...)
{
	va_list args;

	p->err->at = t->at;
	p->err->length = t->length;
	va_start(args, format);
	vsnprintf(p->err->text, sizeof p->err->text, format, args);
	va_end(args);
	return ERR_USAGE;
}

/* "'prot' seen" or "the end seen", cut short; the caret shows the rest. */
static const char *seen(const struct token *t, char *buffer, size_t size)
{
	char plain[49];
	size_t n = t->length < sizeof plain - 1 ? t->length : sizeof plain - 1;
	const char *at = t->start - (t->kind == TOKEN_TEXT);

	for (size_t i = 0; i < n; i++)
		plain[i] = (unsigned char)at[i] < ' ' || at[i] == 0x7f ? '?' : at[i];
	while (n < t->length && n && ((unsigned char)plain[n - 1] & 0xc0) == 0x80)
		n--; /* not the half of a character */
	plain[n] = '\0';
	snprintf(buffer, size, t->kind == TOKEN_END ? "the end seen" : "'%s%s' seen", plain,
		 n < t->length ? "…" : "");
	return buffer;
}

static enum status expected(struct parser *p, const char *what)
{
	char buffer[80];

	if (p->token.kind == TOKEN_WRONG && p->token.length && strchr("\"'", p->token.start[0]))
		return fail_at(p, &p->token, "a quote that is not closed seen; %s expected", what);
	return fail_at(p, &p->token, "%s; %s expected", seen(&p->token, buffer, sizeof buffer), what);
}

static void advance(struct parser *p)
{
	p->token = filter_next_token(&p->lexer);
}

static enum status new_node(struct parser *p, uint16_t *out, enum filter_kind kind)
{
	if (p->filter->node_count == FILTER_NODES_MAX)
		return fail_at(p, &p->token,
			       "more than %d tests and operators seen; a shorter filter expected",
			       FILTER_NODES_MAX);
	*out = p->filter->node_count++;
	p->filter->nodes[*out] = (struct filter_node){.kind = (uint8_t)kind};
	return OK;
}

/* The text is the filter's own from here on. There is room: every text is shorter than what stands for it. */
static const char *keep_text(struct filter *f, const char *text, size_t length)
{
	char *kept = f->texts + f->text_used;

	if (f->text_room - f->text_used <= length)
		return "";
	memcpy(kept, text, length);
	kept[length] = '\0';
	f->text_used += (uint32_t)length + 1;
	return kept;
}

static enum status parse_value(struct parser *p, struct filter_node *n)
{
	struct filter *f = p->filter;
	const struct token *t = &p->token;
	const struct value_context context = {(enum word_type)n->type, (enum column_kind)n->column.kind,
					      p->now_ms};

	if (f->value_count == FILTER_VALUES_MAX)
		return fail_at(p, t, "more than %d values seen; a shorter filter expected",
			       FILTER_VALUES_MAX);
	struct filter_value *v = &f->values[f->value_count];
	const bool word = t->kind == TOKEN_WORD || t->kind == TOKEN_TEXT;
	const char *wrong = filter_value_read(v, &context, word ? t->start : "", word ? t->size : 0,
					      t->kind == TOKEN_TEXT);
	if (word && memchr(t->start, '\0', t->size))
		wrong = "a text without a zero octet";
	if (wrong || !word) {
		char bound[96];

		if (!wrong || n->type != WORD_NUMBER || !word)
			return expected(p, wrong ? wrong : "a value");
		snprintf(bound, sizeof bound, "%s from 0 to %llu", wrong,
			 (unsigned long long)filter_kind_max((enum column_kind)n->column.kind));
		return expected(p, bound);
	}
	if (v->kind == FILTER_TEXT)
		v->text = keep_text(f, t->start, t->size);
	if (v->kind == FILTER_NUMBER && v->number.low != v->number.high && n->compare != COMPARE_EQUAL)
		return fail_at(p, t, "a range seen; one number expected behind a comparison");
	f->value_count++;
	n->count++;
	advance(p);
	return OK;
}

static enum status parse_set(struct parser *p, struct filter_node *n)
{
	advance(p);
	if (p->token.kind == TOKEN_SET_CLOSE)
		return expected(p, "a value");
	while (p->token.kind != TOKEN_SET_CLOSE) {
		const enum status s = parse_value(p, n);

		if (s != OK)
			return s;
		if (p->token.kind == TOKEN_COMMA)
			advance(p);
		else if (p->token.kind != TOKEN_SET_CLOSE && p->token.kind != TOKEN_WORD &&
			 p->token.kind != TOKEN_TEXT)
			return expected(p, "',' or '}'");
	}
	advance(p);
	return OK;
}

static bool ordered(enum word_type type)
{
	return type == WORD_NUMBER || type == WORD_SIGNED || type == WORD_REAL || type == WORD_DURATION ||
	       type == WORD_TIME || type == WORD_PROTOCOL;
}

/* The comparison, if there is one; *negative for "!=". */
static enum status parse_compare(struct parser *p, struct filter_node *n, bool *negative)
{
	static const struct {
		const char *sign;
		uint8_t compare;
	} signs[] = {
		{"=", COMPARE_EQUAL},  {"==", COMPARE_EQUAL},      {"!=", COMPARE_EQUAL},
		{"<>", COMPARE_EQUAL}, {"<", COMPARE_LESS},        {"<=", COMPARE_LESS_EQUAL},
		{">", COMPARE_MORE},   {">=", COMPARE_MORE_EQUAL}, {"~", COMPARE_CONTAINS},
	};

	n->compare = n->type == WORD_FLAGS ? COMPARE_HAS : COMPARE_EQUAL;
	if (p->token.kind != TOKEN_COMPARE)
		return OK;
	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
		if (strlen(signs[i].sign) == p->token.length &&
		    memcmp(signs[i].sign, p->token.start, p->token.length) == 0)
			n->compare = signs[i].compare;
	*negative = p->token.length == 2 && (p->token.start[0] == '!' || p->token.start[1] == '>');
	if (n->compare == COMPARE_CONTAINS && n->type != WORD_TEXT)
		return expected(p, "a comparison of values; ~ is for texts");
	if (n->compare != COMPARE_EQUAL && n->compare != COMPARE_CONTAINS &&
	    !ordered((enum word_type)n->type))
		return expected(p, "'=', '!=' or 'in'");
	advance(p);
	return OK;
}

/* What stands behind the word. */
static enum status parse_operand(struct parser *p, uint16_t *at)
{
	struct filter_node *n = &p->filter->nodes[*at];
	bool negative = false;
	enum status s;

	n->first = p->filter->value_count;
	if (n->type == WORD_BARE)
		return OK;
	if (n->type == WORD_BUCKET)
		return expected(
			p, "a word of the filter language in front ('time' is for --by; see start, end)");
	if (n->type == WORD_BOOLEAN && p->token.kind != TOKEN_COMPARE && p->token.kind != TOKEN_WORD) {
		p->filter->values[n->first] = (struct filter_value){.kind = FILTER_NUMBER, .number = {1, 1}};
		if (p->filter->value_count++ == FILTER_VALUES_MAX - 1)
			return expected(p, "a shorter filter");
		n->count = 1;
		return OK;
	}
	struct lexer ahead = p->lexer;
	if (filter_token_is(&p->token, "in") &&
	    filter_next_token(&ahead).kind == TOKEN_SET_OPEN) /* but: dir in */
		advance(p);
	else if ((s = parse_compare(p, n, &negative)) != OK)
		return s;
	s = p->token.kind == TOKEN_SET_OPEN && (n->compare == COMPARE_EQUAL || n->compare == COMPARE_HAS)
		    ? parse_set(p, n)
		    : parse_value(p, n);
	if (s != OK || !negative)
		return s;

	const uint16_t test = *at;
	s = new_node(p, at, FILTER_NOT);
	if (s == OK)
		p->filter->nodes[*at].left = test;
	return s;
}

static enum status unknown_word(struct parser *p)
{
	static const char *const more[] = {"and", "or", "not", "in", "out", NULL};
	char buffer[80];
	const char *near = word_nearest(p->token.start, p->token.size, more);

	seen(&p->token, buffer, sizeof buffer);
	return near ? fail_at(p, &p->token, "%s; a word of the filter language expected, perhaps '%s'",
			      buffer, near)
		    : fail_at(p, &p->token,
			      "%s; a word of the filter language or the name of an element expected", buffer);
}

/* src, dst, in and out are sides when a word follows that has sides. */
static enum side side_of(struct parser *p)
{
	const bool in = filter_token_is(&p->token, "in"), out = filter_token_is(&p->token, "out");
	const struct word *w = word_find(p->token.start, p->token.size);
	struct lexer ahead = p->lexer;
	const struct token next = filter_next_token(&ahead);
	const struct word *follows = next.kind == TOKEN_WORD ? word_find(next.start, next.size) : NULL;

	if (!follows || !follows->sided || (follows->type == WORD_INTERFACE) != (in || out))
		return SIDE_EITHER;
	if (in || w == &words[0])
		return SIDE_SOURCE;
	return out || w == &words[1] ? SIDE_DESTINATION : SIDE_EITHER;
}

static enum status parse_test(struct parser *p, uint16_t *out)
{
	struct filter_node *n;
	enum word_type type;
	enum status s;

	if (p->token.kind != TOKEN_WORD)
		return expected(p, "a test");
	s = new_node(p, out, FILTER_TEST);
	if (s != OK)
		return s;
	n = &p->filter->nodes[*out];
	n->side = (uint8_t)side_of(p);
	if (n->side != SIDE_EITHER)
		advance(p);
	n->word = word_find(p->token.start, p->token.size);
	if (n->word) {
		n->type = n->word->type;
		n->column.kind = n->word->kind;
	} else if (word_element(&n->column, &type, p->token.start, p->token.size)) {
		n->type = (uint8_t)type;
	} else {
		return unknown_word(p);
	}
	advance(p);
	return parse_operand(p, out);
}

static enum status parse_or(struct parser *p, uint16_t *out);

static enum status parse_factor(struct parser *p, uint16_t *out)
{
	const struct token start = p->token;
	enum status s;
	uint16_t left;

	if (start.kind != TOKEN_NOT && start.kind != TOKEN_OPEN)
		return parse_test(p, out);
	if (++p->depth > FILTER_DEPTH_MAX)
		return fail_at(p, &start,
			       "the %dth level of parentheses and 'not' seen; a flatter filter expected",
			       FILTER_DEPTH_MAX + 1);
	advance(p);
	if (start.kind == TOKEN_NOT) {
		s = parse_factor(p, &left);
		if (s == OK && (s = new_node(p, out, FILTER_NOT)) == OK)
			p->filter->nodes[*out].left = left;
	} else {
		s = parse_or(p, out);
		if (s == OK && p->token.kind != TOKEN_CLOSE)
			s = expected(p, "'and', 'or' or ')'");
		if (s == OK)
			advance(p);
	}
	p->depth--;
	return s;
}

/* A chain of `kind`, to the left: a and b and c is ((a and b) and c). */
static enum status parse_chain(struct parser *p, uint16_t *out, enum token_kind joint, enum filter_kind kind,
			       enum status (*part)(struct parser *, uint16_t *))
{
	enum status s = part(p, out);

	while (s == OK && p->token.kind == joint) {
		uint16_t right, node = 0;

		advance(p);
		if ((s = part(p, &right)) != OK || (s = new_node(p, &node, kind)) != OK)
			break;
		p->filter->nodes[node].left = *out;
		p->filter->nodes[node].right = right;
		*out = node;
	}
	return s;
}

static enum status parse_and(struct parser *p, uint16_t *out)
{
	return parse_chain(p, out, TOKEN_AND, FILTER_AND, parse_factor);
}

static enum status parse_or(struct parser *p, uint16_t *out)
{
	return parse_chain(p, out, TOKEN_OR, FILTER_OR, parse_and);
}

struct filter *filter_free(struct filter *f)
{
	if (f) {
		free(f->nodes);
		free(f->values);
		free(f->texts);
		free(f);
	}
	return NULL;
}

/* No node and no value comes without an octet of text. */
static struct filter *filter_new(size_t length)
{
	const size_t nodes = length + 1 < FILTER_NODES_MAX ? length + 1 : FILTER_NODES_MAX;
	const size_t values = length + 1 < FILTER_VALUES_MAX ? length + 1 : FILTER_VALUES_MAX;
	struct filter *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	f->nodes = calloc(nodes, sizeof *f->nodes);
	f->values = calloc(values, sizeof *f->values);
	f->text_room = 2 * (uint32_t)length + 2;
	f->texts = malloc(f->text_room);
	return f->nodes && f->values && f->texts ? f : filter_free(f);
}

enum status filter_parse(struct filter **out, const char *text, size_t length, int64_t now_ms,
			 struct filter_error *err)
{
	struct parser p = {.lexer = {text, length, 0}, .err = err, .now_ms = now_ms};
	enum status s;

	*out = NULL;
	*err = (struct filter_error){0};
	if (length > FILTER_LENGTH_MAX) {
		p.token = (struct token){.kind = TOKEN_END, .at = length};
		return fail_at(&p, &p.token, "%zu octets seen; at most %d expected", length,
			       FILTER_LENGTH_MAX);
	}
	p.filter = filter_new(length);
	if (!p.filter)
		return ERR_MEMORY;
	advance(&p);
	if (p.token.kind == TOKEN_END) {
		s = new_node(&p, &p.filter->root, FILTER_TEST);
		p.filter->nodes[0].word = word_find("any", 3);
		p.filter->nodes[0].type = WORD_BARE;
	} else {
		s = parse_or(&p, &p.filter->root);
		if (s == OK && p.token.kind != TOKEN_END)
			s = expected(&p, "'and', 'or' or the end");
	}
	if (s == OK)
		*out = p.filter;
	else
		filter_free(p.filter);
	return s;
}

static unsigned columns_of(const char *text, size_t length)
{
	unsigned n = 0;

	for (size_t i = 0; i < length; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

void filter_error_caret(char *out, size_t size, const char *text, size_t length,
			const struct filter_error *err)
{
	enum { BEFORE = 50, AFTER = 26, MARKS_MAX = 60 };
	size_t from = err->at > BEFORE ? err->at - BEFORE : 0;
	size_t to = length - err->at > AFTER + err->length ? err->at + err->length + AFTER : length;
	char line[3 * MARKS_MAX + 1], marks[MARKS_MAX + 1];

	if (to - from >= sizeof line)
		to = from + sizeof line - 1;
	while (from < err->at && ((unsigned char)text[from] & 0xc0) == 0x80)
		from++;
	while (to > from && to < length && ((unsigned char)text[to] & 0xc0) == 0x80)
		to--;
	for (size_t i = from; i < to; i++)
		line[i - from] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
	line[to - from] = '\0';

	unsigned count = columns_of(text + err->at, err->length);
	count = count == 0 ? 1 : count > MARKS_MAX ? MARKS_MAX : count;
	memset(marks, '^', count);
	marks[count] = '\0';
	snprintf(out, size, "  %s%s%s\n  %*s%s", from ? "…" : "", line, to < length ? "…" : "",
		 (int)(columns_of(text + from, err->at - from) + (from ? 1 : 0)), "", marks);
}

static void print_test(struct sql *out, const struct filter *f, const struct filter_node *n)
{
	static const char *const signs[] = {
		[COMPARE_EQUAL] = "=", [COMPARE_LESS] = "<",        [COMPARE_LESS_EQUAL] = "<=",
		[COMPARE_MORE] = ">",  [COMPARE_MORE_EQUAL] = ">=", [COMPARE_CONTAINS] = "~",
		[COMPARE_HAS] = "",
	};
	const char *side = word_side_name(n->word, (enum side)n->side);

	sql_put(out, side);
	sql_put(out, *side ? " " : "");
	sql_put(out, n->word ? n->word->name : n->column.name);
	if (n->type == WORD_BARE)
		return;
	const bool set = n->count > 1;
	sql_format(out, " %s ", signs[n->compare]);
	sql_put(out, set ? "{" : "");
	for (unsigned i = 0; i < n->count; i++) {
		sql_put(out, i ? ", " : "");
		filter_value_print(out, &f->values[n->first + i], (enum word_type)n->type);
	}
	sql_put(out, set ? "}" : "");
}

static void print_node(struct sql *out, const struct filter *f, uint16_t at)
{
	const struct filter_node *n = &f->nodes[at];

	if (n->kind == FILTER_TEST) {
		print_test(out, f, n);
		return;
	}
	if (n->kind == FILTER_NOT) {
		sql_put(out, "not (");
		print_node(out, f, n->left);
		sql_put(out, ")");
		return;
	}
	/* Chains lean to the left: only what stands right needs parentheses, and 'or' inside 'and'. */
	const bool left = f->nodes[n->left].kind == FILTER_OR && n->kind == FILTER_AND;
	const bool right = f->nodes[n->right].kind == FILTER_OR || f->nodes[n->right].kind == FILTER_AND;
	sql_put(out, left ? "(" : "");
	print_node(out, f, n->left);
	sql_put(out, left ? ")" : "");
	sql_put(out, n->kind == FILTER_AND ? " and " : " or ");
	sql_put(out, right ? "(" : "");
	print_node(out, f, n->right);
	sql_put(out, right ? ")" : "");
}

void filter_print(struct sql *out, const struct filter *f)
{
	print_node(out, f, f->root);
}
