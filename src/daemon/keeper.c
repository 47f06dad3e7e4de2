#include "daemon/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	FIRST_PAUSE_MS = 100,
	LONGEST_PAUSE_MS = 30 * 1000,
	LONG_LIFE_S = 60, /* after it a death is the first again */
};

struct child {
	pid_t pid; /* 0: not running */
	bool done;
	int64_t pause_ms;
	struct mono_ns began, again; /* when to fork */
};

struct house {
	const struct keeper_options *options;
	pid_t parent;
	struct child child[ROLE_COUNT];
};

/* A folder of files and folders that this program made. */
static void remove_tree(int at, const char *name, unsigned depth)
{
	const int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, entry->d_name, 0) < 0 && depth > 0)
			remove_tree(fd, entry->d_name, depth - 1);
	}
	if (dir)
		closedir(dir);
	unlinkat(at, name, AT_REMOVEDIR);
}

static void start_role(struct house *h, unsigned i)
{
	struct child *c = &h->child[i];
	struct role_board *board = &h->options->board->role[i];
	const pid_t keeper = getpid();

	atomic_fetch_add(&board->starts, 1);
	c->began = mono_now();
	c->pid = fork();
	if (c->pid == 0) {
		sigset_t none;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != keeper)
			_exit(1);
		signal(SIGTERM, SIG_IGN); /* the board says when to end */
		signal(SIGXFSZ, SIG_IGN); /* a limit on files is an error like a full disk */
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		prctl(PR_SET_NAME, role_names[i]);
		atomic_store(&board->up, true);
		exit(h->options->run[i](h->options->arg));
	}
	if (c->pid < 0)
		c->pid = 0; /* tried again below, as if it had died */
}

static void role_ended(struct house *h, unsigned i, int status)
{
	struct child *c = &h->child[i];
	struct role_board *board = &h->options->board->role[i];
	const bool finishing = atomic_load(&h->options->board->finish);

	c->pid = 0;
	atomic_store(&board->up, false);
	c->done = finishing || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
	if (c->done && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		atomic_store(&board->done, true);
		return;
	}
	if (WIFSIGNALED(status)) {
		char fault[FAULT_MAX];

		snprintf(fault, sizeof fault, "the %s was ended by signal %d (%s)", role_names[i],
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
		role_failing(board, fault);
	}
	if (mono_now().ns - c->began.ns > LONG_LIFE_S * NS_PER_S)
		c->pause_ms = 0;
	c->pause_ms = c->pause_ms ? 2 * c->pause_ms : FIRST_PAUSE_MS;
	if (c->pause_ms > LONGEST_PAUSE_MS)
		c->pause_ms = LONGEST_PAUSE_MS;
	c->again.ns = mono_now().ns + c->pause_ms * NS_PER_MS;
	log_error(h->options->log, "%s; what is received stays in the journal; %s",
		  WIFSIGNALED(status) ? board->fault : "a process of the collector failed",
		  c->done ? "the next start goes on there" : "it is started again");
}

static void reap(struct house *h)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned i = 0; i < ROLE_COUNT; i++)
			if (h->child[i].pid == pid)
				role_ended(h, i, status);
}

/* True: some role is not done yet. */
static bool turn(struct house *h)
{
	bool more = false;

	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		struct child *c = &h->child[i];

		if (!h->options->board->role[i].wanted || c->done)
			continue;
		more = true;
		if (c->pid == 0 && mono_now().ns >= c->again.ns)
			start_role(h, i);
	}
	return more;
}

static _Noreturn void keep(struct house *h, int go)
{
	const struct timespec second = {.tv_nsec = 50 * NS_PER_MS};
	sigset_t wanted;
	char begin;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_NAME, "keeper");
	signal(SIGINT, SIG_IGN);
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGUSR1); /* the collector does not wait any longer */
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	while (read(go, &begin, 1) < 0 && errno == EINTR)
		;
	close(go);
	for (int signal = 0; signal != SIGUSR1 && getppid() == h->parent && turn(h); reap(h))
		signal = sigtimedwait(&wanted, NULL, &second);
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (h->child[i].pid > 0) {
			kill(h->child[i].pid, SIGKILL);
			waitpid(h->child[i].pid, NULL, 0);
		}
	if (h->options->scratch)
		remove_tree(AT_FDCWD, h->options->scratch, 4);
	_exit(0);
}

enum status keeper_start(struct keeper *k, const struct keeper_options *options, struct error *err)
{
	struct house house = {.options = options, .parent = getpid()};
	int ends[2];

	*k = (struct keeper){.go = -1};
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "keeper");
	fflush(NULL);
	k->pid = fork();
	if (k->pid == 0) {
		close(ends[1]);
		keep(&house, ends[0]);
	}
	close(ends[0]);
	if (k->pid < 0) {
		close(ends[1]);
		k->pid = 0;
		return error_errno(err, "keeper");
	}
	k->go = ends[1];
	return OK;
}

void keeper_go(struct keeper *k)
{
	if (k->go >= 0)
		close(k->go);
	k->go = -1;
}

bool keeper_ended(struct keeper *k)
{
	if (k->pid && waitpid(k->pid, NULL, WNOHANG) == k->pid)
		k->pid = 0;
	return k->pid == 0;
}

bool keeper_finish(struct keeper *k, unsigned seconds)
{
	const struct timespec pause = {.tv_nsec = 20 * NS_PER_MS};
	const struct mono_ns begin = mono_now();

	keeper_go(k);
	while (!keeper_ended(k)) {
		if (mono_now().ns - begin.ns > seconds * NS_PER_S) {
			kill(k->pid, SIGUSR1);
			waitpid(k->pid, NULL, 0);
			k->pid = 0;
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}
