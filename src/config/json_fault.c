/* Finds the first place where a text stops being JSON, and says what a person can do about it. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/lexer.h"

/* What may come next. */
enum expect { VALUE, VALUE_OR_CLOSE, KEY, KEY_OR_CLOSE, COLON, COMMA_OR_CLOSE, NOTHING };

static const char *const expect_texts[] = {
	[VALUE] = "a value",
	[VALUE_OR_CLOSE] = "a value or ']'",
	[KEY] = "a name in double quotes",
	[KEY_OR_CLOSE] = "a name in double quotes or '}'",
	[COLON] = "':'",
	[COMMA_OR_CLOSE] = "',' or the closing bracket",
	[NOTHING] = "the end of the file",
};

struct walk {
	struct lexer lexer;
	enum expect expect;
	size_t depth, previous_end; /* where the word before this one ended */
	size_t open[JSON_DEPTH_MAX];
	struct json_fault *out;
};

static unsigned line_of(const struct walk *w, size_t at)
{
	return position_of(w->lexer.text, w->lexer.length, at).line;
}

static char bracket(const struct walk *w)
{
	return w->depth ? w->lexer.text[w->open[w->depth - 1]] : 0;
}

static const char *word_hint(const char *word, size_t length)
{
	static const struct {
		const char *word, *hint;
	} known[] = {
		{"true", "JSON writes it in small letters: true"},
		{"false", "JSON writes it in small letters: false"},
		{"null", "JSON writes it in small letters: null"},
		{"yes", "JSON writes true"},
		{"on", "JSON writes true"},
		{"no", "JSON writes false"},
		{"off", "JSON writes false"},
		{"none", "JSON writes null"},
		{"nan", "JSON knows no such number"},
		{"infinity", "JSON knows no such number"},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strlen(known[i].word) == length && strncasecmp(known[i].word, word, length) == 0)
			return known[i].hint;
	return "text needs double quotes";
}

static bool is_value(const struct walk *w, const struct token *t)
{
	static const char *const words[] = {"true", "false", "null"};
	const size_t length = t->end - t->begin;

	if (t->kind != TOKEN_WORD)
		return t->kind == TOKEN_STRING || t->kind == TOKEN_NUMBER || t->kind == '{' || t->kind == '[';
	for (size_t i = 0; i < 3; i++)
		if (strlen(words[i]) == length && memcmp(w->lexer.text + t->begin, words[i], length) == 0)
			return true;
	return false;
}

static void hint_after_value(const struct walk *w, const struct token *t, char *hint, size_t size)
{
	const unsigned line = line_of(w, w->previous_end ? w->previous_end - 1 : 0);
	const size_t open = w->open[w->depth - 1];

	if (t->kind == ':' && bracket(w) == '[')
		snprintf(hint, size, "names belong in { }; is the '[' of line %u closed?", line_of(w, open));
	else if (t->kind == ':')
		snprintf(hint, size, "one colon a member; is a ',' missing?");
	else if (t->kind == '}' || t->kind == ']')
		snprintf(hint, size, "the '%c' of line %u is closed by '%c'", bracket(w), line_of(w, open),
			 bracket(w) == '{' ? '}' : ']');
	else if (line_of(w, t->begin) != line)
		snprintf(hint, size, "a comma is missing after line %u", line);
	else
		snprintf(hint, size, "a comma is missing before it");
}

static void hint_for_name(const struct walk *w, const struct token *t, char *hint, size_t size)
{
	if (t->kind == '}' && w->expect == KEY)
		snprintf(hint, size, "the comma in line %u is one too many", line_of(w, w->previous_end - 1));
	else if (t->kind == ',')
		snprintf(hint, size, "this comma is one too many");
	else if (t->kind == ']')
		snprintf(hint, size, "the '{' of line %u is closed by '}'",
			 line_of(w, w->open[w->depth - 1]));
	else if (t->kind == TOKEN_WORD || t->kind == TOKEN_NUMBER)
		snprintf(hint, size, "a name needs double quotes");
	else
		snprintf(hint, size, "an object is a list of \"name\": value");
}

static void hint_for_value(const struct walk *w, const struct token *t, char *hint, size_t size)
{
	if (t->kind == TOKEN_WORD)
		snprintf(hint, size, "%s", word_hint(w->lexer.text + t->begin, t->end - t->begin));
	else if (bracket(w) == '{')
		snprintf(hint, size, "the value is missing");
	else if (t->kind == ',')
		snprintf(hint, size, "this comma is one too many");
	else if (t->kind == ']')
		snprintf(hint, size, "the comma in line %u is one too many",
			 line_of(w, w->previous_end ? w->previous_end - 1 : 0));
	else
		snprintf(hint, size, "%s",
			 w->depth ? "the list is closed by ']'" : "the file is one object: { … }");
}

