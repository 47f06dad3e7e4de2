/* constants.h: columns that have one value in all records of a partition. The value stands in the manifest,
 * the column is not in the partition's file (lift.h finds them, view_parts.h puts them back). */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct constant {
	char *name;       /* of the column; owned */
	const char *text; /* the value, as CAST(text AS the column's type) reads it; in the same memory */
};

struct constants {
	struct constant *all; /* in the order of the partition's columns */
	uint32_t count, room;
};

void constants_fini(struct constants *c);

/* ERR_MEMORY; ERR_FORMAT: no text that JSON can hold. */
MUST_CHECK enum status constants_put(struct constants *c, const char *name, const char *text);

/* The text; NULL: the column is none of them. */
const char *constants_find(const struct constants *c, const char *name);

bool constants_equal(const struct constants *a, const struct constants *b);

/* [["name","text"],…]; NULL: no memory. */
json_t *constants_json(const struct constants *c);

/* False: it is not as constants_json makes it, or no memory. */
bool constants_from(struct constants *out, json_t *json);
