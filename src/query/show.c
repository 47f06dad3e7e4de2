#include "query/show.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

const struct show_type *show_type_named(const char *name)
{
	static const struct show_type *const all[] = {&show_table, &show_json, &show_csv, &show_parquet};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

static void flush(void *arg, const char *data, size_t length)
{
	struct show *s = arg;

	if (!s->failed && fwrite(data, 1, length, s->out) != length)
		s->failed = true;
}

void show_begin(struct show *s, const struct show_type *type, FILE *out, const struct show_column *columns,
		uint32_t count, unsigned width)
{
	s->type = type;
	s->out = out;
	s->columns = columns;
	s->count = count;
	s->width = width;
	s->rows = 0;
	s->failed = false;
	s->held = NULL;
	s->held_rows = 0;
	s->widths = NULL;
	s->file = NULL;
	s->text = (struct text){
		.data = s->buffer, .capacity = sizeof s->buffer, .flush = flush, .flush_arg = s};
	type->begin(s);
}

void show_row(struct show *s, const struct cell *cells)
{
	s->rows++;
	s->type->row(s, cells);
}

bool show_end(struct show *s)
{
	s->type->end(s);
	text_flush(&s->text);
	return fflush(s->out) == 0 && !s->failed;
}

unsigned show_terminal_width(FILE *out)
{
	struct winsize size;

	if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) != 0)
		return 0;
	return size.ws_col;
}
