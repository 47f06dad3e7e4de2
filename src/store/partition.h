/* partition.h: one Parquet file of records: written, proved, named.
 *
 * A file is written under a name that starts with a dot, brought to disk, read again for its checksum,
 * renamed, and its folder brought to disk; only then may a manifest name it. A step that fails leaves at most
 * a hidden file, which the next writer sweeps. fsync is called once for a file: when it fails, the file is
 * given up.
 *
 * zstd level 1, row groups of 122,880, Parquet version 2 pages with dictionaries only where they are small:
 * docs/performance.md has what else was tried. */
#pragma once

#include "store/duck.h"
#include "store/rows.h"

enum {
	PARTITION_PATH_MAX = 96,
	FOOTER_MAX = 16 << 20,
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

/* Copy what `source` (a table function or query in parentheses) gives, so many columns, into
 * `store`/out->path, which the caller has chosen, and fill in octets and checksums. ERR_SYSTEM,
 * ERR_PERMISSION, ERR_LIMIT (no space), ERR_MEMORY.
 */
MUST_CHECK enum status partition_write(struct duck *duck, const char *store, const char *source,
				       uint32_t columns, struct partition *out, struct error *err);

/* Size, footer and the footer's checksum are what the manifest says: some microseconds, finds a file that was
 * cut, replaced or not written: ERR_FORMAT. ERR_SYSTEM, ERR_PERMISSION, ERR_MEMORY: nothing can be said now.
 */
MUST_CHECK enum status partition_check(const char *store, const struct partition *p, struct error *err);

/* The whole checksum: reads the file. DuckDB does not notice octets that changed inside pages; this does. */
MUST_CHECK enum status partition_verify(const char *store, const struct partition *p, struct error *err);
