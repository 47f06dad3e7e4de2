/* partition.h: one Parquet file of records: written, proved, named.
 *
 * A file is written under a name that starts with a dot, brought to disk, read again for its checksum,
 * renamed, and its folder brought to disk; only then may a manifest name it. A step that fails leaves at most
 * a hidden file, which the next writer sweeps. fsync is called once for a file: when it fails, the file is
 * given up.
 *
 * Row groups have 122,880 rows, fewer where there are many columns. */
#pragma once

#include "store/row_group.h"

enum {
	PARTITION_PATH_MAX = 96,
	FOOTER_MAX = 16 << 20,
	PARTITION_WIDE = 128, /* columns up to which row groups have their full size */
};

struct partition {
	char path[PARTITION_PATH_MAX]; /* under the store's folder: parts/20261122/flows-0000000012.parquet */
	bool options;                  /* records with a scope */
	uint64_t records, octets;
	uint64_t checksum;        /* XXH3 of the file, 64 bits */
	uint64_t footer_checksum; /* of its footer: the last octets, as long as they say, and 8 */
	int64_t first_ms, last_ms;
	int64_t received_first_ms, received_last_ms;
	uint32_t layout;    /* its columns: which of the manifest's layouts */
	uint32_t constants; /* those that are not in the file: number + 1 in the manifest; 0: all are */
};

/* Write what `source` gives, whose columns are `schema`, into `store`/out->path, and fill in octets and
 * checksums. The caller has chosen the path and says how many records there are: another number of rows is an
 * error. ERR_SYSTEM, ERR_PERMISSION, ERR_LIMIT, ERR_MEMORY, ERR_FORMAT (it does not read back as it was
 * written), what the source answers. */
MUST_CHECK enum status partition_write(const char *store, const struct schema *schema,
				       const struct row_source *source, struct partition *out,
				       struct error *err);

/* Size, footer and the footer's checksum are what the manifest says: some microseconds, finds a file that was
 * cut, replaced or not written: ERR_FORMAT. ERR_SYSTEM, ERR_PERMISSION, ERR_MEMORY: nothing can be said now.
 */
MUST_CHECK enum status partition_check(const char *store, const struct partition *p, struct error *err);

/* The whole checksum: reads the file. DuckDB does not notice octets that changed inside pages; this does. */
MUST_CHECK enum status partition_verify(const char *store, const struct partition *p, struct error *err);
