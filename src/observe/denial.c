#include "observe/denial.h"

#include <string.h>

#include "observe/text.h"

static const uint8_t forwarding_status[REASON_COUNT] = {
#define REASON(constant, number, status, text) [REASON_##constant] = (status),
	DENIAL_REASONS(REASON)
#undef REASON
};

static const struct denial fixed[DENIAL_FIRST] = {
	[DENIAL_NONE] = {.reason = REASON_UNKNOWN},
	[DENIAL_OTHER] = {.reason = REASON_UNKNOWN},
	[DENIAL_OVERFLOW] = {.reason = REASON_OVERFLOW},
};

uint16_t denial_table_add(struct denial_table *table, enum denial_reason reason, enum denial_class kind,
			  const char *rule)
{
	struct denial d = {.reason = (uint8_t)reason, .kind = (uint8_t)kind};

	copy_clean(d.rule, sizeof d.rule, rule);
	if (table->count == 0) {
		memcpy(table->denial, fixed, sizeof fixed);
		table->count = DENIAL_FIRST;
	}
	for (uint32_t i = DENIAL_FIRST; i < table->count; i++)
		if (memcmp(&table->denial[i], &d, sizeof d) == 0)
			return (uint16_t)i;
	if (table->count == DENIAL_MAX) {
		table->overflown++;
		return DENIAL_OTHER;
	}
	table->denial[table->count] = d;
	return (uint16_t)table->count++;
}

const struct denial *denial_table_get(const struct denial_table *table, uint16_t index)
{
	if (index < DENIAL_FIRST)
		return &fixed[index];
	return table && index < table->count ? &table->denial[index] : &fixed[DENIAL_OTHER];
}

unsigned denial_worth(const struct denial *d)
{
	return (d->kind != CLASS_OTHER) * 4U + (d->rule[0] != 0) * 2U + (d->reason != REASON_UNKNOWN);
}

uint8_t denial_forwarding_status(const struct denial *d)
{
	return forwarding_status[d->reason < REASON_COUNT ? d->reason : REASON_UNKNOWN];
}
