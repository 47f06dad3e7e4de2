#include "query/coverage.h"

#include <stddef.h>

#include "ie/value.h"

/* Each kind of loss: its key, and how it is told. */
static const struct {
	const char *key, *words;
	size_t offset;
} losses[] = {
#define LOSS(member, words)                                                                                  \
	{                                                                                                    \
#member, words, offsetof(struct store_coverage, member)                                      \
	}
	LOSS(quarantined, "damaged partitions left out"),
	LOSS(lost_sequence, "records lost by sequence numbers"),
	LOSS(lost_kernel, "messages dropped by the kernel"),
	LOSS(undecodable, "data sets without a template"),
	LOSS(waiting, "data sets waiting for a template"),
	LOSS(malformed, "malformed messages"),
	LOSS(reported_by_exporters, "packets missed, as exporters report"),
	LOSS(wrong_values, "wrong values"),
#undef LOSS
};

enum { LOSSES = sizeof losses / sizeof losses[0] };

static uint64_t loss(const struct store_coverage *c, unsigned i)
{
	uint64_t n;

	memcpy(&n, (const char *)c + losses[i].offset, sizeof n);
	return n;
}

bool coverage_is_short(const struct store_coverage *c)
{
	bool any = c->tail_cut;

	for (unsigned i = 0; i < LOSSES; i++)
		any = any || loss(c, i);
	return any;
}

static void put_time(struct text *t, int64_t ms)
{
	char buffer[TEXT_PIECE_MAX];
	struct text quoted = {.data = buffer, .capacity = sizeof buffer};
	const int64_t seconds = ms >= 0 ? ms / 1000 : -((999 - ms) / 1000);

	value_print_time(&quoted, seconds, (uint32_t)(ms - seconds * 1000) * 1000000, 0);
	text_put(t, buffer + 1, quoted.used - 2);
}

static void counted(struct text *t, uint64_t n, const char *one, const char *many)
{
	text_unsigned(t, n);
	text_char(t, ' ');
	text_string(t, n == 1 ? one : many);
}

void coverage_line(struct text *t, const struct store_coverage *c)
{
	text_string(t, "coverage: ");
	counted(t, c->records + c->tail_records, "record looked at, ", "records looked at, ");
	counted(t, c->partitions, "partition", "partitions");
	if (c->left_out) {
		text_string(t, " (");
		counted(t, c->left_out, "other is of another time)", "others are of another time)");
	}
	if (c->first_ms || c->last_ms) {
		text_string(t, ", ");
		put_time(t, c->first_ms);
		text_string(t, " to ");
		put_time(t, c->last_ms);
	}
	if (!coverage_is_short(c)) {
		text_string(t, "; nothing known to be missing");
		return;
	}
	text_string(t, "; missing: ");
	bool comma = false;
	for (unsigned i = 0; i < LOSSES; i++) {
		if (!loss(c, i))
			continue;
		text_string(t, comma ? ", " : "");
		counted(t, loss(c, i), losses[i].words, losses[i].words);
		comma = true;
	}
	if (c->tail_cut)
		text_string(t, comma ? ", the newest end of the journal" : "the newest end of the journal");
}

static void number(struct text *t, const char *key, uint64_t n)
{
	text_string(t, ",\"");
	text_string(t, key);
	text_string(t, "\":");
	text_unsigned(t, n);
}

void coverage_json(struct text *t, const struct store_coverage *c)
{
	text_string(t, "{\"partitions\":");
	text_unsigned(t, c->partitions);
	number(t, "left_out", c->left_out);
	number(t, "records", c->records);
	number(t, "tail_records", c->tail_records);
	for (unsigned i = 0; i < LOSSES; i++)
		number(t, losses[i].key, loss(c, i));
	text_string(t, c->tail_cut ? ",\"tail_cut\":true" : ",\"tail_cut\":false");
	if (c->first_ms || c->last_ms) {
		text_string(t, ",\"first\":\"");
		put_time(t, c->first_ms);
		text_string(t, "\",\"last\":\"");
		put_time(t, c->last_ms);
		text_char(t, '"');
	}
	text_char(t, '}');
}
