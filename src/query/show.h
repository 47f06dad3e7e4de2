/* show.h: how an answer looks: a table for people; JSON Lines, CSV, Parquet and arrays of JSON for machines.
 * One file each. */
#pragma once

#include <stdio.h>

#include "query/cell.h"

struct show_column {
	char name[COLUMN_NAME_MAX];
	uint8_t format; /* enum cell_format */
	bool right;     /* numbers */
};

/* What a file says about itself, in front of its rows or behind them; formats without a place for it leave it
 * out. */
struct show_note {
	const char *name, *text;
};

struct show;

struct show_type {
	const char *name;
	void (*begin)(struct show *show);
	void (*row)(struct show *show, const struct cell *cells);
	void (*end)(struct show *show);
};

extern const struct show_type show_table, show_json, show_csv, show_rows, show_parquet;

struct show {
	const struct show_type *type;
	FILE *out;
	const struct show_column *columns;
	uint32_t count;
	unsigned width; /* of the terminal; 0: as wide as it gets */
	const struct show_note *notes;
	struct show_file *file; /* of Parquet */
	uint64_t rows;
	bool failed; /* the output takes no more */
	struct text text;
	char **held; /* the table's first rows, cell by cell, until their widths are known */
	uint32_t held_rows;
	unsigned *widths;
	char buffer[16384];
};

/* By name; NULL: none. */
const struct show_type *show_type_named(const char *name);

/* `columns` is borrowed until show_end. */
void show_begin(struct show *show, const struct show_type *type, FILE *out, const struct show_column *columns,
		uint32_t count, unsigned width);
void show_row(struct show *show, const struct cell *cells);

/* All is written and flushed. False: it could not be. */
bool show_end(struct show *show);

/* A value as JSON: numbers bare, all else in quotes, what is not there is null. */
void show_cell_json(struct text *t, const struct cell *cell);

/* Width of the terminal that `out` is; 0: it is none. */
unsigned show_terminal_width(FILE *out);
