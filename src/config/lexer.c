#include "config/lexer.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

size_t utf8_length(const char *text, size_t left)
{
	const uint8_t *u = (const uint8_t *)text;
	uint8_t low = 0x80, high = 0xbf; /* bounds of the second octet */
	size_t length;

	if (left == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xc2 && u[0] <= 0xdf)
		length = 2;
	else if (u[0] >= 0xe0 && u[0] <= 0xef)
		length = 3;
	else if (u[0] >= 0xf0 && u[0] <= 0xf4)
		length = 4;
	else
		return 0;
	if (length > left)
		return 0;
	if (u[0] == 0xe0)
		low = 0xa0; /* overlong */
	else if (u[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (u[0] == 0xf0)
		low = 0x90;
	else if (u[0] == 0xf4)
		high = 0x8f;
	if (u[1] < low || u[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

static struct token bad(size_t begin, size_t fault, size_t end, const char *hint)
{
	return (struct token){.kind = TOKEN_BAD, .begin = begin, .fault = fault, .end = end, .hint = hint};
}

/* The escape after a backslash at `at`: its octets with the backslash, 0: there is no such escape. */
static size_t escape_length(const struct lexer *l, size_t at)
{
	if (at + 1 >= l->length)
		return 0;
	if (l->text[at + 1] != 'u')
		return l->text[at + 1] && strchr("\"\\/bfnrt", l->text[at + 1]) ? 2 : 0;
	for (size_t i = at + 2; i < at + 6; i++)
		if (i >= l->length || !is_hex(l->text[i]))
			return 0;
	return 6;
}

static struct token lex_string(struct lexer *l)
{
	const size_t begin = l->at;
	size_t at = begin + 1, step;

	for (; at < l->length && l->text[at] != '"'; at += step) {
		const uint8_t c = (uint8_t)l->text[at];

		if (c == '\n' || c == '\r')
			return bad(begin, begin, at,
				   "this string does not end in its line: a '\"' is missing");
		if (c == 0)
			return bad(begin, at, at + 1, "a NUL octet; this is no text file");
		if (c < 0x20)
			return bad(begin, at, at + 1,
				   "a control character inside a string; write a tab as \\t");
		step = c == '\\' ? escape_length(l, at) : utf8_length(l->text + at, l->length - at);
		if (step == 0 && c == '\\')
			return bad(begin, at, at + 1, "no such escape; write a backslash as \\\\");
		if (step == 0)
			return bad(begin, at, at + 1, "not UTF-8; save the file as UTF-8");
	}
	if (at >= l->length)
		return bad(begin, begin, l->length, "this string does not end: a '\"' is missing");
	return (struct token){.kind = TOKEN_STRING, .begin = begin, .end = at + 1};
}

static size_t digits(const struct lexer *l, size_t at)
{
	while (at < l->length && is_digit(l->text[at]))
		at++;
	return at;
}

static struct token lex_number(struct lexer *l)
{
	const size_t begin = l->at, first = begin + (l->text[begin] == '-');
	size_t at = digits(l, first), after;

	if (at == first)
		return bad(begin, begin, at, "a digit must follow the minus sign");
	if (l->text[first] == '0' && at > first + 1)
		return bad(begin, begin, at, "a number does not begin with 0");
	if (at < l->length && l->text[at] == '.') {
		after = digits(l, at + 1);
		if (after == at + 1)
			return bad(begin, begin, after, "a digit must follow the decimal point");
		at = after;
	}
	if (at < l->length && (l->text[at] == 'e' || l->text[at] == 'E')) {
		at++;
		if (at < l->length && (l->text[at] == '+' || l->text[at] == '-'))
			at++;
		after = digits(l, at);
		if (after == at)
			return bad(begin, begin, at, "a digit must follow the exponent sign");
		at = after;
	}
	if (at < l->length && (is_letter(l->text[at]) || l->text[at] == '.')) {
		while (at < l->length &&
		       (is_letter(l->text[at]) || is_digit(l->text[at]) || l->text[at] == '.'))
			at++;
		return bad(begin, begin, at,
			   "not a number: digits only, without unit; other text needs double quotes");
	}
	return (struct token){.kind = TOKEN_NUMBER, .begin = begin, .end = at};
}

static struct token lex_word(struct lexer *l)
{
	size_t at = l->at;

	while (at < l->length && (is_letter(l->text[at]) || is_digit(l->text[at])))
		at++;
	return (struct token){.kind = TOKEN_WORD, .begin = l->at, .end = at};
}

/* Signs that belong to other notations. */
static struct token lex_other(struct lexer *l)
{
	static const struct {
		const char *sign, *hint;
	} known[] = {
		{"'", "JSON quotes with \" only"},
		{"`", "JSON quotes with \" only"},
		{"\xe2\x80\x9c", "a typographic quote; JSON quotes with \" only"},
		{"\xe2\x80\x9d", "a typographic quote; JSON quotes with \" only"},
		{"\xe2\x80\x9e", "a typographic quote; JSON quotes with \" only"},
		{"\xe2\x80\x98", "a typographic quote; JSON quotes with \" only"},
		{"\xe2\x80\x99", "a typographic quote; JSON quotes with \" only"},
		{"//", "JSON has no comments"},
		{"/*", "JSON has no comments"},
		{"#", "JSON has no comments"},
		{";", "JSON separates with a comma"},
		{"=", "JSON writes a colon between name and value"},
		{"+", "a number has no plus sign"},
		{".", "a number begins with a digit"},
		{"(", "JSON lists stand in [ ]"},
		{"\xef\xbb\xbf", "a byte order mark inside the text"},
		{"\xc2\xa0", "a no-break space; use an ordinary one"},
	};
	const size_t begin = l->at, left = l->length - begin;

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		const size_t n = strlen(known[i].sign);

		if (n <= left && memcmp(l->text + begin, known[i].sign, n) == 0)
			return bad(begin, begin, begin + n, known[i].hint);
	}
	if (l->text[begin] == 0)
		return bad(begin, begin, begin + 1, "a NUL octet; this is no text file");
	const size_t n = utf8_length(l->text + begin, left);
	if (n == 0)
		return bad(begin, begin, begin + 1, "not UTF-8; save the file as UTF-8");
	return bad(begin, begin, begin + n, "text needs double quotes");
}

struct token lexer_next(struct lexer *l)
{
	struct token token;

	while (l->at < l->length && l->text[l->at] && strchr(" \t\r\n", l->text[l->at]))
		l->at++;
	if (l->at >= l->length)
		return (struct token){.kind = TOKEN_END, .begin = l->length, .end = l->length};

	const char c = l->text[l->at];
	if (c && strchr("{}[]:,", c))
		token = (struct token){.kind = c, .begin = l->at, .end = l->at + 1};
	else if (c == '"')
		token = lex_string(l);
	else if (c == '-' || is_digit(c))
		token = lex_number(l);
	else if (is_letter(c))
		token = lex_word(l);
	else
		token = lex_other(l);
	l->at = token.end;
	return token;
}

struct lexer members_of(const char *text, size_t length, size_t at)
{
	return (struct lexer){.text = text, .length = length, .at = at};
}

/* Step over the value that `first` begins; the lexer stands behind it. */
static void skip_value(struct lexer *l, struct token first)
{
	size_t depth = 0;

	for (struct token t = first;; t = lexer_next(l)) {
		if (t.kind == '{' || t.kind == '[')
			depth++;
		else if (t.kind == '}' || t.kind == ']')
			depth--;
		if (depth == 0 || t.kind == TOKEN_END || t.kind == TOKEN_BAD)
			return;
	}
}

bool member_next(struct lexer *l, struct member *out)
{
	struct token t = lexer_next(l); /* the opening sign, or the comma before, or the closing sign */
	bool object;

	*out = (struct member){0};
	if (t.kind != '{' && t.kind != '[' && t.kind != ',')
		return false;
	t = lexer_next(l);
	if (t.kind == '}' || t.kind == ']' || t.kind == TOKEN_END || t.kind == TOKEN_BAD)
		return false;

	struct lexer ahead = *l; /* a colon behind a string makes it a key */
	object = t.kind == TOKEN_STRING && lexer_next(&ahead).kind == ':';
	if (object) {
		out->key = t;
		*l = ahead;
		t = lexer_next(l);
	}
	out->first = t;
	skip_value(l, t);
	out->end = l->at;
	return true;
}

struct position position_of(const char *text, size_t length, size_t at)
{
	struct position p = {.line = 1, .column = 1};

	for (size_t i = 0; i < at && i < length; i++) {
		if (text[i] == '\n')
			p = (struct position){.line = p.line + 1, .column = 1};
		else if (((uint8_t)text[i] & 0xc0) != 0x80) /* not inside a character */
			p.column++;
	}
	return p;
}

void quote_text(const char *text, size_t length, char *out, size_t size)
{
	static const char cut[] = "\xe2\x80\xa6";
	size_t used = 0;

	for (size_t i = 0, step; i < length; i += step) {
		char one[8];

		step = utf8_length(text + i, length - i);
		if (step == 0 || (uint8_t)text[i] < 0x20 || text[i] == 0x7f) {
			step = 1;
			snprintf(one, sizeof one, "\\x%02x", (uint8_t)text[i]);
		} else {
			memcpy(one, text + i, step);
			one[step] = 0;
		}
		const size_t n = strlen(one), room = i + step < length ? sizeof cut - 1 : 0;
		if (used + n + room >= size) {
			memcpy(out + used, cut, sizeof cut);
			return;
		}
		memcpy(out + used, one, n);
		used += n;
	}
	out[used] = 0;
}
