/* IPFIX over DTLS 1.2 (RFC 7011 sections 10.3 and 11): stands on udp.c, with a BIO of our own that keeps
 * datagrams apart. One message is one DTLS record is one datagram.
 *
 * A collector that lost its side of the association tells us nothing that could be trusted: records of an
 * unknown association are dropped without a word, and DTLS heartbeats are gone from OpenSSL. So after an
 * error of the network, and every RENEW_NS in any case, a new association is made, from a new port. */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "base/time.h"
#include "transport/dial.h"
#include "transport/secure.h"

#define HANDSHAKE_WAIT_NS (15 * NS_PER_S) /* with OpenSSL's retransmissions after 1, 3, 7 s */
#define BACKOFF_FIRST_NS                                                                                     \
	(1 * NS_PER_S) /* after a failed handshake, doubled up to the interval of the profile */
#define RENEW_NS (600 * NS_PER_S)

enum {
	RECORD_MAX = 1 << 14,
	READS = 64,           /* datagrams in one go: bounded work */
	RECORD_OVERHEAD = 37, /* header 13, explicit nonce 8, tag 16: the most of our cipher suites */
};

enum dtls_state { DTLS_IDLE, DTLS_HANDSHAKE, DTLS_UP };

struct dtls_transport {
	struct transport transport;
	struct transport *next;
	struct secure_context *context;
	BIO_METHOD *method;
	struct dial dial; /* for its log and interval */
	enum dtls_state state;
	uint32_t next_generation; /* that we have seen */
	uint32_t generation;
	int64_t until; /* mono ns: of the handshake, of the association */
	int64_t begin_at, backoff;
	SSL *ssl; /* with its BIO; NULL when idle */
	struct secure_peer peer;
	uint16_t max_message;
	enum status written; /* what became of the datagram that OpenSSL wrote last */
	uint64_t own_errors;
};

static struct dtls_transport *self(struct transport *t)
{
	return (struct dtls_transport *)t;
}

/* A datagram that cannot be sent now is lost to OpenSSL like any other; `written` tells those that care. */
static int bio_write(BIO *bio, const char *data, int length)
{
	struct dtls_transport *t = BIO_get_data(bio);

	t->written = t->next->type->send(t->next, span_of(data, (size_t)length), NULL);
	return length;
}

static int bio_read(BIO *bio, char *out, int size)
{
	struct dtls_transport *t = BIO_get_data(bio);
	size_t length = 0;

	BIO_clear_retry_flags(bio);
	if (size > 0 && t->next->type->lower->receive(t->next, out, (size_t)size, &length) == OK)
		return (int)length;
	BIO_set_retry_read(bio);
	return -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	struct dtls_transport *t = BIO_get_data(bio);

	switch (command) {
	case BIO_CTRL_FLUSH: return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU: return (long)t->next->type->message_limit(t->next);
	default: return 0;
	}
}

static void let_go(struct dtls_transport *t)
{
	SSL_free(t->ssl);
	t->ssl = NULL;
	t->state = DTLS_IDLE;
}

static void begin(struct dtls_transport *t)
{
	t->next_generation = t->next->type->generation(t->next);
	t->ssl = secure_connection(t->context, &t->peer);
	t->begin_at = mono_now().ns + t->backoff;
	if (!t->ssl || !secure_attach(t->ssl, t->method, t, (long)t->next->type->message_limit(t->next))) {
		let_go(t);
		return;
	}
	t->state = DTLS_HANDSHAKE;
	t->until = mono_now().ns + HANDSHAKE_WAIT_NS;
}

/* The next one comes from a new port, after a while that grows. */
static void end(struct dtls_transport *t)
{
	const int64_t longest = t->dial.interval > BACKOFF_FIRST_NS ? t->dial.interval : BACKOFF_FIRST_NS;

	let_go(t);
	t->next->type->lower->disconnect(t->next);
	t->next_generation = t->next->type->generation(t->next);
	t->begin_at = mono_now().ns + t->backoff;
	t->backoff = 2 * t->backoff < longest ? 2 * t->backoff : longest;
}

static void fail(struct dtls_transport *t, int error)
{
	struct transport counted = {.errors = 0};
	char why[576];

	secure_reason(t->ssl, &t->peer, error, why, sizeof why);
	dial_trouble(&t->dial, &counted, "the DTLS association %s: %s; a new one is tried",
		     t->state == DTLS_HANDSHAKE ? "is not made" : "ended", why);
	t->own_errors += counted.errors;
	end(t);
}

static void fail_because(struct dtls_transport *t, const char *why)
{
	if (!*t->peer.refusal)
		snprintf(t->peer.refusal, sizeof t->peer.refusal, "%s", why);
	fail(t, SSL_ERROR_SYSCALL);
}

static void shake_hands(struct dtls_transport *t)
{
	ERR_clear_error();
	DTLSv1_handle_timeout(t->ssl); /* sends again what was not answered in time */
	const int result = SSL_do_handshake(t->ssl);
	const int error = SSL_get_error(t->ssl, result);

	if (result == 1) {
		t->state = DTLS_UP;
		t->generation++;
		t->until = mono_now().ns + RENEW_NS;
		dial_well(&t->dial);
		log_info(t->dial.log, "collector %s/%s:%u: %s, %s", t->dial.scheme, t->dial.host,
			 t->dial.port, SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl));
	} else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
		fail(t, error);
	} else if (mono_now().ns >= t->until) {
		fail_because(t, "it does not answer the handshake");
	} else if (t->next->type->generation(t->next) != t->next_generation) {
		fail_because(t, "the network answers with an error");
	}
}

