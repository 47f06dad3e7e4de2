/* A table for people. Its first rows are held until the widths are known; those behind follow the same
 * widths. */
#include <stdlib.h>

#include "query/show.h"

enum { HELD_MAX = 1000, CELL_SIZE_MAX = 4096, NARROWEST = 8 };

static unsigned width_of(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void begin(struct show *s)
{
	s->held = calloc((size_t)HELD_MAX * (s->count ? s->count : 1), sizeof *s->held);
	s->widths = calloc(s->count ? s->count : 1, sizeof *s->widths);
	if (!s->held || !s->widths)
		s->failed = true;
	for (uint32_t i = 0; i < s->count && s->widths; i++)
		s->widths[i] = width_of(s->columns[i].name);
}

/* The text, cut or padded to the width of its column. */
static void put_cell(struct show *s, uint32_t column, const char *text)
{
	const bool right = s->columns[column].right, last = column + 1 == s->count;
	const unsigned room = s->widths[column], width = width_of(text);
	unsigned shown = 0;

	text_string(&s->text, column ? "  " : "");
	for (unsigned i = width; right && i < room; i++)
		text_char(&s->text, ' ');
	for (; *text; text++) {
		const bool starts = ((unsigned char)*text & 0xc0) != 0x80;

		if (starts && width > room && shown + 1 >= room) {
			text_string(&s->text, "…");
			break;
		}
		shown += starts;
		text_char(&s->text, *text);
	}
	for (unsigned i = width; !right && !last && i < room; i++)
		text_char(&s->text, ' ');
}

/* Take from the widest texts until a line fits; numbers stay whole. */
static void fit(struct show *s)
{
	unsigned total = 0;

	for (uint32_t i = 0; i < s->count; i++)
		total += s->widths[i] + (i ? 2 : 0);
	while (s->width && total > s->width) {
		uint32_t widest = s->count;

		for (uint32_t i = 0; i < s->count; i++)
			if (!s->columns[i].right && s->widths[i] > NARROWEST &&
			    (widest == s->count || s->widths[i] > s->widths[widest]))
				widest = i;
		if (widest == s->count)
			return;
		s->widths[widest]--;
		total--;
	}
}

static void release(struct show *s)
{
	fit(s);
	for (uint32_t i = 0; i < s->count; i++) {
		char name[COLUMN_NAME_MAX * 4];
		struct text t = {.data = name, .capacity = sizeof name};

		cell_escape(&t, span_of(s->columns[i].name, strlen(s->columns[i].name)));
		name[t.used < sizeof name ? t.used : sizeof name - 1] = '\0';
		put_cell(s, i, name);
	}
	text_char(&s->text, '\n');
	for (uint32_t row = 0; row < s->held_rows; row++) {
		for (uint32_t i = 0; i < s->count; i++) {
			char *text = s->held[(size_t)row * s->count + i];

			put_cell(s, i, text ? text : "");
			free(text);
		}
		text_char(&s->text, '\n');
	}
	free(s->held);
	s->held = NULL;
}

static void row(struct show *s, const struct cell *cells)
{
	char buffer[CELL_SIZE_MAX];

	if (s->failed)
		return;
	for (uint32_t i = 0; i < s->count; i++) {
		struct text t = {.data = buffer, .capacity = sizeof buffer - 1};

		cell_show(&t, &cells[i], (enum cell_format)s->columns[i].format, s->columns[i].name);
		buffer[t.used] = '\0';
		if (!s->held) {
			put_cell(s, i, buffer);
			continue;
		}
		const unsigned width = width_of(buffer);
		if (width > s->widths[i])
			s->widths[i] = width;
		s->held[(size_t)s->held_rows * s->count + i] = strdup(buffer);
	}
	if (!s->held)
		text_char(&s->text, '\n');
	else if (++s->held_rows == HELD_MAX)
		release(s);
}

static void end(struct show *s)
{
	if (s->held && !s->failed)
		release(s);
	free(s->held);
	free(s->widths);
	s->held = NULL;
	s->widths = NULL;
}

const struct show_type show_table = {.name = "table", .begin = begin, .row = row, .end = end};
