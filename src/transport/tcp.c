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
#include "transport/dial.h"

#define CONNECT_WAIT_NS (20 * NS_PER_S) /* then the next address */
#define ENDING_WAIT_NS  (5 * NS_PER_S)  /* after our FIN, for the last acknowledgement */
#define FINISH_MOST_NS  (20 * NS_PER_S) /* for a collector that reads on, but slowly */

enum {
	MESSAGE_MAX = 65535,
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

enum tcp_state { TCP_IDLE, TCP_CONNECTING, TCP_UP, TCP_ENDING };

struct tcp_transport {
	struct transport transport;
	struct dial dial;
	int fd; /* -1 when idle */
	enum tcp_state state;
	bool stacked;
	bool peer_done; /* the peer sends no more, and wants none; or the transport above does */
	bool quiet;     /* … which has said why */
	bool finishing; /* the end is ours: no other connection follows */
	uint16_t max_message;
	uint32_t generation;
	int64_t until;                       /* mono ns: of connecting, of ending */
	int64_t patience, finish_until;      /* ns, mono ns: of finishing */
	uint64_t moved_octets, moved_window; /* … when something moved last */
	uint64_t window,
		largest_window; /* octets that the peer had room for: last, ever on this connection */
	struct delivery delivery;
	struct sockaddr_storage remote;
	size_t rest_at, rest_end; /* of rest[]: not given to the kernel yet */
	uint8_t rest[REST_MAX];
};

static struct tcp_transport *self(struct transport *t)
{
	return (struct tcp_transport *)t;
}

static size_t rest_length(const struct tcp_transport *t)
{
	return t->rest_end - t->rest_at;
}

static void watch_window(struct tcp_transport *t)
{
	struct tcp_info info;
	socklen_t length = sizeof info;

	if (getsockopt(t->fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
	    length < offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd) {
		t->largest_window = UNKNOWN_WINDOW; /* and t->window 0 */
		return;
	}
	t->window = info.tcpi_snd_wnd;
	if (t->window > t->largest_window)
		t->largest_window = t->window;
}

/* Of what is acknowledged, how much may wait in the peer's kernel: what its buffer holds, less the window
 * that it offers. How large the buffer is it does not say. Who reads fast shows all of it as a window; of one
 * that is always behind, or of a larger buffer, which kernels offer by and by, the largest window may have
 * shown no more than half. */
static uint64_t perhaps_unread(const struct tcp_transport *t)
{
	const uint64_t confirmed = t->delivery.confirmed;
	const uint64_t seen = t->largest_window;
	const uint64_t buffer = (seen <= USUAL_BUFFER ? USUAL_BUFFER : 2 * seen) + UNREAD_SLACK;
	const uint64_t bound = buffer - t->window;
	return confirmed < bound ? confirmed : bound;
}

/* What the peer's kernel acknowledged. Also right after a reset: the counters outlive the connection. */
static void count_confirmed(struct tcp_transport *t)
{
	const uint64_t given = t->delivery.taken - rest_length(t);
	int waiting = 0;

	if (t->state < TCP_UP)
		return;
	watch_window(t);
	if (ioctl(t->fd, SIOCOUTQ, &waiting) < 0 || waiting < 0)
		return;
	if ((uint64_t)waiting <= given && given - (uint64_t)waiting > t->delivery.confirmed)
		t->delivery.confirmed = given - (uint64_t)waiting;
}

static void let_go(struct tcp_transport *t)
{
	count_confirmed(t);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->state = TCP_IDLE;
	t->rest_at = t->rest_end = 0;
}

static void broken(struct tcp_transport *t, const char *what, int number)
{
	count_confirmed(t);
	const uint64_t open = t->delivery.taken - t->delivery.confirmed;
	const bool was_up = t->state >= TCP_UP;

	if (was_up && (number || open || t->finishing))
		t->delivery.unread = perhaps_unread(t);
	let_go(t);
	if (was_up && t->quiet)
		return;
	if (was_up && t->finishing)
		dial_trouble(&t->dial, &t->transport,
			     "the connection did not end in order: %s%s%s; %llu octets unacknowledged, at "
			     "most %llu more unread",
			     what, number ? ": " : "", number ? strerror(number) : "",
			     (unsigned long long)open, (unsigned long long)t->delivery.unread);
	else if (was_up)
		dial_trouble(&t->dial, &t->transport,
			     "the connection ended: %s%s%s; %llu octets unacknowledged; tries to reconnect "
			     "are %lld s apart",
			     what, number ? ": " : "", number ? strerror(number) : "",
			     (unsigned long long)open, (long long)(t->dial.interval / NS_PER_S));
	else
		dial_trouble(&t->dial, &t->transport, "cannot connect: %s; tries are %lld s apart",
			     number ? strerror(number) : what, (long long)(t->dial.interval / NS_PER_S));
}

/* A kernel that lacks one of these still sends. */
static void set_options(int fd)
{
	const int yes = 1, dead = DEAD_PEER_MS, idle = KEEPALIVE_IDLE_S, every = KEEPALIVE_EVERY_S,
		  count = KEEPALIVE_COUNT;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* messages are filled before they come */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof dead);
}

static void connected(struct tcp_transport *t)
{
	t->state = TCP_UP;
	t->peer_done = t->quiet = false;
	t->delivery = (struct delivery){0};
	t->window = t->largest_window = 0;
	t->generation++;
	dial_well(&t->dial);
	log_info(t->dial.log, "collector %s/%s:%u: connected", t->dial.scheme, t->dial.host, t->dial.port);
}

static void start_connect(struct tcp_transport *t, const struct sockaddr_storage *to)
{
	t->remote = *to;
	t->state = TCP_CONNECTING;
	t->until = mono_now().ns + CONNECT_WAIT_NS;
	t->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (t->fd < 0) {
		broken(t, "no socket", errno);
		return;
	}
	set_options(t->fd);
	if (connect(t->fd, (const struct sockaddr *)to, dial_length(to)) == 0)
		connected(t);
	else if (errno != EINPROGRESS)
		broken(t, "", errno);
}

static void check_connect(struct tcp_transport *t)
{
	struct pollfd p = {.fd = t->fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int number = 0;

	if (poll(&p, 1, 0) == 1) {
		if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &number, &length) < 0)
			number = errno;
		if (number)
			broken(t, "", number);
		else
			connected(t);
	} else if (mono_now().ns >= t->until) {
		broken(t, "", ETIMEDOUT);
	}
}

