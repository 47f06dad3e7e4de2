/* thrift_read.h: structures in Apache Thrift's compact protocol, read; nothing in them is believed.
 *
 *   struct thrift_field f = {0};
 *   while (thrift_next(&r, &f))
 *           switch (f.id) {
 *           case 1: rows = thrift_get_number(&r, f.type); break;
 *           default: thrift_skip(&r, f.type); break;
 *           }
 *
 * Whatever is cut short, or of another type than is asked for, sets `bad`; from then on all structures are at
 * their end, so that it is enough to look once, afterwards. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "parquet/thrift.h"

struct thrift_reader {
	const uint8_t *at, *end;
	bool bad;
};

struct thrift_field {
	unsigned id, type;
};

struct thrift_reader thrift_read(const void *data, size_t length);

/* The next field of a structure. False: it is at its end. */
bool thrift_next(struct thrift_reader *r, struct thrift_field *f);

/* Values of the type that the field says. Numbers are I32 or I64, and 0 when there is none. */
int64_t thrift_get_number(struct thrift_reader *r, unsigned type);
bool thrift_get_bool(struct thrift_reader *r, unsigned type);
struct span thrift_get_binary(struct thrift_reader *r, unsigned type);

/* How many elements of the type `of` follow; not more than there are octets. */
size_t thrift_get_list(struct thrift_reader *r, unsigned type, enum thrift_type of);

/* True when the field is a structure, whose fields follow. */
bool thrift_get_struct(struct thrift_reader *r, unsigned type);

void thrift_skip(struct thrift_reader *r, unsigned type);
