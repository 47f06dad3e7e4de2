/* roles.h: the processes that decode, and the one that keeps those that answer. */
#pragma once

#include "daemon/board.h"
#include "daemon/collector.h"

struct role_context {
	const struct collector_options *options;
	const char *store; /* the store's folder, or the scratch folder */
	uint64_t seed;
	struct board *board;
	int requests[2]; /* questions of the page: the collector's end, the workers' end; -1: none */
};

/* What keeper_options.run calls, with a struct role_context. */
int loader_role(void *arg);
int printer_role(void *arg);
int asker_role(void *arg);

/* What every turn of a role tells: it is alive, and has read so far. */
static inline void role_beat(struct role_board *r)
{
	atomic_fetch_add_explicit(&r->beats, 1, memory_order_relaxed);
}

static inline void role_read(struct role_board *r, struct journal_position next, size_t octets,
			     int64_t received_ms)
{
	atomic_store_explicit(&r->read[next.worker], board_position(next.segment, next.offset),
			      memory_order_relaxed);
	atomic_store_explicit(&r->last_received_ms, received_ms, memory_order_relaxed);
	atomic_store_explicit(&r->octets, atomic_load_explicit(&r->octets, memory_order_relaxed) + octets,
			      memory_order_relaxed);
	atomic_store_explicit(&r->messages, atomic_load_explicit(&r->messages, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}
