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

/* Every column of the piece that is asked for: from its fields, and NULL where the run has none. */
static void pour_piece(struct pour *p, const struct piece *piece, uint32_t row)
{
	const struct plan *plan = piece->slot->plan;

	for (uint32_t i = 0; i < p->count; i++)
		p->targets[i].row = row;
	for (uint32_t i = 0; i < BASE_COLUMN_COUNT; i++)
		if (p->asked[i] >= 0) {
			convert_base(piece, (enum base_column)i, &p->targets[p->asked[i]]);
			p->targets[p->asked[i]].row = row + piece->count;
		}
	for (uint32_t f = 0; f < plan->column_count; f++) {
		const int32_t column = piece->slot->columns[f], derived = piece->slot->derived[f];

		if (column >= 0 && p->asked[column] >= 0) {
			struct target *to = &p->targets[p->asked[column]];

			if (to->row == row) /* two names that are one to SQL: the first has the column */
				convert_field(p->rows, piece, f, to);
			to->row = row + piece->count;
		}
		if (derived >= 0 && p->asked[derived] >= 0) {
			struct target *to = &p->targets[p->asked[derived]];

			if (to->row == row)
				convert_derived(p->rows, piece, f, to);
			to->row = row + piece->count;
		}
	}
	for (uint32_t i = 0; i < p->count; i++)
		if (p->targets[i].row == row && p->targets[i].data)
			target_nulls(&p->targets[i], row, piece->count);
}

uint32_t pour_next(struct pour *p, uint32_t row, uint32_t room)
{
	struct piece piece;
	uint32_t done = 0;

	while (done < room &&
	       cursor_next(&p->cursor, room - done < PIECE_MAX ? room - done : PIECE_MAX, &piece)) {
		pour_piece(p, &piece, row + done);
		done += piece.count;
	}
	return done;
}
