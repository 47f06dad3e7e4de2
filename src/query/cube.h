/* cube.h: the sums of chart.h, out of the rows of a pass. */
#pragma once

#include "query/pass.h"

__extension__ typedef unsigned __int128 cube_sum;

struct cube_cell {
	cube_sum octets, packets;
	uint64_t flows, denied;
};

enum cube_state {
	CUBE_FIRST, /* sums are made as the values come */
	CUBE_AGAIN, /* too many: the largest are known after the first reading */
	CUBE_DONE,
	CUBE_FAILED, /* left to DuckDB (chart.h) */
};

struct cube {
	struct chart chart;
	uint8_t state; /* enum cube_state */
	int tally[CHART_KEYS];
	int time;                     /* column of the times; -1: not over time */
	int64_t first_step;           /* number of the step at which the window begins */
	uint32_t steps;               /* 1 when not over time */
	uint32_t *ranked[CHART_KEYS]; /* groups of the tally, the largest first */
	uint32_t count[CHART_KEYS];   /* of them */
	int pick[CHART_KEYS];         /* of the pass, for the second reading */
	struct cube_cell *cells;      /* step, then each key; the last of a key is "other" */
	size_t cell_count;
};

MUST_CHECK enum status cube_new(struct cube **out, struct pass *pass, const struct chart *chart);
void cube_free(struct cube *cube);

/* Rows, which the tallies have taken (first reading). */
void cube_take(struct cube *cube, const struct pass *pass, const struct pass_rows *rows);

/* Forget what was taken in this reading. */
void cube_begin_anew(struct cube *cube, bool first);

/* After the first reading: rank the values. Names the columns that a second one needs. */
void cube_rank(struct cube *cube, struct pass *pass);

/* The second reading. */
void cube_take_again(struct cube *cube, const struct pass *pass, const struct pass_rows *rows);
