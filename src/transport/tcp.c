/* IPFIX over TCP (RFC 7011 section 10.4): one connection at a time, made when the transport opens and made
 * again after it broke, at most once in reconnect_ns.
 *
 * A message is taken whole or not at all. What the socket does not take of it waits here and goes first;
 * nothing else is buffered. delivery() tells octets given to send from octets that the peer's kernel
 * acknowledged. So what the network lost or the peer's kernel refused is known and sent again on the next
 * connection. TCP does not tell what the peer's kernel had acknowledged and the collector had not read when
 * it died; the window it offered last, beside what its buffer can hold, bounds it (delivery.unread). An
 * acknowledgement that was lost with the connection makes one message come twice.
 *
 * A peer that closes its side takes no more messages: the one under way is finished. Its FIN says that it has
 * read everything if its program closed the connection, and nothing if it only half closed it; who dies then
 * with octets unread resets, unless our FIN was there before. So ours waits, and messages without sets
 * (transport.h) tell the two apart. One that takes them to the end of our patience leaves unsure what it has
 * read. A peer that half closes and dies while such a message is on its way counts as closed.
 *
 * When the end is ours (finish), the peer's end is the answer: it comes when the collector has read all there
 * was, while a kernel that has to throw away what was not read answers with a reset. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/sockios.h>
#include <linux/tcp.h>

#include "base/time.h"
#include "transport/link.h"
#include "transport/tcp_unread.h"

#define ASK_FIRST_NS (20 * NS_PER_MS) /* after the collector's FIN; then doubled */
#define ANSWER_NS    (1 * NS_PER_MS)  /* and twice the round trip: for the reset of who is gone */
#define ASK_MOST_NS  (3 * NS_PER_S)

enum {
	REST_MAX = 1 << 17,    /* a message, also one that a transport above has wrapped */
	DISCARD = 4096,        /* octets of a peer that ought to send none */
	DISCARD_READS = 16,    /* in one go: bounded work */
	DEAD_PEER_MS = 60000,  /* without an acknowledgement of what was sent */
	KEEPALIVE_IDLE_S = 30, /* then … */
	KEEPALIVE_EVERY_S = 10,
	KEEPALIVE_COUNT = 3,
	QUESTION_MAX = 256,  /* octets of a message without sets, wrapped or not */
	CLOSE_WAIT_MS = 500, /* for the rest of a message, at the end */
};

static const char CLOSED[] = "the collector closed it", NOT_READ[] = "the collector did not read all of it";

struct tcp_transport {
	struct link link;
	bool stacked;
	bool peer_done; /* the peer sends no more, and wants none; or the transport above does */
	struct tcp_unread unread;
	bool peer_first;                     /* its end came before ours … */
	uint64_t asked;                      /* … octets given since, to learn whether it takes any */
	uint64_t arrived;                    /* octets acknowledged, of those taken and of those */
	int64_t ask_at, asked_at, ask_pause; /* mono ns; ns */
	bool asking;                         /* just now */
	size_t rest_at, rest_end;            /* of rest[]: not given to the kernel yet */
	uint8_t rest[REST_MAX];
};

static struct tcp_transport *self(struct transport *t)
{
	return (struct tcp_transport *)t;
}

static struct tcp_transport *of_link(struct link *l)
{
	return (struct tcp_transport *)l;
}

static size_t rest_length(const struct tcp_transport *t)
{
	return t->rest_end - t->rest_at;
}

/* What the peer's kernel acknowledged. Also right after a reset: the counters outlive the connection. */
static void tcp_count(struct link *l)
{
	struct tcp_transport *t = of_link(l);
	const uint64_t given = l->delivery.taken + t->asked - rest_length(t);
	int waiting = 0;

	tcp_unread_watch(&t->unread, l->fd);
	l->window = t->unread.window;
	if (ioctl(l->fd, SIOCOUTQ, &waiting) < 0 || waiting < 0)
		return;
	if ((uint64_t)waiting <= given && given - (uint64_t)waiting > t->arrived)
		t->arrived = given - (uint64_t)waiting;
	l->delivery.confirmed = t->arrived < l->delivery.taken ? t->arrived : l->delivery.taken;
}

