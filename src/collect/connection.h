/* connection.h: the connections of a listener, each a Transport Session with a number of its own. How octets
 * come over one is its channel's part: as they are (Tcp), through TLS, or message by message (Sctp).
 *
 * A channel that shakes hands first keeps its connection *half open* until both sides are authenticated. Half
 * open ones have limits of their own, so that strangers never take the places of exporters: so many from one
 * source, so many in all (then the oldest gives way to the newest), each for so long. Only an established one
 * is a session, counts against the limits of sessions and may hand messages to the journal.
 *
 * A buffer holds two messages at most, so a read always has room and a session never grows. Every ready
 * session gets one read a turn. */
#pragma once

#include "collect/receive_worker.h"

enum { CONNECTION_BUFFER = 2 * 65536, CONNECTION_READ_MIN = 65536 };

struct connection;
struct connections;

enum channel_progress { CHANNEL_WAITS, CHANNEL_WAITS_TO_WRITE, CHANNEL_UP, CHANNEL_FAILED };

struct channel_type {
	uint8_t transport; /* enum journal_transport */
	int protocol;      /* of the socket: 0 or IPPROTO_SCTP */
	size_t extra;      /* octets of the channel's own state, zeroed: connection_extra */

	/* `read` gives one message at a time; else it gives all there is, or half a buffer. */
	bool single;
	void (*prepare)(int fd); /* the socket, before it listens; NULL: the usual, for streams */

	/* Get ready on a new connection, half open from here on. False: no memory. NULL with `shake`. */
	bool (*begin)(struct connection *);
	/* One step of the handshake. After CHANNEL_FAILED the channel has counted and said why. NULL: there
	 * is none, a connection is a session at once. */
	enum channel_progress (*shake)(struct connection *);
	/* As recv, without waiting. `room` is at least CONNECTION_READ_MIN, and all that the channel holds is
	 * read before it stops for want of more. EBADMSG: octets that are no IPFIX. */
	ssize_t (*read)(struct connection *, uint8_t *out, size_t room);
	/* Whatever `read` gave has been handed to the journal, but for the beginning of a message. NULL:
	 * nothing to do. What a stream's kernel holds is let go of only now: a collector that dies before
	 * makes the kernel reset the connection, and so the exporter learns that not all was read. False: the
	 * kernel holds it still; the connection has to end, for it would be read again. */
	bool (*done)(struct connection *);
	void (*leave)(struct connection *); /* tell the exporter that we are going (RFC 7011 10.4.5) */
	void (*end)(struct connection *);   /* let go of what `begin` made; NULL: nothing */
};

struct connection {
	struct event_source source;
	struct connections *owner;
	int fd;
	bool half_open, waits_to_write, left;
	bool spoke_ipfix; /* a whole message came */
	size_t filled;
	struct mono_ns accepted, heard, began; /* began: the first octet of the message that is not whole */
	struct journal_peer peer;
	struct connection *next, **link;
	uint8_t *buffer; /* CONNECTION_BUFFER octets; NULL while half open */
};

struct connections {
	struct listener listener;
	struct event_source source;
	const struct channel_type *channel;
	void *shared;                        /* of the channel, for all of them; freed by the listener */
	bool paused;                         /* until the next tick: no descriptor for another one */
	struct connection *sessions, *ended; /* ended: freed when the turn is over */
	struct connection *half_open;        /* newest first */
};

/* As recv, but the kernel keeps the octets until stream_let_go. */
ssize_t stream_peek(const struct connection *c, uint8_t *out, size_t room);
bool stream_let_go(const struct connection *c, size_t length);

static inline void *connection_extra(struct connection *c)
{
	return c + 1;
}

/* Make a listener of this type and open its socket. *out is set also after an error, once it exists. */
enum status connections_open(struct listener **out, const struct listener_type *type,
			     const struct channel_type *channel, struct worker *w,
			     const struct sockaddr_storage *address, socklen_t length, struct error *err);

/* The same without a socket: what a worker has whose connections another one takes. */
enum status connections_none(struct listener **out, const struct listener_type *type,
			     const struct channel_type *channel, struct worker *w, struct error *err);

/* The operations of struct listener_type. */
void connections_tick(struct listener *l);
void connections_drain(struct listener *l);
void connections_close(struct listener *l);
void connections_free(struct listener *l);
