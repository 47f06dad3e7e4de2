/* dial.h: whom to connect to and when, for the transports that have connections (RFC 7011 10.2.4, 10.4.4).
 *
 * A try goes to each address of the host, one after another; tries begin `interval` apart, so that no address
 * is asked more often. A name is looked up anew for each try, in a thread beside the loop. */
#pragma once

#include "transport/lookup.h"
#include "transport/transport.h"

#define DIAL_INTERVAL_NS (60 * NS_PER_S) /* RFC 7011 10.4.4: never more often than this by default */

struct dial {
	const struct logger *log;
	const char *scheme; /* as the endpoint has it */
	uint16_t port;
	bool named;
	struct lookup *lookup; /* under way */
	struct lookup_result found;
	uint32_t next;    /* address of this try that comes next; found.count: none left */
	int64_t interval; /* ns */
	int64_t try_at;   /* mono ns: when the next try may begin */
	int64_t log_at;
	char said[640]; /* the complaint of before: told again once in a while only */
	char host[sizeof((struct endpoint *)0)->host];
};

void dial_init(struct dial *d, const struct endpoint *to, const struct transport_options *options);
void dial_fini(struct dial *d);

/* The address to connect to now. NULL: it is not time yet, or the look-up goes on or failed (then `owner`
 * counts and the log has it). Borrowed until the next call. */
const struct sockaddr_storage *dial_next(struct dial *d, struct transport *owner);

/* Something kept records from the collector: count it, and log it unless the same was logged just now. */
void dial_trouble(struct dial *d, struct transport *owner, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* It works: the other addresses are left alone, and what goes wrong from here on is news. */
void dial_well(struct dial *d);

socklen_t dial_length(const struct sockaddr_storage *address);
