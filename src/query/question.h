/* question.h: a question as it comes over HTTP: a path and words with values, and what they mean.
 *
 * The worker that answers gets it as octets: path, name, value, name, value …, each with its zero at the end.
 */
#pragma once

#include "query/ask.h"

enum { QUESTION_WORDS = 96, QUESTION_OCTETS = 64 << 10 };

struct question {
	const char *path; /* below /api/v1/ */
	struct {
		const char *name, *value;
	} words[QUESTION_WORDS];
	unsigned count;
};

/* False: not a question. Texts are borrowed from `octets`. */
bool question_read(struct question *out, const char *octets, size_t length);

/* The value of "PART.NAME", or where `part` is "" of "NAME"; NULL: not given. */
const char *question_get(const struct question *q, const char *part, const char *name);
int64_t question_number(const struct question *q, const char *part, const char *name, int64_t usual,
			int64_t least, int64_t most);
bool question_yes(const struct question *q, const char *part, const char *name);

/* What every answer begins with: the time and the filter. */
struct scope {
	int64_t now_ms, from_ms, to_ms; /* [from, to); 0: open */
	const char *text;               /* of the filter */
	struct filter *filter;          /* NULL: all; with `only` in it */
};

/* Words: filter, only (denied), last or from and to. ERR_USAGE with *err, whose place is in the value of
 * *which. The caller ends it with scope_fini. */
MUST_CHECK enum status scope_read(struct scope *out, const struct question *q, const char **which,
				  struct filter_error *err);
void scope_fini(struct scope *scope);
