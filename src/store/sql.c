#include "store/sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sql_init(struct sql *s)
{
	*s = (struct sql){0};
}

void sql_fini(struct sql *s)
{
	free(s->text);
	*s = (struct sql){0};
}

static void put(struct sql *s, const char *piece, size_t length)
{
	if (s->failed)
		return;
	if (s->length + length + 1 > s->room) {
		const size_t room = 2 * (s->length + length + 64);
		char *more = realloc(s->text, room);

		if (!more) {
			s->failed = true;
			return;
		}
		s->text = more;
		s->room = room;
	}
	memcpy(s->text + s->length, piece, length);
	s->length += length;
	s->text[s->length] = '\0';
}

void sql_put(struct sql *s, const char *piece)
{
	put(s, piece, strlen(piece));
}

void sql_format(struct sql *s, const char *format, ...)
{
	char buffer[512];
	va_list args;

	va_start(args, format);
	const int length = vsnprintf(buffer, sizeof buffer, format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= sizeof buffer)
		s->failed = true;
	else
		put(s, buffer, (size_t)length);
}

static void quoted(struct sql *s, const char *text, char quote)
{
	put(s, &quote, 1);
	for (; *text; text++) {
		if (*text == quote)
			put(s, &quote, 1);
		put(s, text, 1);
	}
	put(s, &quote, 1);
}

void sql_name(struct sql *s, const char *name)
{
	quoted(s, name, '"');
}

void sql_text(struct sql *s, const char *text)
{
	quoted(s, text, '\'');
}
