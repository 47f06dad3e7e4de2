/* dtls_door.h: what a datagram of a stranger goes through before anything is kept for him (RFC 6347 4.2.1):
 * his first ClientHello is answered with a cookie, made from his address and a secret; only who gives it back
 * can receive where he says he is, and gets an association. No socket, no clock: datagrams in, datagrams out.
 *
 * One door belongs to one thread. A cookie is good for this minute and the next. */
#pragma once

#include <sys/socket.h>

#include "base/time.h"
#include "transport/secure.h"

enum datagram_kind {
	DATAGRAM_OTHER,  /* no DTLS record */
	DATAGRAM_HELLO,  /* a ClientHello in the clear: an association begins */
	DATAGRAM_RECORD, /* any other record */
};

/* By the first octets alone; what they say is not believed, only told apart. */
enum datagram_kind datagram_kind(struct span octets);

struct dtls_end;

/* Where what OpenSSL writes goes: to end->address. `octets` is borrowed. */
typedef void dtls_output(void *arg, const struct dtls_end *end, struct span octets);

/* One side of an association: OpenSSL between datagrams that come and datagrams that go. */
struct dtls_end {
	SSL *ssl;
	struct secure_peer peer;
	struct sockaddr_storage address; /* of the exporter */
	socklen_t length;
	struct span in; /* the datagram that the next read takes; borrowed */
	dtls_output *output;
	void *arg;
	struct dtls_door *door;
};

struct dtls_door;

/* `context` is borrowed until the door is closed; ends that it let in may not outlive the door. ERR_MEMORY.
 */
MUST_CHECK enum status dtls_door_new(struct dtls_door **out, const struct secure_context *context,
				     struct error *err);
void dtls_door_free(struct dtls_door *door);

/* A ClientHello from `address`. END: he has the cookie; *out is the caller's, with the ClientHello inside:
 * next comes SSL_do_handshake. AGAIN: he was asked for one (by `output`). ERR_FORMAT: it is no ClientHello.
 * ERR_MEMORY. */
MUST_CHECK enum status dtls_door_knock(struct dtls_door *door, const struct sockaddr_storage *address,
				       socklen_t length, struct span hello, struct mono_ns now,
				       dtls_output *output, void *arg, struct dtls_end **out);
void dtls_end_free(struct dtls_end *end);
