/* DTLS 1.2 over SCTP (RFC 7011 sections 10.2 and 11, RFC 6083): associations as in receive_sctp.c, half open
 * until the exporter has shown a certificate that passes. A user message of SCTP's is a DTLS record, and what
 * that protects is an IPFIX Message. OpenSSL is fed what the kernel keeps until it is in the journal, each
 * message once: a second time would look like a replay.
 *
 * An exporter gets one stream. OpenSSL drops what comes far behind its turn, and between streams there is no
 * order. Cookies are not asked for: who answered SCTP's own is where he says (RFC 9260 5.1.3). */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sctp.h>

#include <openssl/err.h>

#include "base/cleanup.h"
#include "collect/connection.h"
#include "collect/receive_sctp.h"
#include "collect/receive_trust.h"
#include "transport/dtls_records.h"
#include "transport/sctp_auth.h"

enum { EVENTS_READ = 16 }; /* in one go */

struct dtls_sctp_part {
	SSL *ssl;
	BIO *in; /* of ssl's */
	struct dtls_records records;
	struct secure_peer peer;
	bool answered;                   /* the exporter's close_notify */
	size_t filled;                   /* octets of a message that the kernel gives in parts; let go of */
	size_t held;                     /* by the kernel, of what was read: the rest of it, or all */
	uint8_t record[DTLS_RECORD_MAX]; /* a message */
};

static enum status send_record(void *arg, struct span record, bool data)
{
	const struct connection *c = arg;

	if (send(c->fd, record.data, record.length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return OK;
	return errno == EAGAIN || errno == EINTR ? AGAIN : ERR_SYSTEM;
}

static bool is_dry(void *arg)
{
	return sctp_is_dry(((const struct connection *)arg)->fd);
}

static bool add_key(void *arg, const uint8_t key[DTLS_KEY_OCTETS])
{
	return sctp_auth_add_key(((const struct connection *)arg)->fd, 1, key);
}

static bool use_key(void *arg)
{
	return sctp_auth_use_key(((const struct connection *)arg)->fd, 1);
}

static void drop_first(void *arg)
{
	sctp_auth_drop_key(((const struct connection *)arg)->fd, 0);
}

static const struct dtls_below association = {
	.send = send_record,
	.is_dry = is_dry,
	.add_key = add_key,
	.use_key = use_key,
	.drop_first = drop_first,
};

static bool dtls_sctp_begin(struct connection *c)
{
	struct dtls_sctp_part *part = connection_extra(c);
	struct listener *l = &c->owner->listener;

	if (!sctp_auth_is_mutual(c->fd)) {
		if (may_speak(l))
			say_why(l, HANDSHAKES_FAILED, &c->peer.session,
				"it does not want authenticated chunks (SCTP-AUTH, RFC 4895)");
		return false;
	}
	BIO *out = BIO_new(BIO_s_mem());
	part->in = BIO_new(BIO_s_mem());
	part->ssl = secure_connection(c->owner->shared, &part->peer);
	if (!part->ssl || !part->in || !out) {
		BIO_free(part->in);
		BIO_free(out);
		return false;
	}
	BIO_set_mem_eof_return(part->in, -1); /* empty is "later", not the end */
	SSL_set_bio(part->ssl, part->in, out);
	dtls_records_begin(&part->records, part->ssl, out, &association, c, 0);
	return true;
}

static bool dtls_sctp_done(struct connection *c)
{
	struct dtls_sctp_part *part = connection_extra(c);

	if (part->held && !sctp_let_go(c->fd, part->record, part->held))
		return false;
	if (part->held)
		part->filled = 0;
	part->held = 0;
	return true;
}

/* A whole message of the exporter's into `record`, with its length; the kernel keeps it, or its last part,
 * until dtls_sctp_done. As recv otherwise. What the kernel itself tells (that all is acknowledged) is only to
 * wake us. */
static ssize_t peek_message(struct connection *c)
{
	struct dtls_sctp_part *part = connection_extra(c);

	for (int i = 0; i < EVENTS_READ; i++) {
		struct iovec v = {part->record + part->filled, sizeof part->record - part->filled};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
		const ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_PEEK);

		if (n <= 0)
			return n;
		if (m.msg_flags & MSG_EOR && !(m.msg_flags & MSG_NOTIFICATION)) {
			part->held = (size_t)n;
			return (ssize_t)part->filled + n;
		}
		if (recv(c->fd, v.iov_base, (size_t)n, MSG_DONTWAIT) != n)
			return -1;
		if (!(m.msg_flags & MSG_NOTIFICATION))
			part->filled += (size_t)n;
		if (part->filled == sizeof part->record) {
			errno = EBADMSG; /* longer than any record */
			return -1;
		}
	}
	errno = EAGAIN;
	return -1;
}

/* One step, after a message or none came. */
static enum channel_progress advance(struct connection *c)
{
	struct dtls_sctp_part *part = connection_extra(c);

