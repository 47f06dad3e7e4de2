/* TCP: connections, each a Transport Session with a number of its own. A buffer holds two messages at most,
 * so a read always has room and a session never grows. Every ready session gets one read a turn. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "collect/receive_worker.h"

enum { BUFFER = 2 * 65536, ACCEPTS_A_TURN = 64, BACKLOG = 256 };

struct session {
	struct event_source source;
	struct tcp *tcp;
	int fd;
	size_t filled;
	struct mono_ns accepted, heard, began; /* began: the first octet of the message that is not whole */
	bool spoke_ipfix;                      /* a whole message came */
	struct journal_peer peer;
	struct session *next, **link;
	uint8_t buffer[BUFFER];
};

struct tcp {
	struct listener listener;
	struct event_source source;
	bool paused;                      /* until the next tick: no descriptor for another connection */
	struct session *sessions, *ended; /* ended: freed when the turn is over */
};

static void end_session(struct session *s, enum listener_counter how)
{
	struct listener *l = &s->tcp->listener;

	worker_flush(l->worker); /* the batch may name its peer and its buffer */
	listener_count(l, how, 1);
	if (s->filled > 0)
		listener_count(l, CUT_SHORT, 1);
	session_leave(l->worker->limits, &s->peer.session.address);
	atomic_fetch_sub(&l->open_sessions, 1);
	close(s->fd);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	s->next = s->tcp->ended;
	s->tcp->ended = s;
}

static void free_ended(struct tcp *tcp)
{
	while (tcp->ended) {
		struct session *s = tcp->ended;
		tcp->ended = s->next;
		free(s);
	}
}

/* Hand over the whole messages; false when what follows is no IPFIX. */
static bool take_messages(struct session *s)
{
	struct listener *l = &s->tcp->listener;
	size_t at = 0;
	enum listener_counter refusal = LISTENER_COUNTERS;

	while (s->filled - at >= 4) {
		const uint8_t *message = s->buffer + at;
		/* Version and Length are enough to judge: nothing waits for the rest of what is refused. */
		refusal = message_refusal(message, 16);
		if (refusal != LISTENER_COUNTERS)
			break;
		const size_t length = get_be16(message + 2);
		if (s->filled - at < length)
			break;
		worker_take(l->worker, l, span_of(message, length), &s->peer);
		s->spoke_ipfix = true;
		at += length;
	}
	worker_flush(l->worker); /* before the buffer moves */
	if (at > 0) {
		memmove(s->buffer, s->buffer + at, s->filled - at);
		s->filled -= at;
		s->began = l->worker->now;
	}
	if (refusal != LISTENER_COUNTERS) {
		listener_count(l, refusal, 1);
		say_refused(l, refusal, &s->peer.session);
	}
	return refusal == LISTENER_COUNTERS;
}

/* One read. Answers whether the session lives and there may be more. */
static bool read_session(struct session *s)
{
	struct worker *w = s->tcp->listener.worker;
	const ssize_t n = recv(s->fd, s->buffer + s->filled, BUFFER - s->filled, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		end_session(s, n == 0 ? ENDED_BY_PEER : ENDED_BY_ERROR);
		return false;
	}
	if (s->filled == 0)
		s->began = w->now;
	s->heard = w->now;
	s->filled += (size_t)n;
	if (s->filled > BUFFER / 2)
		w->more = true;
	if (!take_messages(s)) {
		end_session(s, ENDED_MALFORMED);
		return false;
	}
	return true;
}

static void session_ready(struct event_source *source, uint32_t events)
{
	read_session((struct session *)(void *)source);
}

