#include "collect/receive_worker.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	NAP_NS = 4000000,
	BUFFER_DEFAULT = 16 << 20,
	SESSIONS_DEFAULT = 1024,
	PER_SOURCE_DEFAULT = 64,
	HANDSHAKES_DEFAULT = 256,
	HANDSHAKES_PER_SOURCE_DEFAULT = 32,
};

const struct listener_type *const listeners[] = {
	&udp_listener,  &tcp_listener,       &tls_listener, &dtls_listener,
	&sctp_listener, &dtls_sctp_listener, NULL};

const char *const listener_counter_names[LISTENER_COUNTERS] = {
	[RECEIVED_MESSAGES] = "received messages",
	[RECEIVED_OCTETS] = "received octets",
	[REFUSED_SHORT] = "shorter than a message header",
	[REFUSED_NETFLOW_V5] = "NetFlow version 5",
	[REFUSED_NETFLOW_V9] = "NetFlow version 9",
	[REFUSED_VERSION] = "unknown version",
	[REFUSED_LENGTH] = "wrong length in the header",
	[KERNEL_DROPS] = "dropped by the kernel",
	[RECEIVE_ERRORS] = "receive errors",
	[SESSIONS_ACCEPTED] = "sessions accepted",
	[SESSIONS_REFUSED_FULL] = "too many sessions",
	[SESSIONS_REFUSED_SOURCE] = "too many sessions from one source",
	[ACCEPT_ERRORS] = "accept errors",
	[ENDED_BY_PEER] = "sessions ended by the exporter",
	[ENDED_BY_ERROR] = "sessions ended by an error",
	[ENDED_IDLE] = "sessions ended for silence",
	[ENDED_HALF_MESSAGE] = "sessions ended for a message not finished in time",
	[ENDED_MALFORMED] = "sessions ended for octets that are no IPFIX",
	[ENDED_NOT_STORED] = "sessions ended because messages of theirs could not be stored",
	[ENDED_BY_STOP] = "sessions ended by the collector's end",
	[CUT_SHORT] = "sessions ended inside a message",
	[HANDSHAKES_NO_CERTIFICATE] = "the exporter shows no certificate",
	[HANDSHAKES_UNTRUSTED] = "the exporter's certificate is not trusted",
	[HANDSHAKES_WRONG_NAME] = "the exporter's name is not allowed",
	[HANDSHAKES_EXPIRED] = "the exporter's certificate is out of its time",
	[HANDSHAKES_VERSION] = "protocol version",
	[HANDSHAKES_REFUSED] = "the exporter ended the handshake",
	[HANDSHAKES_FAILED] = "handshakes that failed",
	[HANDSHAKES_TIMED_OUT] = "handshakes not finished in time",
	[HANDSHAKES_CROWDED_OUT] = "handshakes given up for newer ones",
	[HANDSHAKES_REFUSED_SOURCE] = "too many handshakes from one source",
	[COOKIES_ASKED] = "cookies asked for",
	[STRAY_RECORDS] = "records of no association",
};

struct receiver {
	struct receiver_options options;
	struct journal *journal;
	struct session_limits limits;
	struct worker *workers;
	uint32_t count, running;
	pthread_t syncer;
	bool syncing;
	int wake; /* of the syncer */
};

const struct listener_type *listener_find(const char *scheme)
{
	for (const struct listener_type *const *type = listeners; *type; type++) {
		if (strcasecmp((*type)->scheme, scheme) == 0)
			return *type;
	}
	return NULL;
}

const char *listener_scheme(const struct listener_type *type)
{
	return type->scheme;
}

uint16_t listener_default_port(const struct listener_type *type)
{
	return type->default_port;
}

bool listener_is_secure(const struct listener_type *type)
{
	return type->secure;
}

