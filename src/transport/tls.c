/* IPFIX over TLS (RFC 7011 sections 10.4 and 11): stands on tcp.c and moves octets between it and OpenSSL
 * through memory, so that only tcp.c waits and reconnects. There is no way back to plain text.
 *
 * Records go out when both sides have authenticated each other. With TLS 1.3 a client does not hear whether
 * its certificate was taken until the collector says something: its session ticket is waited for, SETTLE_NS
 * at most for collectors that send none. */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "base/time.h"
#include "transport/dial.h"
#include "transport/secure.h"

#define HANDSHAKE_WAIT_NS (20 * NS_PER_S)
#define SETTLE_NS         NS_PER_S
#define LEFT_WAIT_NS      (10 * NS_PER_S) /* from close_notify to the collector's FIN */

enum { CHUNK = 16384, READS = 16 };

enum tls_state {
	TLS_IDLE,
	TLS_HANDSHAKE,
	TLS_SETTLING,
	TLS_UP,
	TLS_LEFT, /* the collector has ended its side; `ssl` stays for question() */
};

struct tls_transport {
	struct transport transport;
	struct transport *next;
	struct secure_context *context;
	struct dial dial; /* for its log alone */
	enum tls_state state;
	uint32_t next_generation; /* that we have seen */
	uint32_t generation;
	int64_t until; /* mono ns */
	SSL *ssl;      /* with both BIOs; NULL when idle */
	BIO *in, *out; /* owned by ssl */
	struct secure_peer peer;
	bool carried;   /* a message, in this session */
	bool finishing; /* the end is ours … */
	bool ended;     /* … and that of the connection below was asked for */
	size_t (*question)(void *, uint8_t *, size_t);
	void *question_arg;
	int64_t patience;         /* ns, of finishing */
	int64_t finish_until;     /* mono ns: for close_notify */
	bool counting;            /* the connection below is the one that `delivery` is about */
	struct delivery delivery; /* of the session that was up last */
	uint64_t own_errors;
};

static struct tls_transport *self(struct transport *t)
{
	return (struct tls_transport *)t;
}

static void let_go(struct tls_transport *t)
{
	SSL_free(t->ssl);
	t->ssl = NULL;
	t->in = t->out = NULL;
	t->state = TLS_IDLE;
}

/* `error` is what SSL_get_error said. */
static void fail(struct tls_transport *t, int error)
{
	struct transport counted = {.errors = 0};
	char why[576];

	secure_reason(t->ssl, &t->peer, error, why, sizeof why);
	dial_trouble(&t->dial, &counted, "the TLS session %s: %s; tries are %lld s apart",
		     t->state == TLS_HANDSHAKE ? "is not made" : "ended", why,
		     (long long)(t->dial.interval / NS_PER_S));
	t->own_errors += counted.errors;
	let_go(t);
	t->next->type->lower->disconnect(t->next);
}

/* The collector ends its side of the session or of the connection. The one below goes on until it is known
 * what was read. */
static void hear_end(struct tls_transport *t)
{
	(void)t->transport.type->delivery(&t->transport);
	t->state = TLS_LEFT;
	t->until = mono_now().ns + LEFT_WAIT_NS;
}

/* For tcp.c: the question of the session, wrapped. */
static size_t question(void *arg, uint8_t *out, size_t size)
{
	struct tls_transport *t = arg;
	uint8_t plain[64];

	if (t->state != TLS_LEFT || !t->question || BIO_pending(t->out))
		return 0;
	const int length = (int)t->question(t->question_arg, plain, sizeof plain);
	ERR_clear_error();
	if (length == 0 || SSL_write(t->ssl, plain, length) != length || BIO_pending(t->out) > (int)size)
		return 0;
	return (size_t)BIO_read(t->out, out, (int)size);
}

/* Hand what OpenSSL wrote to the connection below. false: it takes nothing now. */
static bool push(struct tls_transport *t)
{
	char *data;
	const long length = BIO_get_mem_data(t->out, &data);

	if (length > 0 && t->next->type->send(t->next, span_of(data, (size_t)length), NULL) != OK)
		return false;
	(void)BIO_reset(t->out);
	return true;
}

static void begin(struct tls_transport *t)
{
	let_go(t);
	t->counting = t->carried = false;
	t->ssl = secure_connection(t->context, &t->peer);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (!t->ssl || !t->in || !t->out) {
		BIO_free(t->in);
		BIO_free(t->out);
		let_go(t);
		t->next->type->lower->disconnect(t->next);
		return;
	}
	BIO_set_mem_eof_return(t->in, -1); /* empty is "later", not the end */
	SSL_set_bio(t->ssl, t->in, t->out);
	t->state = TLS_HANDSHAKE;
	t->until = mono_now().ns + HANDSHAKE_WAIT_NS;
}

