/* live.h: records as they come, as server-sent events. */
#pragma once

#include "query/engine.h"
#include "query/question.h"
#include <stdio.h>

enum { LIVE_EVERY_MS = 500, LIVE_ROWS = 1000 };

/* Until the reader leaves or the store cannot be read:
 *
 *   event: flows   {"columns":[…],"rows":[…],"matched":N,"sent":N,"records":N}, newest last; of more than
 * LIVE_ROWS in one event the newest are sent, and `matched` says how many there were event: tick
 * {"now":MS,"records":N}: all that came since the stream began; at least every few seconds event: lost
 * {"text":…}: something could not be followed; it begins anew behind it
 *
 * Words: those of scope_read, columns. The id of an event is the number of matching records so far. */
void live_run(const struct question *question, const struct scope *scope, const char *store,
	      struct engine *engine, FILE *out);
