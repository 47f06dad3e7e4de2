#include "query/cube.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "query/cell.h"

enum {
	FIRST_VALUES = 64, /* of a key, in the first reading; and one place for the rest */
	CELLS_MOST = 1 << 20,
};

void cube_free(struct cube *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < CHART_KEYS; i++) {
		free(c->ranked[i]);
	}
	free(c->cells);
	free(c);
}

static bool make_cells(struct cube *c, size_t count)
{
	free(c->cells);
	c->cell_count = count;
	c->cells = count <= CELLS_MOST ? calloc(count, sizeof *c->cells) : NULL;
	return c->cells;
}

enum status cube_new(struct cube **out, struct pass *p, const struct chart *chart)
{
	struct cube *c = calloc(1, sizeof *c);
	bool good = c;

	*out = NULL;
	if (!c)
		return ERR_MEMORY;
	c->chart = *chart;
	c->time = -1;
	c->steps = 1;
	if (chart->step_ms) {
		c->first_step = chart->ask.from_ms / chart->step_ms;
		c->steps = (uint32_t)((chart->ask.to_ms - 1) / chart->step_ms - c->first_step + 1);
		c->time = pass_column(p, "coalesce({flowStart}, {receiveTime})", DUCKDB_TYPE_TIMESTAMP);
		good = c->time >= 0;
	}
	const bool first = chart->ask.key_count <= 1;
	cube_begin_anew(c, true);
	for (unsigned i = 0; good && i < chart->ask.key_count; i++) {
		c->tally[i] = pass_tally(p, &chart->ask.keys[i], 1, first);
		good = c->tally[i] >= 0;
	}
	if (good && first)
		good = make_cells(c, (size_t)c->steps * (FIRST_VALUES + 1));
	if (!good) {
		cube_free(c);
		return ERR_LIMIT;
	}
	*out = c;
	return OK;
}

struct source {
	const struct pass_rows *rows;
	const int64_t *times; /* microseconds; NULL: not over time */
	int64_t begin, end;   /* of the step that the last record was in, which is mostly the next one's */
	size_t step;
};

static struct source source_of(const struct cube *c, const struct pass_rows *rows)
{
	return (struct source){.rows = rows, .times = c->time < 0 ? NULL : rows->columns[c->time].data};
}

/* The first step is also that of flows from before it. */
static size_t step_of(const struct cube *c, struct source *s, uint32_t i)
{
	const int64_t step_us = c->chart.step_ms * 1000;

	if (!s->times || (s->times[i] >= s->begin && s->times[i] < s->end))
		return s->step;
	const int64_t number = s->times[i] / step_us - (s->times[i] % step_us < 0) - c->first_step;
	if (number < 0 || number >= c->steps) /* any time at all */
		return number < 0 ? 0 : c->steps - 1;
	s->begin = (c->first_step + number) * step_us;
	s->end = s->begin + step_us;
	s->step = (size_t)number;
	return s->step;
}

static void add(struct cube_cell *to, const struct pass_rows *rows, uint32_t i)
{
	if (groups_have(&rows->octets, i))
		to->octets += ((const uint64_t *)rows->octets.data)[i];
	if (groups_have(&rows->packets, i))
		to->packets += ((const uint64_t *)rows->packets.data)[i];
	to->flows++;
	to->denied += ((const bool *)rows->denied.data)[i];
}

void cube_take(struct cube *c, const struct pass *p, const struct pass_rows *rows)
{
	struct source s = source_of(c, rows);
	const uint32_t *group = NULL;

	for (unsigned i = 0; i < c->chart.ask.key_count; i++) {
		const struct tally *t = &p->tallies[c->tally[i]];

		if (t->status != OK)
			c->state = CUBE_FAILED;
		group = t->rows;
	}
	if (c->state != CUBE_FIRST)
		return;
	for (uint32_t i = 0; i < rows->count; i++) {
		const uint32_t value = group ? group[i] : FIRST_VALUES;

		if (group && value >= FIRST_VALUES) {
			c->state = CUBE_AGAIN;
			return;
		}
		add(&c->cells[step_of(c, &s, i) * (FIRST_VALUES + 1) + value], rows, i);
	}
}

void cube_begin_anew(struct cube *c, bool first)
{
	if (first)
		c->state = c->chart.ask.key_count <= 1 ? CUBE_FIRST : CUBE_AGAIN;
	if (c->cells)
		memset(c->cells, 0, c->cell_count * sizeof *c->cells);
}

/* Ranks. */

static cube_sum measure(const struct cube *c, const struct groups *g, uint32_t group)
{
	const struct groups_sums s = groups_sums_of(g, group);

	switch (c->chart.ask.order) {
	case ORDER_PACKETS: return (cube_sum)s.packets[1] << 64 | s.packets[0];
	case ORDER_FLOWS: return s.flows;
	default: return (cube_sum)s.octets[1] << 64 | s.octets[0];
	}
}

static int order_octets(struct span a, struct span b)
{
	const size_t n = a.length < b.length ? a.length : b.length;
	const int d = n ? memcmp(a.data, b.data, n) : 0;

	return d ? d : (a.length > b.length) - (a.length < b.length);
}