static void settle(struct tls_transport *t)
{
	const bool known = SSL_version(t->ssl) < TLS1_3_VERSION || t->peer.accepted;

	if (!known && mono_now().ns < t->until)
		return;
	t->state = TLS_UP;
	t->generation++;
	t->counting = true;
	t->delivery = (struct delivery){0};
	dial_well(&t->dial);
	log_info(t->dial.log, "collector %s/%s:%u: %s, %s", t->dial.scheme, t->dial.host, t->dial.port,
		 SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl));
}

/* false: the session is over. */
static bool advance(struct tls_transport *t)
{
	uint8_t ignored[1024]; /* a collector has nothing to say but alerts and tickets */
	int result = 1;

	ERR_clear_error();
	if (t->state == TLS_HANDSHAKE) {
		result = SSL_do_handshake(t->ssl);
		if (result == 1) {
			t->state = TLS_SETTLING;
			t->until = mono_now().ns + SETTLE_NS;
		}
	}
	if (t->state != TLS_HANDSHAKE) {
		do
			result = SSL_read(t->ssl, ignored, sizeof ignored);
		while (result > 0);
	}
	const int error = SSL_get_error(t->ssl, result);
	push(t); /* also the alert that says why we refuse */
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return true;
	if (error == SSL_ERROR_ZERO_RETURN && t->state == TLS_UP)
		hear_end(t);
	else
		fail(t, error);
	return false;
}

/* Take in what the collector sent. */
static void pull(struct tls_transport *t)
{
	uint8_t chunk[CHUNK];
	enum status st = OK;
	size_t length;

	for (int i = 0; i < READS && st == OK; i++) {
		st = t->next->type->lower->receive(t->next, chunk, sizeof chunk, &length);
		if (st == OK && BIO_write(t->in, chunk, (int)length) != (int)length)
			st = END;
		if (!advance(t))
			return;
	}
	if (st != END)
		return;
	if (t->state == TLS_UP) /* the connection below ends in order, and says so in the log */
		hear_end(t);
	else
		fail(t, SSL_ERROR_ZERO_RETURN);
}

/* Behind close_notify nothing is of interest but the end of the connection. */
static void wait_for_end(struct tls_transport *t)
{
	uint8_t ignored[CHUNK];
	size_t length;

	push(t);
	for (int i = 0; i < READS; i++) {
		if (t->next->type->lower->receive(t->next, ignored, sizeof ignored, &length) != OK)
			break;
	}
	if (mono_now().ns >= t->until)
		t->next->type->lower->disconnect(t->next);
}

static void hear(struct tls_transport *t)
{
	if (t->state == TLS_LEFT)
		wait_for_end(t);
	else if (t->state != TLS_IDLE)
		pull(t);
}

/* close_notify behind the last message (RFC 8446 6.1), when the connection below takes it, then its end. What
 * the collector says from here on tells nothing that its FIN does not. */