/* After its end the peer's kernel answers a question with a reset, at once: its program had closed the
 * connection, and had read all there was, or the reset would have come without a question. */
static bool is_closed_clean(const struct tcp_transport *t, int number)
{
	const struct delivery *d = &t->link.delivery;

	return (number == EPIPE || number == ECONNRESET) && t->peer_first && t->asked > 0 &&
	       t->link.state == LINK_UP && d->confirmed == d->taken && t->arrived < d->taken + t->asked &&
	       (t->asking || mono_now().ns <= t->asked_at + ANSWER_NS + 2 * t->unread.round_trip_ns);
}

static bool tcp_is_read(const struct link *l, int number)
{
	const struct tcp_transport *t = (const struct tcp_transport *)l;
	const bool in_order = !number && l->delivery.confirmed == l->delivery.taken && !l->finishing;

	return is_closed_clean(t, number) || (in_order && !t->peer_first);
}

static uint64_t tcp_unread(const struct link *l)
{
	return tcp_unread_bound(&((const struct tcp_transport *)l)->unread, l->delivery.confirmed);
}

static void tcp_begin(struct link *l)
{
	struct tcp_transport *t = of_link(l);

	t->peer_done = t->peer_first = false;
	t->unread = (struct tcp_unread){0};
	t->asked = t->arrived = 0;
	t->rest_at = t->rest_end = 0;
}

/* A kernel that lacks one of these still sends. */
static bool prepare(int fd)
{
	const int yes = 1, dead = DEAD_PEER_MS, idle = KEEPALIVE_IDLE_S, every = KEEPALIVE_EVERY_S,
		  count = KEEPALIVE_COUNT;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* messages are filled before they come */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof dead);
	return true;
}

static const struct link_kind connection = {
	.protocol = IPPROTO_TCP,
	.name = "connection",
	.is_up = "connected",
	.prepare = prepare,
	.begin = tcp_begin,
	.count = tcp_count,
	.is_read = tcp_is_read,
	.unread = tcp_unread,
};

/* Give the kernel what waits. false: it takes no more now, or the connection is gone. */
static bool push(struct tcp_transport *t)
{
	while (rest_length(t)) {
		const ssize_t n =
			send(t->link.fd, t->rest + t->rest_at, rest_length(t), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0) {
			t->rest_at += (size_t)n;
		} else if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
			return false;
		} else if (errno != EINTR) {
			link_broken(&t->link, "cannot send", errno);
			return false;
		}
	}
	t->rest_at = t->rest_end = 0;
	return true;
}

/* The peer sends no more. */
static void hear_end(struct tcp_transport *t)
{
	t->peer_done = true;
	if (t->link.state != LINK_UP)
		return;
	t->peer_first = true;
	t->ask_pause = ASK_FIRST_NS;
	t->ask_at = mono_now().ns + t->ask_pause;
	if (!t->link.finishing)
		t->link.until = mono_now().ns + ASK_MOST_NS;
}

static enum status tcp_receive(struct transport *transport, void *out, size_t size, size_t *length)
{
	struct tcp_transport *t = self(transport);
	ssize_t n;

	if (t->link.state < LINK_UP || t->peer_done)
		return END;
	do
		n = recv(t->link.fd, out, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		*length = (size_t)n;
		return OK;
	}
	if (n < 0 && errno == EAGAIN)
		return AGAIN;
	if (n < 0)
		link_broken(&t->link, "the network answers", errno);
	else
		hear_end(t);
	return END;
}

static void discard_received(struct tcp_transport *t)
{
	uint8_t ignored[DISCARD];
	size_t length;

	for (int i = 0; i < DISCARD_READS; i++) {
		if (tcp_receive(&t->link.transport, ignored, sizeof ignored, &length) != OK)
			return;
	}
}

/* The network has said that the connection is gone. */
static bool is_broken(struct tcp_transport *t, const char *why)
{
	int number = 0;
	socklen_t length = sizeof number;

	if (t->link.fd < 0 || getsockopt(t->link.fd, SOL_SOCKET, SO_ERROR, &number, &length) < 0 || !number)
		return t->link.fd < 0;
	link_broken(&t->link, why, number);
	return true;
}

