/* error.h: the text of a failure: who, what was seen, what was allowed, where. */
#pragma once

#include "base/status.h"

struct error {
	char text[512]; /* UTF-8, one line, always terminated */
};

/* Write the text and answer `status`, so that a caller can `return error_set(err, ERR_…, …)`.
 * `err` may be NULL: then only the status travels. */
enum status error_set(struct error *err, enum status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As error_set, followed by ": " and strerror(errno). EPERM and EACCES answer ERR_PERMISSION, all else
 * ERR_SYSTEM. */
enum status error_errno(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put context in front of a text that is already there: "context: text". Answers `status`. */
enum status error_prefix(struct error *err, enum status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
