/* own_session.h: the login over the network that the caller sits in, which a policy could cut off. */
#pragma once

#include "policy/verdict.h"

/* Find SSH_CONNECTION in the environment of this process or of one that it comes from (sudo takes it away).
 * False: there is none. */
bool own_session_find(struct policy_frame *out);

/* The same from text: "CLIENT PORT SERVER PORT". */
bool own_session_parse(struct policy_frame *out, const char *text);

/* Whether it comes in over one of the interfaces of the policy. */
bool own_session_is_over(const struct policy *policy, const struct policy_frame *session);
