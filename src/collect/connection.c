#include "collect/connection.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	ACCEPTS_A_TURN = 64,
	SINGLES_A_TURN = 64,
	BACKLOG = 1024,
	/* What waits here is acknowledged and lost should we die: no more than a busy turn needs. The kernel
	 * doubles it; the exporter counts on that much (USUAL_BUFFER of transport/tcp.c). */
	STREAM_BUFFER = 64 << 10,
};

static void unlink_connection(struct connection *c)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
}

static void link_connection(struct connection **list, struct connection *c)
{
	c->next = *list;
	c->link = list;
	if (c->next)
		c->next->link = &c->next;
	*list = c;
}

static void end_connection(struct connection *c, enum listener_counter how)
{
	struct connections *all = c->owner;
	struct listener *l = &all->listener;

	worker_flush(l->worker); /* the batch may name its peer and its buffer */
	if (how != LISTENER_COUNTERS)
		listener_count(l, how, 1);
	if (!c->half_open) {
		if (c->filled > 0)
			listener_count(l, CUT_SHORT, 1);
		session_leave(l->worker->limits, &c->peer.session.address);
		atomic_fetch_sub(&l->open_sessions, 1);
	}
	if (all->channel->end)
		all->channel->end(c);
	close(c->fd);
	c->fd = -1;
	free(c->buffer);
	c->buffer = NULL;
	unlink_connection(c);
	c->next = all->ended;
	all->ended = c;
}

static void free_ended(struct connections *all)
{
	while (all->ended) {
		struct connection *c = all->ended;
		all->ended = c->next;
		free(c);
	}
}

/* Hand over the whole messages; false when what follows is no IPFIX. */
static bool take_messages(struct connection *c)
{
	struct listener *l = &c->owner->listener;
	size_t at = 0;
	enum listener_counter refusal = LISTENER_COUNTERS;

	while (c->filled - at >= 4) {
		const uint8_t *message = c->buffer + at;
		/* Version and Length are enough to judge: nothing waits for the rest of what is refused. */
		refusal = message_refusal(message, 16);
		if (refusal != LISTENER_COUNTERS)
			break;
		const size_t length = get_be16(message + 2);
		if (c->filled - at < length)
			break;
		if (c->peer.gap)
			worker_refuse(l->worker, l, span_of(message, length), &c->peer);
		else
			worker_take(l->worker, l, span_of(message, length), &c->peer);
		c->spoke_ipfix = true;
		at += length;
	}
	worker_flush(l->worker); /* before the buffer moves */
	if (at > 0) {
		memmove(c->buffer, c->buffer + at, c->filled - at);
		c->filled -= at;
		c->began = l->worker->now;
	}
	if (refusal != LISTENER_COUNTERS) {
		listener_count(l, refusal, 1);
		say_refused(l, refusal, &c->peer.session);
	}
	return refusal == LISTENER_COUNTERS;
}

ssize_t stream_peek(const struct connection *c, uint8_t *out, size_t room)
{
	return recv(c->fd, out, room, MSG_DONTWAIT | MSG_PEEK);
}

