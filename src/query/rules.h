/* rules.h: the question which allow rules were met, and which never, over what exporters tell of their rules
 * (docs/wire.md, template 519). */
#pragma once

#include "query/ask.h"

/* Append the statement. Counters of an exporter only grow, until its rules are made anew; so what they grew
 * by is summed up, in the time of `ask`. `schema` has the columns of the view options. ERR_MEMORY. */
MUST_CHECK enum status rules_sql(const struct ask *ask, const struct schema *schema, struct sql *sql);
