/* document.h: a JSON file that a person writes: reading it, judging whether it is JSON, and telling where it
 * is wrong. What the profile (settings.h) and a policy share. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/error.h"

enum { DOCUMENT_OCTETS_MAX = 1 << 20 }; /* larger files are refused */

/* Borrowed text; `name` stands for the file in messages. */
struct document {
	const char *name, *text;
	size_t length;
};

/* Read a whole file; "-" is standard input. At most one octet more than allowed, so that document_judge sees
 * when it is too much. ERR_SYSTEM, ERR_PERMISSION, ERR_MEMORY. Caller frees *text. */
MUST_CHECK enum status document_read(const char *path, char **text, size_t *length, struct error *err);

/* Whether it is JSON and one object; a byte order mark is taken off. `kind` is what it should be ("profile"),
 * `example` how it looks. ERR_LIMIT (too large), ERR_MEMORY, ERR_USAGE with the place and a hint. */
MUST_CHECK enum status document_judge(struct document *document, const char *kind, const char *example,
				      struct error *err);

/* ERR_USAGE and "FILE:LINE:COLUMN: text" for the octet at `at`. A long path keeps its end, which tells files
 * apart. */
enum status document_fail(const struct document *document, struct error *err, size_t at, const char *format,
			  ...) __attribute__((format(printf, 4, 5)));
enum status document_vfail(const struct document *document, struct error *err, size_t at, const char *format,
			   va_list args) __attribute__((format(printf, 4, 0)));