/* Our FIN behind the last whole message. false: the connection is gone, or has still to take some of it. */
static bool close_our_side(struct tcp_transport *t, const char *why)
{
	if (t->link.state == LINK_UP && push(t)) {
		shutdown(t->link.fd, SHUT_WR);
		t->link.state = LINK_ENDING;
	}
	if (t->link.state != LINK_ENDING || is_broken(t, why))
		return false;
	tcp_count(&t->link);
	return true;
}

/* The peer closed its side first. Closed, or only half closed, may its program not have read everything? A
 * message without sets finds out, before our FIN: behind that a kernel tells nothing any more. true: it is
 * time for our FIN, because there is nothing to learn, or the peer takes all and goes on. */
static bool ask_peer(struct tcp_transport *t)
{
	struct link *l = &t->link;
	const int64_t now = mono_now().ns;

	if (!l->question || l->quiet || l->delivery.taken == 0 || now >= l->until)
		return true;
	if (is_broken(t, CLOSED))
		return false;
	tcp_count(l);
	if (!push(t) || now < t->ask_at || t->arrived < l->delivery.taken + t->asked)
		return false;
	const size_t octets = link_question(l, t->rest, QUESTION_MAX);
	t->rest_end = octets;
	push(t);
	if (l->state != LINK_UP) /* it had reset before */
		return false;
	t->asked += octets;
	t->asked_at = now;
	t->ask_at = now + (t->ask_pause *= 2);
	t->asking = true;
	is_broken(t, CLOSED);
	t->asking = false;
	return octets == 0 && l->state == LINK_UP;
}

/* The peer is done: our FIN, then its acknowledgement. */
static void end_connection(struct tcp_transport *t)
{
	struct link *l = &t->link;
	const bool begins = l->state == LINK_UP;

	if ((begins && t->peer_first && !ask_peer(t)) || !close_our_side(t, CLOSED))
		return;
	if (begins)
		l->until = mono_now().ns + LINK_ENDING_NS;
	if (l->delivery.confirmed == l->delivery.taken || mono_now().ns >= l->until)
		link_broken(l, CLOSED, 0);
}

