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
#include "transport/dial.h"
#include "transport/tcp_unread.h"

#define CONNECT_WAIT_NS (20 * NS_PER_S)  /* then the next address */
#define ENDING_WAIT_NS  (5 * NS_PER_S)   /* after our FIN, for the last acknowledgement */
#define ASK_FIRST_NS    (20 * NS_PER_MS) /* after the collector's FIN; then doubled */
#define ANSWER_NS       (1 * NS_PER_MS)  /* and twice the round trip: for the reset of who is gone */
#define ASK_MOST_NS     (3 * NS_PER_S)
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
	QUESTION_MAX = 256,  /* octets of a message without sets, wrapped or not */
	CLOSE_WAIT_MS = 500, /* for the rest of a message, at the end */
};

static const char CLOSED[] = "the collector closed it", NOT_READ[] = "the collector did not read all of it";

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
	struct tcp_unread unread;
	bool peer_first;                     /* its end came before ours … */
	uint64_t asked;                      /* … octets given since, to learn whether it takes any */
	uint64_t arrived;                    /* octets acknowledged, of those taken and of those */
	int64_t ask_at, asked_at, ask_pause; /* mono ns; ns */
	bool asking;                         /* just now */
	size_t (*question)(void *, uint8_t *, size_t);
	void *question_arg;
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

/* What the peer's kernel acknowledged. Also right after a reset: the counters outlive the connection. */
static void count_confirmed(struct tcp_transport *t)
{
	const uint64_t given = t->delivery.taken + t->asked - rest_length(t);
	int waiting = 0;

	if (t->state < TCP_UP)
		return;
	tcp_unread_watch(&t->unread, t->fd);
	if (ioctl(t->fd, SIOCOUTQ, &waiting) < 0 || waiting < 0)
		return;
	if ((uint64_t)waiting <= given && given - (uint64_t)waiting > t->arrived)
		t->arrived = given - (uint64_t)waiting;
	t->delivery.confirmed = t->arrived < t->delivery.taken ? t->arrived : t->delivery.taken;
}

/* After its end the peer's kernel answers a question with a reset, at once: its program had closed the
 * connection, and had read all there was, or the reset would have come without a question. */
