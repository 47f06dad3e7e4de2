/* parquet.h: a file in Apache Parquet's format, written: columns of numbers and texts, in row groups.
 *
 * One column chunk is a dictionary page, when the column has few values, and one data page of version 2.
 * Numbers that are in no dictionary are differences (DELTA_BINARY_PACKED) where these are narrower than the
 * numbers themselves, which else are PLAIN. Dictionaries are compressed (zstd, level 1), and data pages of
 * which a sample gets smaller. All columns are OPTIONAL. Least and greatest values stand in the footer, but
 * not of floats, booleans and octets, nor texts above PARQUET_BOUND, nor in a footer that gets long.
 *
 * Octets go to a sink in the order of the file, about a mebioctet at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { PARQUET_BOUND = 64 };

/* Types, and their values in memory. */
enum parquet_type {
	PARQUET_BOOLEAN,   /* an octet, 0 or 1 */
	PARQUET_UNSIGNED8, /* uint8_t … uint64_t */
	PARQUET_UNSIGNED16,
	PARQUET_UNSIGNED32,
	PARQUET_UNSIGNED64,
	PARQUET_SIGNED8, /* int8_t … int64_t */
	PARQUET_SIGNED16,
	PARQUET_SIGNED32,
	PARQUET_SIGNED64,
	PARQUET_FLOAT,
	PARQUET_DOUBLE,
	PARQUET_TIME_MS, /* int64_t since 1970, without a time zone */
	PARQUET_TIME_US,
	PARQUET_TIME_NS,
	PARQUET_INSTANT_US, /* the same, UTC */
	PARQUET_UUID,       /* 16 octets, as they are written */
	PARQUET_TEXT,       /* union parquet_text, UTF-8 */
	PARQUET_OCTETS,     /* union parquet_text */
	PARQUET_NOTHING,    /* no value so far: parquet_settle says later what they are, or they are texts */
	PARQUET_TYPE_COUNT
};

/* Octets in 16 octets: here when they fit, else elsewhere. Unused ones are 0, and the first four stand here
 * in any case. (DuckDB's vectors have the same.) */
enum { PARQUET_NEAR = 12 };

union parquet_text {
	struct {
		uint32_t length;
		uint8_t octets[PARQUET_NEAR];
	} near;
	struct {
		uint32_t length;
		uint8_t first[4];
		const uint8_t *octets;
	} far;
};

/* `octets` stay where they are for as long as the text is used. */
union parquet_text parquet_text(const void *octets, size_t length);

static inline const uint8_t *parquet_text_octets(const union parquet_text *t)
{
	return t->near.length <= PARQUET_NEAR ? t->near.octets : t->far.octets;
}

size_t parquet_width(enum parquet_type type); /* of a value in memory, octets */

struct parquet_column {
	const char *name; /* UTF-8; borrowed as long as the writer is there */
	enum parquet_type type;
};

/* One column of a row group. Values that are not valid are not looked at. */
struct parquet_values {
	const void *data;
	const uint64_t *valid; /* a bit a row, the lowest first; NULL: all are */
};

struct parquet_sink {
	void *arg;
	enum status (*put)(void *arg, const void *data, size_t length, struct error *err);
};

struct parquet;

/* Begin a file, called `name` in errors (borrowed). ERR_MEMORY. parquet_free is the caller's on OK. */
MUST_CHECK enum status parquet_new(struct parquet **out, const struct parquet_sink *sink, const char *name,
				   const struct parquet_column *columns, uint32_t count, struct error *err);

/* The type of a column that was PARQUET_NOTHING: before a group that has values of it. */
void parquet_settle(struct parquet *p, uint32_t column, enum parquet_type type);

/* One row group: `values` of each column, `rows` of them (1 to 2^20). ERR_LIMIT: a chunk of 2 GiB or more;
 * what the sink answers. After an error the file is of no use. */
MUST_CHECK enum status parquet_group(struct parquet *p, const struct parquet_values *values, uint32_t rows,
				     struct error *err);

/* What the file says about itself: key-value metadata, UTF-8. */
void parquet_note(struct parquet *p, const char *name, const char *text);

/* The footer: with it the file is whole. */
MUST_CHECK enum status parquet_end(struct parquet *p, struct error *err);

void parquet_free(struct parquet *p);
