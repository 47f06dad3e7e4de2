/* grace.h: wait until every program of the kernel that runs now has ended (membarrier(2)), in a thread of its
 * own: that takes 4 to 10 ms, and far longer on a busy machine. */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct grace;

/* ERR_SYSTEM, ERR_MEMORY. */
MUST_CHECK enum status grace_open(struct grace **out, struct error *err);
void grace_close(struct grace *grace);

/* Readable when a wait has ended and grace_end has not said so yet. */
int grace_fd(const struct grace *grace);

/* Not while another wait goes on. */
void grace_begin(struct grace *grace);

/* OK: the wait that was begun has ended. AGAIN: it goes on; never with `until_it_ends`. ERR_UNSUPPORTED: the
 * kernel refuses to wait. */
MUST_CHECK enum status grace_end(struct grace *grace, bool until_it_ends, struct error *err);
