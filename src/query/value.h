/* value.h: the values of a filter: words -> numbers, prefixes, times, texts; and back to words. */
#pragma once

#include "query/filter.h"

struct value_context {
	enum word_type type;
	enum column_kind kind; /* bounds numbers */
	int64_t now_ms;
};

/* NULL: *out is filled; its text borrows `text`. Else what was expected: "an address or prefix". */
const char *filter_value_read(struct filter_value *out, const struct value_context *context, const char *text,
			      size_t length, bool quoted);

/* Append the value so that it reads back as the same. */
void filter_value_print(struct sql *out, const struct filter_value *value, enum word_type type);

/* "TCP" or NULL; in lower case when it is to be typed. */
const char *protocol_name(unsigned number);
