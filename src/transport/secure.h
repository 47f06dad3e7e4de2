/* secure.h: what Tls and Dtls have in common (RFC 7011 section 11): our certificate, whom to trust, and the
 * check of who the peer is. An exporter is the client (11.2), a collector the server. Nothing is sent to, or
 * taken from, a peer that did not pass.
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
	int verify_error;  /* X509_V_ERR_…, of the refusal */
	bool accepted; /* the collector gave us a session ticket: it has seen our certificate and took it */
};

/* Read the files. ERR_USAGE: one of them is not named in the profile, or DTLS 1.3 is asked for.
 * ERR_PERMISSION, ERR_SYSTEM: a file. Borrows `options->tls`. Ended with secure_free. */
MUST_CHECK enum status secure_new(struct secure_context **out, const struct endpoint *to,
				  const struct transport_options *options, bool datagrams, struct error *err);
void secure_free(struct secure_context *context);

/* The server's side. AllowedNames are of exporters; none: every certificate that the CA signed is good.
 * `anonymous`: a client may show none. Errors as above. */
MUST_CHECK enum status secure_new_server(struct secure_context **out, const struct tls_options *options,
					 bool datagrams, bool anonymous, struct error *err);

/* For what the library sets per context; borrowed. */
SSL_CTX *secure_library(const struct secure_context *context);

/* A connection that has not begun, without BIO; `peer` must outlive it. NULL: no memory. */
SSL *secure_connection(const struct secure_context *context, struct secure_peer *peer);

/* A kind of BIO whose reads and writes are datagrams, each whole: OpenSSL 3.0 has none that is not a socket.
 * `control` has to answer BIO_CTRL_FLUSH and BIO_CTRL_DGRAM_QUERY_MTU. Freed with BIO_meth_free. NULL: no
 * memory. */
BIO_METHOD *secure_datagrams(int (*write)(BIO *, const char *, int), int (*read)(BIO *, char *, int),
			     long (*control)(BIO *, int, long, void *));

/* Let `ssl` go over such a BIO, which gives `arg` as its data. false: no memory. */
bool secure_attach(SSL *ssl, const BIO_METHOD *method, void *arg, long mtu);

/* Why a handshake failed, to be counted. */
enum secure_fault {
	SECURE_NO_CERTIFICATE,
	SECURE_UNTRUSTED,
	SECURE_WRONG_NAME,
	SECURE_EXPIRED, /* or not valid yet */
	SECURE_VERSION, /* one that is not allowed, or no TLS at all */
	SECURE_REFUSED, /* by the peer, or it went away */
	SECURE_OTHER,
};
enum secure_fault secure_fault(const struct secure_peer *peer, int error);

/* The name in the peer's certificate: common name, else the first DNS-ID; "" without a certificate. */
void secure_name(const SSL *ssl, char out[TLS_NAME_MAX]);

/* After SSL_get_error said `error` for an operation that answered neither data nor "later": why, for people.
 */
void secure_reason(const SSL *ssl, const struct secure_peer *peer, int error, char *out, size_t size);
