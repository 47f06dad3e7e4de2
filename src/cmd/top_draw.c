#include "cmd/top_draw.h"

#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "cmd/top_curses.h"
#include "query/cell.h"

enum { TEXT_MAX = 512, COLUMNS_MOST = 12, HEAD_LINES = 5 };
enum { COLOUR_HEAD = 1, COLOUR_ALARM, COLOUR_LOSS, COLOUR_BAR };

const char *const top_measures[TOP_MEASURES] = {"octets", "packets", "flows"};

static const char *const groupings[TOP_GROUPINGS] = {"src,dst,proto,port", "src", "dst", "proto,port"};

const char *top_words(const struct top_screen *s)
{
	return s->view == TOP_DENIED ? "denialRuleName,denialReason,src,dst,proto,dstport"
				     : groupings[s->grouping];
}

void top_colours(void)
{
	if (!has_colors() || start_color() == ERR || use_default_colors() == ERR)
		return;
	init_pair(COLOUR_HEAD, COLOR_CYAN, -1);
	init_pair(COLOUR_ALARM, COLOR_RED, -1);
	init_pair(COLOUR_LOSS, COLOR_YELLOW, -1);
	init_pair(COLOUR_BAR, COLOR_BLUE, -1);
}

static chtype colour(int pair)
{
	return has_colors() ? (chtype)COLOR_PAIR(pair) : 0;
}

static void style(chtype attributes)
{
	(void)attrset((int)attributes);
}

/* Text in at most `room` columns of the terminal; answers how many it took. What the locale cannot show, and
 * what has no width, is a question mark. */
static int put_text(const char *text, int room)
{
	mbstate_t state = {0};
	int used = 0;

	while (*text && used < room) {
		wchar_t c;
		size_t n = mbrtowc(&c, text, strlen(text), &state);
		const bool good = n && n != (size_t)-1 && n != (size_t)-2;
		int width = good ? wcwidth(c) : -1;

		if (!good) {
			n = 1;
			memset(&state, 0, sizeof state);
		}
		if (width <= 0) {
			addch('?');
			width = 1;
		} else if (used + width > room) {
			break;
		} else {
			addnstr(text, (int)n);
		}
		used += width;
		text += n;
	}
	return used;
}

static int width_of(const char *text)
{
	mbstate_t state = {0};
	int width = 0;

	while (*text) {
		wchar_t c;
		size_t n = mbrtowc(&c, text, strlen(text), &state);

		if (!n || n == (size_t)-1 || n == (size_t)-2) {
			n = 1;
			memset(&state, 0, sizeof state);
			c = L'?';
		}
		width += wcwidth(c) > 0 ? wcwidth(c) : 1;
		text += n;
	}
	return width;
}

/* Values as `weir query` shows them in a table. */
static void print_value(char *out, const json_t *v, enum cell_format format, const char *name)
{
	struct text t = {.data = out, .capacity = TEXT_MAX - 1};
	struct cell c = {.kind = CELL_NULL};

	if (json_is_string(v))
		c = (struct cell){.kind = CELL_TEXT,
				  .text = span_of(json_string_value(v), json_string_length(v))};
	else if (json_is_integer(v))
		c = (struct cell){.kind = CELL_UNSIGNED, .u = (uint64_t)json_integer_value(v)};
	else if (json_is_boolean(v))
		c = (struct cell){.kind = CELL_BOOLEAN, .yes = json_is_true(v)};
	cell_show(&t, &c, format, name);
	out[t.used] = '\0';
	if (c.kind == CELL_NULL)
		snprintf(out, TEXT_MAX, "-");
}

static enum cell_format format_named(const char *name)
{
	static const struct {
		const char *name;
		enum cell_format format;
	} formats[] = {{"protocol", CELL_PROTOCOL},
		       {"direction", CELL_DIRECTION},
		       {"flags", CELL_FLAGS},
		       {"octets", CELL_OCTETS},
		       {"count", CELL_COUNT},
		       {"duration", CELL_DURATION},
		       {"yes", CELL_YES}};

	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (strcmp(formats[i].name, name) == 0)
			return formats[i].format;
	return CELL_PLAIN;
}

