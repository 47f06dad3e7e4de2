/* TLS 1.2 and 1.3 over TCP (RFC 7011 sections 10.4 and 11): a connection is half open until the exporter has
 * shown a certificate that passes. OpenSSL reads and writes the socket itself; our first look is its own. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "collect/connection.h"
#include "collect/receive_trust.h"

enum { RECORD_MAX = 1 << 14 };

struct tls_part {
	SSL *ssl;
	struct secure_peer peer;
};

static bool tls_begin(struct connection *c)
{
	struct tls_part *part = connection_extra(c);

	part->ssl = secure_connection(c->owner->shared, &part->peer);
	return part->ssl && SSL_set_fd(part->ssl, c->fd) == 1;
}

static enum channel_progress tls_shake(struct connection *c)
{
	struct tls_part *part = connection_extra(c);

	ERR_clear_error();
	const int result = SSL_do_handshake(part->ssl);
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

/* Whole TLS records, while there is room for one: so OpenSSL never keeps part of one back, of which epoll
 * would not know. */
static ssize_t tls_read(struct connection *c, uint8_t *out, size_t room)
{
	const struct tls_part *part = connection_extra(c);
	size_t filled = 0;
	int result = 1;

	ERR_clear_error();
	while (room - filled >= RECORD_MAX && (result = SSL_read(part->ssl, out + filled, RECORD_MAX)) > 0)
		filled += (size_t)result;
	if (filled > 0)
		return (ssize_t)filled; /* an end is told again */
	switch (SSL_get_error(part->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
	case SSL_ERROR_ZERO_RETURN: return 0;
	default: errno = EPROTO; return -1;
	}
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
