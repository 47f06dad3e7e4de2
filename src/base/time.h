/* time.h: two clocks that cannot be mixed by accident.
 *
 * mono_ns drives timers and measures durations: CLOCK_MONOTONIC on a live device, packet time over a capture
 * file. wall_ns is what people read and what IPFIX carries: nanoseconds since 1970-01-01 UTC. The source of
 * packets says how far apart the two are (struct packet_batch, to_wall); over a capture file they are equal.
 */
#pragma once

#include <stdint.h>
#include <time.h>

struct mono_ns {
	int64_t ns;
};

struct wall_ns {
	int64_t ns;
};

#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

static inline int64_t clock_read(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static inline struct mono_ns mono_now(void)
{
	return (struct mono_ns){clock_read(CLOCK_MONOTONIC)};
}

static inline struct wall_ns wall_now(void)
{
	return (struct wall_ns){clock_read(CLOCK_REALTIME)};
}

/* Milliseconds since 1970, rounded down also before it. */
static inline int64_t wall_ms(struct wall_ns t)
{
	return t.ns >= 0 ? t.ns / NS_PER_MS : -((-t.ns + NS_PER_MS - 1) / NS_PER_MS);
}