/* As SQL orders values: what is not there comes last. */
static int order_cells(const struct cell *a, const struct cell *b)
{
	if (a->kind == CELL_NULL || b->kind == CELL_NULL)
		return (a->kind == CELL_NULL) - (b->kind == CELL_NULL);
	switch ((enum cell_kind)a->kind) {
	case CELL_TEXT: return order_octets(a->text, b->text);
	case CELL_UUID: return memcmp(a->address, b->address, sizeof a->address);
	case CELL_BOOLEAN: return a->yes - b->yes;
	case CELL_UNSIGNED: return (a->u > b->u) - (a->u < b->u);
	default: return (a->i > b->i) - (a->i < b->i);
	}
}

static uint32_t halves(const struct tally *t)
{
	return (uint32_t)(t->columns[0][0] >= 0) + (uint32_t)(t->columns[0][1] >= 0);
}

static bool is_before(const struct cube *c, const struct tally *t, uint32_t a, uint32_t b)
{
	const cube_sum m = measure(c, t->groups, a), n = measure(c, t->groups, b);
	int d = 0;

	if (m != n)
		return m > n;
	for (uint32_t i = 0; d == 0 && i < halves(t); i++) {
		const struct cell x = groups_key(t->groups, a, i), y = groups_key(t->groups, b, i);

		d = order_cells(&x, &y);
	}
	return d < 0;
}

static bool rank(struct cube *c, const struct tally *t, unsigned key)
{
	const uint32_t most = (uint32_t)c->chart.values, all = groups_count(t->groups);
	uint32_t *ranked = malloc((most + 1) * sizeof *ranked), count = 0;

	if (!ranked)
		return false;
	for (uint32_t g = 0; g < all; g++) {
		uint32_t at = count;

		while (at > 0 && is_before(c, t, g, ranked[at - 1]))
			at--;
		if (at == most)
			continue;
		memmove(ranked + at + 1, ranked + at, (count - at) * sizeof *ranked);
		ranked[at] = g;
		count += count < most;
	}
	c->ranked[key] = ranked;
	c->count[key] = count;
	return true;
}

/* From a place for each value that came to a place for each that is shown. */
static bool settle(struct cube *c)
{
	struct cube_cell *from = c->cells;
	const uint32_t shown = c->count[0];
	uint32_t place[FIRST_VALUES + 1];
	bool good;

	for (uint32_t i = 0; i <= FIRST_VALUES; i++)
		place[i] = shown;
	for (uint32_t i = 0; i < shown; i++)
		place[c->ranked[0][i]] = i;
	c->cells = NULL;
	good = make_cells(c, (size_t)c->steps * (shown + 1));
	for (size_t i = 0; good && i < (size_t)c->steps * (FIRST_VALUES + 1); i++) {
		struct cube_cell *to =
			&c->cells[i / (FIRST_VALUES + 1) * (shown + 1) + place[i % (FIRST_VALUES + 1)]];

		to->octets += from[i].octets;
		to->packets += from[i].packets;
		to->flows += from[i].flows;
		to->denied += from[i].denied;
	}
	free(from);
	return good;
}

static bool prepare_again(struct cube *c, struct pass *p)
{
	size_t cells = c->steps;

	for (unsigned i = 0; i < c->chart.ask.key_count; i++) {
		cells *= c->count[i] + 1;
		c->pick[i] = pass_pick(p, c->tally[i], (enum ask_order)c->chart.ask.order, c->ranked[i],
				       c->count[i]);
		if (c->pick[i] < 0)
			return false;
	}
	if (c->time >= 0)
		p->columns[c->time].needed = true;
	return make_cells(c, cells);
}

void cube_rank(struct cube *c, struct pass *p)
{
	bool good = c->state != CUBE_FAILED;

	for (unsigned i = 0; good && i < c->chart.ask.key_count; i++) {
		const struct tally *t = &p->tallies[c->tally[i]];

		good = t->status == OK && rank(c, t, i);
	}
	if (good && c->state == CUBE_FIRST) {
		good = settle(c);
		c->state = CUBE_DONE;
	} else if (good) {
		good = prepare_again(c, p);
	}
	if (!good)
		c->state = CUBE_FAILED;
}

void cube_take_again(struct cube *c, const struct pass *p, const struct pass_rows *rows)
{
	struct source s = source_of(c, rows);
	const unsigned keys = c->chart.ask.key_count;
	const uint32_t *ranks[CHART_KEYS];

	for (unsigned k = 0; k < keys; k++)
		ranks[k] = p->picks[c->pick[k]].rows;
	for (uint32_t i = 0; i < rows->count; i++) {
		size_t at = step_of(c, &s, i);

		for (unsigned k = 0; k < keys; k++) {
			const uint32_t rank = ranks[k][i];

			at = at * (c->count[k] + 1) + (rank < c->count[k] ? rank : c->count[k]);
		}
		add(&c->cells[at], rows, i);
	}
}