/* The kernel would tell of a dead host after two hours, or never. */
static void watch_for_dead_peers(int fd)
{
	const int on = 1, idle = 60, interval = 15, count = 4;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static void begin_session(struct tcp *tcp, int fd, const struct sockaddr_storage *from)
{
	struct listener *l = &tcp->listener;
	struct journal_session session = {.transport = JOURNAL_TCP, .local_port = l->port};

	session_from(&session, from);
	const enum listener_counter answer = session_admit(l->worker->limits, &session.address);
	if (answer != SESSIONS_ACCEPTED) {
		listener_count(l, answer, 1);
		say_refused(l, answer, &session);
		close(fd);
		return;
	}
	struct session *s = malloc(sizeof *s); /* not calloc: pages of the buffer come when they are used */
	if (!s) {
		session_leave(l->worker->limits, &session.address);
		listener_count(l, ACCEPT_ERRORS, 1);
		close(fd);
		return;
	}
	memset(s, 0, offsetof(struct session, buffer));
	session.number = journal_session_number(l->worker->journal);
	s->source.ready = session_ready;
	s->tcp = tcp;
	s->fd = fd;
	s->accepted = s->heard = l->worker->now;
	s->peer.session = session;
	s->next = tcp->sessions;
	s->link = &tcp->sessions;
	if (s->next)
		s->next->link = &s->next;
	tcp->sessions = s;
	atomic_fetch_add(&l->open_sessions, 1);
	listener_count(l, SESSIONS_ACCEPTED, 1);
	watch_for_dead_peers(fd);
	if (!worker_watch(l->worker, fd, &s->source))
		end_session(s, ENDED_BY_ERROR);
}

static void set_paused(struct tcp *tcp, bool paused)
{
	struct epoll_event event = {.events = paused ? 0 : EPOLLIN, .data.ptr = &tcp->source};

	tcp->paused = paused;
	epoll_ctl(tcp->listener.worker->epoll, EPOLL_CTL_MOD, tcp->listener.fd, &event);
}

static void tcp_ready(struct event_source *source, uint32_t events)
{
	struct tcp *tcp = (struct tcp *)(void *)((char *)source - offsetof(struct tcp, source));

	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_storage from = {0};
		socklen_t length = sizeof from;
		const int fd = accept4(tcp->listener.fd, (struct sockaddr *)&from, &length,
				       SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			begin_session(tcp, fd, &from);
			continue;
		}
		if (errno == ECONNABORTED || errno == EINTR)
			continue;
		if (errno == EAGAIN)
			return;
		/* EMFILE, ENFILE, ENOBUFS, ENOMEM: it would be ready again at once, for ever. */
		listener_count(&tcp->listener, ACCEPT_ERRORS, 1);
		set_paused(tcp, true);
		return;
	}
}

static void tcp_tick(struct listener *l)
{
	struct tcp *tcp = (struct tcp *)l;
	const struct receiver_options *options = l->worker->options;
	const int64_t now = l->worker->now.ns;
	struct session *next;

	if (tcp->paused)
		set_paused(tcp, false);
	for (struct session *s = tcp->sessions; s; s = next) {
		next = s->next;
		if (s->filled > 0 && now - s->began.ns >= options->half_message_ns)
			end_session(s, ENDED_HALF_MESSAGE);
		else if ((!s->spoke_ipfix && now - s->accepted.ns >= options->first_message_ns) ||
			 now - s->heard.ns >= options->idle_ns)
			end_session(s, ENDED_IDLE);
	}
	free_ended(tcp); /* no event of this turn names them any more */
}

static void tcp_drain(struct listener *l)
{
	struct tcp *tcp = (struct tcp *)l;
	struct session *next;

	if (l->fd >= 0)
		tcp_ready(&tcp->source, 0); /* what is connected may have spoken */
	for (struct session *s = tcp->sessions; s; s = next) {
		next = s->next;
		shutdown(s->fd, SHUT_WR); /* the exporter sees that we are leaving (RFC 7011 10.4.5) */
		read_session(s);
	}
}

static void tcp_close(struct listener *l)
{
	struct tcp *tcp = (struct tcp *)l;

	while (tcp->sessions)
		end_session(tcp->sessions, ENDED_BY_STOP);
	free_ended(tcp);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static void tcp_free(struct listener *l)
{
	free(l);
}

static enum status tcp_open(struct listener **out, struct worker *w, const struct sockaddr_storage *address,
			    socklen_t length, struct error *err)
{
	const int on = 1, off = 0;
	struct tcp *tcp = calloc(1, sizeof *tcp);

	if (!tcp)
		return error_set(err, ERR_MEMORY, "no memory for a TCP listener");
	struct listener *l = *out = &tcp->listener;
	l->type = &tcp_listener;
	l->worker = w;
	l->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	tcp->source.ready = tcp_ready;
	if (l->fd < 0)
		return error_errno(err, "TCP socket");
	if (address->ss_family == AF_INET6)
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
	    bind(l->fd, (const struct sockaddr *)address, length) < 0)
		return error_errno(err, "cannot bind");
	if (listen(l->fd, BACKLOG) < 0)
		return error_errno(err, "cannot listen");
	l->port = port_of(l->fd);
	if (!worker_watch(w, l->fd, &tcp->source))
		return error_errno(err, "epoll");
	return OK;
}

const struct listener_type tcp_listener = {
	.scheme = "Tcp",
	.usage = "Tcp/HOST[:PORT]",
	.default_port = 4739,
	.open = tcp_open,
	.tick = tcp_tick,
	.drain = tcp_drain,
	.close = tcp_close,
	.free = tcp_free,
};
