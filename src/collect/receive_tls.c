/* TLS 1.2 and 1.3 over TCP (RFC 7011 sections 10.4 and 11): a connection is half open until the exporter has
 * shown a certificate that passes. Until then OpenSSL reads the socket itself; from then on it is fed what
 * the kernel keeps until it is in the journal. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "collect/connection.h"
#include "collect/receive_trust.h"

enum { RECORD_MAX = 1 << 14, CHUNK = CONNECTION_READ_MIN - RECORD_MAX };

struct tls_part {
	SSL *ssl;
	BIO *in;     /* of ssl's, once the handshake is done */
	size_t held; /* by the kernel, of what `in` was fed */
	struct secure_peer peer;
};

static bool tls_begin(struct connection *c)
{
	struct tls_part *part = connection_extra(c);

	part->ssl = secure_connection(c->owner->shared, &part->peer);
	return part->ssl && SSL_set_fd(part->ssl, c->fd) == 1;
}

/* OpenSSL has read whole records and no more. */
static bool feed_from_here(struct tls_part *part)
{
	part->in = BIO_new(BIO_s_mem());
	if (!part->in)
		return false;
	BIO_set_mem_eof_return(part->in, -1); /* empty is "later", not the end */
	SSL_set0_rbio(part->ssl, part->in);
	return true;
}

static enum channel_progress tls_shake(struct connection *c)
{
	struct tls_part *part = connection_extra(c);

	ERR_clear_error();
	const int result = SSL_do_handshake(part->ssl);
	if (result == 1 && !feed_from_here(part))
		return CHANNEL_FAILED;
	if (result == 1) {
		trust_welcome(&c->owner->listener, part->ssl, &c->peer.session);
		return CHANNEL_UP;
	}
	const int error = SSL_get_error(part->ssl, result);
	if (error == SSL_ERROR_WANT_READ)
		return CHANNEL_WAITS;
	if (error == SSL_ERROR_WANT_WRITE)
		return CHANNEL_WAITS_TO_WRITE;
	trust_refuse(&c->owner->listener, part->ssl, &part->peer, error, &c->peer.session);
	return CHANNEL_FAILED;
}

static bool tls_done(struct connection *c)
{
	struct tls_part *part = connection_extra(c);
	const size_t held = part->held;

	part->held = 0;
	return stream_let_go(c, held);
}

/* What SSL_read answered last, when it gave nothing. */
static ssize_t nothing(struct connection *c, int error)
{
	switch (error) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = tls_done(c) ? EAGAIN : EPROTO; /* part of a TLS record: none of it is a message yet */
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		(void)tls_done(c); /* what the kernel still holds would make a reset of our end */
		return 0;
	default: errno = EPROTO; return -1;
	}
}

/* All records that CHUNK octets complete: the one begun before, and no more than came. */
static ssize_t tls_read(struct connection *c, uint8_t *out, size_t room)
{
	struct tls_part *part = connection_extra(c);
	uint8_t chunk[CHUNK];
	size_t filled = 0;
	int result;

	const ssize_t n = stream_peek(c, chunk, sizeof chunk);
	if (n < 0)
		return -1;
	if (n == 0) {
		errno = EPROTO;
		return SSL_get_shutdown(part->ssl) & SSL_RECEIVED_SHUTDOWN ? 0 : -1;
	}
	part->held = (size_t)n;
	ERR_clear_error();
	if (BIO_write(part->in, chunk, (int)n) != (int)n) {
		errno = ENOMEM;
		return -1;
	}
	while ((result = SSL_read(part->ssl, out + filled, (int)(room - filled))) > 0)
		filled += (size_t)result;
	const int error = SSL_get_error(part->ssl, result);
	if (filled == 0)
		return nothing(c, error);
	if (error != SSL_ERROR_WANT_READ)
		shutdown(c->fd, SHUT_RD); /* it was the last: the next read is told so */
	return (ssize_t)filled;
}

static void tls_leave(struct connection *c)
{
	const struct tls_part *part = connection_extra(c);

	ERR_clear_error();
	SSL_shutdown(part->ssl); /* close_notify; what the exporter has sent is still read */
	shutdown(c->fd, SHUT_WR);
}

static void tls_end(struct connection *c)
{
	struct tls_part *part = connection_extra(c);

	SSL_free(part->ssl);
	part->ssl = NULL;
}

static const struct channel_type tls_channel = {
	.transport = JOURNAL_TLS,
	.extra = sizeof(struct tls_part),
	.begin = tls_begin,
	.shake = tls_shake,
	.read = tls_read,
	.done = tls_done,
	.leave = tls_leave,
	.end = tls_end,
};

static enum status tls_open(struct listener **out, struct worker *w, const struct sockaddr_storage *address,
			    socklen_t length, struct error *err)
{
	struct secure_context *context = NULL;
	enum status st = trust_open(&context, w, false, err);

	if (st == OK)
		st = connections_open(out, &tls_listener, &tls_channel, w, address, length, err);
	if (*out)
		((struct connections *)*out)->shared = context;
	else
		secure_free(context);
	return st;
}

static void tls_free(struct listener *l)
{
	secure_free(((struct connections *)l)->shared);
	connections_free(l);
}

const struct listener_type tls_listener = {
	.scheme = "Tls",
	.usage = "Tls/HOST[:PORT]",
	.default_port = 4740,
	.secure = true,
	.open = tls_open,
	.tick = connections_tick,
	.drain = connections_drain,
	.close = connections_close,
	.free = tls_free,
};
