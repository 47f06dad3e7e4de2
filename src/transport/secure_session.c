#include "transport/secure_session.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "base/time.h"
#include "transport/dtls_records.h"

#define HANDSHAKE_WAIT_NS (20 * NS_PER_S)
#define SETTLE_NS         NS_PER_S
#define LEFT_WAIT_NS      (10 * NS_PER_S) /* from close_notify to the collector's FIN */

/* What the other side sent, in one piece: the longest is a record of DTLS. */
enum { CHUNK = DTLS_RECORD_MAX, READS = 16 };

static struct secure_session *self(struct transport *t)
{
	return (struct secure_session *)t;
}

static void let_go(struct secure_session *t)
{
	SSL_free(t->ssl);
	t->ssl = NULL;
	t->in = t->out = NULL;
	t->state = SECURE_IDLE;
}

/* `error` is what SSL_get_error said. */
static void fail(struct secure_session *t, int error)
{
	struct transport counted = {.errors = 0};
	char why[576];

	secure_reason(t->ssl, &t->peer, error, why, sizeof why);
	dial_trouble(&t->dial, &counted, "the %s %s: %s; tries are %lld s apart", t->kind->name,
		     t->state == SECURE_HANDSHAKE ? "is not made" : "ended", why,
		     (long long)(t->dial.interval / NS_PER_S));
	t->own_errors += counted.errors;
	let_go(t);
	t->next->type->lower->disconnect(t->next);
}

/* On the scale of the connection below: where in it the wrapped message ends. */
static void look_below(struct secure_session *t)
{
	if (!t->counting)
		return;
	const struct delivery below = t->next->type->delivery(t->next);
	t->delivery.confirmed = below.confirmed;
	t->delivery.unread = below.unread;
	t->delivery.left = below.left;
	if (t->state == SECURE_UP)
		t->delivery.taken = below.taken + (uint64_t)BIO_pending(t->out);
	if (below.lost && t->lost_count < sizeof t->lost / sizeof *t->lost)
		t->lost[t->lost_count++] = below.lost; /* without a place it counts as sent */
}

/* The collector ends its side of the session or of the connection. The one below goes on until it is known
 * what was read. */
static void hear_end(struct secure_session *t)
{
	look_below(t);
	t->state = SECURE_LEFT;
	t->until = mono_now().ns + LEFT_WAIT_NS;
}

/* What OpenSSL wrote just now; 0: it is too long for `out`, or there is none. */
static size_t take_written(struct secure_session *t, uint8_t *out, size_t size)
{
	const int length = BIO_pending(t->out) <= (int)size ? BIO_read(t->out, out, (int)size) : 0;

	return length > 0 ? (size_t)length : 0;
}

/* For the connection below: the question of the session, wrapped. */
static size_t question(void *arg, uint8_t *out, size_t size)
{
	struct secure_session *t = arg;
	uint8_t plain[64];

	if (t->state < (t->kind->ends_below ? SECURE_UP : SECURE_LEFT) || !t->question || BIO_pending(t->out))
		return 0;
	const int length = (int)t->question(t->question_arg, plain, sizeof plain);
	ERR_clear_error();
	return length && SSL_write(t->ssl, plain, length) == length ? take_written(t, out, size) : 0;
}

/* Likewise: close_notify, when it waits for that connection. */
static size_t last_word(void *arg, uint8_t *out, size_t size)
{
	struct secure_session *t = arg;

	if (t->state != SECURE_UP || BIO_pending(t->out))
		return 0;
	ERR_clear_error();
	SSL_shutdown(t->ssl);
	return take_written(t, out, size);
}

bool secure_session_push(struct secure_session *t)
{
	char *data;
	const long length = BIO_get_mem_data(t->out, &data);

	if (length > 0 && t->next->type->send(t->next, span_of(data, (size_t)length), NULL) != OK)
		return false;
	(void)BIO_reset(t->out);
	return true;
}

static void begin(struct secure_session *t)
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
	t->state = SECURE_HANDSHAKE;
	t->until = mono_now().ns + HANDSHAKE_WAIT_NS;
	if (t->kind->begin && !t->kind->begin(t))
		fail(t, SSL_ERROR_SYSCALL);
}

