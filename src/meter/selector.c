#include "meter/selector.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { US_PER_MS = 1000, MILLISECONDS_MAX = 3600 * 1000 };

static const struct {
	const char *word;
	uint16_t algorithm;
	bool of_records; /* of nothing else */
} words[] = {
	{"Count/", SELECTOR_COUNT, false},   {"Time/", SELECTOR_TIME, false},
	{"Random/", SELECTOR_RANDOM, false}, {"Probability/", SELECTOR_PROBABILITY, false},
	{"Filter/", SELECTOR_FILTER, false}, {"Match/", SELECTOR_FILTER, true},
};

/* Digits up to `end`; 0: not a number from 1 on. */
static uint32_t read_number(const char **at, char end)
{
	uint64_t value = 0;

	if (!isdigit((unsigned char)**at))
		return 0;
	for (; isdigit((unsigned char)**at); (*at)++) {
		value = value * 10 + (uint64_t)(**at - '0');
		if (value > UINT32_MAX)
			return 0;
	}
	if (**at != end)
		return 0;
	*at += end != 0;
	return (uint32_t)value;
}

static bool read_share(struct selector *out, const char *at)
{
	out->take = read_number(&at, '/');
	out->of = out->take ? read_number(&at, 0) : 0;
	if (out->of < out->take || out->take == 0)
		return false;
	if (out->algorithm == SELECTOR_TIME) {
		if (out->of > MILLISECONDS_MAX)
			return false;
		out->take *= US_PER_MS;
		out->of *= US_PER_MS;
	}
	return true;
}

static bool read_probability(struct selector *out, const char *at)
{
	char *end;

	if (!isdigit((unsigned char)*at) || strspn(at, "0123456789.") != strlen(at))
		return false;
	out->probability = strtod(at, &end);
	return *end == 0 && out->probability >= 1e-9 && out->probability <= 1;
}

static bool read_expression(struct selector *out, const char *at)
{
	const size_t length = strlen(at);

	if (length == 0 || length >= sizeof out->text)
		return false;
	memcpy(out->text, at, length + 1);
	return true;
}

enum status selector_parse(struct selector *out, const char *text)
{
	bool good = false;

	*out = (struct selector){0};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		const size_t length = strlen(words[i].word);

		if (strncmp(text, words[i].word, length) != 0)
			continue;
		out->algorithm = words[i].algorithm;
		out->of_records = words[i].of_records;
		if (out->algorithm == SELECTOR_FILTER)
			good = read_expression(out, text + length);
		else if (out->algorithm == SELECTOR_PROBABILITY)
			good = read_probability(out, text + length);
		else
			good = read_share(out, text + length);
	}
	return good ? OK : ERR_USAGE;
}

void selector_print(const struct selector *s, char *out, size_t size)
{
	const uint32_t unit = s->algorithm == SELECTOR_TIME ? US_PER_MS : 1;
	const char *word = "";

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (words[i].algorithm == s->algorithm && words[i].of_records == s->of_records)
			word = words[i].word;
	if (s->algorithm == SELECTOR_FILTER)
		snprintf(out, size, "%s%s", word, s->text);
	else if (s->algorithm == SELECTOR_PROBABILITY)
		snprintf(out, size, "%s%.9g", word, s->probability);
	else
		snprintf(out, size, "%s%u/%u", word, s->take / unit, s->of / unit);
}

bool selector_is_of_packets(const struct selector *s)
{
	return !s->of_records;
}

bool selector_is_of_records(const struct selector *s)
{
	return s->of_records || (s->algorithm != SELECTOR_FILTER && s->algorithm != SELECTOR_TIME);
}

double selector_share(const struct selector *s)
{
	if (s->algorithm == SELECTOR_FILTER)
		return 1;
	return s->algorithm == SELECTOR_PROBABILITY ? s->probability : (double)s->take / s->of;
}
