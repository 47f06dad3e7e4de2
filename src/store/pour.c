#include "store/pour.h"

#include <stdlib.h>

enum status pour_init(struct pour *p, struct rows *rows, const uint64_t *columns, uint32_t count)
{
	const uint32_t all = rows->schema.count;

	*p = (struct pour){.rows = rows,
			   .count = count,
			   .targets = calloc(count + 1, sizeof *p->targets),
			   .asked = malloc((all + 1) * sizeof *p->asked)};
	if (cursor_init(&p->cursor, rows) != OK || !p->targets || !p->asked)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < all; i++)
		p->asked[i] = -1;
	for (uint32_t i = 0; i < count; i++)
		if (columns[i] < all)
			p->asked[columns[i]] = (int32_t)i;
	return OK;
}

void pour_fini(struct pour *p)
{
	cursor_fini(&p->cursor);
	free(p->targets);
	free(p->asked);
	*p = (struct pour){0};
}

/* Rows of the column before `row` that nothing was said of have no value. */
static void fill_up(struct target *to, uint32_t row)
{
	if (to->row < row && to->data)
		target_nulls(to, to->row, row - to->row);
	to->row = row;
}

/* The column's target, to be written from `row` on. NULL: it is not asked for, or has these rows already: two
 * names of fields that are one to SQL. */
static struct target *target_of(struct pour *p, int32_t column, uint32_t row)
{
	struct target *to = column >= 0 && p->asked[column] >= 0 ? &p->targets[p->asked[column]] : NULL;

	if (!to || to->row > row)
		return NULL;
	fill_up(to, row);
	return to;
}

/* What it costs hangs on the fields of the piece, not on the columns of the batch. */
static void pour_piece(struct pour *p, const struct piece *piece, uint32_t row)
{
	const struct plan *plan = piece->slot->plan;
	struct target *to;

	for (int32_t i = 0; i < BASE_COLUMN_COUNT; i++)
		if ((to = target_of(p, i, row))) {
			convert_base(piece, (enum base_column)i, to);
			to->row += piece->count;
		}
	for (uint32_t f = 0; f < plan->column_count; f++) {
		if ((to = target_of(p, piece->slot->columns[f], row))) {
			convert_field(p->rows, piece, f, to);
			to->row += piece->count;
		}
		if ((to = target_of(p, piece->slot->derived[f], row))) {
			convert_derived(p->rows, piece, f, to);
			to->row += piece->count;
		}
	}
}

uint32_t pour_next(struct pour *p, uint32_t room)
{
	struct piece piece;
	uint32_t done = 0;

	while (done < room &&
	       cursor_next(&p->cursor, room - done < PIECE_MAX ? room - done : PIECE_MAX, &piece)) {
		pour_piece(p, &piece, done);
		done += piece.count;
	}
	for (uint32_t i = 0; i < p->count; i++)
		fill_up(&p->targets[i], done);
	return done;
}