static void take_options(struct receiver *r, const struct receiver_options *options)
{
	struct receiver_options *o = &r->options;

	*o = *options;
	if (!o->receive_buffer)
		o->receive_buffer = BUFFER_DEFAULT;
	if (!o->sessions)
		o->sessions = SESSIONS_DEFAULT;
	if (!o->sessions_per_source)
		o->sessions_per_source = PER_SOURCE_DEFAULT;
	if (!o->handshakes)
		o->handshakes = HANDSHAKES_DEFAULT;
	if (!o->handshakes_per_source)
		o->handshakes_per_source = HANDSHAKES_PER_SOURCE_DEFAULT;
	if (!o->handshake_ns)
		o->handshake_ns = 10 * NS_PER_S;
	if (!o->idle_ns)
		o->idle_ns = 3600 * NS_PER_S;
	if (!o->first_message_ns)
		o->first_message_ns = 30 * NS_PER_S;
	if (!o->half_message_ns)
		o->half_message_ns = 30 * NS_PER_S;
}

/* Both families by one socket, where the kernel has both. */
static const char *any_address(void)
{
	auto_fd fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 ? "::" : "0.0.0.0";
}

/* Once, at the start: no resolver in the path of the messages. */
static enum status resolve(const struct listen_address *listen, struct sockaddr_storage *out,
			   socklen_t *length, struct error *err)
{
	const bool any = !*listen->host || strcmp(listen->host, "*") == 0;
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_DGRAM};
	struct addrinfo *found;
	const int fault = getaddrinfo(any ? any_address() : listen->host, NULL, &hints, &found);

	if (fault)
		return error_set(err, ERR_USAGE, "\"%s\": %s", listen->host, gai_strerror(fault));
	memset(out, 0, sizeof *out);
	memcpy(out, found->ai_addr, found->ai_addrlen);
	*length = found->ai_addrlen;
	freeaddrinfo(found);
	return OK;
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET6)
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)address)->sin_port = htons(port);
}

static enum status open_listeners(struct receiver *r, struct worker *w, struct error *err)
{
	for (uint32_t i = 0; i < r->options.listens; i++) {
		const struct listen_address *listen = &r->options.listen[i];
		struct sockaddr_storage address;
		socklen_t length;
		enum status st = resolve(listen, &address, &length, err);

		if (st == OK) {
			/* All workers share the port that the first one got. */
			set_port(&address, w->number ? r->workers[0].listener[i]->port : listen->port);
			st = listen->type->open(&w->listener[i], w, &address, length, err);
		}
		if (w->listener[i])
			w->listeners++;
		if (st != OK)
			return error_prefix(err, st, "%s/%s:%u", listen->type->scheme, listen->host,
					    listen->port);
	}
	return OK;
}

static enum status open_worker(struct receiver *r, uint32_t number, struct error *err)
{
	struct worker *w = &r->workers[number];

	w->options = &r->options;
	w->limits = &r->limits;
	w->journal = journal_writer_of(r->journal, number);
	w->number = number;
	w->nap_ns = NAP_NS;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll < 0 || w->wake < 0 || !worker_watch(w, w->wake, NULL))
		return error_errno(err, "receiver: worker %u", number);
	return open_listeners(r, w, err);
}

static void *sync_loop(void *arg)
{
	const struct receiver *r = arg;
	const int interval = (int)(journal_sync_interval(r->journal) / NS_PER_MS);
	struct pollfd wake = {.fd = r->wake, .events = POLLIN};

	while (poll(&wake, 1, interval > 0 ? interval : 1) <= 0) {
		for (uint32_t i = 0; i < r->count; i++) {
			if (journal_sync(journal_writer_of(r->journal, i), mono_now(), true) != OK)
				continue; /* counted and logged there */
		}
	}
	return NULL;
}

static enum status create_threads(struct receiver *r, struct error *err)
{
	for (; r->running < r->count; r->running++) {
		const enum status st = worker_start(&r->workers[r->running], err);
		if (st != OK)
			return st;
	}
	errno = pthread_create(&r->syncer, NULL, sync_loop, r);
	r->syncing = errno == 0;
	return r->syncing ? OK : error_errno(err, "receiver: syncer");
}

/* Signals are the main thread's; SIGXFSZ, held back, becomes the EFBIG that the journal handles. */
static enum status start_threads(struct receiver *r, struct error *err)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const enum status st = create_threads(r, err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return st;
}

