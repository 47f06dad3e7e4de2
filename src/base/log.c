#include "base/log.h"

#include <stdarg.h>
#include <string.h>

static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

void log_line(const struct logger *log, enum log_level level, const char *format, ...)
{
	char text[1024], line[2 * sizeof text];
	size_t used = 0;
	va_list args;

	if (!log || !log->out || level > log->level)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (const char *c = text; *c && used + 5 < sizeof line; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			used += (size_t)snprintf(line + used, sizeof line - used, "\\x%02x",
						 (unsigned char)*c);
		else
			line[used++] = *c;
	}
	line[used] = 0;
	fprintf(log->out, "weir: %s: %s\n", level_names[level], line);
}