static void serve_finish(struct tls_transport *t)
{
	const bool patient = mono_now().ns < t->finish_until;

	if (t->ended)
		return;
	if ((t->state == TLS_SETTLING || t->state == TLS_UP) && patient) {
		if (!push(t))
			return;
		ERR_clear_error();
		if (!(SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
			SSL_shutdown(t->ssl);
		if (!push(t))
			return;
	}
	(void)t->transport.type->delivery(&t->transport);
	if (t->state != TLS_LEFT)
		let_go(t);
	t->ended = true;
	t->next->type->finish(t->next, patient ? t->patience : 0);
}

static void tls_finish(struct transport *transport, int64_t patience_ns)
{
	struct tls_transport *t = self(transport);

	t->finishing = true;
	t->patience = patience_ns;
	t->finish_until = mono_now().ns + patience_ns;
	if (!t->carried)
		return;
	if (t->ended)
		t->next->type->finish(t->next, patience_ns);
	else
		hear(t); /* what is said before our end; a FIN behind it is the answer to close_notify */
	serve_finish(t);
}

static void tls_service(struct transport *transport)
{
	struct tls_transport *t = self(transport);
	const struct transport_type *type = t->next->type;

	(void)transport->type->delivery(transport); /* the last of a connection that is gone */
	type->service(t->next);
	transport->errors = t->own_errors + t->next->errors;
	if (t->ended)
		return;
	if (t->next_generation != type->generation(t->next)) {
		t->next_generation = type->generation(t->next);
		begin(t);
	}
	hear(t);
	if (t->state == TLS_HANDSHAKE && mono_now().ns >= t->until) {
		snprintf(t->peer.refusal, sizeof t->peer.refusal, "it does not answer the handshake");
		fail(t, SSL_ERROR_SYSCALL);
	} else if (t->state == TLS_SETTLING) {
		settle(t);
	} else if (t->state == TLS_UP) {
		push(t);
	}
	if (t->finishing)
		serve_finish(t);
}

static enum status tls_open(struct transport **out, const struct endpoint *to,
			    const struct transport_options *options, struct error *err)
{
	struct tls_transport *t = calloc(1, sizeof *t);
	struct transport_options below = *options;
	enum status st;

	if (!t)
		return error_set(err, ERR_MEMORY, "%s/%s: out of memory", to->type->scheme, to->host);
	t->transport.type = &tls_transport;
	below.stacked = true;
	below.question = question;
	below.question_arg = t;
	t->question = options->question;
	t->question_arg = options->question_arg;
	dial_init(&t->dial, to, options);
	st = secure_new(&t->context, to, options, false, err);
	if (st == OK)
		st = tcp_transport.open(&t->next, to, &below, err);
	if (st != OK) {
		secure_free(t->context);
		free(t);
		return st;
	}
	*out = &t->transport;
	return OK;
}

static size_t tls_message_limit(struct transport *transport)
{
	struct transport *next = self(transport)->next;

	return next->type->message_limit(next);
}

static enum status tls_send(struct transport *transport, struct span message, struct error *err)
{
	struct tls_transport *t = self(transport);

	if (t->state != TLS_UP || t->finishing)
		return error_set(err, AGAIN, "Tls/%s: no session", t->dial.host);
	if (!push(t))
		return error_set(err, AGAIN, "Tls/%s: the collector reads slowly", t->dial.host);
	ERR_clear_error();
	const int result = SSL_write(t->ssl, message.data, (int)message.length);
	if (result != (int)message.length) {
		fail(t, SSL_get_error(t->ssl, result));
		return error_set(err, AGAIN, "Tls/%s: the session ended", t->dial.host);
	}
	t->carried = true;
	push(t);
	return OK;
}

/* On the scale of the connection below: where in it the wrapped message ends. */
static struct delivery tls_delivery(struct transport *transport)
{
	struct tls_transport *t = self(transport);

	if (t->counting) {
		const struct delivery below = t->next->type->delivery(t->next);

		t->delivery.confirmed = below.confirmed;
		t->delivery.unread = below.unread;
		t->delivery.left = below.left;
		if (t->state == TLS_UP)
			t->delivery.taken = below.taken + (uint64_t)BIO_pending(t->out);
	}
	return t->delivery;
}

static uint32_t tls_generation(const struct transport *t)
{
	return ((const struct tls_transport *)t)->generation;
}

/* The connection below may still confirm what a session that is over has given it. */
static enum transport_state tls_state(const struct transport *transport)
{
	const struct tls_transport *t = (const struct tls_transport *)transport;
	const enum transport_state below = t->next->type->state(t->next);

	if (t->state == TLS_UP && !t->finishing)
		return below;
	if (t->finishing && !t->carried)
		return TRANSPORT_DOWN;
	return t->counting && below != TRANSPORT_DOWN ? TRANSPORT_ENDING : TRANSPORT_DOWN;
}

static int tls_poll_fd(const struct transport *transport)
{
	const struct transport *next = ((const struct tls_transport *)transport)->next;

	return next->type->poll_fd(next);
}

static bool tls_addresses(const struct transport *transport, struct sockaddr_storage *local,
			  struct sockaddr_storage *remote)
{
	const struct transport *next = ((const struct tls_transport *)transport)->next;

	return next->type->addresses(next, local, remote);
}

static void tls_close(struct transport *transport)
{
	struct tls_transport *t = transport ? self(transport) : NULL;

	if (!t)
		return;
	if (t->state >= TLS_SETTLING && push(t)) {
		ERR_clear_error();
		SSL_shutdown(t->ssl); /* close_notify; the answer is not waited for (RFC 8446 6.1) */
		push(t);
	}
	let_go(t);
	t->next->type->close(t->next);
	secure_free(t->context);
	dial_fini(&t->dial);
	free(t);
}

const struct transport_type tls_transport = {
	.scheme = "Tls",
	.usage = "Tls/HOST[:PORT]",
	.default_port = 4740,
	.reliable = true,
	.secure = true,
	.open = tls_open,
	.service = tls_service,
	.message_limit = tls_message_limit,
	.send = tls_send,
	.generation = tls_generation,
	.delivery = tls_delivery,
	.state = tls_state,
	.finish = tls_finish,
	.poll_fd = tls_poll_fd,
	.addresses = tls_addresses,
	.close = tls_close,
};
