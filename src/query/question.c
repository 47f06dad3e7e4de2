#include "query/question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "query/when.h"

bool question_read(struct question *out, const char *octets, size_t length)
{
	const char *at = octets, *end = octets + length;

	*out = (struct question){0};
	if (length == 0 || octets[length - 1] != '\0')
		return false;
	out->path = at;
	at += strlen(at) + 1;
	while (at < end) {
		const char *name = at, *value = at + strlen(at) + 1;

		if (value >= end || out->count == QUESTION_WORDS)
			return false;
		out->words[out->count].name = name;
		out->words[out->count++].value = value;
		at = value + strlen(value) + 1;
	}
	return true;
}

const char *question_get(const struct question *q, const char *part, const char *name)
{
	const size_t length = strlen(part);

	for (unsigned i = 0; i < q->count; i++) {
		const char *have = q->words[i].name;

		if (length == 0 ? strcmp(have, name) == 0
				: strncmp(have, part, length) == 0 && have[length] == '.' &&
					  strcmp(have + length + 1, name) == 0)
			return q->words[i].value;
	}
	return NULL;
}

int64_t question_number(const struct question *q, const char *part, const char *name, int64_t usual,
			int64_t least, int64_t most)
{
	const char *text = question_get(q, part, name);
	char *end;
	const int64_t n = text ? strtoll(text, &end, 10) : usual;

	if (!text || end == text || *end)
		return usual;
	return n < least ? least : n > most ? most : n;
}

bool question_yes(const struct question *q, const char *part, const char *name)
{
	const char *text = question_get(q, part, name);

	return text && strcmp(text, "0") != 0 && strcmp(text, "") != 0;
}

static enum status wrong(struct filter_error *err, const char **which, const char *name, const char *value,
			 const char *text)
{
	*which = name;
	*err = (struct filter_error){.length = strlen(value)};
	snprintf(err->text, sizeof err->text, "'%.60s' seen; %s expected", value, text);
	return ERR_USAGE;
}

static enum status read_time(struct scope *s, const struct question *q, const char **which,
			     struct filter_error *err)
{
	static const char expected[] = "a time, as 2026-11-22T10:00:00Z, @1700000000, or 1h for an hour ago,";
	const char *last = question_get(q, "", "last"), *from = question_get(q, "", "from");
	const char *to = question_get(q, "", "to");
	int64_t ms;

	if (last && *last) {
		if (!duration_parse(&ms, last, strlen(last)) || ms <= 0 || ms > s->now_ms)
			return wrong(err, which, "last", last,
				     "a duration with its unit, as 30s, 5m, 1h, 7d,");
		s->from_ms = s->now_ms - ms;
	}
	if (from && *from && !when_parse(&s->from_ms, from, strlen(from), s->now_ms))
		return wrong(err, which, "from", from, expected);
	if (to && *to && !when_parse(&s->to_ms, to, strlen(to), s->now_ms))
		return wrong(err, which, "to", to, expected);
	if (s->from_ms && s->to_ms && s->from_ms >= s->to_ms)
		return wrong(err, which, "to", to, "a time behind that of 'from'");
	return OK;
}

enum status scope_read(struct scope *s, const struct question *q, const char **which,
		       struct filter_error *err)
{
	const char *text = question_get(q, "", "filter"), *only = question_get(q, "", "only");
	auto_free char *both = NULL;
	enum status st;

	*s = (struct scope){.now_ms = wall_ms(wall_now()), .text = text ? text : ""};
	st = read_time(s, q, which, err);
	if (st != OK)
		return st;
	*which = "filter";
	st = filter_parse(&s->filter, s->text, strlen(s->text), s->now_ms, err);
	if (st == OK && only && strcmp(only, "denied") == 0) {
		s->filter = filter_free(s->filter);
		if (s->text[strspn(s->text, " \t")] == '\0')
			both = strdup("denied");
		else if (asprintf(&both, "(%s) and denied", s->text) < 0)
			both = NULL;
		st = both ? filter_parse(&s->filter, both, strlen(both), s->now_ms, err) : ERR_MEMORY;
	} else if (st == OK && s->text[strspn(s->text, " \t")] == '\0') {
		s->filter = filter_free(s->filter);
	}
	return st;
}

void scope_fini(struct scope *s)
{
	s->filter = filter_free(s->filter);
}
