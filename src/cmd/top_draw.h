/* top_draw.h: what `weir top` shows, out of the answers of the store. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum top_view { TOP_NOW, TOP_DENIED, TOP_VIEWS };
enum top_measure { TOP_OCTETS, TOP_PACKETS, TOP_FLOWS, TOP_MEASURES };
enum { TOP_GROUPINGS = 4 };

struct top_screen {
	const char *store, *filter;
	uint8_t view, measure, grouping; /* as above; which of the rows of Now */
	bool held;
	int64_t span_ms;      /* the window: up to now */
	unsigned first;       /* row that is on top */
	const json_t *answer; /* NULL: none yet */
	const char *fault;    /* NULL: none */
};

extern const char *const top_measures[TOP_MEASURES];

/* The words of a grouping, as `weir query --by` takes them. */
const char *top_words(const struct top_screen *screen);

/* Colours, where the terminal has them: once, after ncurses has begun. */
void top_colours(void);

/* The whole screen. Rows that there are go to *rows. */
void top_draw(const struct top_screen *screen, unsigned *rows);
