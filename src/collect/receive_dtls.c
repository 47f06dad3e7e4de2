/* DTLS 1.2 over UDP (RFC 7011 sections 10.3 and 11). One socket per worker; the kernel gives the datagrams of
 * one exporter always to the same. They are told apart by address here: those of a known one go to its
 * association, a ClientHello of anyone else through the door (dtls_door.h), the rest nowhere. What DTLS
 * protects in one record is one IPFIX Message.
 *
 * Half-open associations have limits of their own, as in connection.h. An exporter that begins anew from the
 * same port (it was restarted) takes the place of its old association once it has shown the cookie (RFC 6347
 * 4.2.8). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <xxhash.h>

#include <openssl/err.h>

#include "collect/dtls_door.h"
#include "collect/receive_trust.h"

enum {
	BUCKETS = 4096,
	BATCHES_A_TURN = 8,
	PLACE = 65536 + 1472, /* of a datagram, as in receive_udp.c */
	RECORD_MAX = 1 << 14,
};

struct association {
	struct dtls_end *end;
	bool half_open;
	bool spoke_ipfix;
	struct mono_ns accepted, heard;
	struct journal_peer peer;
	struct association *chain;                    /* of its bucket */
	struct association *next, *previous, **owner; /* of half_open or sessions, newest first */
};

struct dtls {
	struct listener listener;
	struct event_source source;
	struct secure_context *context;
	struct dtls_door *door;
	uint64_t seed;
	uint32_t drops, records; /* records: places of `plain` in use */
	uint32_t half_open_count;
	uint8_t *arena;
	uint8_t (*plain)[RECORD_MAX]; /* JOURNAL_BATCH of them */
	struct association *bucket[BUCKETS];
	struct association *half_open, *sessions;
	struct mmsghdr headers[JOURNAL_BATCH];
	struct iovec iov[JOURNAL_BATCH];
	struct sockaddr_storage from[JOURNAL_BATCH];
};

static struct association **bucket_of(struct dtls *dtls, const struct journal_session *s)
{
	const struct {
		struct in6_addr address;
		uint32_t scope;
		uint32_t port;
	} key = {s->address, s->scope, s->port};

	return &dtls->bucket[XXH3_64bits_withSeed(&key, sizeof key, dtls->seed) % BUCKETS];
}

static struct association *find(struct dtls *dtls, const struct journal_session *s)
{
	struct association *a = *bucket_of(dtls, s);

	while (a && (a->peer.session.port != s->port || a->peer.session.scope != s->scope ||
		     memcmp(&a->peer.session.address, &s->address, sizeof s->address) != 0))
		a = a->chain;
	return a;
}

static void put_in(struct association **list, struct association *a)
{
	a->owner = list;
	a->previous = NULL;
	a->next = *list;
	if (a->next)
		a->next->previous = a;
	*list = a;
}

static void take_out(struct association *a)
{
	if (a->previous)
		a->previous->next = a->next;
	else
		*a->owner = a->next;
	if (a->next)
		a->next->previous = a->previous;
}

/* What the kernel does not take now is lost, as on the way; the other side asks again. */
static void send_datagram(void *arg, const struct dtls_end *end, struct span octets)
{
	const struct dtls *dtls = arg;

	sendto(dtls->listener.fd, octets.data, octets.length, MSG_DONTWAIT | MSG_NOSIGNAL,
	       (const struct sockaddr *)&end->address, end->length);
}

static void flush(struct dtls *dtls)
{
	worker_flush(dtls->listener.worker);
	dtls->records = 0;
}

static void end_association(struct dtls *dtls, struct association *a, enum listener_counter how)
{
	struct listener *l = &dtls->listener;
	struct association **link = bucket_of(dtls, &a->peer.session);

	flush(dtls); /* the batch may name its peer */
	if (how != LISTENER_COUNTERS)
		listener_count(l, how, 1);
	if (a->half_open) {
		dtls->half_open_count--;
	} else {
		session_leave(l->worker->limits, &a->peer.session.address);
		atomic_fetch_sub(&l->open_sessions, 1);
	}
	while (*link != a)
		link = &(*link)->chain;
	*link = a->chain;
	take_out(a);
	dtls_end_free(a->end);
	free(a);
}

