/* nflog.h: which NFLOG prefixes tell of refused frames.
 *
 * A rule that logs also says what it is: "acl:web-only" is the rule web-only of class acl. A frame whose
 * prefix begins with none of the table was logged for another reason; it is no refusal. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "observe/denial.h"

enum { NFLOG_GROUPS_MAX = 16, DENIAL_PREFIXES_MAX = 32, DENIAL_PREFIX_MAX = 64 };

struct denial_prefix {
	uint8_t reason, kind; /* enum denial_reason, enum denial_class */
	char text[DENIAL_PREFIX_MAX];
};

struct denial_prefixes {
	uint32_t count;
	struct denial_prefix prefix[DENIAL_PREFIXES_MAX];
};

/* acl: trust: drop: deny: reject: */
extern const struct denial_prefixes denial_prefixes_standard;

/* "TEXT=acl", "TEXT=trust", "TEXT=reject" or "TEXT=other"; only TEXT is acl. False: neither, or empty, or
 * longer than 63 octets. */
bool denial_prefix_parse(struct denial_prefix *out, const char *text);

/* The index of the denial that a log prefix tells of, its rest being the rule's name; DENIAL_NONE: of none.
 */
uint16_t denial_prefixes_match(const struct denial_prefixes *prefixes, const char *log_prefix,
			       struct denial_table *table);
