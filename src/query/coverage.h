/* coverage.h: how complete an answer is. */
#pragma once

#include "ie/text.h"
#include "store/store.h"

/* One line: what was looked at, what is missing. */
void coverage_line(struct text *t, const struct store_coverage *coverage);

/* The same as a JSON object, without a line's end. */
void coverage_json(struct text *t, const struct store_coverage *coverage);

/* Something that should be there is not. */
bool coverage_is_short(const struct store_coverage *coverage);
