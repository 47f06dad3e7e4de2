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
 * A peer that closes its side takes no more messages: the one under way is finished, then our side is closed,
 * and the connection ends when the peer has acknowledged all of it.
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

enum {
	REST_MAX = 1 << 17,    /* a message, also one that a transport above has wrapped */
	DISCARD = 4096,        /* octets of a peer that ought to send none */
	DISCARD_READS = 16,    /* in one go: bounded work */
	DEAD_PEER_MS = 60000,  /* without an acknowledgement of what was sent */
	KEEPALIVE_IDLE_S = 30, /* then … */
	KEEPALIVE_EVERY_S = 10,
	KEEPALIVE_COUNT = 3,
	USUAL_BUFFER = 1 << 17,   /* octets: what weir collect has */
	UNREAD_SLACK = 1 << 12,   /* the window is told in steps, and not for each segment */
	UNKNOWN_WINDOW = 1 << 20, /* Linux before 5.4 does not say */
	CLOSE_WAIT_MS = 500,      /* for the rest of a message, at the end */
};

struct tcp_transport {
	struct link link;
	bool stacked;
	bool peer_done;           /* the peer sends no more, and wants none; or the transport above does */
	size_t rest_at, rest_end; /* of rest[]: not given to the kernel yet */
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

static void watch_window(struct tcp_transport *t)
{
	struct tcp_info info;
	socklen_t length = sizeof info;

	if (getsockopt(t->link.fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
	    length < offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd) {
		t->link.largest_window = UNKNOWN_WINDOW; /* and the window 0 */
		return;
	}
	t->link.window = info.tcpi_snd_wnd;
	if (t->link.window > t->link.largest_window)
		t->link.largest_window = t->link.window;
}

/* Of what is acknowledged, how much may wait in the peer's kernel: what its buffer holds, less the window
 * that it offers. How large the buffer is it does not say. Who reads fast shows all of it as a window; of one
 * that is always behind, or of a larger buffer, which kernels offer by and by, the largest window may have
 * shown no more than half. */
static uint64_t tcp_unread(const struct link *l, bool in_order)
{
	const uint64_t confirmed = l->delivery.confirmed;
	const uint64_t seen = l->largest_window;
	const uint64_t buffer = (seen <= USUAL_BUFFER ? USUAL_BUFFER : 2 * seen) + UNREAD_SLACK;
	const uint64_t bound = buffer - l->window;

	if (in_order)
		return 0;
	return confirmed < bound ? confirmed : bound;
}

/* What the peer's kernel acknowledged. Also right after a reset: the counters outlive the connection. */
static void tcp_count(struct link *l)
{
	struct tcp_transport *t = of_link(l);
	const uint64_t given = l->delivery.taken - rest_length(t);
	int waiting = 0;

	watch_window(t);
	if (ioctl(l->fd, SIOCOUTQ, &waiting) < 0 || waiting < 0)
		return;
	if ((uint64_t)waiting <= given && given - (uint64_t)waiting > l->delivery.confirmed)
		l->delivery.confirmed = given - (uint64_t)waiting;
}

static void tcp_begin(struct link *l)
{
	struct tcp_transport *t = of_link(l);

	t->peer_done = false;
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
		t->peer_done = true;
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

/* Our FIN behind the last whole message. false: the connection is gone, or has still to take some of it. */
static bool close_our_side(struct tcp_transport *t, const char *why)
{
	int number = 0;
	socklen_t length = sizeof number;

	if (t->link.state == LINK_UP && push(t)) {
		shutdown(t->link.fd, SHUT_WR);
		t->link.state = LINK_ENDING;
	}
	if (t->link.state != LINK_ENDING)
		return false;
	if (getsockopt(t->link.fd, SOL_SOCKET, SO_ERROR, &number, &length) == 0 && number) {
		link_broken(&t->link, why, number);
		return false;
	}
	tcp_count(&t->link);
	return true;
}

/* The peer is done: our FIN, then its acknowledgement. */
static void end_connection(struct tcp_transport *t)
{
	const bool begins = t->link.state == LINK_UP;

	if (!close_our_side(t, "the collector closed it"))
		return;
	if (begins)
		t->link.until = mono_now().ns + LINK_ENDING_NS;
	if (t->link.delivery.confirmed == t->link.delivery.taken || mono_now().ns >= t->link.until)
		link_broken(&t->link, "the collector closed it", 0);
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
	if (t->link.state >= LINK_UP)
		discard_received(t);
	if (t->link.state >= LINK_UP && !close_our_side(t, "the collector did not read all of it"))
		tcp_count(&t->link);
	if (t->link.state < LINK_UP)
		return;
	if (t->link.state == LINK_ENDING && t->peer_done &&
	    t->link.delivery.confirmed == t->link.delivery.taken) {
		link_let_go(&t->link);
	} else if (link_is_stuck(&t->link)) {
		t->link.delivery.left = true;
		reset_if_cut(t);
		link_broken(&t->link, "the collector does not close its side", 0);
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

	if (t->link.state >= LINK_UP)
		t->peer_done = t->link.quiet = true;
	else
		link_let_go(&t->link);
}

static void tcp_finish(struct transport *transport, int64_t patience_ns)
{
	struct tcp_transport *t = self(transport);

	t->stacked = false; /* what the peer still says is of no interest */
	(void)link_finish(&t->link, patience_ns);
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
