/* demo_policy.h: the demo's policy, which stands on the first system only: one access rule that refuses what
 * comes in, one trust requirement that refuses what goes out. */
#pragma once

#include "cmd/demo_lab.h"

/* The NFLOG group that tells of refused frames. */
#define DEMO_NFLOG_GROUP "5"

/* Apply it with `weir policy`. ERR_SYSTEM with what it said: then nothing is refused. END: the user left. */
MUST_CHECK enum status demo_policy_apply(struct lab *lab, struct error *err);