static void settle(struct secure_session *t)
{
	const bool known = SSL_version(t->ssl) != TLS1_3_VERSION || t->peer.accepted;

	if (!known && mono_now().ns < t->until)
		return;
	t->state = SECURE_UP;
	t->generation++;
	t->counting = true;
	t->delivery = (struct delivery){0};
	t->lost_count = 0;
	dial_well(&t->dial);
	log_info(t->dial.log, "collector %s/%s:%u: %s, %s", t->dial.scheme, t->dial.host, t->dial.port,
		 SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl));
}

/* false: the session is over. */
static bool advance(struct secure_session *t)
{
	uint8_t ignored[1024]; /* a collector has nothing to say but alerts and tickets */
	int result = 1;

	ERR_clear_error();
	if (t->state == SECURE_HANDSHAKE) {
		result = SSL_do_handshake(t->ssl);
		if (result == 1) {
			t->state = SECURE_SETTLING;
			t->until = mono_now().ns + SETTLE_NS;
		}
	}
	if (t->state != SECURE_HANDSHAKE) {
		do
			result = SSL_read(t->ssl, ignored, sizeof ignored);
		while (result > 0);
	}
	const int error = SSL_get_error(t->ssl, result);
	if (t->kind->step && !t->kind->step(t)) {
		fail(t, SSL_ERROR_SYSCALL);
		return false;
	}
	t->kind->push(t); /* also the alert that says why we refuse */
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return true;
	if (error == SSL_ERROR_ZERO_RETURN && t->state == SECURE_UP)
		hear_end(t);
	else
		fail(t, error);
	return false;
}

/* Take in what the collector sent. */
static void pull(struct secure_session *t)
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
	if (t->state == SECURE_UP) /* the connection below ends in order, and says so in the log */
		hear_end(t);
	else
		fail(t, SSL_ERROR_ZERO_RETURN);
}

/* Behind close_notify nothing is of interest but the end of the connection. */
static void wait_for_end(struct secure_session *t)
{
	uint8_t ignored[CHUNK];
	size_t length;

	t->kind->push(t);
	for (int i = 0; i < READS; i++) {
		if (t->next->type->lower->receive(t->next, ignored, sizeof ignored, &length) != OK)
			break;
	}
	if (mono_now().ns >= t->until)
		t->next->type->lower->disconnect(t->next);
}

static void hear(struct secure_session *t)
{
	if (t->state == SECURE_LEFT)
		wait_for_end(t);
	else if (t->state != SECURE_IDLE)
		pull(t);
}

/* close_notify behind the last message (RFC 8446 6.1), when the connection below takes it, then its end. What
 * the collector says from here on tells nothing that its FIN does not. */