static enum status open_all(struct receiver *r, struct error *err)
{
	r->wake = eventfd(0, EFD_CLOEXEC);
	r->limits.source = calloc(r->limits.most, sizeof *r->limits.source);
	r->workers = calloc(r->count, sizeof *r->workers);
	if (r->wake < 0)
		return error_errno(err, "receiver");
	if (!r->workers || !r->limits.source)
		return error_set(err, ERR_MEMORY, "receiver: no memory");
	for (uint32_t i = 0; i < r->count; i++)
		r->workers[i].epoll = r->workers[i].wake = -1;
	for (uint32_t i = 0; i < r->count; i++) {
		const enum status st = open_worker(r, i, err);
		if (st != OK)
			return st;
	}
	return start_threads(r, err);
}

enum status receiver_start(struct receiver **out, struct journal *journal,
			   const struct receiver_options *options, struct error *err)
{
	if (options->listens > RECEIVER_LISTENS)
		return error_set(err, ERR_LIMIT, "%u addresses to listen on; allowed: up to %d",
				 options->listens, RECEIVER_LISTENS);
	struct receiver *r = calloc(1, sizeof *r);
	if (!r)
		return error_set(err, ERR_MEMORY, "receiver: no memory");
	r->journal = journal;
	r->count = journal_workers(journal);
	if (options->workers && options->workers < r->count)
		r->count = options->workers;
	take_options(r, options);
	pthread_mutex_init(&r->limits.lock, NULL);
	r->limits.most = r->options.sessions;
	r->limits.most_per_source = r->options.sessions_per_source;
	const enum status st = open_all(r, err);
	if (st != OK) {
		receiver_free(r);
		return st;
	}
	*out = r;
	return OK;
}

uint16_t receiver_port(const struct receiver *r, uint32_t index)
{
	return r->workers[0].listener[index]->port;
}

void receiver_statistics_read(const struct receiver *r, uint32_t index, struct receiver_statistics *out)
{
	*out = (struct receiver_statistics){0};
	for (uint32_t i = 0; i < r->count; i++) {
		const struct listener *l = r->workers[i].listener[index];
		for (int counter = 0; counter < LISTENER_COUNTERS; counter++)
			out->count[counter] +=
				atomic_load_explicit(&l->counters[counter], memory_order_relaxed);
		out->open_sessions += l->open_sessions;
		out->receive_buffer = l->receive_buffer;
	}
}

static void wake(int fd)
{
	const uint64_t one = 1;

	while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

enum status receiver_stop(struct receiver *r)
{
	enum status st = OK;

	for (uint32_t i = 0; i < r->running; i++)
		wake(r->workers[i].wake);
	for (uint32_t i = 0; i < r->running; i++)
		pthread_join(r->workers[i].thread, NULL);
	if (r->syncing) {
		wake(r->wake);
		pthread_join(r->syncer, NULL);
	}
	r->running = 0;
	r->syncing = false;
	for (uint32_t i = 0; r->workers && i < r->count; i++) {
		struct worker *w = &r->workers[i];

		for (uint32_t k = 0; k < w->listeners; k++)
			w->listener[k]->type->close(w->listener[k]);
		if (journal_sync(journal_writer_of(r->journal, i), mono_now(), true) != OK)
			st = ERR_SYSTEM;
	}
	return st;
}

void receiver_free(struct receiver *r)
{
	if (!r)
		return;
	if (receiver_stop(r) != OK)
		log_error(r->options.log, "receiver: the last messages are not accepted");
	for (uint32_t i = 0; r->workers && i < r->count; i++) {
		struct worker *w = &r->workers[i];

		for (uint32_t k = 0; k < w->listeners; k++)
			w->listener[k]->type->free(w->listener[k]);
		if (w->epoll >= 0)
			close(w->epoll);
		if (w->wake >= 0)
			close(w->wake);
	}
	if (r->wake >= 0)
		close(r->wake);
	pthread_mutex_destroy(&r->limits.lock);
	free(r->limits.source);
	free(r->workers);
	free(r);
}
