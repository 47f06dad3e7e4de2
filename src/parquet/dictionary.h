/* dictionary.h: the different values of a column, as long as they are few, and which one each row has. */
#pragma once

#include "parquet/parquet.h"

enum {
	DICTIONARY_MOST = 4096,
	DICTIONARY_OCTETS = 1 << 20, /* of its texts, when it is written */
	DICTIONARY_RANGE = 1 << 16,  /* numbers that lie closer together are looked up without a hash */
	DICTIONARY_SLOTS = 4 * DICTIONARY_MOST,
};

struct dictionary {
	uint16_t *index; /* of each value */
	size_t room;
	uint32_t count;
	uint64_t numbers[DICTIONARY_MOST];
	union parquet_text texts[DICTIONARY_MOST];
	uint16_t direct[DICTIONARY_RANGE]; /* index + 1; 0: not seen */
	uint16_t slots[DICTIONARY_SLOTS];  /* likewise, by hash */
};

/* Room for so many values. */
MUST_CHECK enum status dictionary_reserve(struct dictionary *d, size_t count);

/* Fill in `index`, `count` and the values in the order in which they came. False: there are too many, or they
 * meet too often in the table.
 * `least`: of the values; `range`: the greatest less the least. */
MUST_CHECK bool dictionary_numbers(struct dictionary *d, const uint64_t *values, size_t count, uint64_t least,
				   uint64_t range);
MUST_CHECK bool dictionary_texts(struct dictionary *d, const union parquet_text *values, size_t count);