	ERR_clear_error();
	const int result = SSL_do_handshake(part->ssl);
	const int error = SSL_get_error(part->ssl, result);
	const enum status st =
		dtls_records_step(&part->records) ? dtls_records_push(&part->records) : ERR_SYSTEM;

	if (result != 1 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
		trust_refuse(&c->owner->listener, part->ssl, &part->peer, error, &c->peer.session);
		return CHANNEL_FAILED;
	}
	if (st != OK && st != AGAIN) {
		snprintf(part->peer.refusal, sizeof part->peer.refusal,
			 "the kernel does not take a key of the association, or a message");
		trust_refuse(&c->owner->listener, part->ssl, &part->peer, SSL_ERROR_SSL, &c->peer.session);
		return CHANNEL_FAILED;
	}
	if (result != 1 || st == AGAIN)
		return CHANNEL_WAITS;
	trust_welcome(&c->owner->listener, part->ssl, &c->peer.session);
	return CHANNEL_UP;
}

/* An alert that says why has to come before the association is gone. */
static enum channel_progress end_in_order(struct connection *c)
{
	const struct linger orderly = {.l_onoff = 0};

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &orderly, sizeof orderly);
	return CHANNEL_FAILED;
}

static enum channel_progress dtls_sctp_shake(struct connection *c)
{
	struct dtls_sctp_part *part = connection_extra(c);
	enum channel_progress progress = CHANNEL_WAITS;

	for (int i = 0; i < EVENTS_READ && progress == CHANNEL_WAITS; i++) {
		const ssize_t n = peek_message(c);
		const bool none = n < 0 && (errno == EAGAIN || errno == EINTR);
		const bool taken =
			n > 0 && BIO_write(part->in, part->record, (int)n) == (int)n && dtls_sctp_done(c);

		if (!taken && !none) {
			ERR_clear_error();
			trust_refuse(&c->owner->listener, part->ssl, &part->peer, SSL_ERROR_SYSCALL,
				     &c->peer.session);
			return CHANNEL_FAILED;
		}
		progress = advance(c);
		if (none)
			break;
	}
	return progress == CHANNEL_FAILED ? end_in_order(c) : progress;
}

/* The exporter's close_notify is answered at once (RFC 5246 7.2.1); its end of the association follows. */
static void answer_end(struct connection *c)
{
	struct dtls_sctp_part *part = connection_extra(c);

	if (part->answered)
		return;
	part->answered = true;
	SSL_shutdown(part->ssl);
	const enum status st = dtls_records_push(&part->records);
	(void)st; /* it may have gone */
	shutdown(c->fd, SHUT_WR);
}

static bool is_whole(const uint8_t *octets, size_t length)
{
	const size_t said = length < 4 ? 0 : get_be16(octets + 2);

	return length < 4 || get_be16(octets) != 10 || said == length || said > DTLS_MESSAGE_MAX;
}

/* What one message of SCTP's holds; a message of IPFIX that is too long for a record may go on in the next.
 */
