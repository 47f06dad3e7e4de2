/* reading.h: the records of a store as columns in memory, for questions that need no database.
 *
 * Records come in slices: row groups of partitions, and pieces of the journal's tail. The tail is first, then
 * the partitions that end last, their last row groups in front: so the newest records mostly come early. As
 * many threads as one likes take slices, each with memory of its own. */
#pragma once

#include "parquet/reader.h"
#include "store/store.h"

enum { READING_COLUMNS = 64, SLICE_ROWS_MAX = 1 << 20 };

struct reading;
struct slice;

/* The `columns` (copied) of all records of the store's last look, each of its kind's type (a time is of what
 * the kind says). The store must stay. ERR_UNSUPPORTED: a partition has one of them with another type;
 * ERR_LIMIT: more than READING_COLUMNS; ERR_MEMORY. Caller owns *out. */
MUST_CHECK enum status reading_open(struct reading **out, const struct store *store,
				    const struct column *columns, uint32_t count, struct error *err);
void reading_close(struct reading *reading);

/* One thread's place and memory; before reading_close. NULL: no memory. */
struct slice *slice_new(struct reading *reading);
void slice_free(struct slice *slice);

/* The next slice that no other thread has. END: there are no more. ERR_UNSUPPORTED: its partition was not
 * written by parquet.h; ERR_FORMAT: it is damaged; ERR_SYSTEM, ERR_PERMISSION, ERR_MEMORY. */
MUST_CHECK enum status slice_next(struct slice *slice, struct error *err);
uint32_t slice_rows(const struct slice *slice);

/* The how manieth it is of all slices, however many threads take them. */
uint64_t slice_number(const struct slice *slice);

/* A column of the slice's rows: read when it is asked for first, there until the next slice. Without a value
 * in any row where the part has no such column. NULL: *status and *err of slice_failed say why. */
const struct vector *slice_column(struct slice *slice, uint32_t column);
enum status slice_failed(const struct slice *slice, struct error *err);

/* Values among which are all that the slice's rows have, as rows of their own, until the column is asked
 * for. NULL: not to be had for less than the column, or it has been read. */
const struct vector *slice_entries(struct slice *slice, uint32_t column);

/* What is known of it without reading; how many rows have no value always is. */
void slice_bounds(const struct slice *slice, uint32_t column, struct parquet_bounds *out);
