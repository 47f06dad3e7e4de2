/* footer.h: what the footer of a file of ours says: columns, row groups, and where their chunks are. */
#pragma once

#include "parquet/types.h"

enum { GROUP_ROWS_MAX = 1 << 20 };

struct footer_chunk {
	uint64_t at;     /* octet of the file */
	uint32_t length; /* octets of all pages */
	uint32_t data;   /* where among them the data page begins; 0: there is no dictionary */
	uint32_t nulls;
	bool bounded;             /* as in struct parquet_bounds; unsigned where the type is */
	uint64_t least, greatest; /* widened, by their sign */
};

struct footer_name {
	const char *name;
	uint32_t column;
};

struct footer {
	uint32_t column_count, group_count;
	enum parquet_type *types;    /* of each column */
	uint32_t *rows;              /* of each group */
	struct footer_chunk *chunks; /* group by group, as many as there are columns */
	struct footer_name *names;   /* sorted */
	char **columns;              /* their names, in their order */
};

/* `pages`: where in the file the pages end. ERR_FORMAT, ERR_UNSUPPORTED (*fault says why), ERR_MEMORY.
 * footer_fini is the caller's in any case. */
MUST_CHECK enum status footer_parse(struct footer *f, const void *data, size_t length, uint64_t pages,
				    const char **fault);
void footer_fini(struct footer *f);
