/* receive.h: messages off the wire and into the journal; nothing is decoded here.
 *
 * One thread per worker of the journal, each with its own sockets (SO_REUSEPORT), its own epoll and its own
 * journal writer: no lock between the wire and the disk. One more thread syncs. A message is taken when it
 * looks like IPFIX: version 10 and, in a datagram, a Length that is the datagram's (RFC 7011 3.1); all else
 * is counted by reason. Over TCP, framing is by Length alone (10.4.3), and a stream that is not IPFIX is
 * closed: there is no way to find the next message in it. */
#pragma once

#include <net/if.h>

#include "collect/journal.h"
#include "transport/transport.h"

enum { RECEIVER_LISTENS = 16 };

/* A LISTEN. A further transport is one file and one row in listeners[]. */
struct listener_type;
extern const struct listener_type *const listeners[]; /* NULL at the end */

/* "Udp", "Tcp", "Tls", "Dtls", "Sctp", "DtlsSctp"; without case. NULL: not one of ours. */
const struct listener_type *listener_find(const char *scheme);
const char *listener_scheme(const struct listener_type *type);
uint16_t listener_default_port(const struct listener_type *type);
bool listener_is_secure(const struct listener_type *type); /* it needs receiver_options.tls */

struct listen_address {
	const struct listener_type *type;
	char host[256]; /* name or address without brackets; "*" or "" is every address of both families */
	uint16_t port;  /* host byte order; 0 = any free one (receiver_port tells) */
};

struct receiver_options {
	struct listen_address listen[RECEIVER_LISTENS];
	uint32_t listens;
	uint32_t workers;             /* 0 = as many as the journal has, and no more than that */
	uint32_t receive_buffer;      /* octets per UDP socket; 0 = 16 MiB */
	uint32_t sessions;            /* connections at a time in all; 0 = 1024 */
	uint32_t sessions_per_source; /* from one IPv4 address or IPv6 /64; 0 = 64 */
	int64_t idle_ns;              /* a connection without a word is closed; 0 = 1 h */
	int64_t first_message_ns;     /* without its first whole message; 0 = 30 s */
	int64_t half_message_ns;      /* from the first octet of a message to its last; 0 = 30 s */
	/* Tls, Dtls and DtlsSctp (RFC 7011 11): our certificate, who may have signed those of exporters, and
	 * which names are let in (none: every one that was signed). Borrowed. */
	const struct tls_options *tls;
	bool tls_anonymous;  /* an exporter may show no certificate; one that it shows must be good */
	uint32_t handshakes; /* half open at a time, per worker and listener; 0 = 256 */
	uint32_t handshakes_per_source; /* of those; 0 = 32 */
	int64_t handshake_ns;           /* to be finished in; 0 = 10 s */
	const struct logger *log;
};

/* Everything a listener counts; names for metrics in listener_counter_names. */
enum listener_counter {
	RECEIVED_MESSAGES, /* taken: handed to the journal */
	RECEIVED_OCTETS,
	REFUSED_SHORT,      /* less than a message header */
	REFUSED_NETFLOW_V5, /* NetFlow, not IPFIX */
	REFUSED_NETFLOW_V9,
	REFUSED_VERSION, /* neither */
	REFUSED_LENGTH,  /* Length is not that of the datagram, or under 16 */
	KERNEL_DROPS,    /* by the kernel, the socket's buffer being full */
	RECEIVE_ERRORS,
	SESSIONS_ACCEPTED,
	SESSIONS_REFUSED_FULL,   /* over the limit in all */
	SESSIONS_REFUSED_SOURCE, /* over the limit for one source */
	ACCEPT_ERRORS,           /* no descriptor or memory: the listener pauses for a second */
	ENDED_BY_PEER,
	ENDED_BY_ERROR,
	ENDED_IDLE,
	ENDED_HALF_MESSAGE,
	ENDED_MALFORMED,
	ENDED_NOT_STORED, /* messages of it could not be: its templates have to come anew */
	ENDED_BY_STOP,
	CUT_SHORT, /* connections that ended, however, inside a message */
	/* Handshakes of Tls, Dtls and DtlsSctp that came to nothing. */
	HANDSHAKES_NO_CERTIFICATE,
	HANDSHAKES_UNTRUSTED, /* signed by nobody that we trust */
	HANDSHAKES_WRONG_NAME,
	HANDSHAKES_EXPIRED,
	HANDSHAKES_VERSION, /* TLS 1.1, DTLS 1.0 and older, or not TLS at all */
	HANDSHAKES_REFUSED, /* the exporter refuses us, or went away */
	HANDSHAKES_FAILED,  /* anything else */
	HANDSHAKES_TIMED_OUT,
	HANDSHAKES_CROWDED_OUT,    /* the oldest of too many: a flood */
	HANDSHAKES_REFUSED_SOURCE, /* too many from one source */
	COOKIES_ASKED, /* Dtls: first words of strangers that were answered without keeping anything */
	STRAY_RECORDS, /* Dtls: of no association */
	LISTENER_COUNTERS,
};
extern const char *const listener_counter_names[LISTENER_COUNTERS];

struct receiver_statistics { /* of one listener, all workers together */
	uint64_t count[LISTENER_COUNTERS];
	uint32_t open_sessions;
	uint32_t receive_buffer; /* octets the kernel granted per socket (as it counts: twice what was asked)
				  */
};

struct receiver;

/* Open the sockets and begin. `journal` is borrowed until receiver_stop.
 * Caller owns *out. ERR_USAGE: an address that is none; ERR_SYSTEM, ERR_PERMISSION: it cannot be listened on.
 */
MUST_CHECK enum status receiver_start(struct receiver **out, struct journal *journal,
				      const struct receiver_options *options, struct error *err);

/* The port that listener `index` is bound to, host byte order. */
uint16_t receiver_port(const struct receiver *receiver, uint32_t index);

/* Any thread. */
void receiver_statistics_read(const struct receiver *receiver, uint32_t index,
			      struct receiver_statistics *out);

/* Take what the kernel still holds (for at most a second), end the threads, close the sockets, sync.
 * Afterwards everything that was received is accepted, or else the answer is ERR_SYSTEM. The statistics stay.
 */
MUST_CHECK enum status receiver_stop(struct receiver *receiver);

/* Stopped or not; NULL is fine. */
void receiver_free(struct receiver *receiver);
