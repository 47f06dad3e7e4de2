/* chunk_read.h: the pages of one column of one row group become a vector: chunk.h the other way round. */
#pragma once

#include "parquet/footer.h"
#include "parquet/reader.h"

struct chunk_pages {
	const uint8_t *pages; /* of pages_room */
	const struct footer_chunk *chunk;
	enum parquet_type type;
	uint32_t rows;
};

/* Octets that the pages can have at most. */
uint32_t chunk_most(enum parquet_type type, uint32_t rows);

/* Room for pages. They end where any number is aligned. NULL: no memory. */
uint8_t *pages_room(struct page_memory *memory, uint32_t length);

/* No row has a value. ERR_MEMORY. */
MUST_CHECK enum status vector_blank(struct vector *out, struct page_memory *memory, enum parquet_type type,
				    uint32_t rows);

/* The chunk has values. ERR_FORMAT, ERR_UNSUPPORTED, ERR_MEMORY: *fault says what it is about. */
MUST_CHECK enum status chunk_decode(struct vector *out, struct page_memory *memory,
				    const struct chunk_pages *pages, const char **fault);

/* The dictionary, of which the chunk says that there is one; its page is enough. */
MUST_CHECK enum status chunk_entries(struct vector *out, struct page_memory *memory,
				     const struct chunk_pages *pages, const char **fault);