/* Alerts, and handshake messages that the collector sent again. */
static void hear(struct dtls_transport *t)
{
	uint8_t ignored[2048];
	int result = 1;

	ERR_clear_error();
	DTLSv1_handle_timeout(t->ssl);
	for (int i = 0; i < READS && result > 0; i++)
		result = SSL_read(t->ssl, ignored, sizeof ignored);
	const int error = SSL_get_error(t->ssl, result);
	if (result <= 0 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		fail(t, error);
	else if (t->next->type->generation(t->next) != t->next_generation)
		fail_because(t, "the network answers with an error");
	else
		t->backoff = BACKOFF_FIRST_NS;
}

static void dtls_service(struct transport *transport)
{
	struct dtls_transport *t = self(transport);
	struct sockaddr_storage local, remote;
	const int64_t now = mono_now().ns;

	t->next->type->service(t->next);
	transport->errors = t->own_errors + t->next->errors;
	if (t->state == DTLS_UP && now >= t->until) {
		SSL_shutdown(t->ssl);
		end(t);
		t->begin_at = 0;
	}
	if (t->state == DTLS_IDLE && now >= t->begin_at && t->next->type->addresses(t->next, &local, &remote))
		begin(t);
	if (t->state == DTLS_HANDSHAKE)
		shake_hands(t);
	else if (t->state == DTLS_UP)
		hear(t);
}

static enum status dtls_open(struct transport **out, const struct endpoint *to,
			     const struct transport_options *options, struct error *err)
{
	struct dtls_transport *t = calloc(1, sizeof *t);
	struct transport_options below = *options;
	enum status st;

	if (!t)
		return error_set(err, ERR_MEMORY, "%s/%s: out of memory", to->type->scheme, to->host);
	t->transport.type = &dtls_transport;
	t->backoff = BACKOFF_FIRST_NS;
	below.stacked = true;
	below.max_message = 0; /* ours is less than a datagram */
	dial_init(&t->dial, to, options);
	t->max_message = options->max_message;
	t->method = secure_datagrams(bio_write, bio_read, bio_control);
	st = t->method ? secure_new(&t->context, to, options, true, err)
		       : error_set(err, ERR_MEMORY, "DTLS: out of memory");
	if (st == OK)
		st = udp_transport.open(&t->next, to, &below, err);
	if (st != OK) {
		secure_free(t->context);
		BIO_meth_free(t->method);
		free(t);
		return st;
	}
	*out = &t->transport;
	return OK;
}

static size_t dtls_message_limit(struct transport *transport)
{
	struct dtls_transport *t = self(transport);
	const size_t datagram = t->next->type->message_limit(t->next);
	/* A DTLS record holds 2^14 octets at most (RFC 6347 4.3.1, RFC 5246 6.2.1). */
	const size_t wrapped =
		datagram < RECORD_MAX + RECORD_OVERHEAD ? datagram : RECORD_MAX + RECORD_OVERHEAD;
	const size_t limit = wrapped > RECORD_OVERHEAD ? wrapped - RECORD_OVERHEAD : 0;

	return t->max_message && limit > t->max_message ? t->max_message : limit;
}

static enum status dtls_send(struct transport *transport, struct span message, struct error *err)
{
	struct dtls_transport *t = self(transport);

	if (t->state != DTLS_UP)
		return error_set(err, AGAIN, "Dtls/%s: no association", t->dial.host);
	if (message.length > dtls_message_limit(transport))
		return error_set(err, ERR_LIMIT, "Dtls/%s: message of %zu octets, the path takes %zu",
				 t->dial.host, message.length, dtls_message_limit(transport));
	SSL_set_mtu(t->ssl, (long)t->next->type->message_limit(t->next));
	ERR_clear_error();
	const int result = SSL_write(t->ssl, message.data, (int)message.length);
	if (result == (int)message.length)
		return t->written; /* the record that was not sent leaves a gap in DTLS's numbers, no more */
	fail(t, SSL_get_error(t->ssl, result));
	return error_set(err, AGAIN, "Dtls/%s: the association ended", t->dial.host);
}

static uint32_t dtls_generation(const struct transport *t)
{
	return ((const struct dtls_transport *)t)->generation;
}

static enum transport_state dtls_state(const struct transport *t)
{
	return ((const struct dtls_transport *)t)->state == DTLS_UP ? TRANSPORT_UP : TRANSPORT_DOWN;
}

static int dtls_poll_fd(const struct transport *transport)
{
	const struct transport *next = ((const struct dtls_transport *)transport)->next;

	return next->type->poll_fd(next);
}

static bool dtls_addresses(const struct transport *transport, struct sockaddr_storage *local,
			   struct sockaddr_storage *remote)
{
	const struct transport *next = ((const struct dtls_transport *)transport)->next;

	return next->type->addresses(next, local, remote);
}

static void dtls_close(struct transport *transport)
{
	struct dtls_transport *t = transport ? self(transport) : NULL;

	if (!t)
		return;
	if (t->state == DTLS_UP) {
		ERR_clear_error();
		SSL_shutdown(t->ssl); /* close_notify */
	}
	let_go(t);
	t->next->type->close(t->next);
	secure_free(t->context);
	BIO_meth_free(t->method);
	dial_fini(&t->dial);
	free(t);
}

const struct transport_type dtls_transport = {
	.scheme = "Dtls",
	.usage = "Dtls/HOST[:PORT]",
	.default_port = 4740,
	.reliable = false,
	.secure = true,
	.open = dtls_open,
	.service = dtls_service,
	.message_limit = dtls_message_limit,
	.send = dtls_send,
	.generation = dtls_generation,
	.state = dtls_state,
	.poll_fd = dtls_poll_fd,
	.addresses = dtls_addresses,
	.close = dtls_close,
};
