/* tail.h: what the journal holds behind the loader's positions. */
#pragma once

#include <stdbool.h>

#include "store/loader.h"

/* Feed the loader with all of it. *cut: it is longer than the loader's batch. */
MUST_CHECK enum status tail_pull(struct loader *loader, const char *store, bool *cut, struct error *err);
