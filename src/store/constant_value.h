/* constant_value.h: the value of a column that stands in the manifest (constants.h), out of its text. */
#pragma once

#include "parquet/reader.h"
#include "store/column.h"

struct constant_value {
	enum parquet_type type;
	union {
		uint8_t octets[16];
		uint64_t u;
		int64_t i;
		union parquet_text text;
	} value; /* as a vector has it */
};

/* `text` is borrowed where the value is a text. False: not a text that lift.c makes of that kind; floats,
 * times and octets it does not lift. */
bool constant_value_read(struct constant_value *out, enum column_kind kind, const char *text);

void constant_value_bounds(const struct constant_value *value, struct parquet_bounds *out);
