/* folder.h: files and folders of a store. */
#pragma once

#include "base/error.h"
#include "base/span.h"

enum { STORE_PATH_MAX = 1024 };

/* ERR_LIMIT: it does not fit. */
MUST_CHECK enum status path_format(char out[STORE_PATH_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Make the folder, and what is missing above it, and bring the new entries to disk. */
MUST_CHECK enum status folder_make(const char *path, struct error *err);
MUST_CHECK enum status folder_sync(const char *path, struct error *err);

/* Write a file under a hidden name, fsync, rename it to `name`; the folder is not synced. fsync is called
 * once: on failure the hidden file is given up. ERR_SYSTEM, ERR_PERMISSION. */
MUST_CHECK enum status file_replace(const char *folder, const char *name, struct span octets,
				    struct error *err);

/* The whole file, at most `limit` octets, with a zero octet behind. END: it is not there. Caller frees *out.
 */
MUST_CHECK enum status file_read(const char *path, size_t limit, char **out, size_t *length,
				 struct error *err);
