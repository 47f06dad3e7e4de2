/* Any octets as a question of the page: refused, or words that lie within them, a window that is none or
 * holds time, and a place of the error inside the value that it is about. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "query/question.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text ends within the octets. */
static void within(const char *text, const char *octets, size_t size)
{
	if (text < octets || text >= octets + size || text + strlen(text) >= octets + size)
		abort();
}

static void check_scope(const struct question *q)
{
	struct filter_error err = {0};
	const char *which = NULL;
	struct scope scope;
	const enum status s = scope_read(&scope, q, &which, &err);

	if (s == OK && scope.from_ms && scope.to_ms && scope.from_ms >= scope.to_ms)
		abort();
	if (s == ERR_USAGE) {
		const char *value = which ? question_get(q, "", which) : NULL;
		const size_t added = strlen("() and denied"); /* around a filter of the user's */

		if (!value || !err.text[0] || err.at + err.length > strlen(value) + added)
			abort();
	}
	scope_fini(&scope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *octets = malloc(size + 1); /* of this size, so that a step beyond is seen */
	struct question q;

	if (!octets)
		return 0;
	if (size)
		memcpy(octets, data, size);
	if (question_read(&q, octets, size)) {
		within(q.path, octets, size);
		for (unsigned i = 0; i < q.count; i++) {
			within(q.words[i].name, octets, size);
			within(q.words[i].value, octets, size);
		}
		if (q.count > QUESTION_WORDS || question_number(&q, "", "n", 8, 1, 200) > 200 ||
		    question_number(&q, "t", "n", 8, 1, 200) < 1)
			abort();
		(void)question_yes(&q, "l", "up");
		check_scope(&q);
	}
	free(octets);
	return 0;
}
