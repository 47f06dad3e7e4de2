/* lookup.h: host names to addresses beside the loop.
 *
 * getaddrinfo blocks for as long as a resolver takes, so each look-up runs in a thread of its own that
 * touches nothing but its result. A resolver that never answers costs one waiting thread, not the loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { LOOKUP_ADDRESS_MAX = 16 };

struct lookup_result {
	uint32_t count; /* 0: no such name, or no resolver; `reason` says */
	const char *reason;
	struct sockaddr_storage address[LOOKUP_ADDRESS_MAX]; /* with port, in the resolver's order */
};

struct lookup;

/* `host` is an IP address (IPv6 with or without zone), not a name: the answer is there without a thread. */
bool lookup_numeric(const char *host, uint16_t port, struct sockaddr_storage *out);

/* NULL: no memory or no thread; try later. Ended with lookup_free, finished or not. */
struct lookup *lookup_start(const char *host, uint16_t port);

/* Wait at most `wait_ns` (0: only look). true: `out` is filled; the look-up answers once. */
bool lookup_finished(struct lookup *lookup, int64_t wait_ns, struct lookup_result *out);

void lookup_free(struct lookup *lookup);
