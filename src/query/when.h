/* when.h: times and durations as people write them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 90s, 5m, 1.5h, 7d, 2w, 500ms, 1h30m: milliseconds, 0 to some centuries. A number without a unit is refused.
 */
bool duration_parse(int64_t *out_ms, const char *text, size_t length);

/* Milliseconds since 1970 UTC:
 *   2026-11-22, 2026-11-22T10:00, 2026-11-22T10:00:00.123, each with Z, +01:00 or nothing: UTC
 *   a space or '/' may stand for the T; now; a duration, or -duration: that long before `now_ms`;
 * @1700000000: seconds */
bool when_parse(int64_t *out_ms, const char *text, size_t length, int64_t now_ms);
