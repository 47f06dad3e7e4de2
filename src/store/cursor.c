#include "store/cursor.h"

#include <stdlib.h>

enum { PLACES_MAX = 1 << 16 }; /* fields of variable records that are located at a time */

enum status cursor_init(struct cursor *c, struct rows *rows)
{
	uint32_t fields = 1;

	c->rows = rows;
	c->run = c->at = 0;
	c->octet = NULL;
	for (uint32_t i = 0; i < rows->plan_count; i++) {
		const struct template *t = rows->plans[i].plan->template;

		if (t->variable && t->field_count > fields)
			fields = t->field_count;
	}
	c->places = malloc((PLACES_MAX > fields ? PLACES_MAX : fields) * sizeof *c->places);
	return c->places ? OK : ERR_MEMORY;
}

void cursor_fini(struct cursor *c)
{
	free(c->places);
}

bool cursor_next(struct cursor *c, uint32_t room, struct piece *p)
{
	struct rows *r = c->rows;

	while (c->run < r->run_count && c->at == r->runs[c->run].count) {
		c->run++;
		c->at = 0;
		c->octet = NULL;
	}
	if (c->run == r->run_count)
		return false;

	const struct run *run = &r->runs[c->run];
	const struct rows_plan *slot = &r->plans[run->plan];
	const struct template *t = slot->plan->template;
	const uint32_t left = run->count - c->at;
	uint32_t count = left < room ? left : room;

	*p = (struct piece){.run = run, .slot = slot, .first = c->at};
	if (!t->variable) {
		p->base = run->at + (size_t)c->at * t->min_length;
		p->stride = t->min_length;
	} else {
		const uint32_t fit = (uint32_t)PLACES_MAX / t->field_count, most = fit ? fit : 1;
		struct record_reader reader;
		struct span record;
		uint32_t n = 0;

		if (!c->octet)
			c->octet = run->at;
		reader = record_reader_over(t, span_of(c->octet, (size_t)(run->at + run->length - c->octet)));
		count = count < most ? count : most;
		while (n < count &&
		       record_next(&reader, &record, c->places + (size_t)n * t->field_count) == OK)
			c->record[n++] = record.data;
		if (n < count)
			return false; /* cannot be: the set was walked when it was taken */
		c->octet = reader.at;
		p->record = c->record;
		p->places = c->places;
	}
	p->count = count;
	c->at += count;
	return true;
}
