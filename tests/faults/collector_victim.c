/* The victims: a sender of numbered records, the collector, the loader. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "collector_fault.h"
#include "collector_message.h"
#include "daemon/roles.h"

enum { STOPPED = 3 }; /* the exit status */
enum { SYNC_MS = 4, FLUSH_RECORDS = 45, FLUSH_AGE_MS = 30 };

void say(const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	const int length = vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	line[length] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)length + 1) != length + 1)
		_exit(3);
}

uint32_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

uint32_t random_below(uint64_t *state, uint32_t bound)
{
	return (uint32_t)((uint64_t)random_next(state) * bound >> 31);
}

struct book *book_map(const char *path)
{
	auto_fd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct book *book = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof *book) == 0)
		book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (book == MAP_FAILED) {
		say("# %s: %s", path, strerror(errno));
		_exit(2);
	}
	return book;
}

void book_clear(struct book *book)
{
	memset(book, 0, sizeof *book);
}

/* The sender. */

static void pause_us(uint32_t us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
}

static int sender_connect(const struct victim *v)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(v->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	for (;;) {
		const int fd = socket(AF_INET, (v->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);

		if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
			return fd;
		close(fd);
		pause_us(1000);
	}
}

/* Over TCP the template comes once in a connection, so that the loader's memory of it is tested, too. */
static _Noreturn void send_numbered(const struct victim *v)
{
	uint64_t random = v->seed;
	uint32_t sequence = 0;
	bool first = true;
	int fd = sender_connect(v);

	while (atomic_load(&v->book->next) < MESSAGES) {
		uint8_t octets[256];
		const uint32_t number = atomic_fetch_add(&v->book->next, 1);
		const size_t length = make_message(octets, number, sequence, first || !v->tcp);

		sequence += RECORDS;
		first = false;
		if (send(fd, octets, length, MSG_NOSIGNAL) < 0 && v->tcp) {
			close(fd);
			fd = sender_connect(v);
			sequence = 0;
			first = true;
		}
		if (random_below(&random, 16) != 0)
			pause_us(20 + random_below(&random, 600));
	}
	for (;;)
		pause();
}

pid_t sender_begin(const struct victim *v)
{
	struct book *book = v->book;
	const pid_t parent = getpid();

	if (book->runs < RUNS)
		book->first[book->runs++] = atomic_load(&book->next);
	const pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "sender");
		if (getppid() == parent)
			send_numbered(v);
		_exit(0);
	}
	return pid;
}

uint16_t free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof at;
	auto_fd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &length) < 0)
		return 0;
	return ntohs(at.sin_port);
}

/* The collector and the loader. */

static FILE *open_log(const char *store)
{
	char path[PATH_LONG];

	snprintf(path, sizeof path, "%s.log", store);
	return fopen(path, "ae");
}

static void make_options(const struct victim *v, struct collector_options *o, const struct logger *log)
{
	*o = (struct collector_options){
		.workers = 1,
		.store = v->store,
		.sync_ns = SYNC_MS * NS_PER_MS,
		.flush_records = FLUSH_RECORDS,
		.flush_age_ms = FLUSH_AGE_MS,
		.lift_records = 1, /* columns of one value in every partition */
		.log = log,
	};
	o->receiver.listen[0] =
		(struct listen_address){.type = listener_find(v->tcp ? "Tcp" : "Udp"), .port = v->port};
	strcpy(o->receiver.listen[0].host, "127.0.0.1");
	o->receiver.listens = 1;
	o->receiver.receive_buffer = 4 << 20;
}

/* What a child does before it is a victim. */
static pid_t begin(const struct victim *v, bool group)
{
	const pid_t parent = getpid(), pid = fork();

	if (pid != 0) {
		if (group && pid > 0)
			setpgid(pid, pid);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, group ? "collector" : "loader");
	if (getppid() != parent)
		_exit(1);
	if (group)
		setpgid(0, 0);
	if (v->limit) {
		signal(SIGXFSZ, group ? SIG_DFL : SIG_IGN); /* the keeper's children have it so */
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){*v->limit, *v->limit});
	}
	return 0;
}

pid_t collector_begin(const struct victim *v)
{
	const pid_t pid = begin(v, true);

	if (pid == 0) {
		const struct logger log = {.out = open_log(v->store), .level = LOG_INFO};
		struct collector_options options;
		struct error err = {""};

		make_options(v, &options, &log);
		if (v->watched && v->watched(v->arg) != 0)
			_exit(4);
		const enum status s = collector_run(&options, &err);
		if (s != OK)
			log_error(&log, "%s", err.text);
		_exit(s == OK ? 0 : 1);
	}
	return pid;
}

pid_t loader_begin(const struct victim *v)
{
	const pid_t pid = begin(v, false);

	if (pid == 0) {
		const struct logger log = {.out = open_log(v->store), .level = LOG_INFO};
		struct collector_options options;
		struct role_context context = {.options = &options, .store = v->store, .seed = v->seed};

		make_options(v, &options, &log);
		options.flush_age_ms = 3600 * 1000; /* the same calls each time, however long they take */
		context.board = board_new();
		if (!context.board || (v->watched && v->watched(v->arg) != 0))
			_exit(4);
		atomic_store(&context.board->finish, true);
		_exit(loader_role(&context));
	}
	return pid;
}

/* Ends. */

static bool poll_for(int ms, bool (*over)(void *arg), void *arg)
{
	for (int waited = 0; !over(arg); waited++) {
		if (waited >= 2 * ms)
			return false;
		pause_us(500);
	}
	return true;
}

struct ended {
	pid_t pid;
	int status;
};

static bool one_ended(void *arg)
{
	struct ended *e = arg;

	return waitpid(e->pid, &e->status, WNOHANG) != 0;
}

int wait_for_end(pid_t pid, int ms)
{
	struct ended e = {.pid = pid, .status = -1};

	if (poll_for(ms, one_ended, &e))
		return e.status;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return -1;
}

int wait_for_worker(pid_t pid, int ms)
{
	const int status = wait_for_end(pid, ms);
	const int signal = status != -1 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP) {
		say("# stopped from outside by signal %d", signal);
		_exit(STOPPED);
	}
	return status;
}

static bool all_ended(void *arg)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		;
	return pid < 0;
}

bool wait_for_all(int ms)
{
	return poll_for(ms, all_ended, NULL);
}

void remove_store(const char *store)
{
	char command[PATH_LONG + 64];

	snprintf(command, sizeof command, "rm -rf '%s' '%s.log'", store, store);
	if (system(command) != 0)
		say("# %s stays", store);
}
