/* kernel_cache.h: flows that the kernel counts at one interface (observe/bpf/count.bpf.c), and how they are
 * taken out of it without losing an update.
 *
 * To take them: swap all caches, wait once (kernel_cache_wait), then collect each. After the wait no program
 * writes to the tables that were swapped out. Linux 6.6. One thread. */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "observe/bpf/flow_cache.h"

struct kernel_cache;

struct kernel_cache_options {
	uint32_t ifindex;
	uint8_t link;    /* enum link_layer: LINK_ETHERNET or LINK_IP */
	uint32_t octets; /* memory for slots, and again as much for the ring; rounded to powers of two */
	int64_t idle_ns; /* packets that are further apart than this are never told together */
	bool dscp_key;
};

/* Counters since it was opened. */
struct kernel_cache_statistics {
	uint64_t frames, octets; /* that passed; octets of frames */
	uint64_t lost;           /* packets that found no room */
};

/* Takes what comes out. Borrowed: it is gone when the function returns. Frames are not cut further than
 * FLOW_CACHE_SNAP. */
struct kernel_cache_sink {
	void (*flow)(void *arg, const struct cached_flow *flow);
	void (*frame)(void *arg, const struct cache_event_frame *frame);
	void *arg;
};

/* Is all that is needed there: rights, kernel, and no real-time kernel, where programs can be interrupted by
 * others? ERR_PERMISSION, ERR_UNSUPPORTED with a text. */
MUST_CHECK enum status kernel_cache_check(struct error *err);

/* Count from now on. AGAIN: the interface is gone. ERR_PERMISSION, ERR_UNSUPPORTED, ERR_SYSTEM, ERR_MEMORY.
 */
MUST_CHECK enum status kernel_cache_open(struct kernel_cache **out,
					 const struct kernel_cache_options *options, struct error *err);
void kernel_cache_close(struct kernel_cache *cache);

/* Count no more; what was counted stays. */
void kernel_cache_detach(struct kernel_cache *cache);

/* False: detached, or the interface is gone. */
bool kernel_cache_is_attached(const struct kernel_cache *cache);

/* From now on packets come out one by one, or are counted again. Each of them is told once, whatever it
 * meets: the program asks once for each. */
void kernel_cache_apart(struct kernel_cache *cache, bool apart);

/* Becomes readable (edge-triggered) when the ring is filling up. */
int kernel_cache_fd(const struct kernel_cache *cache);

/* False: nothing was counted since the last collecting, and nothing was swapped. */
bool kernel_cache_swap(struct kernel_cache *cache);

/* Until every program that began before has ended. Some 10 ms. */
MUST_CHECK enum status kernel_cache_wait(struct error *err);

/* Everything that was counted before the swap, and of the ring also what came since. No order. */
void kernel_cache_collect(struct kernel_cache *cache, const struct kernel_cache_sink *sink);

void kernel_cache_statistics(const struct kernel_cache *cache, struct kernel_cache_statistics *out);