/* As in connection.c: too many from one source are its own trouble, too many in all are the oldest's. */
static bool make_room(struct dtls *dtls, const struct journal_session *from)
{
	struct listener *l = &dtls->listener;
	uint32_t of_source = 0;
	struct association *oldest = NULL;

	for (struct association *a = dtls->half_open; a; a = a->next) {
		of_source += same_source(&a->peer.session.address, &from->address);
		oldest = a;
	}
	if (of_source >= l->worker->options->handshakes_per_source) {
		listener_count(l, HANDSHAKES_REFUSED_SOURCE, 1);
		say_refused(l, HANDSHAKES_REFUSED_SOURCE, from);
		return false;
	}
	if (dtls->half_open_count >= l->worker->options->handshakes) {
		say_refused(l, HANDSHAKES_CROWDED_OUT, &oldest->peer.session);
		end_association(dtls, oldest, HANDSHAKES_CROWDED_OUT);
	}
	return true;
}

static void admit(struct dtls *dtls, struct association *a)
{
	struct listener *l = &dtls->listener;
	const enum listener_counter answer = session_admit(l->worker->limits, &a->peer.session.address);

	listener_count(l, answer, 1);
	if (answer != SESSIONS_ACCEPTED) {
		say_refused(l, answer, &a->peer.session);
		end_association(dtls, a, LISTENER_COUNTERS);
		return;
	}
	trust_welcome(l, a->end->ssl, &a->peer.session);
	dtls->half_open_count--;
	a->half_open = false;
	a->accepted = a->heard = l->worker->now;
	a->peer.session.number = journal_session_number(l->worker->journal);
	take_out(a);
	put_in(&dtls->sessions, a);
	atomic_fetch_add(&l->open_sessions, 1);
}

/* False: it is gone. */
static bool shake_hands(struct dtls *dtls, struct association *a)
{
	ERR_clear_error();
	const int result = SSL_do_handshake(a->end->ssl);
	const int error = SSL_get_error(a->end->ssl, result);

	if (result == 1) {
		admit(dtls, a);
		return false; /* nothing more is in this datagram that could not come again */
	}
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return true;
	trust_refuse(&dtls->listener, a->end->ssl, &a->end->peer, error, &a->peer.session);
	end_association(dtls, a, LISTENER_COUNTERS);
	return false;
}

static void take_message(struct dtls *dtls, struct association *a, struct span octets)
{
	struct listener *l = &dtls->listener;
	enum listener_counter refusal = message_refusal(octets.data, octets.length);

	if (refusal == LISTENER_COUNTERS && get_be16(octets.data + 2) != octets.length)
		refusal = REFUSED_LENGTH;
	if (refusal != LISTENER_COUNTERS) {
		listener_count(l, refusal, 1);
		say_refused(l, refusal, &a->peer.session);
		return;
	}
	a->spoke_ipfix = true;
	worker_take(l->worker, l, octets, &a->peer);
	dtls->records++;
}

