/* cell.h: one value of an answer: out of DuckDB's vectors, and as text. */
#pragma once

#include <duckdb.h>

#include "base/span.h"
#include "ie/text.h"
#include "query/ask.h"

__extension__ typedef __int128 int128;

enum cell_kind {
	CELL_NULL,
	CELL_UNSIGNED,
	CELL_SIGNED,
	CELL_BIG,
	CELL_REAL,
	CELL_BOOLEAN,
	CELL_WALL,
	CELL_TEXT,
	CELL_BYTES,
	CELL_UUID,
	CELL_IS_IPV4,
	CELL_IS_IPV6
};

struct cell {
	uint8_t kind;   /* enum cell_kind */
	uint8_t digits; /* of a CELL_WALL: 0, 3, 6 or 9 */
	union {
		uint64_t u;
		int64_t i; /* of a CELL_WALL: units of the digits since 1970 UTC */
		int128 big;
		double real;
		bool yes;
		struct span text; /* UTF-8 or octets; lives as long as the chunk */
		uint8_t address[16];
	};
};

/* A result column as cell_read can take it; others are to be cast to VARCHAR first. */
bool cell_readable(duckdb_type type);

struct cell cell_read(duckdb_vector vector, duckdb_type type, idx_t row);

/* The value at an address, of a type that has a fixed width. */
struct cell cell_of(const void *value, duckdb_type type);

/* The value of a column of ask.h from its one or two cells. */
struct cell cell_join(enum cell_format format, const struct cell *first, const struct cell *second);

/* As machines read it, without quotes; a text as it is. NULL prints nothing. */
void cell_print(struct text *t, const struct cell *cell);

/* As people read it: units, names. Control characters are escaped. */
void cell_show(struct text *t, const struct cell *cell, enum cell_format format, const char *name);

/* Append UTF-8 with everything escaped that could move a cursor or turn text around. */
void cell_escape(struct text *t, struct span utf8);
