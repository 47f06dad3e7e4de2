/* journal_source.h: a collector's journal as a loader's input: all of its workers, each from its position. */
#pragma once

#include <stdbool.h>

#include "store/input.h"

struct journal_source;

/* Read the journal under `store` from positions[worker] on. `accepted_only`: up to the watermark, which is
 * what a loader may write; a query reads to the end. Workers that appear later are found. Caller owns *out,
 * which must outlive *input. */
MUST_CHECK enum status journal_source_open(struct journal_source **out, struct input *input,
					   const char *store,
					   const struct input_position positions[INPUT_WORKERS_MAX],
					   bool accepted_only, struct error *err);
void journal_source_close(struct journal_source *s);
