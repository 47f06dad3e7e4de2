/* A worker's loop: wait, read the clocks, let the ready listeners take what is there, append it, tick. */
#include "collect/receive_worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	EVENTS = 64,
	TICK_NS = 1000000000,
	DRAIN_NS = 1000000000,
	SPEAK_S = 60,
};

enum listener_counter message_refusal(const uint8_t *octets, size_t length)
{
	const uint16_t version = length >= 2 ? get_be16(octets) : 0;

	if (length < 2)
		return REFUSED_SHORT;
	if (version == 5)
		return REFUSED_NETFLOW_V5;
	if (version == 9)
		return REFUSED_NETFLOW_V9;
	if (version != 10)
		return REFUSED_VERSION;
	if (length < 16)
		return REFUSED_SHORT;
	return get_be16(octets + 2) < 16 ? REFUSED_LENGTH : LISTENER_COUNTERS;
}

void session_from(struct journal_session *out, const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
		out->address = in6->sin6_addr;
		out->scope = in6->sin6_scope_id;
		out->port = ntohs(in6->sin6_port);
		return;
	}
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	out->address = (struct in6_addr){0};
	out->address.s6_addr[10] = out->address.s6_addr[11] = 0xff;
	memcpy(&out->address.s6_addr[12], &in->sin_addr, sizeof in->sin_addr);
	out->scope = 0;
	out->port = ntohs(in->sin_port);
}

void session_print(const struct journal_session *session, char out[80])
{
	char address[INET6_ADDRSTRLEN] = "?";

	if (IN6_IS_ADDR_V4MAPPED(&session->address)) {
		inet_ntop(AF_INET, &session->address.s6_addr[12], address, sizeof address);
		snprintf(out, 80, "%s:%u", address, session->port);
	} else {
		inet_ntop(AF_INET6, &session->address, address, sizeof address);
		snprintf(out, 80, "[%s]:%u", address, session->port);
	}
}

uint16_t port_of(int fd)
{
	struct sockaddr_storage address = {0};
	struct journal_session session;
	socklen_t length = sizeof address;

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return 0;
	session_from(&session, &address);
	return session.port;
}

bool may_speak(struct listener *l)
{
	const struct mono_ns now = l->worker->now;

	if (l->spoke.ns && now.ns - l->spoke.ns < SPEAK_S * NS_PER_S)
		return false;
	l->spoke = now;
	return true;
}

void say_why(struct listener *l, enum listener_counter why, const struct journal_session *from,
	     const char *more)
{
	char text[80];

	session_print(from, text);
	log_warn(l->worker->options->log,
		 "%s/%u: refused: %s, from %s%s%s (more are counted; one line a minute)", l->type->scheme,
		 l->port, listener_counter_names[why], text, more ? ": " : "", more ? more : "");
}

void say_refused(struct listener *l, enum listener_counter why, const struct journal_session *from)
{
	if (may_speak(l))
		say_why(l, why, from, NULL);
}

bool worker_watch(struct worker *w, int fd, struct event_source *source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void worker_flush(struct worker *w)
{
	if (w->batched > 0)
		journal_append(w->journal, w->batch, w->batched, w->now); /* it counts what it refuses */
	w->batched = 0;
}

void worker_take(struct worker *w, struct listener *l, struct span octets, struct journal_peer *peer)
{
	if (w->batched == JOURNAL_BATCH)
		worker_flush(w);
	w->batch[w->batched++] = (struct journal_message){octets, w->wall, peer};
	w->taken++;
	listener_count(l, RECEIVED_MESSAGES, 1);
	listener_count(l, RECEIVED_OCTETS, octets.length);
}

void worker_refuse(struct worker *w, struct listener *l, struct span octets, struct journal_peer *peer)
{
	journal_refuse(w->journal, &(struct journal_message){octets, w->wall, peer}, 1);
	w->taken++;
	listener_count(l, RECEIVED_MESSAGES, 1);
	listener_count(l, RECEIVED_OCTETS, octets.length);
}

static void read_clocks(struct worker *w)
{
	w->now = mono_now();
	w->wall = wall_now();
}

static void tick(struct worker *w)
{
	for (uint32_t i = 0; i < w->listeners; i++)
		w->listener[i]->type->tick(w->listener[i]);
}

/* What was received before the end is not lost by it. Senders that go on are heard for a second more. */
static void drain(struct worker *w)
{
	const int64_t end = mono_now().ns + DRAIN_NS;

	do {
		w->taken = 0;
		read_clocks(w);
		for (uint32_t i = 0; i < w->listeners; i++)
			w->listener[i]->type->drain(w->listener[i]);
		worker_flush(w);
	} while (w->taken > 0 && w->now.ns < end);
	tick(w); /* the kernel's counters, a last time */
}

/* A turn that emptied the sockets is followed by a pause, so that messages go by the batch and not one by
 * one. */
static void nap(const struct worker *w)
{
	clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = w->nap_ns}, NULL);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct epoll_event events[EVENTS];
	int64_t next_tick = mono_now().ns + TICK_NS;

	for (bool stop = false; !stop;) {
		const int64_t left = next_tick - mono_now().ns;
		const int n =
			epoll_wait(w->epoll, events, EVENTS, left > 0 ? (int)(left / NS_PER_MS) + 1 : 0);

		read_clocks(w);
		w->taken = 0;
		w->more = false;
		for (int i = 0; i < n; i++) {
			struct event_source *source = events[i].data.ptr;
			if (source)
				source->ready(source, events[i].events);
			else
				stop = true; /* the wake descriptor */
		}
		worker_flush(w);
		if (w->now.ns >= next_tick) {
			tick(w);
			next_tick = w->now.ns + TICK_NS;
		}
		if (w->taken > 0 && !w->more)
			nap(w);
	}
	drain(w);
	return NULL;
}

enum status worker_start(struct worker *w, struct error *err)
{
	errno = pthread_create(&w->thread, NULL, run, w);
	return errno ? error_errno(err, "receiver: worker %u", w->number) : OK;
}
