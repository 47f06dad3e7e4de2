/* sql.h: a statement that grows, with names and texts quoted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct sql {
	char *text; /* terminated; NULL before the first piece */
	size_t length, room;
	bool failed; /* no memory: the text is not whole */
};

void sql_init(struct sql *sql);
void sql_fini(struct sql *sql);
void sql_put(struct sql *sql, const char *piece);
void sql_format(struct sql *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sql_name(struct sql *sql, const char *name); /* "name" */
void sql_text(struct sql *sql, const char *text); /* 'text' */
