/* partition_file.h: what partition.c has of a partition's file, for reading.c too. */
#pragma once

#include "store/partition.h"

/* Open it, if it is as long as the manifest says: else ERR_FORMAT, as when it is gone. The caller closes
 * *out. */
MUST_CHECK enum status partition_open(const char *store, const struct partition *p, int *out,
				      struct error *err);

/* All of `length` octets from `at` on. ERR_FORMAT: the file ends before. */
MUST_CHECK enum status partition_read(int fd, void *to, size_t length, uint64_t at, const char *path,
				      struct error *err);

/* UUIDs as DuckDB's vectors have them (numbers of 128 bits, the highest turned, the lower half first) become
 * the octets that stand in a file. */
void partition_order_uuids(void *values, uint32_t rows);