static void serve_finish(struct secure_session *t)
{
	const bool patient = mono_now().ns < t->finish_until;

	if (t->ended)
		return;
	if ((t->state == SECURE_SETTLING || t->state == SECURE_UP) && patient) {
		if (!t->kind->push(t))
			return;
		ERR_clear_error();
		if (!t->kind->ends_below && !(SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
			SSL_shutdown(t->ssl);
		if (!t->kind->push(t))
			return;
	}
	look_below(t);
	if (t->state != SECURE_LEFT && !t->kind->ends_below)
		let_go(t);
	t->ended = true;
	t->next->type->finish(t->next, patient ? t->patience : 0);
}

void secure_session_finish(struct transport *transport, int64_t patience_ns)
{
	struct secure_session *t = self(transport);

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

void secure_session_service(struct transport *transport)
{
	struct secure_session *t = self(transport);
	const struct transport_type *type = t->next->type;

	look_below(t); /* the last of a connection that is gone */
	type->service(t->next);
	transport->errors = t->own_errors + t->next->errors;
	if (t->ended)
		return;
	if (t->next_generation != type->generation(t->next)) {
		t->next_generation = type->generation(t->next);
		begin(t);
	}
	hear(t);
	if (t->state == SECURE_HANDSHAKE && mono_now().ns >= t->until) {
		if (!*t->peer.refusal)
			snprintf(t->peer.refusal, sizeof t->peer.refusal, "it does not answer the handshake");
		fail(t, SSL_ERROR_SYSCALL);
	} else if (t->state == SECURE_SETTLING) {
		settle(t);
	} else if (t->state == SECURE_UP) {
		t->kind->push(t);
	}
	if (t->finishing)
		serve_finish(t);
}

enum status secure_session_open(struct secure_session *t, const struct secure_kind *kind,
				const struct endpoint *to, const struct transport_options *options,
				struct error *err)
{
	struct transport_options below = *options;

	t->transport.type = kind->type;
	t->kind = kind;
	below.stacked = true;
	below.question = question;
	below.last_word = last_word;
	below.question_arg = t;
	t->question = options->question;
	t->question_arg = options->question_arg;
	dial_init(&t->dial, to, options);
	enum status st = secure_new(&t->context, to, options, kind->datagrams, err);
	if (st == OK)
		st = kind->below->open(&t->next, to, &below, err);
	if (st != OK)
		secure_free(t->context);
	return st;
}

size_t secure_session_message_limit(struct transport *transport)
{
	const struct secure_session *t = self(transport);
	const size_t below = t->next->type->message_limit(t->next), most = t->kind->message_most;

	return most && most < below ? most : below;
}

enum status secure_session_send(struct transport *transport, struct span message, struct error *err)
{
	struct secure_session *t = self(transport);

	if (t->state != SECURE_UP || t->finishing)
		return error_set(err, AGAIN, "%s/%s: no session", t->dial.scheme, t->dial.host);
	if (!t->kind->push(t))
		return error_set(err, AGAIN, "%s/%s: the collector reads slowly", t->dial.scheme,
				 t->dial.host);
	if (t->kind->message_most && message.length > t->kind->message_most)
		return error_set(err, ERR_LIMIT, "%s/%s: message of %zu octets; allowed: %zu", t->dial.scheme,
				 t->dial.host, message.length, t->kind->message_most);
	ERR_clear_error();
	const int result = SSL_write(t->ssl, message.data, (int)message.length);
	if (result != (int)message.length) {
		fail(t, SSL_get_error(t->ssl, result));
		return error_set(err, AGAIN, "%s/%s: the session ended", t->dial.scheme, t->dial.host);
	}
	t->carried = true;
	t->kind->push(t);
	return OK;
}

struct delivery secure_session_delivery(struct transport *transport)
{
	struct secure_session *t = self(transport);

	look_below(t);
	struct delivery d = t->delivery;
	d.lost = t->lost_count ? t->lost[--t->lost_count] : 0;
	return d;
}

uint32_t secure_session_generation(const struct transport *t)
{
	return ((const struct secure_session *)t)->generation;
}

/* The connection below may still confirm what a session that is over has given it. */
enum transport_state secure_session_state(const struct transport *transport)
{
	const struct secure_session *t = (const struct secure_session *)transport;
	const enum transport_state below = t->next->type->state(t->next);

	if (t->state == SECURE_UP && !t->finishing)
		return below;
	if (t->finishing && !t->carried)
		return TRANSPORT_DOWN;
	return t->counting && below != TRANSPORT_DOWN ? TRANSPORT_ENDING : TRANSPORT_DOWN;
}

int secure_session_poll_fd(const struct transport *transport)
{
	const struct transport *next = ((const struct secure_session *)transport)->next;

	return next->type->poll_fd(next);
}

bool secure_session_addresses(const struct transport *transport, struct sockaddr_storage *local,
			      struct sockaddr_storage *remote)
{
	const struct transport *next = ((const struct secure_session *)transport)->next;

	return next->type->addresses(next, local, remote);
}

void secure_session_close(struct transport *transport)
{
	struct secure_session *t = transport ? self(transport) : NULL;

	if (!t)
		return;
	if (t->state >= SECURE_SETTLING && t->kind->push(t)) {
		ERR_clear_error();
		SSL_shutdown(t->ssl); /* close_notify; the answer is not waited for (RFC 8446 6.1) */
		t->kind->push(t);
	}
	let_go(t);
	t->next->type->close(t->next);
	secure_free(t->context);
	dial_fini(&t->dial);
	free(t);
}
