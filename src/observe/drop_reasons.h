/* drop_reasons.h: which of the kernel's reasons to drop a frame are policy. One table.
 *
 * All that is not in it (no socket, TCP's flags, checksums, queues that are full …) is how networks work and
 * no refusal. Names are those of enum skb_drop_reason without SKB_DROP_REASON_; their numbers differ from
 * kernel to kernel, and older kernels lack some: who asks finds them by name in the kernel's BTF. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/time.h"
#include "observe/denial.h"

struct drop_reason {
	const char *name;
	uint8_t reason; /* enum denial_reason */
	uint8_t kind;   /* enum denial_class: what the kernel's reason proves, which is never trust */
	const char *rule;
};

struct packet_source;

/* kfree_skb.c: of a source of type kfree_skb_source: keep what was dropped after this time until it is called
 * again; sources that know more have not told of it yet. */
void kfree_skb_hold(struct packet_source *source, struct mono_ns after);

/* Ends with a row without a name. */
extern const struct drop_reason drop_reasons[];

/* The row of a name, with or without SKB_DROP_REASON_; NULL: it is no policy. */
const struct drop_reason *drop_reason_find(const char *name);