/* Half a message must not look like an end: then a reset. */
static void reset_if_cut(const struct tcp_transport *t)
{
	const struct linger reset = {.l_onoff = 1};

	if (rest_length(t))
		setsockopt(t->link.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

/* Our FIN, then the peer's, which says that it has read everything. Its FIN alone says nothing while ours is
 * not acknowledged. */
static void serve_finish(struct tcp_transport *t)
{
	struct link *l = &t->link;

	if (l->state >= LINK_UP)
		discard_received(t);
	const bool asks = l->state == LINK_UP && t->peer_first && !ask_peer(t);
	if (l->state >= LINK_UP && (asks || !close_our_side(t, NOT_READ)) && l->state >= LINK_UP)
		tcp_count(l);
	if (l->state < LINK_UP)
		return;
	const bool stuck = link_is_stuck(l);
	if (l->state == LINK_ENDING && t->peer_done && l->delivery.confirmed == l->delivery.taken) {
		if (t->peer_first)
			link_broken(l, "the collector closed its side first", 0);
		else
			link_let_go(l);
	} else if (stuck) {
		l->delivery.left = true;
		reset_if_cut(t);
		link_broken(l, "the collector does not close its side", 0);
	}
}

static void tcp_service(struct transport *transport)
{
	struct tcp_transport *t = self(transport);

	if (t->link.finishing) {
		serve_finish(t);
		return;
	}
	switch (t->link.state) {
	case LINK_IDLE:
	case LINK_CONNECTING: link_connect(&t->link); break;
	case LINK_UP:
		if (!t->stacked)
			discard_received(t);
		if (t->link.state == LINK_UP && !t->peer_done)
			push(t);
		break;
	case LINK_ENDING: break;
	}
	if (t->link.state >= LINK_UP && t->peer_done)
		end_connection(t);
}

static enum status tcp_open(struct transport **out, const struct endpoint *to,
			    const struct transport_options *options, struct error *err)
{
	struct tcp_transport *t = calloc(1, sizeof *t);

	if (!t)
		return error_set(err, ERR_MEMORY, "%s/%s: out of memory", to->type->scheme, to->host);
	t->stacked = options->stacked;
	link_init(&t->link, &tcp_transport, &connection, to, options);
	*out = &t->link.transport;
	return OK;
}

static size_t tcp_message_limit(struct transport *transport)
{
	const struct tcp_transport *t = self(transport);

	return t->link.max_message ? t->link.max_message : LINK_MESSAGE_MAX;
}

static enum status tcp_send(struct transport *transport, struct span message, struct error *err)
{
	struct tcp_transport *t = self(transport);
	ssize_t n;

	if (t->link.state != LINK_UP || t->peer_done || t->link.finishing)
		return link_not_now(&t->link, "no connection", err);
	if (message.length > REST_MAX)
		return error_set(err, ERR_LIMIT, "%s/%s: %zu octets; allowed: %d", t->link.dial.scheme,
				 t->link.dial.host, message.length, REST_MAX);
	if (!push(t))
		return link_not_now(&t->link, "the collector reads slowly", err);
	do
		n = send(t->link.fd, message.data, message.length, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
		return link_not_now(&t->link, "the collector reads slowly", err);
	if (n < 0) {
		link_broken(&t->link, "cannot send", errno);
		return link_not_now(&t->link, "no connection", err);
	}
	t->rest_at = 0;
	t->rest_end = message.length - (size_t)n;
	memcpy(t->rest, message.data + n, t->rest_end);
	t->link.delivery.taken += message.length;
	return OK;
}

static enum transport_state tcp_state(const struct transport *transport)
{
	const struct tcp_transport *t = (const struct tcp_transport *)transport;

	if (t->link.state < LINK_UP || (t->link.finishing && !t->link.delivery.taken))
		return TRANSPORT_DOWN;
	return t->link.state == LINK_UP && !t->peer_done && !t->link.finishing ? TRANSPORT_UP
									       : TRANSPORT_ENDING;
}

/* In order: what was taken goes out first, an alert that says why among it. */
static void tcp_disconnect(struct transport *transport)
{
	struct tcp_transport *t = self(transport);

	if (t->link.state >= LINK_UP) {
		t->peer_first |= t->link.state == LINK_UP;
		t->peer_done = t->link.quiet = true;
	} else {
		link_let_go(&t->link);
	}
}

static void tcp_finish(struct transport *transport, int64_t patience_ns)
{
	struct tcp_transport *t = self(transport);

	const bool stacked = t->stacked;

	t->stacked = false; /* what the peer still says is of no interest */
	if (!link_finish(&t->link, patience_ns) && stacked && !t->peer_first)
		close_our_side(t, NOT_READ); /* a FIN that came since may answer what was written last */
}

/* FIN behind the last whole message (RFC 7011 10.4.4). */
static void tcp_close(struct transport *transport)
{
	struct tcp_transport *t = transport ? self(transport) : NULL;

	if (!t)
		return;
	const int64_t until = mono_now().ns + CLOSE_WAIT_MS * NS_PER_MS;
	while (t->link.state == LINK_UP && !push(t) && t->link.fd >= 0 && mono_now().ns < until) {
		struct pollfd p = {.fd = t->link.fd, .events = POLLOUT};
		poll(&p, 1, CLOSE_WAIT_MS);
	}
	if (t->link.state == LINK_UP && !rest_length(t))
		discard_received(t); /* unread octets would turn the FIN into a reset */
	if (t->link.fd >= 0)
		reset_if_cut(t);
	link_fini(&t->link);
	free(t);
}

static const struct lower tcp_lower = {.receive = tcp_receive, .disconnect = tcp_disconnect};

const struct transport_type tcp_transport = {
	.scheme = "Tcp",
	.usage = "Tcp/HOST[:PORT]",
	.default_port = 4739,
	.reliable = true,
	.open = tcp_open,
	.service = tcp_service,
	.message_limit = tcp_message_limit,
	.send = tcp_send,
	.generation = link_generation,
	.delivery = link_delivery,
	.state = tcp_state,
	.finish = tcp_finish,
	.poll_fd = link_poll_fd,
	.addresses = link_addresses,
	.close = tcp_close,
	.lower = &tcp_lower,
};
