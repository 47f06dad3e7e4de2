/* rule_counters.h: the counters of our own policy, read from the kernel. One thread. */
#pragma once

#include "observe/rules.h"

struct rule_counters;

/* ERR_PERMISSION, ERR_SYSTEM, ERR_MEMORY. */
MUST_CHECK enum status rule_counters_open(struct rule_counters **out, struct error *err);
void rule_counters_close(struct rule_counters *counters);

/* Bring the table up to date: what the policy has, and nothing that it has no more. Without a policy it has
 * none. When the kernel does not answer, all stays as it was. */
void rule_counters_read(struct rule_counters *counters, struct rule_table *table);
