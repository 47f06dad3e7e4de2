/* dtls_records.h: one end of DTLS in an SCTP association (RFC 6083), the exporter's as the collector's: what
 * OpenSSL wrote is cut into records, of which each is one user message, and the keys of the association
 * follow the handshake. OpenSSL as Debian builds it knows nothing of SCTP; it writes to memory here.
 *
 * The key that the handshake gives is there for the other side's chunks as soon as OpenSSL can tell it. What
 * we send is under it from our ChangeCipherSpec on (4.8), and that waits until all before it is acknowledged
 * (4.7): so the other side may forget the empty key that the association began with when it has our Finished,
 * and nothing that is sent again needs it. What comes under a key that is not there yet is dropped by the
 * kernel, and has to come again: `pause_ns`.
 *
 * SCTP loses and doubles nothing: DTLS sends nothing again by itself here (3.6), and does not look for the
 * path's MTU (3.5). Its replay detection, which 3.4 forbids, cannot be switched off in OpenSSL; it drops only
 * what comes more than 63 records late, which does not happen on one stream in order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/error.h"
#include "base/span.h"

enum {
	DTLS_KEY_OCTETS = 64,
	DTLS_MESSAGE_MAX = 1 << 14,
	DTLS_RECORD_MAX = DTLS_MESSAGE_MAX + 2048 + 13, /* RFC 6083 4.1, with its header */
};

/* The association, as both ends know it; `arg` is theirs. */
struct dtls_below {
	/* One user message, on stream 0, in order. `data`: not DTLS's own. AGAIN: there is no room now. */
	enum status (*send)(void *arg, struct span record, bool data);
	bool (*is_dry)(void *arg); /* all that was sent is acknowledged */
	bool (*add_key)(void *arg, const uint8_t key[DTLS_KEY_OCTETS]); /* number 1, for what comes */
	bool (*use_key)(void *arg);    /* … and for what is sent from here on */
	void (*drop_first)(void *arg); /* number 0, which is empty */
};

struct dtls_records {
	SSL *ssl; /* borrowed, with its BIO */
	BIO *out;
	const struct dtls_below *below;
	void *arg;
	int64_t pause_ns;   /* between the last acknowledgement and the change of keys */
	int64_t not_before; /* mono ns: of the change; 0: not known yet */
	bool keyed, changed, dropped;
};

/* `ssl` has not begun; `out` is its BIO of memory. */
void dtls_records_begin(struct dtls_records *records, SSL *ssl, BIO *out, const struct dtls_below *below,
			void *arg, int64_t pause_ns);

/* After every step of the handshake and at its end, before push. false: the association does not take the
 * key.
 */
MUST_CHECK bool dtls_records_step(struct dtls_records *records);

/* Send what is written. OK: all of it. AGAIN: the rest later. Else: the association takes no more. */
MUST_CHECK enum status dtls_records_push(struct dtls_records *records);
