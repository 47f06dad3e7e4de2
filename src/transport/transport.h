/* transport.h: moves whole IPFIX Messages to one destination (RFC 7011 section 10). One file a transport, one
 * row in transports[]. Non-blocking; a stackable transport (tls over tcp) holds its `next`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "base/span.h"

/* A COLLECTOR as people write it: "Udp/172.16.1.100:4739", "Udp/[fd00::1]", "File/out.ipfix". */
struct endpoint {
	const struct transport_type *type;
	char host[256]; /* name or address without brackets; the path of a file */
	uint16_t port;  /* host byte order; 0 for files */
};

enum { TLS_NAMES_MAX = 16, TLS_PATH_MAX = 256, TLS_NAME_MAX = 128 };

/* What Tls, Dtls and DtlsSctp show to the collector and ask of it (RFC 7011 section 11). Empty text: not
 * given. */
struct tls_options {
	char certificate[TLS_PATH_MAX]; /* PEM: ours, then intermediate ones */
	char key[TLS_PATH_MAX];         /* PEM */
	char ca[TLS_PATH_MAX];          /* PEM: who may have signed the collector's */
	char server_name[TLS_NAME_MAX]; /* asked for and expected instead of the endpoint's host */
	uint32_t allowed_count;         /* 0: the name above; else only these, as DNS-ID or common name */
	char allowed[TLS_NAMES_MAX][TLS_NAME_MAX];
	uint8_t minimum; /* enum tls_minimum */
};

enum tls_minimum { TLS_AT_LEAST_1_2, TLS_AT_LEAST_1_3 };

/* The property without which there is none of them: "Tls.Key"; NULL: all are there. */
const char *tls_missing(const struct tls_options *options);

/* true: the key file cannot be looked at, or everybody may read it; the text says so. */
bool tls_key_warning(const struct tls_options *options, char *out, size_t size);

struct transport_options {
	const struct logger *log;
	uint16_t max_message;          /* upper bound on a message whatever the path allows; 0 = none */
	bool stacked;                  /* received octets are for the transport above, see struct lower */
	int64_t reconnect_ns;          /* between tries to connect; 0: a minute (RFC 7011 10.4.4) */
	int64_t lifetime_ns;           /* SCTP: data older than this is given up (RFC 3758); 0: never */
	const struct tls_options *tls; /* borrowed while the transport is open; NULL: none */

	/* Write a Message without Sets (RFC 7011 2) and answer its length; 0: there is none. What becomes of
	 * it tells what the collector has read: behind its end of a TCP connection, and before our end of an
	 * SCTP association. delivery().unread counts by that. NULL: it is not known there. */
	size_t (*question)(void *arg, uint8_t *out, size_t size);
	void *question_arg;

	/* Write what is to go last of all, once the collector has read everything, and answer its length; 0:
	 * nothing (RFC 6083 4.9). Of a transport above, with the same argument; NULL: nothing. */
	size_t (*last_word)(void *arg, uint8_t *out, size_t size);
};

/* How far messages came, counted on a scale of the transport's own that begins anew with each generation.
 * After a connection broke the last values stay until the next generation. */
struct delivery {
	uint64_t taken;     /* end of the message that send took last */
	uint64_t confirmed; /* what ends here or before has reached the peer's transport */
	uint64_t unread;    /* after a break: so much before `confirmed` the peer may never have read */
	uint64_t lost;      /* not 0: the message that ends here was given up; ask again for the next one */
	bool left;          /* the connection was not waited for any longer: the rest may still arrive */
};

/* How a connection stands. */
enum transport_state {
	TRANSPORT_DOWN,   /* none, or not yet: nothing that was taken will be confirmed any more */
	TRANSPORT_ENDING, /* takes no message, but what was taken may still be confirmed */
	TRANSPORT_UP,
};

struct transport;

struct transport_type {
	const char *scheme;    /* "Udp"; compared without case */
	const char *usage;     /* "Udp/HOST[:PORT]" */
	uint16_t default_port; /* 0: the endpoint is a path */
	bool reliable; /* templates need no refresh; sequence and templates start anew at each connection */
	bool secure;   /* needs struct tls_options */

