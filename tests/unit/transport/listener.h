/* listener.h: a collector on a loopback TCP port, for tests that play both sides in one thread. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "transport/transport.h"

/* Nothing here waits longer for what must come. */
#define PATIENCE_NS (10 * NS_PER_S)

/* Port 0: any. `window` octets of receive buffer; 0: what the system gives. */
static inline int listener_open(uint16_t *port, int window)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), yes = 1;
	socklen_t length = sizeof a;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (window)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 8) < 0)
		fail_msg("listener: %s", strerror(errno));
	getsockname(fd, (struct sockaddr *)&a, &length);
	*port = ntohs(a.sin_port);
	return fd;
}

/* A port that nobody listens on. */
static inline uint16_t listener_free_port(void)
{
	uint16_t port = 0;

	close(listener_open(&port, 0));
	return port;
}

static inline void peer_reset(int fd)
{
	const struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
}

static inline struct transport *listener_transport(const struct transport_type *type, const char *host,
						   uint16_t port, const struct transport_options *options)
{
	struct endpoint e = {.type = type, .port = port};
	struct transport *t = NULL;
	struct error err = {""};

	snprintf(e.host, sizeof e.host, "%s", host);
	if (type->open(&t, &e, options, &err) != OK)
		fail_msg("open %s: %s", host, err.text);
	return t;
}

/* Serve the transport until somebody connects. */
static inline int listener_accept(int fd, struct transport *t)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;

	while (mono_now().ns < until) {
		const int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (peer >= 0)
			return peer;
		if (t)
			t->type->service(t);
		poll(NULL, 0, 1);
	}
	fail_msg("nobody connected");
	return -1;
}

/* Serve until the generation is another one than `before`. */
static inline void wait_generation(struct transport *t, uint32_t before)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;

	while (t->type->generation(t) == before) {
		if (mono_now().ns > until)
			fail_msg("no new generation after %u", before);
		t->type->service(t);
		poll(NULL, 0, 1);
	}
}

static inline uint32_t open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint32_t n = 0;

	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}
