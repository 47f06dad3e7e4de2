/* table.h: the policy's table in the kernel, through the program nft.
 *
 * What is written is one transaction of the kernel, whose text nft has whole before it begins: however and
 * whenever one of us ends, the policy before or the one behind stands. */
#pragma once

#include "policy/compile.h"

/* One at a time changes the policy of a network namespace: closing *hold, or the end of the process, lets the
 * next one. Waits up to ten seconds. ERR_LIMIT: somebody else still holds it. */
MUST_CHECK enum status policy_lock(int *hold, struct error *err);

/* What nft lists of the table; *out is NULL when there is none. Caller ends it with json_decref.
 * ERR_UNSUPPORTED: no nft here; ERR_SYSTEM with what it said. */
MUST_CHECK enum status policy_table_list(json_t **out, struct error *err);

/* Send a transaction and end its text (NULL: ERR_MEMORY). ERR_SYSTEM with what nft said: then nothing has
 * changed. */
MUST_CHECK enum status policy_table_send(json_t *commands, struct error *err);

/* ---- reading a list ---- */

/* Who is in the sets of requirements. Caller frees out->member. ERR_MEMORY. */
MUST_CHECK enum status policy_list_members(const json_t *list, struct trust_members *out, struct error *err);

/* Whether there is this requirement. */
bool policy_list_has_trust(const json_t *list, const char *name);

/* The hosts of a peer's name, as prefixes; at most `room`. 0: no such peer. *wide: one of its prefixes is no
 * host. */
uint32_t policy_list_peer(const json_t *list, const char *name, struct policy_prefix *out, uint32_t room,
			  bool *wide);

/* The next counter of the list, from *index (0 at first) on. False: no more. */
struct rule_count;
bool policy_list_next_counter(const json_t *list, size_t *index, struct rule_count *out);
