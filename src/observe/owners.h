/* owners.h: which process and which user the packets of a flow come from or go to, where they are of this
 * system (observe/bpf/owner.bpf.c). Linux 6.6.
 *
 * Known are sockets that were made after owners_open: by whoever made them, and accepted ones by who made the
 * one that listened. Of other flows, and of packets that are not ordinary ones (observe/bpf/read_flow.h),
 * nothing is known; a value is never guessed. One thread. */
#pragma once

#include <linux/types.h>

#include "base/error.h"
#include "base/log.h"
#include "observe/bpf/owner.h"
#include "observe/packet.h"
#include "observe/point.h"
#include "observe/users.h"

struct owners;

struct flow_owner {
	struct owner owner;       /* process: never 0 */
	char user[USER_NAME_MAX]; /* its name, or its number as text */
};

struct owners_statistics {
	uint64_t told; /* events that came */
	uint64_t lost; /* … that found no room at first */
	uint32_t interfaces;
};

/* From now on sockets are known. ERR_PERMISSION (CAP_BPF, CAP_NET_ADMIN, and CAP_PERFMON where the kernel
 * asks for it), ERR_UNSUPPORTED, ERR_SYSTEM, ERR_MEMORY. */
MUST_CHECK enum status owners_open(struct owners **out, const struct logger *log, struct error *err);
void owners_close(struct owners *owners);

/* Look at the packets of the interfaces that are up in the table, and of no others. What cannot be looked at
 * is said in the log, once. */
void owners_follow(struct owners *owners, const struct point_table *points);

/* Take in what the kernel has told since. No system call. */
void owners_read(struct owners *owners);

/* By a flow key of decode/decode.h and an enum flow_direction; NULL: nothing is known. Borrowed until the
 * next owners_read. */
const struct flow_owner *owners_find(const struct owners *owners, const void *flow_key, uint8_t direction);

void owners_statistics(const struct owners *owners, struct owners_statistics *out);
