/* lexer.h: the words of a JSON text and where they stand (RFC 8259).
 *
 * jansson judges what is JSON and decodes values; this knows only places, which jansson keeps to itself. No
 * I/O, no allocation, no recursion: nesting costs a counter. The text is borrowed and need not end in NUL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { JSON_DEPTH_MAX = 2048 }; /* jansson refuses deeper nesting too */

/* The six signs are their own characters: '{' '}' '[' ']' ':' ','. */
enum token_kind {
	TOKEN_END = 0,
	TOKEN_STRING = 1,
	TOKEN_NUMBER = 2,
	TOKEN_WORD = 3, /* letters without quotes: true, false, null, or a mistake */
	TOKEN_BAD = 4,  /* no JSON in any place; `hint` says why */
};

struct token {
	int kind;          /* enum token_kind or a sign */
	size_t begin, end; /* octet offsets, quotes included; a bad token ends where reading stopped */
	size_t fault;      /* TOKEN_BAD: the octet that is wrong, in begin … end */
	const char *hint;  /* TOKEN_BAD: what is wrong, one clause */
};

struct lexer {
	const char *text;
	size_t length, at;
};

/* The next word; TOKEN_END at the end of the text, again and again. */
struct token lexer_next(struct lexer *lexer);

/* One member of an object, or one element of an array (then the key is empty). */
struct member {
	struct token key;
	struct token first; /* the first word of the value, where messages point */
	size_t end;         /* offset after the value, which begins at first.begin */
};

/* Walk an object or array in text that jansson took for JSON: begin at the offset of its '{' or '[', then
 * take members until false. */
struct lexer members_of(const char *text, size_t length, size_t at);
bool member_next(struct lexer *lexer, struct member *out);

/* Line and column, both from 1; the column counts characters, and a tab is one. */
struct position {
	unsigned line, column;
};
struct position position_of(const char *text, size_t length, size_t at);

/* Where text that jansson refused stops being JSON, and a hint for the person who wrote it. */
struct json_fault {
	size_t at;
	char text[320]; /* "what was seen; what was expected; hint", UTF-8, one line */
};

/* false: nothing found that is wrong (the two judges differ). */
bool json_fault_find(const char *text, size_t length, struct json_fault *out);

/* Copy at most `size` - 1 octets of the text for a message: cut at a character, "…" where it was cut, control
 * characters and ill-formed UTF-8 as \xNN. `size` is at least 4; the last 3 octets are kept for the "…". */
void quote_text(const char *text, size_t length, char *out, size_t size);

/* Octets of the well-formed UTF-8 character at `text`; 0: ill-formed or cut short (RFC 3629 section 4). */
size_t utf8_length(const char *text, size_t left);
