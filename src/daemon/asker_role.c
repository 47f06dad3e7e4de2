/* Keeps processes ready that answer questions of the page: some idle, their engine warm, and no more than so
 * many in all. It parses nothing itself. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/roles.h"
#include "query/worker.h"

enum { IDLE = 3, MOST = 20, TURN_MS = 50, QUICK_DEATHS = 20, PAUSE_MS = 1000 };

struct asker {
	const struct role_context *context;
	struct role_board *board;
	int taken[2]; /* a worker writes its pid when a question has come */
	struct {
		pid_t pid; /* 0: free */
		bool busy;
	} worker[MOST];
	unsigned idle, all, deaths; /* of idle ones, in a row */
};

static void tell_taken(void *arg)
{
	const struct asker *a = arg;
	const pid_t pid = getpid();

	(void)!write(a->taken[1], &pid, sizeof pid);
}

static bool start(struct asker *a)
{
	unsigned i = 0;

	while (i < MOST && a->worker[i].pid)
		i++;
	if (i == MOST)
		return false;
	const pid_t pid = fork();
	if (pid == 0) {
		const struct worker_options options = {.store = a->context->store,
						       .requests = a->context->requests[1],
						       .taken = tell_taken,
						       .arg = a};

		signal(SIGTERM, SIG_DFL);
		worker_run(&options);
	}
	if (pid < 0)
		return false;
	a->worker[i].pid = pid;
	a->worker[i].busy = false;
	a->idle++;
	a->all++;
	return true;
}

static void hear(struct asker *a)
{
	pid_t pid;

	while (read(a->taken[0], &pid, sizeof pid) == (ssize_t)sizeof pid)
		for (unsigned i = 0; i < MOST; i++)
			if (a->worker[i].pid == pid && !a->worker[i].busy) {
				a->worker[i].busy = true;
				a->idle--;
				a->deaths = 0;
				role_well(a->board);
			}
}

static void reap(struct asker *a)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		hear(a);
		for (unsigned i = 0; i < MOST; i++) {
			if (a->worker[i].pid != pid)
				continue;
			a->idle -= !a->worker[i].busy;
			a->deaths += !a->worker[i].busy;
			a->all--;
			a->worker[i].pid = 0;
		}
	}
}

static void turn(struct asker *a)
{
	struct pollfd p = {.fd = a->taken[0], .events = POLLIN};
	const bool dying = a->deaths > QUICK_DEATHS;

	if (dying)
		role_failing(a->board, "processes that answer questions end before one comes");
	poll(&p, 1, dying ? PAUSE_MS : TURN_MS);
	hear(a);
	reap(a);
	while (a->idle < IDLE && start(a))
		;
	atomic_store(&a->context->board->asking, a->all - a->idle);
	role_beat(a->board);
}

int asker_role(void *arg)
{
	const struct role_context *context = arg;
	struct asker a = {.context = context, .board = &context->board->role[ROLE_ASKER]};

	if (pipe2(a.taken, O_CLOEXEC | O_NONBLOCK) < 0)
		return 1;
	close(context->requests[0]);
	while (!atomic_load(&context->board->finish))
		turn(&a);
	for (unsigned i = 0; i < MOST; i++)
		if (a.worker[i].pid)
			kill(a.worker[i].pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	atomic_store(&context->board->asking, 0);
	return 0;
}
