/* thrift.h: structures in Apache Thrift's compact protocol, as Parquet's page headers and footer are written.
 *
 *   struct thrift t = {.out = &octets};
 *   thrift_open(&t);
 *   thrift_number(&t, 1, THRIFT_I32, 2);
 *   thrift_close(&t);
 *
 * Fields of a structure are put in ascending order of their ids, at most 15 apart. Memory that is missing is
 * found in out->failed. */
#pragma once

#include "parquet/octets.h"

enum thrift_type {
	THRIFT_TRUE = 1, /* the value of a boolean field is in its type */
	THRIFT_FALSE = 2,
	THRIFT_I32 = 5,
	THRIFT_I64 = 6,
	THRIFT_BINARY = 8,
	THRIFT_LIST = 9,
	THRIFT_STRUCT = 12,
};

enum { THRIFT_DEPTH = 8 };

struct thrift {
	struct octets *out;
	unsigned depth;
	unsigned last[THRIFT_DEPTH]; /* id of the field before, at each depth */
};

/* A structure that is an element of a list, or stands by itself. */
void thrift_open(struct thrift *t);
void thrift_close(struct thrift *t);

/* A structure that is a field; thrift_close ends it. */
void thrift_open_field(struct thrift *t, unsigned id);

void thrift_number(struct thrift *t, unsigned id, enum thrift_type type, int64_t value);
void thrift_bool(struct thrift *t, unsigned id, bool value);
void thrift_binary(struct thrift *t, unsigned id, const void *data, size_t length);

/* The beginning of a list; `count` elements follow. */
void thrift_list(struct thrift *t, unsigned id, enum thrift_type of, size_t count);
void thrift_element_number(struct thrift *t, int64_t value);
void thrift_element_binary(struct thrift *t, const void *data, size_t length);
