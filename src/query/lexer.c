#include "query/lexer.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || (c && strchr(".:/-+_%*@#", c));
}

static struct token token(struct lexer *l, enum token_kind kind, size_t length)
{
	const struct token t = {
		.kind = kind, .at = l->at, .length = length, .start = l->text + l->at, .size = length};

	l->at += length;
	return t;
}

bool filter_token_is(const struct token *t, const char *word)
{
	return t->kind == TOKEN_WORD && strlen(word) == t->size && strncasecmp(word, t->start, t->size) == 0;
}

static struct token word_token(struct lexer *l)
{
	static const struct {
		const char *word;
		enum token_kind kind;
	} reserved[] = {{"and", TOKEN_AND}, {"or", TOKEN_OR}, {"not", TOKEN_NOT}};
	size_t length = 0;

	while (l->at + length < l->length && is_word(l->text[l->at + length]))
		length++;

	struct token t = token(l, TOKEN_WORD, length);
	for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
		if (filter_token_is(&t, reserved[i].word)) {
			t.kind = reserved[i].kind;
			break;
		}
	return t;
}

static struct token quoted(struct lexer *l, char quote)
{
	const char *inside = l->text + l->at + 1;
	const char *end = memchr(inside, quote, l->length - l->at - 1);

	if (!end)
		return token(l, TOKEN_WRONG, l->length - l->at);
	struct token t = token(l, TOKEN_TEXT, (size_t)(end - inside) + 2);
	t.start = inside;
	t.size = (size_t)(end - inside);
	return t;
}

struct token filter_next_token(struct lexer *l)
{
	static const struct {
		const char *text;
		enum token_kind kind;
	} signs[] = {
		{"&&", TOKEN_AND},      {"||", TOKEN_OR},       {"!=", TOKEN_COMPARE}, {"==", TOKEN_COMPARE},
		{"<=", TOKEN_COMPARE},  {">=", TOKEN_COMPARE},  {"<>", TOKEN_COMPARE}, {"=", TOKEN_COMPARE},
		{"<", TOKEN_COMPARE},   {">", TOKEN_COMPARE},   {"~", TOKEN_COMPARE},  {"!", TOKEN_NOT},
		{"(", TOKEN_OPEN},      {")", TOKEN_CLOSE},     {"{", TOKEN_SET_OPEN}, {"[", TOKEN_SET_OPEN},
		{"}", TOKEN_SET_CLOSE}, {"]", TOKEN_SET_CLOSE}, {",", TOKEN_COMMA},
	};

	while (l->at < l->length && isspace((unsigned char)l->text[l->at]))
		l->at++;
	if (l->at >= l->length)
		return token(l, TOKEN_END, 0);

	const char c = l->text[l->at];
	if (is_word(c))
		return word_token(l);
	if (c == '"' || c == '\'')
		return quoted(l, c);
	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
		const size_t n = strlen(signs[i].text);

		if (l->length - l->at >= n && memcmp(l->text + l->at, signs[i].text, n) == 0)
			return token(l, signs[i].kind, n);
	}
	return token(l, TOKEN_WRONG, 1);
}
