/* reader.h: a file that parquet.h wrote, read: its columns, row group by row group.
 *
 * Only what parquet.h writes is understood, whoever else's file is ERR_UNSUPPORTED. Nothing is believed:
 * every length, count and offset of the file is held against what is there, and memory stays below what a row
 * group can hold (2^20 rows). A file's octets come from a source, whole pages at a time. */
#pragma once

#include "parquet/vector.h"

struct parquet_reader;

/* All of `length` octets from `at` on, or an error. May be called by several threads at a time. */
struct parquet_octets {
	void *arg;
	enum status (*read)(void *arg, uint64_t at, void *to, size_t length, struct error *err);
	uint64_t length; /* of the file */
};

/* Read the footer. `name` is for errors (copied). ERR_UNSUPPORTED: another writer's, or a version of ours
 * that has what this has not. ERR_FORMAT: damaged. ERR_LIMIT: a footer above `footer_most` octets;
 * ERR_MEMORY; what the source answers. Caller owns *out. It does not change afterwards: many threads may read
 * through it. */
MUST_CHECK enum status parquet_reader_open(struct parquet_reader **out, const struct parquet_octets *octets,
					   size_t footer_most, const char *name, struct error *err);
void parquet_reader_close(struct parquet_reader *reader);

uint32_t parquet_reader_columns(const struct parquet_reader *reader);
uint32_t parquet_reader_groups(const struct parquet_reader *reader);
uint32_t parquet_reader_rows(const struct parquet_reader *reader, uint32_t group);

/* Number of the column; -1: there is none of this name. And its type; a column without any value is
 * PARQUET_TEXT, as in the file. */
int32_t parquet_reader_column(const struct parquet_reader *reader, const char *name);
enum parquet_type parquet_reader_type(const struct parquet_reader *reader, uint32_t column);

/* What the footer says of a column in a group. */
struct parquet_bounds {
	uint32_t nulls;
	bool bounded; /* the column is of whole numbers or times, and these are its least and greatest */
	union {
		uint64_t u; /* of unsigned types */
		int64_t i;
	} least, greatest;
};
void parquet_reader_bounds(const struct parquet_reader *reader, uint32_t group, uint32_t column,
			   struct parquet_bounds *out);

/* Memory for one column at a time; as many as columns are looked at together. */
struct page_memory;
MUST_CHECK enum status page_memory_new(struct page_memory **out);
void page_memory_free(struct page_memory *memory);

/* One column of one group. What *out points to is in `memory`, or static, until it is used again. UUIDs are
 * 16 octets as they were written; texts may point into `memory`. A column of which the footer says that it
 * has no value is not read. ERR_FORMAT, ERR_UNSUPPORTED, ERR_MEMORY, what the source answers. */
MUST_CHECK enum status parquet_reader_read(const struct parquet_reader *reader, uint32_t group,
					   uint32_t column, struct page_memory *memory, struct vector *out,
					   struct error *err);

/* The dictionary's entries alone: out->codes is NULL, out->rows their number, without one that is missing.
 * END: the column has no dictionary in this group, or one that is not worth reading by itself. Else as above.
 */
MUST_CHECK enum status parquet_reader_entries(const struct parquet_reader *reader, uint32_t group,
					      uint32_t column, struct page_memory *memory, struct vector *out,
					      struct error *err);
