#include <string.h>

#include "collect/receive_worker.h"

/* One IPv6 host has a whole /64 to itself. */
static struct in6_addr source_of(const struct in6_addr *address)
{
	struct in6_addr source = *address;

	if (!IN6_IS_ADDR_V4MAPPED(address))
		memset(&source.s6_addr[8], 0, 8);
	return source;
}

bool same_source(const struct in6_addr *a, const struct in6_addr *b)
{
	const struct in6_addr of_a = source_of(a), of_b = source_of(b);

	return memcmp(&of_a, &of_b, sizeof of_a) == 0;
}

static struct source_count *find_source(struct session_limits *limits, const struct in6_addr *source)
{
	for (uint32_t i = 0; i < limits->sources; i++) {
		if (memcmp(&limits->source[i].address, source, sizeof *source) == 0)
			return &limits->source[i];
	}
	return NULL;
}

enum listener_counter session_admit(struct session_limits *limits, const struct in6_addr *address)
{
	const struct in6_addr source = source_of(address);
	enum listener_counter answer = SESSIONS_ACCEPTED;

	pthread_mutex_lock(&limits->lock);
	struct source_count *count = find_source(limits, &source);
	if (count && count->count >= limits->most_per_source) {
		answer = SESSIONS_REFUSED_SOURCE;
	} else if (limits->total >= limits->most) {
		answer = SESSIONS_REFUSED_FULL;
	} else {
		if (!count) {
			count = &limits->source[limits->sources++];
			*count = (struct source_count){source, 0};
		}
		count->count++;
		limits->total++;
	}
	pthread_mutex_unlock(&limits->lock);
	return answer;
}

void session_leave(struct session_limits *limits, const struct in6_addr *address)
{
	const struct in6_addr source = source_of(address);

	pthread_mutex_lock(&limits->lock);
	struct source_count *count = find_source(limits, &source);
	limits->total--;
	if (--count->count == 0)
		*count = limits->source[--limits->sources];
	pthread_mutex_unlock(&limits->lock);
}
