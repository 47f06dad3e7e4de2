/* JSON Lines: one object a row; numbers bare, all else in quotes, what is not there is null. */
#include "ie/value.h"
#include "query/show.h"

static void begin(struct show *s)
{
	const struct show_note *n = s->notes;

	if (!n || !n->name)
		return;
	for (text_string(&s->text, "{\"about\":"); n->name; n++) {
		text_char(&s->text, n == s->notes ? '{' : ',');
		value_print_string(&s->text, span_of(n->name, strlen(n->name)));
		text_char(&s->text, ':');
		value_print_string(&s->text, span_of(n->text, strlen(n->text)));
	}
	text_string(&s->text, "}}\n");
}

static void nothing(struct show *s)
{
}

void show_cell_json(struct text *t, const struct cell *c)
{
	switch ((enum cell_kind)c->kind) {
	case CELL_NULL: text_string(t, "null"); break;
	case CELL_TEXT: value_print_string(t, c->text); break;
	case CELL_REAL:
		if (c->real - c->real != 0) { /* JSON has no infinity */
			text_string(t, "null");
			break;
		}
		cell_print(t, c);
		break;
	case CELL_UNSIGNED:
	case CELL_SIGNED:
	case CELL_BIG:
	case CELL_BOOLEAN: cell_print(t, c); break;
	default:
		text_char(t, '"');
		cell_print(t, c);
		text_char(t, '"');
	}
}

static void row(struct show *s, const struct cell *cells)
{
	for (uint32_t i = 0; i < s->count; i++) {
		text_string(&s->text, i ? "," : "{");
		value_print_string(&s->text, span_of(s->columns[i].name, strlen(s->columns[i].name)));
		text_char(&s->text, ':');
		show_cell_json(&s->text, &cells[i]);
	}
	text_string(&s->text, "}\n");
}

const struct show_type show_json = {.name = "json", .begin = begin, .row = row, .end = nothing};