static ssize_t dtls_sctp_read(struct connection *c, uint8_t *out, size_t room)
{
	struct dtls_sctp_part *part = connection_extra(c);
	const ssize_t n = peek_message(c);
	size_t filled = 0;
	int result;

	if (n < 0)
		return -1;
	if (n == 0) {
		errno = EPROTO;
		return SSL_get_shutdown(part->ssl) & SSL_RECEIVED_SHUTDOWN ? 0 : -1;
	}
	ERR_clear_error();
	if (BIO_write(part->in, part->record, (int)n) != (int)n) {
		errno = ENOMEM;
		return -1;
	}
	while ((result = SSL_read(part->ssl, out + filled, (int)(room - filled))) > 0)
		filled += (size_t)result;
	const int error = SSL_get_error(part->ssl, result);
	if (error == SSL_ERROR_ZERO_RETURN)
		answer_end(c);
	if (filled && (c->filled || is_whole(out, filled)))
		return (ssize_t)filled;
	const bool good = !filled && (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN);
	errno = !dtls_sctp_done(c) ? EPROTO : good ? EAGAIN : filled ? EBADMSG : EPROTO;
	return -1;
}

static void dtls_sctp_leave(struct connection *c)
{
	ERR_clear_error();
	answer_end(c); /* or come first; what the exporter has sent is still read */
}

static void dtls_sctp_end(struct connection *c)
{
	struct dtls_sctp_part *part = connection_extra(c);

	SSL_free(part->ssl);
	part->ssl = NULL;
}

/* One that does not authenticate is not opened: dtls_sctp_open looks before. */
static void dtls_sctp_prepare(int fd)
{
	const int yes = 1;

	setsockopt(fd, IPPROTO_SCTP, SCTP_NODELAY, &yes, sizeof yes); /* a flight is several messages */
	sctp_prepare_listener(fd, 1);
	sctp_auth_prepare(fd);
	sctp_want_dry_event(fd);
}

static const struct channel_type dtls_sctp_channel = {
	.transport = JOURNAL_DTLS_SCTP,
	.protocol = IPPROTO_SCTP,
	.extra = sizeof(struct dtls_sctp_part),
	.single = true,
	.prepare = dtls_sctp_prepare,
	.begin = dtls_sctp_begin,
	.shake = dtls_sctp_shake,
	.read = dtls_sctp_read,
	.done = dtls_sctp_done,
	.leave = dtls_sctp_leave,
	.end = dtls_sctp_end,
};

/* A kernel that has SCTP, but not this part of it. */
static bool lacks_authentication(void)
{
	auto_fd probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);

	return probe >= 0 && !sctp_auth_prepare(probe);
}

static enum status dtls_sctp_open(struct listener **out, struct worker *w,
				  const struct sockaddr_storage *address, socklen_t length, struct error *err)
{
	struct secure_context *context = NULL;

	if (w->number)
		return connections_none(out, &dtls_sctp_listener, &dtls_sctp_channel, w, err);
	if (lacks_authentication())
		return error_set(err, ERR_UNSUPPORTED,
				 "this kernel does not authenticate chunks of SCTP (RFC 4895); use Tls");
	enum status st = trust_open(&context, w, true, err);
	if (st == OK)
		st = connections_open(out, &dtls_sctp_listener, &dtls_sctp_channel, w, address, length, err);
	if (*out)
		((struct connections *)*out)->shared = context;
	else
		secure_free(context);
	return st;
}

static void dtls_sctp_free(struct listener *l)
{
	secure_free(((struct connections *)l)->shared);
	connections_free(l);
}

const struct listener_type dtls_sctp_listener = {
	.scheme = "DtlsSctp",
	.usage = "DtlsSctp/HOST[:PORT]",
	.default_port = 4740,
	.secure = true,
	.open = dtls_sctp_open,
	.tick = connections_tick,
	.drain = connections_drain,
	.close = connections_close,
	.free = dtls_sctp_free,
};
