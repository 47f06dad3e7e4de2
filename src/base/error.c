#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum status error_set(struct error *err, enum status status, const char *format, ...)
{
	va_list args;

	if (err) {
		va_start(args, format);
		vsnprintf(err->text, sizeof err->text, format, args);
		va_end(args);
	}
	return status;
}

enum status error_errno(struct error *err, const char *format, ...)
{
	const int number = errno;
	va_list args;

	if (err) {
		va_start(args, format);
		vsnprintf(err->text, sizeof err->text, format, args);
		va_end(args);
		const size_t used = strlen(err->text);
		snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(number));
	}
	return number == EPERM || number == EACCES ? ERR_PERMISSION : ERR_SYSTEM;
}

enum status error_prefix(struct error *err, enum status status, const char *format, ...)
{
	struct error old;
	va_list args;

	if (!err)
		return status;
	old = *err;
	va_start(args, format);
	vsnprintf(err->text, sizeof err->text, format, args);
	va_end(args);
	const size_t used = strlen(err->text);
	snprintf(err->text + used, sizeof err->text - used, ": %s", old.text);
	return status;
}