/* Give the kernel what waits. false: it takes no more now, or the connection is gone. */
static bool push(struct tcp_transport *t)
{
	while (rest_length(t)) {
		const ssize_t n =
			send(t->fd, t->rest + t->rest_at, rest_length(t), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0) {
			t->rest_at += (size_t)n;
		} else if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
			return false;
		} else if (errno != EINTR) {
			broken(t, "cannot send", errno);
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

	if (t->state < TCP_UP || t->peer_done)
		return END;
	do
		n = recv(t->fd, out, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		*length = (size_t)n;
		return OK;
	}
	if (n < 0 && errno == EAGAIN)
		return AGAIN;
	if (n < 0)
		broken(t, "the network answers", errno);
	else
		t->peer_done = true;
	return END;
}

static void discard_received(struct tcp_transport *t)
{
	uint8_t ignored[DISCARD];
	size_t length;

	for (int i = 0; i < DISCARD_READS; i++) {
		if (tcp_receive(&t->transport, ignored, sizeof ignored, &length) != OK)
			return;
	}
}

/* Our FIN behind the last whole message. false: the connection is gone, or has still to take some of it. */
static bool close_our_side(struct tcp_transport *t, const char *why)
{
	int number = 0;
	socklen_t length = sizeof number;

	if (t->state == TCP_UP && push(t)) {
		shutdown(t->fd, SHUT_WR);
		t->state = TCP_ENDING;
	}
	if (t->state != TCP_ENDING)
		return false;
	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &number, &length) == 0 && number) {
		broken(t, why, number);
		return false;
	}
	count_confirmed(t);
	return true;
}

