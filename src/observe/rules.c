#include "observe/rules.h"

#include <stdio.h>
#include <string.h>

#include "observe/text.h"

static const char *const action_names[RULE_ACTION_COUNT] = {[RULE_OTHER] = "other",
							    [RULE_ALLOW] = "allow",
							    [RULE_REFUSE] = "acl",
							    [RULE_REFUSE_TRUST] = "trust",
							    [RULE_PASS] = "pass"};

const char *rule_action_name(enum rule_action action)
{
	return action_names[action < RULE_ACTION_COUNT ? action : RULE_OTHER];
}

struct rule_count *rule_table_find(struct rule_table *table, enum rule_action action, enum rule_source source,
				   unsigned direction, const char *name)
{
	char clean[RULE_NAME_MAX];

	copy_clean(clean, sizeof clean, name);
	/* They are counted in one order again and again: the one behind the last is the likeliest. */
	for (uint32_t n = 0, i = table->next; n < table->count; n++, i++) {
		struct rule_count *r = &table->rule[i % table->count];

		if (r->action == action && r->source == source && r->direction == direction &&
		    strcmp(r->name, clean) == 0) {
			table->next = i % table->count + 1;
			return r;
		}
	}
	if (table->count == RULE_TABLE_MAX) {
		table->left_out++;
		return NULL;
	}
	struct rule_count *r = &table->rule[table->count++];
	*r = (struct rule_count){
		.action = (uint8_t)action, .source = (uint8_t)source, .direction = (uint8_t)direction};
	memcpy(r->name, clean, sizeof r->name);
	return r;
}

bool rule_counter_parse(struct rule_count *out, const char *counter)
{
	const char *name = strchr(counter, '/'), *side = strrchr(counter, '/');

	*out = (struct rule_count){.source = SOURCE_COUNTER};
	if (!name || side <= name + 1 || (size_t)(side - name - 1) >= sizeof out->name)
		return false;
	for (uint8_t i = RULE_ALLOW; i < RULE_ACTION_COUNT; i++)
		if (strlen(action_names[i]) == (size_t)(name - counter) &&
		    strncmp(action_names[i], counter, (size_t)(name - counter)) == 0)
			out->action = i;
	out->direction = strcmp(side, "/egress") == 0;
	snprintf(out->name, sizeof out->name, "%.*s", (int)(side - name - 1), name + 1);
	return out->action != RULE_OTHER && (out->direction || strcmp(side, "/ingress") == 0);
}