bool stream_let_go(const struct connection *c, size_t length)
{
	while (length > 0) {
		const ssize_t n = recv(c->fd, NULL, length, MSG_DONTWAIT | MSG_TRUNC);

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		length -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* Messages of it were not stored, and now others could be: it ends, by a reset, so that its exporter learns
 * that not all was read, and begins anew with its templates. */
static bool end_with_gap(struct connection *c)
{
	const struct worker *w = c->owner->listener.worker;
	const struct linger reset = {.l_onoff = 1};

	if (!c->peer.gap || !journal_goes_on(w->journal, w->now))
		return false;
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	end_connection(c, ENDED_NOT_STORED);
	return true;
}

/* false: there was nothing. */
static bool read_some(struct connection *c)
{
	struct worker *w = c->owner->listener.worker;

	if (end_with_gap(c))
		return false;
	const ssize_t n = c->owner->channel->read(c, c->buffer + c->filled, CONNECTION_BUFFER - c->filled);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		end_connection(c, n == 0             ? ENDED_BY_PEER
				  : errno == EBADMSG ? ENDED_MALFORMED
						     : ENDED_BY_ERROR);
		return false;
	}
	if (c->filled == 0)
		c->began = w->now;
	c->heard = w->now;
	c->filled += (size_t)n;
	if (c->filled > CONNECTION_BUFFER / 2)
		w->more = true;
	const bool good = take_messages(c);
	const bool let_go = !c->owner->channel->done || c->owner->channel->done(c);
	if (!good || !let_go)
		end_connection(c, good ? ENDED_BY_ERROR : ENDED_MALFORMED);
	return good && let_go;
}

static void read_session(struct connection *c)
{
	int left = c->owner->channel->single ? SINGLES_A_TURN : 1;

	while (left-- > 0 && read_some(c))
		;
	if (c->owner->channel->single && left < 0)
		c->owner->listener.worker->more = true;
}

/* It is a Transport Session now, if there is a place for one. */
static bool admit(struct connection *c)
{
	struct listener *l = &c->owner->listener;
	enum listener_counter answer;

	c->buffer = malloc(CONNECTION_BUFFER); /* pages come when they are used */
	answer = c->buffer ? session_admit(l->worker->limits, &c->peer.session.address) : ACCEPT_ERRORS;
	listener_count(l, answer, 1);
	if (answer != SESSIONS_ACCEPTED) {
		say_refused(l, answer, &c->peer.session);
		free(c->buffer);
		c->buffer = NULL;
		return false;
	}
	c->half_open = false;
	c->accepted = c->heard = l->worker->now;
	c->peer.session.number = journal_session_number(l->worker->journal);
	link_connection(&c->owner->sessions, c);
	atomic_fetch_add(&l->open_sessions, 1);
	return true;
}

static void wait_to_write(struct connection *c, bool wait)
{
	struct epoll_event event = {.events = wait ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = &c->source};

	if (c->waits_to_write != wait)
		epoll_ctl(c->owner->listener.worker->epoll, EPOLL_CTL_MOD, c->fd, &event);
	c->waits_to_write = wait;
}

static void shake_hands(struct connection *c)
{
	const enum channel_progress progress = c->owner->channel->shake(c);

	wait_to_write(c, progress == CHANNEL_WAITS_TO_WRITE);
	if (progress == CHANNEL_FAILED)
		end_connection(c, LISTENER_COUNTERS);
	if (progress != CHANNEL_UP)
		return;
	unlink_connection(c);
	if (admit(c)) {
		read_session(c); /* what came behind the handshake is in the channel already */
		return;
	}
	link_connection(&c->owner->half_open, c);
	end_connection(c, LISTENER_COUNTERS);
}

static void connection_ready(struct event_source *source, uint32_t events)
{
	struct connection *c = (struct connection *)(void *)source;

	if (c->fd < 0)
		return;
	if (c->half_open)
		shake_hands(c);
	else
		read_session(c);
}

/* The kernel would tell of a dead host after two hours, or never. SCTP has heartbeats. */
static void watch_for_dead_peers(int fd)
{
	const int on = 1, idle = 60, interval = 15, count = 4;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

/* Room for one more handshake from there: too many from one source are its own trouble, too many in all are
 * the oldest's, for an exporter that can finish does so at once. */
static bool make_room(struct connections *all, const struct journal_session *from)
{
	const struct receiver_options *options = all->listener.worker->options;
	uint32_t count = 0, of_source = 0;
	struct connection *oldest = NULL;

	for (struct connection *c = all->half_open; c; c = c->next) {
		count++;
		of_source += same_source(&c->peer.session.address, &from->address);
		oldest = c;
	}
	if (of_source >= options->handshakes_per_source) {
		listener_count(&all->listener, HANDSHAKES_REFUSED_SOURCE, 1);
		say_refused(&all->listener, HANDSHAKES_REFUSED_SOURCE, from);
		return false;
	}
	if (count >= options->handshakes) {
		say_refused(&all->listener, HANDSHAKES_CROWDED_OUT, &oldest->peer.session);
		end_connection(oldest, HANDSHAKES_CROWDED_OUT);
	}
	return true;
}

static void begin_connection(struct connections *all, int fd, const struct sockaddr_storage *from)
{
	struct listener *l = &all->listener;
	const struct channel_type *channel = all->channel;
	struct journal_session session = {.transport = channel->transport, .local_port = l->port};

	session_from(&session, from);
	if (channel->shake && !make_room(all, &session)) {
		close(fd);
		return;
	}
	struct connection *c = calloc(1, sizeof *c + channel->extra);
	if (!c) {
		listener_count(l, ACCEPT_ERRORS, 1);
		close(fd);
		return;
	}
	c->source.ready = connection_ready;
	c->owner = all;
	c->fd = fd;
	c->accepted = c->heard = l->worker->now;
	c->peer.session = session;
	c->half_open = channel->shake;
	if (!channel->protocol)
		watch_for_dead_peers(fd);
	if (!channel->shake && !admit(c)) {
		close(fd);
		free(c);
		return;
	}
	if (c->half_open)
		link_connection(&all->half_open, c);
	if ((channel->begin && !channel->begin(c)) || !worker_watch(l->worker, fd, &c->source))
		end_connection(c, c->half_open ? HANDSHAKES_FAILED : ENDED_BY_ERROR);
}

static void set_paused(struct connections *all, bool paused)
{
	struct epoll_event event = {.events = paused ? 0 : EPOLLIN, .data.ptr = &all->source};

	all->paused = paused;
	epoll_ctl(all->listener.worker->epoll, EPOLL_CTL_MOD, all->listener.fd, &event);
}

static void listener_ready(struct event_source *source, uint32_t events)
{
	struct connections *all =
		(struct connections *)(void *)((char *)source - offsetof(struct connections, source));

	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_storage from = {0};
		socklen_t length = sizeof from;
		const int fd = accept4(all->listener.fd, (struct sockaddr *)&from, &length,
				       SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			begin_connection(all, fd, &from);
			continue;
		}
		if (errno == ECONNABORTED || errno == EINTR)
			continue;
		if (errno == EAGAIN)
			return;
		/* EMFILE, ENFILE, ENOBUFS, ENOMEM: it would be ready again at once, for ever. */
		listener_count(&all->listener, ACCEPT_ERRORS, 1);
		set_paused(all, true);
		return;
	}
}

static void tick_half_open(struct connections *all)
{
	const struct worker *w = all->listener.worker;
	struct connection *next;

	for (struct connection *c = all->half_open; c; c = next) {
		next = c->next;
		if (w->now.ns - c->accepted.ns < w->options->handshake_ns)
			continue;
		say_refused(&all->listener, HANDSHAKES_TIMED_OUT, &c->peer.session);
		end_connection(c, HANDSHAKES_TIMED_OUT);
	}
}

void connections_tick(struct listener *l)
{
	struct connections *all = (struct connections *)l;
	const struct receiver_options *options = l->worker->options;
	const int64_t now = l->worker->now.ns;
	struct connection *next;

	if (all->paused)
		set_paused(all, false);
	tick_half_open(all);
	for (struct connection *c = all->sessions; c; c = next) {
		next = c->next;
		if (end_with_gap(c))
			continue;
		if (c->filled > 0 && now - c->began.ns >= options->half_message_ns)
			end_connection(c, ENDED_HALF_MESSAGE);
		else if ((!c->spoke_ipfix && now - c->accepted.ns >= options->first_message_ns) ||
			 now - c->heard.ns >= options->idle_ns)
			end_connection(c, ENDED_IDLE);
	}
	free_ended(all); /* no event of this turn names them any more */
}

void connections_drain(struct listener *l)
{
	struct connections *all = (struct connections *)l;
	struct connection *next;

	if (l->fd >= 0)
		listener_ready(&all->source, 0); /* what is connected may have spoken */
	for (struct connection *c = all->sessions; c; c = next) {
		next = c->next;
		if (!c->left)
			all->channel->leave(c);
		c->left = true;
		read_session(c);
	}
}

void connections_close(struct listener *l)
{
	struct connections *all = (struct connections *)l;

	while (all->sessions)
		end_connection(all->sessions, ENDED_BY_STOP);
	while (all->half_open)
		end_connection(all->half_open, LISTENER_COUNTERS);
	free_ended(all);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void connections_free(struct listener *l)
{
	free(l);
}

enum status connections_none(struct listener **out, const struct listener_type *type,
			     const struct channel_type *channel, struct worker *w, struct error *err)
{
	struct connections *all = calloc(1, sizeof *all);

	if (!all)
		return error_set(err, ERR_MEMORY, "no memory for a listener");
	*out = &all->listener;
	all->listener.type = type;
	all->listener.worker = w;
	all->listener.fd = -1;
	all->channel = channel;
	all->source.ready = listener_ready;
	return OK;
}

enum status connections_open(struct listener **out, const struct listener_type *type,
			     const struct channel_type *channel, struct worker *w,
			     const struct sockaddr_storage *address, socklen_t length, struct error *err)
{
	const int on = 1, off = 0, buffer = STREAM_BUFFER;
	const enum status st = connections_none(out, type, channel, w, err);

	if (st != OK)
		return st;
	struct listener *l = *out;
	struct connections *all = (struct connections *)l;
	l->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, channel->protocol);
	if (l->fd < 0 && (errno == ESOCKTNOSUPPORT || errno == EPROTONOSUPPORT))
		return error_set(err, ERR_UNSUPPORTED,
				 "this kernel has no %s; load its module (modprobe sctp), or use Tcp or Tls",
				 type->scheme);
	if (l->fd < 0)
		return error_errno(err, "cannot make a socket");
	if (address->ss_family == AF_INET6)
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
	    bind(l->fd, (const struct sockaddr *)address, length) < 0)
		return error_errno(err, "cannot bind");
	/* Before listen: accepted ones have it from there. */
	if (channel->prepare)
		channel->prepare(l->fd);
	else
		setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
	if (listen(l->fd, BACKLOG) < 0)
		return error_errno(err, "cannot listen");
	l->port = port_of(l->fd);
	if (!worker_watch(w, l->fd, &all->source))
		return error_errno(err, "epoll");
	return OK;
}