/* The peer is done: our FIN, then its acknowledgement. */
static void end_connection(struct tcp_transport *t)
{
	const bool begins = t->state == TCP_UP;

	if (!close_our_side(t, "the collector closed it"))
		return;
	if (begins)
		t->until = mono_now().ns + ENDING_WAIT_NS;
	if (t->delivery.confirmed == t->delivery.taken || mono_now().ns >= t->until)
		broken(t, "the collector closed it", 0);
}

/* Half a message must not look like an end: then a reset. */
static void reset_if_cut(const struct tcp_transport *t)
{
	const struct linger reset = {.l_onoff = 1};

	if (rest_length(t))
		setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

/* The peer acknowledges or reads. */
static bool has_moved(struct tcp_transport *t)
{
	const bool moved = t->delivery.confirmed != t->moved_octets || t->window != t->moved_window;

	t->moved_octets = t->delivery.confirmed;
	t->moved_window = t->window;
	return moved;
}

/* Our FIN, then the peer's, which says that it has read everything. Its FIN alone says nothing while ours is
 * not acknowledged. */
static void serve_finish(struct tcp_transport *t)
{
	if (t->state >= TCP_UP)
		discard_received(t);
	if (t->state >= TCP_UP && !close_our_side(t, "the collector did not read all of it"))
		count_confirmed(t);
	if (t->state < TCP_UP)
		return;
	const int64_t now = mono_now().ns;
	if (has_moved(t) && now < t->finish_until)
		t->until = now + t->patience;
	if (t->state == TCP_ENDING && t->peer_done && t->delivery.confirmed == t->delivery.taken) {
		let_go(t);
	} else if (now >= t->until) {
		t->delivery.left = true;
		reset_if_cut(t);
		broken(t, "the collector does not close its side", 0);
	}
}

static void tcp_service(struct transport *transport)
{
	struct tcp_transport *t = self(transport);
	const struct sockaddr_storage *to;

	if (t->finishing) {
		serve_finish(t);
		return;
	}
	switch (t->state) {
	case TCP_IDLE:
		to = dial_next(&t->dial, transport);
		if (to)
			start_connect(t, to);
		break;
	case TCP_CONNECTING: check_connect(t); break;
	case TCP_UP:
		if (!t->stacked)
			discard_received(t);
		if (t->state == TCP_UP && !t->peer_done)
			push(t);
		break;
	case TCP_ENDING: break;
	}
	if (t->state >= TCP_UP && t->peer_done)
		end_connection(t);
}

static enum status tcp_open(struct transport **out, const struct endpoint *to,
			    const struct transport_options *options, struct error *err)
{
	struct tcp_transport *t = calloc(1, sizeof *t);

	if (!t)
		return error_set(err, ERR_MEMORY, "%s/%s: out of memory", to->type->scheme, to->host);
	t->transport.type = &tcp_transport;
	t->fd = -1;
	t->stacked = options->stacked;
	t->max_message = options->max_message;
	dial_init(&t->dial, to, options);
	*out = &t->transport;
	return OK;
}

static size_t tcp_message_limit(struct transport *transport)
{
	const struct tcp_transport *t = self(transport);

	return t->max_message ? t->max_message : MESSAGE_MAX;
}

static enum status not_now(const struct tcp_transport *t, const char *why, struct error *err)
{
	return error_set(err, AGAIN, "%s/%s: %s", t->dial.scheme, t->dial.host, why);
}

static enum status tcp_send(struct transport *transport, struct span message, struct error *err)
{
	struct tcp_transport *t = self(transport);
	ssize_t n;

	if (t->state != TCP_UP || t->peer_done || t->finishing)
		return not_now(t, "no connection", err);
	if (message.length > REST_MAX)
		return error_set(err, ERR_LIMIT, "%s/%s: %zu octets; allowed: %d", t->dial.scheme,
				 t->dial.host, message.length, REST_MAX);
	if (!push(t))
		return not_now(t, "the collector reads slowly", err);
	do
		n = send(t->fd, message.data, message.length, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
		return not_now(t, "the collector reads slowly", err);
	if (n < 0) {
		broken(t, "cannot send", errno);
		return not_now(t, "no connection", err);
	}
	t->rest_at = 0;
	t->rest_end = message.length - (size_t)n;
	memcpy(t->rest, message.data + n, t->rest_end);
	t->delivery.taken += message.length;
	return OK;
}

static struct delivery tcp_delivery(struct transport *transport)
{
	struct tcp_transport *t = self(transport);

	count_confirmed(t);
	return t->delivery;
}

static uint32_t tcp_generation(const struct transport *t)
{
	return ((const struct tcp_transport *)t)->generation;
}

static enum transport_state tcp_state(const struct transport *transport)
{
	const struct tcp_transport *t = (const struct tcp_transport *)transport;

	if (t->state < TCP_UP || (t->finishing && !t->delivery.taken))
		return TRANSPORT_DOWN;
	return t->state == TCP_UP && !t->peer_done && !t->finishing ? TRANSPORT_UP : TRANSPORT_ENDING;
}

static int tcp_poll_fd(const struct transport *t)
{
	return ((const struct tcp_transport *)t)->fd;
}

static bool tcp_addresses(const struct transport *transport, struct sockaddr_storage *local,
			  struct sockaddr_storage *remote)
{
	const struct tcp_transport *t = (const struct tcp_transport *)transport;
	socklen_t length = sizeof *local;

	memset(local, 0, sizeof *local);
	if (t->fd < 0 || getsockname(t->fd, (struct sockaddr *)local, &length) < 0)
		return false;
	*remote = t->remote;
	return true;
}

/* In order: what was taken goes out first, an alert that says why among it. */
static void tcp_disconnect(struct transport *transport)
{
	struct tcp_transport *t = self(transport);

	if (t->state >= TCP_UP)
		t->peer_done = t->quiet = true;
	else
		let_go(t);
}

static void tcp_finish(struct transport *transport, int64_t patience_ns)
{
	struct tcp_transport *t = self(transport);
	const int64_t now = mono_now().ns;

	if (!t->finishing)
		t->finish_until = now + FINISH_MOST_NS;
	t->finishing = true;
	t->stacked = false; /* what the peer still says is of no interest */
	t->patience = patience_ns;
	t->until = now + patience_ns;
	if (t->state < TCP_UP)
		let_go(t);
}

/* FIN behind the last whole message (RFC 7011 10.4.4). */
static void tcp_close(struct transport *transport)
{
	struct tcp_transport *t = transport ? self(transport) : NULL;

	if (!t)
		return;
	const int64_t until = mono_now().ns + CLOSE_WAIT_MS * NS_PER_MS;
	while (t->state == TCP_UP && !push(t) && t->fd >= 0 && mono_now().ns < until) {
		struct pollfd p = {.fd = t->fd, .events = POLLOUT};
		poll(&p, 1, CLOSE_WAIT_MS);
	}
	if (t->state == TCP_UP && !rest_length(t))
		discard_received(t); /* unread octets would turn the FIN into a reset */
	if (t->fd >= 0)
		reset_if_cut(t);
	if (t->fd >= 0)
		close(t->fd);
	dial_fini(&t->dial);
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
	.generation = tcp_generation,
	.delivery = tcp_delivery,
	.state = tcp_state,
	.finish = tcp_finish,
	.poll_fd = tcp_poll_fd,
	.addresses = tcp_addresses,
	.close = tcp_close,
	.lower = &tcp_lower,
};