static const char *heading_of(const char *name)
{
	return strcmp(name, "denialRuleName") == 0 ? "rule"
	       : strcmp(name, "denialReason") == 0 ? "reason"
						   : name;
}

/* Lines in front of the rows. */

static void put_title(const struct top_screen *s)
{
	char text[TEXT_MAX], filter[TEXT_MAX] = "";
	struct text t = {.data = filter, .capacity = sizeof filter - 1};
	const json_int_t now_ms =
		json_integer_value(json_object_get(json_object_get(s->answer, "window"), "now"));
	const time_t now = (time_t)(now_ms / 1000);
	struct tm tm;

	cell_escape(&t, span_of(s->filter, strlen(s->filter)));
	filter[t.used] = '\0';
	gmtime_r(&now, &tm);
	style(A_BOLD | colour(COLOUR_HEAD));
	mvaddstr(0, 0, "weir top ");
	style(s->view == TOP_NOW ? A_REVERSE : 0);
	addstr(" Now ");
	style(s->view == TOP_DENIED ? A_REVERSE : 0);
	addstr(" Denied ");
	style(0);
	const int64_t hours = s->span_ms / 3600000, minutes = s->span_ms / 60000;
	const bool seconds = s->span_ms % 60000 != 0, odd = s->span_ms % 3600000 != 0;
	snprintf(text, sizeof text, "  last %" PRId64 " %s",
		 seconds ? s->span_ms / 1000
		 : odd   ? minutes
			 : hours,
		 seconds ? "s"
		 : odd   ? "min"
			 : "h");
	put_text(text, COLS - 23);
	snprintf(text, sizeof text, "  %02d:%02d:%02d UTC", tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (s->answer)
		put_text(text, COLS - getcurx(stdscr) - 1);
	snprintf(text, sizeof text, "%s  %.400s", s->held ? "  HELD" : "", filter);
	put_text(text, COLS - getcurx(stdscr) - 1);
}

static void put_number(const char *label, const json_t *v, enum cell_format format, chtype attributes)
{
	char text[TEXT_MAX];

	print_value(text, v, format, "");
	style(0);
	put_text(label, COLS - getcurx(stdscr) - 1);
	style(attributes);
	put_text(text, COLS - getcurx(stdscr) - 1);
	style(0);
	put_text("   ", COLS - getcurx(stdscr) - 1);
}

static void put_totals(const json_t *answer)
{
	const json_t *totals = json_object_get(answer, "totals"), *ledger = json_object_get(answer, "ledger");
	const json_t *denied = json_object_get(totals, "denied");
	const json_t *lost = json_object_get(json_object_get(ledger, "terms"), "lost");

	move(1, 0);
	put_number("traffic ", json_object_get(totals, "octets"), CELL_OCTETS, A_BOLD);
	put_number("packets ", json_object_get(totals, "packets"), CELL_COUNT, A_BOLD);
	put_number("flows ", json_object_get(totals, "flows"), CELL_PLAIN, A_BOLD);
	put_number("denied ", denied, CELL_PLAIN,
		   A_BOLD | (json_integer_value(denied) ? colour(COLOUR_ALARM) : 0));
	put_number("lost ", lost, CELL_PLAIN, A_BOLD | (json_integer_value(lost) ? colour(COLOUR_LOSS) : 0));
}

/* Is the data complete? */
static void put_exporters(const json_t *answer)
{
	const json_t *window = json_object_get(answer, "window");
	const json_int_t now = json_integer_value(json_object_get(window, "now"));
	const json_t *exporters = json_object_get(json_object_get(answer, "ledger"), "exporters"), *e;
	size_t i, silent = 0;
	char text[TEXT_MAX];

	json_array_foreach(exporters, i, e)
	{
		const json_int_t last = json_integer_value(json_array_get(e, 3));
		const json_int_t patience = json_integer_value(json_array_get(e, 4));

		silent += patience > 0 && now - last > patience * 1000;
	}
	const size_t all = json_array_size(exporters);
	snprintf(text, sizeof text, "%zu exporter%s", all, all == 1 ? "" : "s");
	move(2, 0);
	put_text(text, COLS - 1);
	if (silent) {
		style(A_BOLD | colour(COLOUR_LOSS));
		snprintf(text, sizeof text, ", %zu not heard now", silent);
		put_text(text, COLS - getcurx(stdscr) - 1);
		style(0);
	}
}

/* Octets over time, a column a step; in ASCII where the locale has no blocks. */
static void put_strip(const json_t *answer, int column)
{
	static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const plain[] = {" ", ".", ".", ":", ":", "|", "|", "#", "#"};
	const json_t *cube = json_object_get(json_object_get(answer, "parts"), "t");
	const json_t *cells = json_object_get(cube, "cells"), *window = json_object_get(answer, "window"),
		     *cell;
	const json_int_t step = json_integer_value(json_object_get(cube, "step"));
	const json_int_t from = json_integer_value(json_object_get(window, "from"));
	double steps[256] = {0}, most = 0;
	size_t i;

	if (step <= 0)
		return;
	json_array_foreach(cells, i, cell)
	{
		const json_int_t at = json_integer_value(json_array_get(cell, 0)) / step - from / step;

		if (at < 0 || at >= 256)
			continue;
		steps[at] += json_number_value(json_array_get(cell, 1));
		most = steps[at] > most ? steps[at] : most;
	}
	const json_int_t to = json_integer_value(json_object_get(window, "to"));
	style(colour(COLOUR_BAR));
	for (json_int_t k = 0; k <= (to - 1) / step - from / step && k < 256 && column + k < COLS - 1; k++) {
		const int level = steps[k] > 0 ? 1 + (int)(steps[k] / most * 7) : 0;

		mvaddstr(2, column + (int)k, MB_CUR_MAX > 1 ? blocks[level] : plain[level]);
	}
	style(0);
}

/* Rows. */

struct table {
	const json_t *columns, *rows;
	enum cell_format formats[COLUMNS_MOST];
	const char *names[COLUMNS_MOST];
	int widths[COLUMNS_MOST];
	size_t count, shown; /* columns; rows on the screen */
};

static bool is_measure(const char *name)
{
	for (unsigned i = 0; i < TOP_MEASURES; i++)
		if (strcmp(top_measures[i], name) == 0)
			return true;
	return false;
}

/* Wide columns give way to narrow ones until all fit. */
static void fit(struct table *t)
{
	for (;;) {
		size_t widest = 0;
		int all = 0;

		for (size_t i = 0; i < t->count; i++) {
			all += t->widths[i] + 2;
			if (!is_measure(t->names[i]) &&
			    (is_measure(t->names[widest]) || t->widths[i] > t->widths[widest]))
				widest = i;
		}
		if (all <= COLS || t->widths[widest] <= 6)
			return;
		t->widths[widest]--;
	}
}

/* Rule and reason in words, as the page has them: the first two columns of what was refused. */
static void explain(char *text, const char *name, const json_t *row)
{
	static const char *const reasons[] = {[1] = "dropped", [2] = "rejected", [3] = "no peer"};
	const json_t *rule = json_array_get(row, 0);
	const json_int_t reason = json_integer_value(json_array_get(row, 1));

	if (strcmp(name, "denialRuleName") == 0 && json_string_length(rule) == 0)
		snprintf(text, TEXT_MAX, "%s", reason <= 2 ? "no rule allowed it" : "-");
	else if (strcmp(name, "denialReason") == 0 && reason >= 1 && reason <= 3)
		snprintf(text, TEXT_MAX, "%s", reasons[reason]);
}

/* A value as the screen has it. */
static void print_cell(char *text, const struct top_screen *s, const struct table *t, const json_t *row,
		       size_t column)
{
	print_value(text, json_array_get(row, column), t->formats[column], t->names[column]);
	if (s->view == TOP_DENIED)
		explain(text, t->names[column], row);
}

static void measure_table(struct table *t, const struct top_screen *s)
{
	char text[TEXT_MAX];

	for (size_t i = 0; i < t->count; i++) {
		const json_t *column = json_array_get(t->columns, i);

		t->names[i] = json_string_value(json_array_get(column, 0));
		t->formats[i] = format_named(json_string_value(json_array_get(column, 1)));
		t->widths[i] = width_of(heading_of(t->names[i]));
		for (size_t r = 0; r < t->shown; r++) {
			print_cell(text, s, t, json_array_get(t->rows, s->first + r), i);
			const int width = width_of(text);
			t->widths[i] = width > t->widths[i] ? width : t->widths[i];
		}
	}
	fit(t);
}

static void put_cell(const struct table *t, size_t column, const char *text, int y, int x)
{
	const int width = width_of(text), room = t->widths[column];

	if (x >= COLS)
		return;
	move(y, is_measure(t->names[column]) && width < room ? x + room - width : x);
	put_text(text, COLS - getcurx(stdscr) < room ? COLS - getcurx(stdscr) : room);
}

static void put_rows(const struct top_screen *s, struct table *t)
{
	char text[TEXT_MAX];

	for (size_t i = 0, x = 0; i < t->count; x += (size_t)t->widths[i++] + 2) {
		style(A_BOLD | (strcmp(t->names[i], top_measures[s->measure]) == 0 ? A_UNDERLINE : 0));
		put_cell(t, i, heading_of(t->names[i]), HEAD_LINES - 1, (int)x);
	}
	for (size_t r = 0; r < t->shown; r++) {
		const json_t *row = json_array_get(t->rows, s->first + r);

		style(s->view == TOP_DENIED ? colour(COLOUR_ALARM) : 0);
		for (size_t i = 0, x = 0; i < t->count; x += (size_t)t->widths[i++] + 2) {
			print_cell(text, s, t, row, i);
			put_cell(t, i, text, HEAD_LINES + (int)r, (int)x);
		}
	}
	style(0);
}

static void put_table(const struct top_screen *s, unsigned *rows)
{
	const json_t *part = json_object_get(json_object_get(s->answer, "parts"), "g");
	struct table t = {.columns = json_object_get(part, "columns"), .rows = json_object_get(part, "rows")};
	const size_t room = LINES > HEAD_LINES + 1 ? (size_t)(LINES - HEAD_LINES - 1) : 0;

	t.count = json_array_size(t.columns);
	if (t.count > COLUMNS_MOST)
		t.count = COLUMNS_MOST;
	*rows = (unsigned)json_array_size(t.rows);
	t.shown = s->first < *rows ? *rows - s->first : 0;
	if (t.shown > room)
		t.shown = room;
	if (*rows == 0) {
		mvaddstr(HEAD_LINES - 1, 0, "");
		put_text(s->view == TOP_DENIED ? "nothing was refused in this time" : "no flows in this time",
			 COLS - 1);
		return;
	}
	measure_table(&t, s);
	put_rows(s, &t);
}

static void put_foot(const struct top_screen *s)
{
	static const char keys[] = "q quit  n now  d denied  o octets  p packets  f flows  g group  + - time "
				   " space hold  arrows";

	if (LINES < 3)
		return;
	move(LINES - 1, 0);
	if (s->fault) {
		style(A_BOLD | colour(COLOUR_ALARM));
		put_text(s->fault, COLS - 1);
	} else {
		style(A_DIM);
		put_text(keys, COLS - 1);
	}
	style(0);
}

void top_draw(const struct top_screen *s, unsigned *rows)
{
	*rows = 0;
	erase();
	if (s->answer) {
		put_totals(s->answer);
		put_exporters(s->answer);
		put_strip(s->answer, getcurx(stdscr) + 2);
		put_table(s, rows);
	} else if (!s->fault) {
		mvaddstr(2, 0, "");
		put_text("asking the store", COLS - 1);
	}
	put_title(s);
	put_foot(s);
	move(LINES - 1, 0);
	refresh();
}
