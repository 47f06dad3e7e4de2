#include "transport/lookup.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

enum { NAP_MS = 2 };

/* Held by its thread and by who asked; the last one to let go frees it. */
struct lookup {
	atomic_int holders;
	sem_t done; /* posted once the result is there */
	uint16_t port;
	struct lookup_result result;
	char host[256];
};

static void resolve(const char *host, uint16_t port, int flags, struct lookup_result *out)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV | flags};
	struct addrinfo *list = NULL;
	char service[8];

	snprintf(service, sizeof service, "%u", port);
	const int failed = getaddrinfo(host, service, &hints, &list);
	if (failed) {
		out->reason = gai_strerror(failed);
		return;
	}
	for (const struct addrinfo *a = list; a && out->count < LOOKUP_ADDRESS_MAX; a = a->ai_next) {
		if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
			memcpy(&out->address[out->count++], a->ai_addr, a->ai_addrlen);
	}
	freeaddrinfo(list);
	if (out->count == 0)
		out->reason = "no IPv4 or IPv6 address";
}

bool lookup_numeric(const char *host, uint16_t port, struct sockaddr_storage *out)
{
	struct lookup_result result = {.count = 0};

	resolve(host, port, AI_NUMERICHOST, &result);
	if (result.count)
		*out = result.address[0];
	return result.count;
}

void lookup_free(struct lookup *lookup)
{
	if (lookup && atomic_fetch_sub(&lookup->holders, 1) == 1) {
		sem_destroy(&lookup->done);
		free(lookup);
	}
}

static void *run(void *arg)
{
	struct lookup *lookup = arg;

	resolve(lookup->host, lookup->port, AI_ADDRCONFIG, &lookup->result);
	sem_post(&lookup->done);
	lookup_free(lookup);
	return NULL;
}

/* Signals belong to the loop: the thread takes none. */
static int start_thread(struct lookup *lookup)
{
	pthread_t thread;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	const int failed = pthread_create(&thread, NULL, run, lookup);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!failed)
		pthread_detach(thread);
	return failed;
}

struct lookup *lookup_start(const char *host, uint16_t port)
{
	struct lookup *lookup = calloc(1, sizeof *lookup);

	if (!lookup)
		return NULL;
	atomic_init(&lookup->holders, 2);
	sem_init(&lookup->done, 0, 0);
	lookup->port = port;
	snprintf(lookup->host, sizeof lookup->host, "%s", host);
	if (start_thread(lookup)) {
		sem_destroy(&lookup->done);
		free(lookup);
		return NULL;
	}
	return lookup;
}

bool lookup_finished(struct lookup *lookup, int64_t wait_ns, struct lookup_result *out)
{
	const int64_t until = mono_now().ns + wait_ns;

	while (sem_trywait(&lookup->done) != 0) {
		if (mono_now().ns >= until)
			return false;
		poll(NULL, 0, NAP_MS);
	}
	*out = lookup->result;
	return true;
}
