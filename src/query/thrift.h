/* thrift.h: growing octets, and Thrift's compact protocol in them, as far as Parquet needs it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct octets {
	uint8_t *data;
	size_t used, room;
	bool failed; /* no memory: something is missing */
};

void octets_fini(struct octets *o);
void octets_put(struct octets *o, const void *data, size_t length);
void octets_le32(struct octets *o, uint32_t v);
void octets_le64(struct octets *o, uint64_t v);
void octets_varint(struct octets *o, uint64_t v);
void octets_zigzag(struct octets *o, int64_t v);

enum thrift_type { THRIFT_I32 = 5, THRIFT_I64 = 6, THRIFT_BINARY = 8, THRIFT_LIST = 9, THRIFT_STRUCT = 12 };
enum { THRIFT_DEPTH = 8 };

/* Begun, it is inside a struct. Field numbers grow within a struct. */
struct thrift {
	struct octets *out;
	int last[THRIFT_DEPTH];
	unsigned depth;
};

void thrift_i32(struct thrift *t, int field, int32_t v);
void thrift_i64(struct thrift *t, int field, int64_t v);
void thrift_string(struct thrift *t, int field, const char *text, size_t length);

/* The elements follow: structs by thrift_element … thrift_close, others as they are. */
void thrift_list(struct thrift *t, int field, enum thrift_type type, uint32_t count);
void thrift_element(struct thrift *t);

/* A struct as a field, up to thrift_close. */
void thrift_open(struct thrift *t, int field);
void thrift_close(struct thrift *t);
void thrift_end(struct thrift *t); /* of the outermost struct */