/* The messages of one datagram. */
static void read_messages(struct dtls *dtls, struct association *a)
{
	int result;

	ERR_clear_error();
	for (;;) {
		if (dtls->records == JOURNAL_BATCH)
			flush(dtls);
		uint8_t *place = dtls->plain[dtls->records];
		result = SSL_read(a->end->ssl, place, RECORD_MAX);
		if (result <= 0)
			break;
		a->heard = dtls->listener.worker->now;
		take_message(dtls, a, span_of(place, (size_t)result));
	}
	switch (SSL_get_error(a->end->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: return;
	case SSL_ERROR_ZERO_RETURN:
		SSL_shutdown(a->end->ssl);
		end_association(dtls, a, ENDED_BY_PEER);
		return;
	default: end_association(dtls, a, ENDED_BY_ERROR);
	}
}

/* The door let him in: an association, half open. */
static void begin_association(struct dtls *dtls, struct dtls_end *end, const struct journal_session *from)
{
	struct association *old = find(dtls, from);

	if (old)
		end_association(dtls, old, old->half_open ? HANDSHAKES_REFUSED : ENDED_BY_PEER);
	struct association *a = make_room(dtls, from) ? calloc(1, sizeof *a) : NULL;
	if (!a) {
		dtls_end_free(end);
		return;
	}
	struct association **bucket = bucket_of(dtls, from);
	a->end = end;
	a->half_open = true;
	a->accepted = dtls->listener.worker->now;
	a->peer.session = *from;
	a->chain = *bucket;
	*bucket = a;
	put_in(&dtls->half_open, a);
	dtls->half_open_count++;
	shake_hands(dtls, a);
}

static void knock(struct dtls *dtls, int i, struct span octets, const struct journal_session *from)
{
	struct listener *l = &dtls->listener;
	struct dtls_end *end = NULL;

	switch (dtls_door_knock(dtls->door, &dtls->from[i], dtls->headers[i].msg_hdr.msg_namelen, octets,
				l->worker->now, send_datagram, dtls, &end)) {
	case END: begin_association(dtls, end, from); return;
	case AGAIN: listener_count(l, COOKIES_ASKED, 1); return;
	case ERR_FORMAT:
		listener_count(l, HANDSHAKES_FAILED, 1);
		say_refused(l, HANDSHAKES_FAILED, from);
		return;
	default: listener_count(l, ACCEPT_ERRORS, 1);
	}
}

static void take_datagram(struct dtls *dtls, int i)
{
	struct listener *l = &dtls->listener;
	const struct span octets = {dtls->iov[i].iov_base, dtls->headers[i].msg_len};
	struct journal_session from = {.transport = JOURNAL_DTLS, .local_port = l->port};
	const enum datagram_kind kind = datagram_kind(octets);

	session_from(&from, &dtls->from[i]);
	struct association *a = kind == DATAGRAM_OTHER ? NULL : find(dtls, &from);
	if (kind == DATAGRAM_OTHER) {
		listener_count(l, HANDSHAKES_VERSION, 1);
		say_refused(l, HANDSHAKES_VERSION, &from);
	} else if (kind == DATAGRAM_HELLO && (!a || !a->half_open)) {
		knock(dtls, i, octets, &from);
	} else if (!a) {
		listener_count(l, STRAY_RECORDS, 1);
	} else {
		a->end->in = octets;
		if (a->half_open)
			shake_hands(dtls, a);
		else
			read_messages(dtls, a);
	}
}

/* One recvmmsg. Answers whether there may be more. */
static bool receive_batch(struct dtls *dtls)
{
	struct listener *l = &dtls->listener;
	const int n = recvmmsg(l->fd, dtls->headers, JOURNAL_BATCH, MSG_DONTWAIT, NULL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			listener_count(l, RECEIVE_ERRORS, 1);
		return false;
	}
	for (int i = 0; i < n; i++) {
		take_datagram(dtls, i);
		dtls->headers[i].msg_hdr.msg_namelen = sizeof dtls->from[i];
	}
	flush(dtls);
	return n == JOURNAL_BATCH;
}

static void dtls_ready(struct event_source *source, uint32_t events)
{
	struct dtls *dtls = (struct dtls *)(void *)((char *)source - offsetof(struct dtls, source));

	for (int i = 0; i < BATCHES_A_TURN; i++) {
		if (!receive_batch(dtls))
			return;
	}
	dtls->listener.worker->more = true;
}

static void dtls_drain(struct listener *l)
{
	dtls_ready(&((struct dtls *)l)->source, 0);
}

static void tick_half_open(struct dtls *dtls)
{
	const struct worker *w = dtls->listener.worker;
	struct association *next;

	for (struct association *a = dtls->half_open; a; a = next) {
		next = a->next;
		ERR_clear_error();
		if (w->now.ns - a->accepted.ns >= w->options->handshake_ns) {
			say_refused(&dtls->listener, HANDSHAKES_TIMED_OUT, &a->peer.session);
			end_association(dtls, a, HANDSHAKES_TIMED_OUT);
		} else {
			DTLSv1_handle_timeout(a->end->ssl); /* sends again what was not answered in time */
		}
	}
}

static void dtls_tick(struct listener *l)
{
	struct dtls *dtls = (struct dtls *)l;
	const struct receiver_options *options = l->worker->options;
	const int64_t now = l->worker->now.ns;
	struct association *next;

	datagram_count_drops(l, &dtls->drops);
	tick_half_open(dtls);
	for (struct association *a = dtls->sessions; a; a = next) {
		next = a->next;
		if ((!a->spoke_ipfix && now - a->accepted.ns >= options->first_message_ns) ||
		    now - a->heard.ns >= options->idle_ns)
			end_association(dtls, a, ENDED_IDLE);
	}
}

/* The exporters hear that we go, and do not speak into the void for minutes. */
static void dtls_close(struct listener *l)
{
	struct dtls *dtls = (struct dtls *)l;

	while (dtls->sessions) {
		ERR_clear_error();
		SSL_shutdown(dtls->sessions->end->ssl);
		end_association(dtls, dtls->sessions, ENDED_BY_STOP);
	}
	while (dtls->half_open)
		end_association(dtls, dtls->half_open, LISTENER_COUNTERS);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static void dtls_free(struct listener *l)
{
	struct dtls *dtls = (struct dtls *)l;

	dtls_door_free(dtls->door);
	secure_free(dtls->context);
	free(dtls->arena);
	free(dtls->plain);
	free(dtls);
}

static void prepare_headers(struct dtls *dtls)
{
	for (int i = 0; i < JOURNAL_BATCH; i++) {
		dtls->iov[i] = (struct iovec){dtls->arena + (size_t)i * PLACE, DATAGRAM_MAX};
		dtls->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &dtls->from[i],
			.msg_namelen = sizeof dtls->from[i],
			.msg_iov = &dtls->iov[i],
			.msg_iovlen = 1,
		};
	}
}

static enum status dtls_open(struct listener **out, struct worker *w, const struct sockaddr_storage *address,
			     socklen_t length, struct error *err)
{
	struct dtls *dtls = calloc(1, sizeof *dtls);
	enum status st;

	if (!dtls)
		return error_set(err, ERR_MEMORY, "no memory for a DTLS listener");
	struct listener *l = *out = &dtls->listener;
	l->type = &dtls_listener;
	l->worker = w;
	l->fd = -1;
	dtls->source.ready = dtls_ready;
	dtls->arena = malloc((size_t)JOURNAL_BATCH * PLACE); /* pages come when they are used */
	dtls->plain = malloc(JOURNAL_BATCH * sizeof *dtls->plain);
	if (!dtls->arena || !dtls->plain || getrandom(&dtls->seed, sizeof dtls->seed, 0) != sizeof dtls->seed)
		return error_errno(err, "DTLS listener");
	st = trust_open(&dtls->context, w, true, err);
	if (st == OK)
		st = dtls_door_new(&dtls->door, dtls->context, err);
	if (st == OK)
		st = datagram_open(l, address, length, err);
	if (st != OK)
		return st;
	prepare_headers(dtls);
	if (!worker_watch(w, l->fd, &dtls->source))
		return error_errno(err, "epoll");
	datagram_enlarge_buffer(l);
	return OK;
}

const struct listener_type dtls_listener = {
	.scheme = "Dtls",
	.usage = "Dtls/HOST[:PORT]",
	.default_port = 4740,
	.secure = true,
	.open = dtls_open,
	.tick = dtls_tick,
	.drain = dtls_drain,
	.close = dtls_close,
	.free = dtls_free,
};