static bool is_closed_clean(const struct tcp_transport *t, int number)
{
	return (number == EPIPE || number == ECONNRESET) && t->peer_first && t->asked > 0 &&
	       t->state == TCP_UP && t->delivery.confirmed == t->delivery.taken &&
	       t->arrived < t->delivery.taken + t->asked &&
	       (t->asking || mono_now().ns <= t->asked_at + ANSWER_NS + 2 * t->unread.round_trip_ns);
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
	const bool was_up = t->state >= TCP_UP, clean = is_closed_clean(t, number);
	const unsigned long long tries_s = (unsigned long long)(t->dial.interval / NS_PER_S);

	if (clean) {
		what = CLOSED;
		number = 0;
	} else if (was_up && (number || open || t->finishing || t->peer_first)) {
		t->delivery.unread = tcp_unread_bound(&t->unread, t->delivery.confirmed);
	}
	let_go(t);
	if (was_up && (t->quiet || (clean && t->finishing)))
		return;
	const char *why = number ? strerror(number) : "", *colon = number ? ": " : "";
	const unsigned long long unread = t->delivery.unread;
	if (was_up && t->finishing)
		dial_trouble(&t->dial, &t->transport,
			     "the connection did not end in order: %s%s%s; %llu octets unacknowledged, at "
			     "most %llu more unread",
			     what, colon, why, (unsigned long long)open, unread);
	else if (was_up)
		dial_trouble(&t->dial, &t->transport,
			     "the connection ended: %s%s%s; %llu octets unacknowledged, at most %llu more "
			     "unread; tries to reconnect are %llu s apart",
			     what, colon, why, (unsigned long long)open, unread, tries_s);
	else
		dial_trouble(&t->dial, &t->transport, "cannot connect: %s; tries are %llu s apart",
			     number ? why : what, tries_s);
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
	t->unread = (struct tcp_unread){0};
	t->peer_first = false;
	t->asked = t->arrived = 0;
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

/* The peer sends no more. */
static void hear_end(struct tcp_transport *t)
{
	t->peer_done = true;
	if (t->state != TCP_UP)
		return;
	t->peer_first = true;
	t->ask_pause = ASK_FIRST_NS;
	t->ask_at = mono_now().ns + t->ask_pause;
	if (!t->finishing)
		t->until = mono_now().ns + ASK_MOST_NS;
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
		hear_end(t);
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

/* The network has said that the connection is gone. */
static bool is_broken(struct tcp_transport *t, const char *why)
{
	int number = 0;
	socklen_t length = sizeof number;

	if (t->fd < 0 || getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &number, &length) < 0 || !number)
		return t->fd < 0;
	broken(t, why, number);
	return true;
}

/* Our FIN behind the last whole message. false: the connection is gone, or has still to take some of it. */
static bool close_our_side(struct tcp_transport *t, const char *why)
{
	if (t->state == TCP_UP && push(t)) {
		shutdown(t->fd, SHUT_WR);
		t->state = TCP_ENDING;
	}
	if (t->state != TCP_ENDING || is_broken(t, why))
		return false;
	count_confirmed(t);
	return true;
}

/* The peer closed its side first. Closed, or only half closed, may its program not have read everything? A
 * message without sets finds out, before our FIN: behind that a kernel tells nothing any more. true: it is
 * time for our FIN, because there is nothing to learn, or the peer takes all and goes on. */
static bool ask_peer(struct tcp_transport *t)
{
	const int64_t now = mono_now().ns;

	if (!t->question || t->quiet || t->delivery.taken == 0 || now >= t->until)
		return true;
	if (is_broken(t, CLOSED))
		return false;
	count_confirmed(t);
	if (!push(t) || now < t->ask_at || t->arrived < t->delivery.taken + t->asked)
		return false;
	const size_t octets = t->question(t->question_arg, t->rest, QUESTION_MAX);
	t->rest_end = octets;
	push(t);
	if (t->state != TCP_UP) /* it had reset before */
		return false;
	t->asked += octets;
	t->asked_at = now;
	t->ask_at = now + (t->ask_pause *= 2);
	t->asking = true;
	is_broken(t, CLOSED);
	t->asking = false;
	return octets == 0 && t->state == TCP_UP;
}

/* The peer is done: our FIN, then its acknowledgement. */
static void end_connection(struct tcp_transport *t)
{
	const bool begins = t->state == TCP_UP;

	if ((begins && t->peer_first && !ask_peer(t)) || !close_our_side(t, CLOSED))
		return;
	if (begins)
		t->until = mono_now().ns + ENDING_WAIT_NS;
	if (t->delivery.confirmed == t->delivery.taken || mono_now().ns >= t->until)
		broken(t, CLOSED, 0);
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
	const bool moved = t->delivery.confirmed != t->moved_octets || t->unread.window != t->moved_window;

	t->moved_octets = t->delivery.confirmed;
	t->moved_window = t->unread.window;
	return moved;
}

/* Our FIN, then the peer's, which says that it has read everything. Its FIN alone says nothing while ours is
 * not acknowledged. */
static void serve_finish(struct tcp_transport *t)
{
	if (t->state >= TCP_UP)
		discard_received(t);
	const bool asks = t->state == TCP_UP && t->peer_first && !ask_peer(t);
	if (t->state >= TCP_UP && (asks || !close_our_side(t, NOT_READ)))
		count_confirmed(t);
	if (t->state < TCP_UP)
		return;
	const int64_t now = mono_now().ns;
	if (has_moved(t) && now < t->finish_until)
		t->until = now + t->patience;
	if (t->state == TCP_ENDING && t->peer_done && t->delivery.confirmed == t->delivery.taken) {
		if (t->peer_first)
			broken(t, "the collector closed its side first", 0);
		else
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
	t->question = options->question;
	t->question_arg = options->question_arg;
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

	if (t->state >= TCP_UP) {
		t->peer_first |= t->state == TCP_UP;
		t->peer_done = t->quiet = true;
	} else {
		let_go(t);
	}
}

static void tcp_finish(struct transport *transport, int64_t patience_ns)
{
	struct tcp_transport *t = self(transport);
	const int64_t now = mono_now().ns;

	const bool stacked = t->stacked;
	if (!t->finishing)
		t->finish_until = now + FINISH_MOST_NS;
	t->finishing = true;
	t->stacked = false; /* what the peer still says is of no interest */
	t->patience = patience_ns;
	t->until = now + patience_ns;
	if (t->state < TCP_UP)
		let_go(t);
	else if (stacked &&
		 !t->peer_first) /* a FIN that came since may be the answer to what it wrote last */
		close_our_side(t, NOT_READ);
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
