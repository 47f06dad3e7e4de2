/* prefix.h: arithmetic of prefixes, beside what policy.h tells of them. */
#pragma once

#include "policy/policy.h"

bool policy_prefix_covers(const struct policy_prefix *wide, const struct policy_prefix *narrow);

/* Sort, IPv4 first, and drop what another one covers; answers how many are left. */
uint32_t policy_prefixes_tidy(struct policy_prefix *prefixes, uint32_t count);
