/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * owner.h: what the kernel's side (owner.bpf.c) tells the other one (observe/owners.c): whose socket the
 * packets of a flow come from or go to. Host byte order but for the key. The includer has the integer types:
 * linux/bpf.h or linux/types.h. */
#pragma once

enum { OWNER_NAME = 16, OWNED_KEY_WORDS = 5, OWNED_FLOWS = 1 << 16, OWNER_RING_OCTETS = 1 << 21 };

/* Who made a socket; of an accepted one, who made the socket that listened. */
struct owner {
	__u32 process; /* 0: not known */
	__u32 user;
	char name[OWNER_NAME]; /* of the process, when it made the socket */
};

struct owner_event {
	__u64 key[OWNED_KEY_WORDS]; /* as in flow_cache.h, without DSCP */
	struct owner owner;
};
