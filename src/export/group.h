/* group.h: the collectors that one session may be sent to, in order of priority (RFC 5470 8.2, RFC 7011
 * 10.2.5, 10.3.5, 10.4.5). A session to a single collector has one member and nothing to choose.
 *
 * How it is known that a member is away. Tcp, Tls, Sctp: its connection ended (keepalive and the timeout of
 * unacknowledged octets are the transport's), or none comes about: an error was counted, or PATIENCE_NS
 * passed. Dtls: likewise; a collector that vanishes without an ICMP error is noticed only at the next
 * handshake. Udp: an ICMP error or no route, nothing else; a collector that is silently gone is not noticed.
 *
 * A lower member is spoken to (and connected) only when all above it are away. The members above the one in
 * use are tried all the time, at the transport's own rate; one that has been reachable for the hold time
 * takes over again. Each switch begins a new Transport Session: templates and options first. */
#pragma once

#include "export/exporter.h"

/* After a switch to a member without connections only templates and options go for so long: a refusal is
 * heard before it has cost a record. */
#define TRIAL_NS (2 * NS_PER_S)

struct member {
	struct endpoint endpoint;
	struct transport *transport; /* NULL: could not be made again; tried later */
	struct session *session;     /* that it is a member of */
	bool up;
	bool was_up;
	int64_t since;     /* mono ns: when `up` changed last, or it was first spoken to; 0: never */
	uint64_t errors;   /* of the transport, when it was up last */
	uint64_t counted;  /* errors of transports that were closed */
	uint32_t sequence; /* of a session over UDP, which goes on when the member is used again */
};

struct group {
	uint32_t count, active;
	uint32_t reach;      /* members from 0 to here are spoken to */
	int64_t trial_until; /* mono ns */
	bool returning;      /* records wait until those in flight are confirmed; then the better member */
	bool finishing;      /* … and until the collector has read them: its connection ends */
	int64_t return_at;   /* mono ns: then it is not waited for any more */
	struct member member[COLLECTOR_MAX];
};

/* Housekeeping of all members but the active one, whose transport was served already; then look how each
 * stands. */
void group_observe(struct group *g, int64_t now, int64_t hold_ns);

/* Which member ought to be used. The active one: leave it so. *urgent: the active one is away. */
uint32_t group_choose(const struct group *g, int64_t now, int64_t hold_ns, bool *urgent);

/* No member takes records now, and the active one's connection confirms none. */
bool group_away(const struct group *g);

/* Errors of all members since the start. */
uint64_t group_errors(const struct group *g);
