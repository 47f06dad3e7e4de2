/* lexer.h: the filter language's tokens. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum token_kind {
	TOKEN_END,
	TOKEN_WORD, /* letters, digits and . : / - + _ % * @ # */
	TOKEN_TEXT, /* in quotes; start and length are of what is inside */
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_NOT,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_SET_OPEN,
	TOKEN_SET_CLOSE,
	TOKEN_COMMA,
	TOKEN_COMPARE,
	TOKEN_WRONG, /* no token starts like this, or quotes that are not closed */
};

struct token {
	enum token_kind kind;
	size_t at, length; /* in the text, quotes included */
	const char *start; /* of the word */
	size_t size;       /* of the word */
};

struct lexer {
	const char *text;
	size_t length, at;
};

struct token filter_next_token(struct lexer *lexer);
bool filter_token_is(const struct token *token, const char *word); /* a TOKEN_WORD, any case */
