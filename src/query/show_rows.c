/* Arrays of JSON, for the page: one array a row, commas between, nothing around. */
#include "query/show.h"

static void nothing(struct show *s)
{
}

static void row(struct show *s, const struct cell *cells)
{
	text_string(&s->text, s->rows > 1 ? ",[" : "[");
	for (uint32_t i = 0; i < s->count; i++) {
		text_put(&s->text, ",", i != 0);
		show_cell_json(&s->text, &cells[i]);
	}
	text_char(&s->text, ']');
}

const struct show_type show_rows = {.name = "rows", .begin = nothing, .row = row, .end = nothing};
