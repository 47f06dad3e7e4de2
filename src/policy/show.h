/* show.h: a policy that is in the kernel, as people read it. */
#pragma once

#include <stdio.h>

#include "policy/table.h"

/* Rules with their counters in the order in which they are asked, then requirements and who meets them. */
MUST_CHECK enum status policy_show(const json_t *list, FILE *out, struct error *err);
