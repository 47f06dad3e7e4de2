/* standin.h: a store for tests of src/query: a folder of Parquet files, behind the face of store/store.h. */
#pragma once

#include <stdint.h>

/* `files` files of `rows` records each into the folder, which must be there. 0: done. */
int standin_make(const char *folder, uint64_t rows, unsigned files);

/* Run SQL in an engine of its own, without any bounds. 0: done. */
int standin_sql(const char *sql);
