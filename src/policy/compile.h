/* compile.h: a policy -> one table of nftables, as the commands of one transaction (libnftables-json(5)).
 *
 * The table POLICY_TABLE of family inet has chains `ingress` and `egress`, to which frames of the overlay
 * interfaces come from the hooks input, forward and output behind everybody's filters (priority 10); a set
 * "trust/NAME/4" and "/6" for each requirement, "peer/NAME/4" and "/6" for each peer (for the look-up by
 * name), and a counter "ACTION/RULE/SIDE" (observe/rules.h). What is refused is logged to an NFLOG group with
 * the prefixes "acl:RULE" and "trust:NAME". Nothing here does I/O. */
#pragma once

#include <jansson.h>

#include "policy/policy.h"

/* One address in the set of a requirement. */
struct trust_member {
	char trust[POLICY_NAME_MAX];
	struct policy_prefix peer;
	uint32_t seconds; /* until it leaves; 0: it stays */
};

struct trust_members {
	uint32_t count;
	struct trust_member *member; /* freed by the owner */
};

/* The transaction that puts the policy in the place of any before; members of requirements that the policy
 * does not have are left out. NULL: no memory. */
json_t *policy_compile(const struct policy *policy, const struct trust_members *members);

/* The transaction that takes the table away; it needs no table to be there. NULL: no memory. */
json_t *policy_compile_removal(void);

/* Add members, or give them another end, or take them out. NULL: no memory. */
json_t *policy_compile_members(const struct trust_members *members, bool add);

/* Append {"add": {what: object}} and steal the object. False: no memory, or a NULL among them. */
bool policy_command(json_t *commands, const char *verb, const char *what, json_t *object);
