/* secure.h: what Tls and Dtls have in common (RFC 7011 section 11): our certificate, whom to trust, and the
 * check of who the collector is. We are the client (11.2). Nothing is sent to a collector that did not pass.
 *
 * TLS 1.2 and 1.3, DTLS 1.2; cipher suites with forward secrecy and authenticated encryption only. */
#pragma once

#include <openssl/ssl.h>

#include "transport/transport.h"

struct secure_context;

/* What one connection's check of the collector needs, and what it found. */
struct secure_peer {
	const struct secure_context *context;
	char refusal[512]; /* why the certificate was refused; empty: it was not */
	bool accepted; /* the collector gave us a session ticket: it has seen our certificate and took it */
};

/* Read the files. ERR_USAGE: one of them is not named in the profile, or DTLS 1.3 is asked for.
 * ERR_PERMISSION, ERR_SYSTEM: a file. Borrows `options->tls`. Ended with secure_free. */
MUST_CHECK enum status secure_new(struct secure_context **out, const struct endpoint *to,
				  const struct transport_options *options, bool datagrams, struct error *err);
void secure_free(struct secure_context *context);

/* A connection that has not begun, without BIO; `peer` must outlive it. NULL: no memory. */
SSL *secure_connection(const struct secure_context *context, struct secure_peer *peer);

/* After SSL_get_error said `error` for an operation that answered neither data nor "later": why, for people.
 */
void secure_reason(const SSL *ssl, const struct secure_peer *peer, int error, char *out, size_t size);
