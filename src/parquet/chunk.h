/* chunk.h: one column of one row group: its values become pages. */
#pragma once

#include <zstd.h>

#include "parquet/dictionary.h"
#include "parquet/octets.h"
#include "parquet/types.h"

/* What the footer says of a chunk. Offsets are octets into the pages. */
struct chunk {
	const struct type *type;
	uint32_t rows, nulls;
	size_t pages;     /* octets */
	size_t unpacked;  /* the same, before compression */
	size_t data_page; /* where it begins; a dictionary page is before it, or nothing */
	enum encoding encoding;
	bool bounded; /* least and greatest are there */
	uint8_t least_length, greatest_length;
	uint8_t least[PARQUET_BOUND], greatest[PARQUET_BOUND];
};

/* Memory that chunks share, one after the other. */
struct scratch {
	uint64_t *numbers; /* the values without NULLs; 32-bit ones widened, by their sign */
	union parquet_text *texts;
	size_t number_room, text_room;
	struct dictionary *dictionary;
	struct octets levels;  /* definition levels */
	struct octets entries; /* of the dictionary, PLAIN */
	struct octets values;
	struct octets packed; /* a page's content, compressed */
	ZSTD_CCtx *zstd;
};

MUST_CHECK enum status scratch_init(struct scratch *b);
void scratch_fini(struct scratch *b);

/* Append the pages of `values` to `out`. ERR_MEMORY, ERR_LIMIT (2 GiB of texts). */
MUST_CHECK enum status chunk_encode(struct chunk *chunk, struct scratch *b, struct octets *out,
				    enum parquet_type type, const struct parquet_values *values,
				    uint32_t rows);
