/* verdict.h: what a policy says of the first frame of a connection, without the kernel. */
#pragma once

#include "policy/compile.h"

struct policy_frame {
	bool egress;
	struct policy_prefix source, destination; /* hosts */
	uint8_t protocol;
	uint16_t port; /* destination */
};

struct policy_verdict {
	bool allowed;
	bool trust;       /* a requirement refused it */
	const char *name; /* of the rule or the requirement; borrowed from the policy, or static */
};

struct policy_verdict policy_judge(const struct policy *policy, const struct trust_members *members,
				   const struct policy_frame *frame);
