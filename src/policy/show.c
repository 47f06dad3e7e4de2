#include "policy/show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "observe/rules.h"

static void show_counters(const json_t *list, FILE *out)
{
	static const char *const words[RULE_ACTION_COUNT] = {[RULE_ALLOW] = "allow",
							     [RULE_REFUSE] = "deny",
							     [RULE_REFUSE_TRUST] = "deny, trust",
							     [RULE_PASS] = "pass"};
	struct rule_count c;
	size_t at = 0;

	fprintf(out, "%-48s %-12s %-8s %14s %16s\n", "RULE", "ACTION", "SIDE", "PACKETS", "OCTETS");
	while (policy_list_next_counter(list, &at, &c))
		fprintf(out, "%-48s %-12s %-8s %14" PRIu64 " %16" PRIu64 "\n", c.name,
			words[c.action < RULE_ACTION_COUNT ? c.action : RULE_ALLOW],
			c.direction ? "egress" : "ingress", c.packets, c.octets);
}

static void show_end(uint32_t seconds, char *out, size_t size)
{
	if (seconds == 0)
		snprintf(out, size, "stays");
	else if (seconds < 120)
		snprintf(out, size, "%" PRIu32 " s left", seconds);
	else if (seconds < 7200)
		snprintf(out, size, "%" PRIu32 " min left", seconds / 60);
	else
		snprintf(out, size, "%" PRIu32 " h left", seconds / 3600);
}

/* Every requirement has a set of each IP version: the first one brings its name. */
static bool is_requirement(const json_t *object, char name[POLICY_NAME_MAX])
{
	const char *set = json_string_value(json_object_get(json_object_get(object, "set"), "name"));
	const size_t length = set ? strlen(set) : 0;

	if (length < 9 || strncmp(set, "trust/", 6) != 0 || strcmp(set + length - 2, "/4") != 0)
		return false;
	snprintf(name, POLICY_NAME_MAX, "%.*s", (int)(length - 8), set + 6);
	return true;
}

static void show_members(const struct trust_members *members, const char *trust, FILE *out)
{
	uint32_t shown = 0;

	for (uint32_t i = 0; i < members->count; i++) {
		const struct trust_member *m = &members->member[i];
		char address[64], end[32];

		if (strcmp(m->trust, trust) != 0)
			continue;
		policy_prefix_text(&m->peer, address, sizeof address);
		show_end(m->seconds, end, sizeof end);
		fprintf(out, "  %-46s %s\n", address, end);
		shown++;
	}
	if (shown == 0)
		fprintf(out, "  nobody\n");
}

enum status policy_show(const json_t *list, FILE *out, struct error *err)
{
	struct trust_members members;
	const enum status status = policy_list_members(list, &members, err);

	if (status == OK) {
		show_counters(list, out);
		for (size_t i = 0; i < json_array_size(list); i++) {
			char name[POLICY_NAME_MAX];

			if (!is_requirement(json_array_get(list, i), name))
				continue;
			fprintf(out, "\ntrust requirement %s is met by\n", name);
			show_members(&members, name, out);
		}
	}
	free(members.member);
	return status;
}
