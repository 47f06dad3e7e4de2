#include "observe/grace.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "observe/kernel_cache.h"

enum { GO = 1, STOP = 1 << 16 }; /* what is added to `asked` */

struct grace {
	int asked, answered; /* eventfd; the second does not block */
	pthread_t thread;
	bool running;
	enum status status; /* of the last wait: written before `answered` is, read after it */
	struct error error;
};

static void *wait_when_asked(void *arg)
{
	struct grace *g = arg;
	const uint64_t one = 1;
	uint64_t asked;

	for (;;) {
		if (read(g->asked, &asked, sizeof asked) != sizeof asked)
			continue;
		if (asked >= STOP)
			return NULL;
		g->status = kernel_cache_wait(&g->error);
		(void)!write(g->answered, &one, sizeof one);
	}
}

/* Signals are the business of the thread that made this one. */
static int start(struct grace *g)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&g->thread, NULL, wait_when_asked, g);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	g->running = error == 0;
	return error;
}

enum status grace_open(struct grace **out, struct error *err)
{
	struct grace *g = calloc(1, sizeof *g);

	*out = NULL;
	if (!g)
		return error_set(err, ERR_MEMORY, "packet source: no memory");
	g->asked = eventfd(0, EFD_CLOEXEC);
	g->answered = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g->asked < 0 || g->answered < 0 || (errno = start(g)) != 0) {
		const enum status status = error_errno(err, "packet source: a thread");

		grace_close(g);
		return status;
	}
	*out = g;
	return OK;
}

static void ask(const struct grace *g, uint64_t what)
{
	while (write(g->asked, &what, sizeof what) < 0 && errno == EINTR)
		continue;
}

void grace_close(struct grace *g)
{
	if (!g)
		return;
	if (g->running) {
		ask(g, STOP);
		pthread_join(g->thread, NULL);
	}
	close_fd(&g->asked);
	close_fd(&g->answered);
	free(g);
}

int grace_fd(const struct grace *g)
{
	return g->answered;
}

void grace_begin(struct grace *g)
{
	ask(g, GO);
}

enum status grace_end(struct grace *g, bool until_it_ends, struct error *err)
{
	struct pollfd answered = {.fd = g->answered, .events = POLLIN};
	uint64_t times;

	while (read(g->answered, &times, sizeof times) != sizeof times) {
		if (!until_it_ends)
			return AGAIN;
		(void)poll(&answered, 1, -1);
	}
	return g->status == OK ? OK : error_set(err, g->status, "%s", g->error.text);
}
