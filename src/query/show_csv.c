/* CSV (RFC 4180): a header, lines that end in CR LF. A text that a spreadsheet would run as a formula gets an
 * apostrophe in front; control characters are escaped, so that one row is one line. */
#include "query/show.h"

static void field(struct text *t, struct span s)
{
	const char first = s.length ? (char)s.data[0] : '\0';
	bool quote = false;

	for (size_t i = 0; i < s.length; i++)
		quote = quote || s.data[i] == ',' || s.data[i] == '"' || s.data[i] == ' ' || s.data[i] < 0x20;
	text_put(t, "\"", quote);
	if (first && strchr("=+-@\t\r\n|", first))
		text_char(t, '\'');
	for (size_t from = 0, at = 0; from < s.length; from = at) {
		while (at < s.length && s.data[at] != '"')
			at++;
		at += at < s.length;
		cell_escape(t, span_of(s.data + from, at - from));
		if (s.data[at - 1] == '"')
			text_char(t, '"');
	}
	text_put(t, "\"", quote);
}

/* Comment lines in front, each one line whatever it says. */
static void put_notes(struct show *s)
{
	for (const struct show_note *n = s->notes; n && n->name; n++) {
		text_string(&s->text, "# ");
		text_string(&s->text, n->name);
		text_string(&s->text, ": ");
		cell_escape(&s->text, span_of(n->text, strlen(n->text)));
		text_string(&s->text, "\r\n");
	}
}

static void begin(struct show *s)
{
	put_notes(s);
	for (uint32_t i = 0; i < s->count; i++) {
		text_put(&s->text, ",", i != 0);
		field(&s->text, span_of(s->columns[i].name, strlen(s->columns[i].name)));
	}
	text_string(&s->text, "\r\n");
}

static void row(struct show *s, const struct cell *cells)
{
	for (uint32_t i = 0; i < s->count; i++) {
		text_put(&s->text, ",", i != 0);
		if (cells[i].kind == CELL_TEXT)
			field(&s->text, cells[i].text);
		else
			cell_print(&s->text, &cells[i]);
	}
	text_string(&s->text, "\r\n");
}

static void end(struct show *s)
{
}

const struct show_type show_csv = {.name = "csv", .begin = begin, .row = row, .end = end};