static void hint_for(const struct walk *w, const struct token *t, char *hint, size_t size)
{
	if (t->kind == TOKEN_BAD)
		snprintf(hint, size, "%s", t->hint);
	else if (t->kind == TOKEN_END && w->depth)
		snprintf(hint, size, "the '%c' of line %u is not closed", bracket(w),
			 line_of(w, w->open[w->depth - 1]));
	else if (w->expect == COMMA_OR_CLOSE)
		hint_after_value(w, t, hint, size);
	else if (w->expect == KEY || w->expect == KEY_OR_CLOSE)
		hint_for_name(w, t, hint, size);
	else if (w->expect == COLON)
		snprintf(hint, size, "a colon and a value follow a name");
	else if (w->expect == NOTHING)
		snprintf(hint, size, "%s",
			 t->kind == ':'                     ? "the whole file stands in { }"
			 : t->kind == '}' || t->kind == ']' ? "one closing bracket too many"
							    : "only one object stands in a file");
	else
		hint_for_value(w, t, hint, size);
}

static bool report(struct walk *w, const struct token *t)
{
	char seen[48], hint[96];
	const bool inside = t->kind == TOKEN_BAD && t->fault != t->begin;
	const size_t from = inside ? t->fault : t->begin;

	if (t->kind == TOKEN_END)
		snprintf(seen, sizeof seen, "the end of the file");
	else
		quote_text(w->lexer.text + from, t->end - from, seen, sizeof seen);
	hint_for(w, t, hint, sizeof hint);
	w->out->at = from;
	if (inside)
		snprintf(w->out->text, sizeof w->out->text, "%s seen inside a string; %s", seen, hint);
	else
		snprintf(w->out->text, sizeof w->out->text, "%s seen; %s expected; %s", seen,
			 w->expect == COMMA_OR_CLOSE ? (bracket(w) == '{' ? "',' or '}'" : "',' or ']'")
						     : expect_texts[w->expect],
			 hint);
	return true;
}

static void after_value(struct walk *w)
{
	w->expect = w->depth ? COMMA_OR_CLOSE : NOTHING;
}

static bool closes(const struct walk *w, const struct token *t)
{
	const char *allowed = w->expect == COMMA_OR_CLOSE   ? (bracket(w) == '{' ? "}" : "]")
			      : w->expect == KEY_OR_CLOSE   ? "}"
			      : w->expect == VALUE_OR_CLOSE ? "]"
							    : "";

	return t->kind == allowed[0] && t->kind != TOKEN_END;
}

/* Take one word; false: it may not stand here. */
static bool take(struct walk *w, const struct token *t)
{
	if (closes(w, t)) {
		w->depth--;
		after_value(w);
		return true;
	}
	switch (w->expect) {
	case VALUE:
	case VALUE_OR_CLOSE:
		if (!is_value(w, t))
			return false;
		if (t->kind != '{' && t->kind != '[') {
			after_value(w);
			return true;
		}
		w->open[w->depth++] = t->begin;
		w->expect = t->kind == '{' ? KEY_OR_CLOSE : VALUE_OR_CLOSE;
		return true;
	case KEY:
	case KEY_OR_CLOSE: w->expect = COLON; return t->kind == TOKEN_STRING;
	case COLON: w->expect = VALUE; return t->kind == ':';
	case COMMA_OR_CLOSE: w->expect = bracket(w) == '{' ? KEY : VALUE; return t->kind == ',';
	case NOTHING: break;
	}
	return false;
}

bool json_fault_find(const char *text, size_t length, struct json_fault *out)
{
	struct walk w = {.lexer = {.text = text, .length = length}, .expect = VALUE, .out = out};

	for (;;) {
		const struct token t = lexer_next(&w.lexer);
		const enum expect before = w.expect;

		if (t.kind == TOKEN_END && w.expect == NOTHING)
			return false;
		if (w.depth == JSON_DEPTH_MAX && (t.kind == '{' || t.kind == '[')) {
			out->at = t.begin;
			snprintf(out->text, sizeof out->text, "%c seen; nesting ends at %d levels", t.kind,
				 JSON_DEPTH_MAX);
			return true;
		}
		if (!take(&w, &t)) {
			w.expect = before;
			return report(&w, &t);
		}
		w.previous_end = t.end;
	}
}