	/* ERR_SYSTEM, ERR_PERMISSION, ERR_UNSUPPORTED with text. A host that cannot be resolved or reached
	 * now is no error: send answers AGAIN and open tries go on inside. */
	enum status (*open)(struct transport **out, const struct endpoint *to,
			    const struct transport_options *options, struct error *err);

	/* Housekeeping, once before a turn of sending: take in errors that the network reported, finish name
	 * look-ups, try to connect again when it is time. Never blocks. NULL: nothing to do. */
	void (*service)(struct transport *);

	/* Octets that the next message may have at most (path MTU less headers; RFC 7011 10.3.3: 512-octet
	 * packets where the path MTU is unknown). */
	size_t (*message_limit)(struct transport *);

	/* All or nothing. OK: handed to the kernel or written. AGAIN: no room or no connection now, the
	 * message is still the caller's. ERR_LIMIT: larger than the path takes now (ask message_limit again).
	 * ERR_SYSTEM: this message is lost, the transport goes on (an ICMP error on UDP). */
	enum status (*send)(struct transport *, struct span message, struct error *err);

	/* send for several messages of `each` octets side by side, of which the last may be shorter; all or
	 * nothing. At most many() of them, and 65507 octets. ERR_UNSUPPORTED: nothing was sent, the network
	 * does not take it after all, and many() is 1 from now on. Both NULL: messages go one by one. */
	enum status (*send_many)(struct transport *, struct span messages, size_t each, struct error *err);
	uint32_t (*many)(const struct transport *);

	/* Whatever was sent is out of our hands: a file is on its way to the disk. ERR_SYSTEM with the path.
	 * NULL: nothing is held back. */
	enum status (*flush)(struct transport *, struct error *err);

	/* Counts every event after which the peer may have lost its templates: a new connection, an ICMP
	 * error, a host name that resolved to another address. A session whose number differs from the one it
	 * saw last sends templates (and on a reliable transport starts a new Transport Session). */
	uint32_t (*generation)(const struct transport *);

	/* NULL: what send took is done with. Else the caller keeps what is not confirmed, and sends it again
	 * when the generation changed. To be asked before each service: no service both loses a connection
	 * and begins the next one. */
	struct delivery (*delivery)(struct transport *);

	/* NULL: there are no connections (UDP, files); errors alone tell of a peer that is away. */
	enum transport_state (*state)(const struct transport *);

	/* Take no more messages, and end the connection in order: what was taken goes out, then our end of
	 * it; service goes on with that. `state` is ENDING until the peer has closed its side too, which it
	 * does when it has read everything, or the connection broke, or nothing moved for `patience_ns`;
	 * then DOWN, for good, and delivery().unread tells what the peer may not have read. At once where
	 * nothing was sent. Asked again: with another patience. NULL: close is enough. */
	void (*finish)(struct transport *, int64_t patience_ns);

	int (*poll_fd)(const struct transport *); /* -1: none */
	bool (*addresses)(const struct transport *, struct sockaddr_storage *local,
			  struct sockaddr_storage *remote);
	void (*close)(struct transport *); /* flush first when its answer matters */

	const struct lower *lower; /* what a transport that stands on this one needs; NULL: none can */
};

struct lower {
	/* Octets, or one datagram, that came from the peer. OK: *length of them (never 0). AGAIN: none now.
	 * END: the peer sends no more, or there is no connection. */
	enum status (*receive)(struct transport *, void *out, size_t size, size_t *length);

	/* End this connection, with what was taken sent; the next try comes when it is time. On UDP: go on
	 * from another port. */
	void (*disconnect)(struct transport *);
};

/* First member of every transport. */
struct transport {
	const struct transport_type *type;
	uint64_t errors; /* events that cost or delayed a message: ICMP errors, no route, failed writes */
};

extern const struct transport_type udp_transport, tcp_transport, sctp_transport, tls_transport,
	dtls_transport, dtls_sctp_transport, file_transport;
extern const struct transport_type *const transports[]; /* NULL at the end */

/* Parse SCHEME/HOST:PORT. ERR_USAGE names what was seen and what is allowed. */
MUST_CHECK enum status endpoint_parse(struct endpoint *out, const char *text, struct error *err);

/* The canonical form: "Udp/[2001:db8::1]:4739". */
void endpoint_print(const struct endpoint *endpoint, char *out, size_t size);
