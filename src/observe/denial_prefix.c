#include <stdio.h>
#include <string.h>

#include "observe/nflog.h"

const struct denial_prefixes denial_prefixes_standard = {
	.count = 5,
	.prefix = {{REASON_DROPPED, CLASS_ACL, "acl:"},
		   {REASON_DROPPED, CLASS_TRUST, "trust:"},
		   {REASON_DROPPED, CLASS_ACL, "drop:"},
		   {REASON_DROPPED, CLASS_ACL, "deny:"},
		   {REASON_REJECTED, CLASS_ACL, "reject:"}},
};

static const struct {
	const char *word;
	uint8_t reason, kind;
} meanings[] = {
	{"acl", REASON_DROPPED, CLASS_ACL},
	{"trust", REASON_DROPPED, CLASS_TRUST},
	{"reject", REASON_REJECTED, CLASS_ACL},
	{"other", REASON_UNKNOWN, CLASS_OTHER},
};

bool denial_prefix_parse(struct denial_prefix *out, const char *text)
{
	const char *equals = strrchr(text, '=');
	const char *word = equals ? equals + 1 : "acl";
	const size_t length = equals ? (size_t)(equals - text) : strlen(text);

	if (length == 0 || length >= sizeof out->text)
		return false;
	for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
		if (strcmp(word, meanings[i].word) != 0)
			continue;
		*out = (struct denial_prefix){.reason = meanings[i].reason, .kind = meanings[i].kind};
		memcpy(out->text, text, length);
		return true;
	}
	return false;
}

uint16_t denial_prefixes_match(const struct denial_prefixes *prefixes, const char *log_prefix,
			       struct denial_table *table)
{
	for (uint32_t i = 0; i < prefixes->count; i++) {
		const struct denial_prefix *p = &prefixes->prefix[i];
		const size_t length = strlen(p->text);
		char rule[DENIAL_RULE_MAX];

		if (strncmp(log_prefix, p->text, length) != 0)
			continue;
		const char *name = log_prefix + length + strspn(log_prefix + length, " ");
		size_t n = strnlen(name, sizeof rule - 1);
		while (n > 0 && (name[n - 1] == ' ' || name[n - 1] == ':'))
			n--;
		snprintf(rule, sizeof rule, "%.*s", (int)n, name);
		return denial_table_add(table, p->reason, p->kind, rule);
	}
	return DENIAL_NONE;
}
