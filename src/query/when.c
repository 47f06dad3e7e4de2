#include "query/when.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LONGEST_MS INT64_C(100000000000000) /* also when it is said in milliseconds, as filters print it */

static bool unit_ms(const char *text, size_t length, int64_t *out)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {
		{"ms", 1},      {"s", 1000},        {"sec", 1000},       {"m", 60000},
		{"min", 60000}, {"h", 3600 * 1000}, {"d", 86400 * 1000}, {"w", 7 * 86400 * 1000},
	};

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strlen(units[i].name) == length && strncasecmp(units[i].name, text, length) == 0) {
			*out = units[i].ms;
			return true;
		}
	return false;
}

/* One number with its unit, at most a fraction of 9 digits. */
static bool duration_piece(const char **at, const char *end, int64_t *total)
{
	const char *c = *at;
	int64_t whole = 0, fraction = 0, scale = 1, unit;

	if (c == end || !isdigit((unsigned char)*c))
		return false;
	for (; c < end && isdigit((unsigned char)*c); c++) {
		whole = whole * 10 + (*c - '0');
		if (whole > LONGEST_MS)
			return false;
	}
	if (c < end && *c == '.') {
		if (++c == end || !isdigit((unsigned char)*c))
			return false;
		for (; c < end && isdigit((unsigned char)*c) && scale < 1000000000; c++) {
			fraction = fraction * 10 + (*c - '0');
			scale *= 10;
		}
	}
	const char *name = c;
	while (c < end && isalpha((unsigned char)*c))
		c++;
	if (!unit_ms(name, (size_t)(c - name), &unit) || whole > LONGEST_MS / unit)
		return false;
	*total += whole * unit + (int64_t)((double)fraction / (double)scale * (double)unit + 0.5);
	*at = c;
	return true;
}

bool duration_parse(int64_t *out_ms, const char *text, size_t length)
{
	const char *end = text + length;
	int64_t total = 0;

	if (length == 0 || length > 64)
		return false;
	while (text < end)
		if (!duration_piece(&text, end, &total) || total > LONGEST_MS)
			return false;
	*out_ms = total;
	return true;
}

/* `digits` digits, then `follow` unless it is 0. */
static bool digits(const char **at, const char *end, unsigned count, int *out)
{
	*out = 0;
	for (unsigned i = 0; i < count; i++, (*at)++) {
		if (*at == end || !isdigit((unsigned char)**at))
			return false;
		*out = *out * 10 + (**at - '0');
	}
	return true;
}

static bool skip(const char **at, const char *end, const char *any)
{
	if (*at == end || !strchr(any, **at))
		return false;
	(*at)++;
	return true;
}

/* hh:mm[:ss[.fff]] */
static bool clock_time(const char **at, const char *end, struct tm *tm, int *ms)
{
	if (!digits(at, end, 2, &tm->tm_hour) || !skip(at, end, ":") || !digits(at, end, 2, &tm->tm_min))
		return false;
	if (skip(at, end, ":")) {
		if (!digits(at, end, 2, &tm->tm_sec))
			return false;
		if (skip(at, end, ".")) {
			int scale = 100;

			if (*at == end || !isdigit((unsigned char)**at))
				return false;
			for (; *at < end && isdigit((unsigned char)**at); (*at)++, scale /= 10)
				*ms += (**at - '0') * scale;
		}
	}
	return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 61;
}

static bool zone(const char **at, const char *end, int64_t *offset_ms)
{
	int hours, minutes = 0;
	int64_t sign = 1;

	if (*at == end || skip(at, end, "Zz"))
		return true;
	if (**at == '-')
		sign = -1;
	if (!skip(at, end, "+-") || !digits(at, end, 2, &hours))
		return false;
	skip(at, end, ":");
	if (*at < end && !digits(at, end, 2, &minutes))
		return false;
	*offset_ms = sign * (hours * 60 + minutes) * 60000;
	return hours < 15 && minutes < 60;
}

static bool calendar(int64_t *out, const char *at, const char *end)
{
	struct tm tm = {0};
	int year, month, ms = 0;
	int64_t offset = 0;

	if (!digits(&at, end, 4, &year) || !skip(&at, end, "-") || !digits(&at, end, 2, &month) ||
	    !skip(&at, end, "-") || !digits(&at, end, 2, &tm.tm_mday))
		return false;
	if (month < 1 || month > 12 || tm.tm_mday < 1)
		return false;
	if (skip(&at, end, "Tt /") && !clock_time(&at, end, &tm, &ms))
		return false;
	if (!zone(&at, end, &offset) || at != end)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;

	const int day = tm.tm_mday;
	*out = (int64_t)timegm(&tm) * 1000 + ms - offset;
	return tm.tm_mday == day && tm.tm_mon == month - 1; /* no 30th of February */
}

static bool epoch(int64_t *out, const char *at, const char *end)
{
	int64_t seconds = 0;

	if (at == end || end - at > 11)
		return false;
	for (; at < end; at++) {
		if (!isdigit((unsigned char)*at))
			return false;
		seconds = seconds * 10 + (*at - '0');
	}
	*out = seconds * 1000;
	return true;
}

bool when_parse(int64_t *out_ms, const char *text, size_t length, int64_t now_ms)
{
	int64_t before;

	if (length == 3 && strncasecmp(text, "now", 3) == 0) {
		*out_ms = now_ms;
		return true;
	}
	if (length > 1 && text[0] == '@')
		return epoch(out_ms, text + 1, text + length);
	if (length > 1 && duration_parse(&before, text + (text[0] == '-'), length - (text[0] == '-'))) {
		*out_ms = now_ms - before;
		return true;
	}
	return calendar(out_ms, text, text + length);
}
