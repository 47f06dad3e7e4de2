/* Faults at system calls: a filter makes each call of the victim, of its threads and its children ask here
 * first (seccomp user notification), so that one of them can be answered with a death, an errno, or half of
 * what was to be written. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "collector_fault.h"

#define ERRNO(e) (FAULT_ERRNO + (e))

enum { SITES = 512, FAULTS = 7, WRITE_MAX = 1 << 20, WAIT_KILLABLE = 1 << 5 };
enum about { NOTHING, DESCRIPTOR, PATH, PATH_AT };

static const struct call {
	const char *name;
	int number;
	enum about about;
	int faults[FAULTS]; /* FAULT_NONE at the end */
} call_table[] = {
#define CALL(name, about, ...) {#name, SYS_##name, about, {FAULT_KILL, __VA_ARGS__}},
#ifdef SYS_open
	CALL(open, PATH, ERRNO(EMFILE), ERRNO(EIO)) CALL(mkdir, PATH, ERRNO(ENOSPC), ERRNO(EIO)) CALL(
		rename, PATH, ERRNO(EIO), ERRNO(ENOSPC)) CALL(unlink, PATH, ERRNO(EIO))
		CALL(stat, PATH, ERRNO(EIO)) CALL(lstat, PATH, ERRNO(EIO)) CALL(
			epoll_wait, NOTHING, ERRNO(EINTR)) CALL(poll, NOTHING, ERRNO(EINTR))
#endif
			CALL(openat, PATH_AT, ERRNO(EMFILE), ERRNO(EIO), ERRNO(ENOSPC), ERRNO(EINTR)) CALL(
				mkdirat, PATH_AT, ERRNO(ENOSPC),
				ERRNO(EIO)) CALL(renameat, PATH_AT, ERRNO(EIO),
						 ERRNO(ENOSPC)) CALL(unlinkat, PATH_AT, ERRNO(EIO))
				CALL(newfstatat, PATH_AT, ERRNO(EIO)) CALL(
					read, DESCRIPTOR, ERRNO(EIO),
					ERRNO(EINTR)) CALL(pread64, DESCRIPTOR, ERRNO(EIO),
							   ERRNO(EINTR)) CALL(write, DESCRIPTOR, ERRNO(EIO),
									      ERRNO(ENOSPC),
									      ERRNO(EINTR), FAULT_SHORT)
					CALL(pwrite64, DESCRIPTOR, ERRNO(EIO), ERRNO(ENOSPC), ERRNO(EINTR), FAULT_SHORT) CALL(
						pwritev, DESCRIPTOR,
						ERRNO(EIO), ERRNO(ENOSPC), ERRNO(EINTR),
						FAULT_SHORT) CALL(fsync, DESCRIPTOR, ERRNO(EIO),
								  ERRNO(ENOSPC), ERRNO(EINTR))
						CALL(fdatasync, DESCRIPTOR, ERRNO(EIO), ERRNO(ENOSPC), ERRNO(EINTR)) CALL(
							ftruncate, DESCRIPTOR, ERRNO(EIO),
							ERRNO(EINTR)) CALL(fstat, DESCRIPTOR,
									   ERRNO(EIO)) CALL(lseek, DESCRIPTOR, ERRNO(EIO))
							CALL(getdents64, DESCRIPTOR, ERRNO(EIO)) CALL(flock, DESCRIPTOR, ERRNO(EINTR)) CALL(
								close, DESCRIPTOR,
								ERRNO(EIO),
								ERRNO(EINTR)) CALL(socket, NOTHING,
										   ERRNO(EMFILE),
										   ERRNO(ENOBUFS)) CALL(bind, DESCRIPTOR, ERRNO(EADDRINUSE))
								CALL(listen, DESCRIPTOR, ERRNO(EADDRINUSE)) CALL(setsockopt, DESCRIPTOR, ERRNO(ENOBUFS)) CALL(
									accept4, DESCRIPTOR,
									ERRNO(EMFILE), ERRNO(EINTR),
									ERRNO(ECONNABORTED)) CALL(recvfrom, DESCRIPTOR,
												  ERRNO(EINTR),
												  ERRNO(ECONNRESET),
												  ERRNO(ENOMEM))
									CALL(recvmsg, DESCRIPTOR,
									     ERRNO(EINTR), ERRNO(ECONNRESET),
									     ERRNO(ENOMEM)) CALL(recvmmsg, DESCRIPTOR, ERRNO(EINTR),
												 ERRNO(ENOMEM))
										CALL(epoll_pwait, NOTHING, ERRNO(EINTR)) CALL(
											epoll_ctl, NOTHING,
											ERRNO(ENOMEM)) CALL(epoll_create1,
													    NOTHING,
													    ERRNO(EMFILE))
											CALL(eventfd2, NOTHING, ERRNO(EMFILE)) CALL(
												pipe2,
												NOTHING,
												ERRNO(EMFILE)) CALL(ppoll,
														    NOTHING,
														    ERRNO(EINTR))
												CALL(clone3,
												     NOTHING,
												     ERRNO(EAGAIN))
													CALL(clone,
													     NOTHING,
													     ERRNO(EAGAIN))
#undef CALL
};

enum { CALL_COUNT = sizeof call_table / sizeof call_table[0] };

struct calls {
	int ends[2]; /* the victim sends the listener here */
	int listener;
	pthread_t thread;
	const char *store;
	/* What is to be done. */
	char site[SITE_MAX];
	uint32_t nth;
	int fault;
	/* What was seen. */
	bool done;
	char where[SITE_MAX];
	ino_t failed_sync; /* the file; 0: none */
	bool synced_again;
	uint32_t seen;
	struct site sites[SITES];
	uint32_t site_count;
	int *order; /* the sites in the order of calls */
	uint32_t order_room;
};

struct calls *calls_new(void)
{
	struct calls *c = calloc(1, sizeof *c);

	if (!c)
		_exit(2);
	c->listener = -1;
	return c;
}

/* In the victim. */

static int send_listener(int to, int fd)
{
	char room[CMSG_SPACE(sizeof fd)] = {0}, word = 0;
	struct iovec iov = {&word, 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(to, &m, 0) == 1 ? 0 : -1; /* the one call that is not asked about */
}

static int watch_me(void *arg)
{
	struct calls *c = arg;
	struct sock_filter filter[CALL_COUNT + 3];
	struct sock_fprog program = {.len = CALL_COUNT + 3, .filter = filter};

	filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i < CALL_COUNT; i++)
		filter[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							     (uint32_t)call_table[i].number,
							     (uint8_t)(CALL_COUNT - i), 0);
	filter[CALL_COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[CALL_COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	const long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				      SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE, &program);
	return listener < 0 ? -1 : send_listener(c->ends[1], (int)listener);
}

/* Here. */

static const struct call *call_of(int number)
{
	for (int i = 0; i < CALL_COUNT; i++)
		if (call_table[i].number == number)
			return &call_table[i];
	return NULL;
}

static void read_word(const char *path, char out[64])
{
	auto_file file = fopen(path, "re");

	if (!file || !fgets(out, 64, file))
		strcpy(out, "?");
	out[strcspn(out, "\n")] = '\0';
}

/* Digits are taken together, and what is not of the store is named by its kind. */
static void name_file(const struct calls *c, const char *path, char *out, size_t size)
{
	const size_t prefix = strlen(c->store);
	size_t n = 0;

	if (strncmp(path, c->store, prefix) == 0)
		path += prefix;
	else if (path[0] == '/')
		path = strncmp(path, "/proc", 5) == 0  ? "(proc)"
		       : strncmp(path, "/sys", 4) == 0 ? "(sys)"
						       : "(elsewhere)";
	for (; *path && n + 1 < size; path++) {
		const bool digit = *path >= '0' && *path <= '9';

		if (*path == '[' || (path[0] == ' ' && path[1] == '('))
			break;
		if (!digit || n == 0 || out[n - 1] != '#')
			out[n++] = digit ? '#' : *path;
	}
	out[n] = '\0';
}

static void name_site(const struct calls *c, const struct seccomp_notif *n, const struct call *call,
		      char out[SITE_MAX])
{
	char proc[64], who[64], path[PATH_LONG] = "", file[64] = "";
	ssize_t length = 0;

	snprintf(proc, sizeof proc, "/proc/%u/comm", n->pid);
	read_word(proc, who);
	if (call->about == DESCRIPTOR) {
		snprintf(proc, sizeof proc, "/proc/%u/fd/%d", n->pid, (int)n->data.args[0]);
		length = readlink(proc, path, sizeof path - 1);
	} else if (call->about != NOTHING) {
		const uint64_t at = n->data.args[call->about == PATH_AT];
		struct iovec here = {path, sizeof path - 1}, there = {(void *)(uintptr_t)at, sizeof path - 1};

		/* Not beyond the page that the text begins in: the next may not be there. */
		there.iov_len = here.iov_len =
			4096 - at % 4096 < sizeof path ? 4096 - at % 4096 : sizeof path - 1;
		length = process_vm_readv((pid_t)n->pid, &here, 1, &there, 1, 0);
	}
	path[length > 0 ? length : 0] = '\0';
	name_file(c, path, file, sizeof file);
	if (path[0] && !file[0])
		strcpy(file, "(store)");
	snprintf(out, SITE_MAX, "%.16s %s %s", who, call->name, file);
}

static struct site *count_site(struct calls *c, const char *name, int call)
{
	uint32_t i = 0;

	while (i < c->site_count && strcmp(c->sites[i].name, name) != 0)
		i++;
	if (i == SITES)
		i = SITES - 1; /* the rest together */
	if (i == c->site_count) {
		c->site_count++;
		c->sites[i] = (struct site){.call = call};
		snprintf(c->sites[i].name, SITE_MAX, "%s", name);
	}
	c->sites[i].seen++;
	if (c->sites[i].most < c->sites[i].seen)
		c->sites[i].most = c->sites[i].seen;
	return &c->sites[i];
}

static void remember(struct calls *c, int site)
{
	if (c->seen == c->order_room) {
		c->order_room = c->order_room ? 2 * c->order_room : 1024;
		c->order = realloc(c->order, c->order_room * sizeof *c->order);
		if (!c->order)
			_exit(2);
	}
	c->order[c->seen++] = site;
}

/* Write the first half for the victim. Answers how much; -1: it cannot be done here. */
static ssize_t write_half(const struct seccomp_notif *n, const struct call *call)
{
	static uint8_t octets[WRITE_MAX];
	struct iovec parts[64] = {{(void *)(uintptr_t)n->data.args[1], n->data.args[2]}}, here = {octets, 0};
	unsigned long count = 1;
	size_t length = 0;

	if (call->number == SYS_pwritev) {
		struct iovec to = {parts, sizeof parts}, from = {(void *)(uintptr_t)n->data.args[1], 0};

		count = n->data.args[2] < 64 ? n->data.args[2] : 64;
		to.iov_len = from.iov_len = count * sizeof parts[0];
		if (process_vm_readv((pid_t)n->pid, &to, 1, &from, 1, 0) != (ssize_t)to.iov_len)
			return -1;
	}
	for (unsigned long i = 0; i < count; i++)
		length += parts[i].iov_len;
	here.iov_len = length / 2;
	if (here.iov_len == 0 || here.iov_len > sizeof octets ||
	    process_vm_readv((pid_t)n->pid, &here, 1, parts, count, 0) != (ssize_t)here.iov_len)
		return -1;

	auto_fd process = (int)syscall(SYS_pidfd_open, (pid_t)n->pid, 0);
	auto_fd fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, (int)n->data.args[0], 0);
	if (fd < 0)
		return -1;
	return call->number == SYS_write ? write(fd, octets, here.iov_len)
					 : pwrite(fd, octets, here.iov_len, (off_t)n->data.args[3]);
}

static bool is_sync(const struct call *call)
{
	return call->number == SYS_fsync || call->number == SYS_fdatasync;
}

/* The number of the regular file that the first argument is open on; 0: it is none. */
static ino_t file_of(const struct seccomp_notif *n)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%u/fd/%d", n->pid, (int)n->data.args[0]);
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? st.st_ino : 0;
}

static bool makes_sense(int fault, const struct call *call)
{
	for (int i = 0; i < FAULTS; i++)
		if (call->faults[i] == fault)
			return true;
	return false;
}

/* True: there is nothing to answer. */
static bool strike(struct calls *c, const struct seccomp_notif *n, const struct call *call, const char *site,
		   struct seccomp_notif_resp *answer)
{
	c->done = true;
	snprintf(c->where, sizeof c->where, "%s", site);
	if (c->fault == FAULT_KILL) {
		kill((pid_t)n->pid, SIGKILL);
		return true;
	}
	answer->flags = 0;
	if (c->fault == FAULT_SHORT) {
		const ssize_t written = write_half(n, call);

		c->done = written > 0;
		answer->val = written > 0 ? written : 0;
		answer->flags = written > 0 ? 0 : (uint32_t)SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	} else {
		answer->error = -(c->fault - FAULT_ERRNO);
		if (is_sync(call))
			c->failed_sync = file_of(n);
	}
	return false;
}

static void answer_one(struct calls *c, const struct seccomp_notif *n)
{
	struct seccomp_notif_resp answer = {.id = n->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
	const struct call *call = call_of(n->data.nr);
	char site[SITE_MAX];

	name_site(c, n, call, site);
	const struct site *at = count_site(c, site, (int)(call - call_table));
	remember(c, (int)(at - c->sites));
	const bool here = strcmp(site, c->site) == 0 && at->seen == c->nth;

	if (c->failed_sync && is_sync(call) && file_of(n) == c->failed_sync)
		c->synced_again = true;
	if (here && !c->done && makes_sense(c->fault, call) && strike(c, n, call, site, &answer))
		return;
	(void)ioctl(c->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static void *serve(void *arg)
{
	struct calls *c = arg;
	struct pollfd p = {.fd = c->listener, .events = POLLIN};

	for (;;) {
		struct seccomp_notif n = {0};

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			break;
		if (p.revents & POLLHUP)
			break; /* nobody is left who could ask */
		if ((p.revents & POLLIN) && ioctl(c->listener, SECCOMP_IOCTL_NOTIF_RECV, &n) == 0)
			answer_one(c, &n);
	}
	return NULL;
}

void calls_watch(struct calls *c, struct victim *v, const char *site, uint32_t nth, int fault)
{
	c->nth = nth;
	c->fault = fault;
	snprintf(c->site, sizeof c->site, "%s", site ? site : "");
	c->done = c->synced_again = false;
	c->failed_sync = 0;
	c->seen = 0;
	for (uint32_t i = 0; i < c->site_count; i++)
		c->sites[i].seen = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->ends) != 0)
		_exit(2);
	v->watched = watch_me;
	v->arg = c;
}

void calls_serve(struct calls *c, const char *store)
{
	char room[CMSG_SPACE(sizeof(int))], word;
	struct iovec iov = {&word, 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};

	c->store = store;
	close(c->ends[1]);
	if (recvmsg(c->ends[0], &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m)) {
		say("SKIP: system calls cannot be watched here");
		_exit(77);
	}
	memcpy(&c->listener, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof c->listener);
	close(c->ends[0]);
	if (pthread_create(&c->thread, NULL, serve, c) != 0)
		_exit(2);
}

bool calls_end(struct calls *c, const char **where)
{
	pthread_join(c->thread, NULL);
	close(c->listener);
	c->listener = -1;
	*where = c->where;
	return c->done;
}

bool calls_synced_again(const struct calls *c)
{
	return c->synced_again;
}

uint32_t calls_seen(const struct calls *c)
{
	return c->seen;
}

const struct site *calls_site(const struct calls *c, uint32_t i)
{
	return i < c->site_count ? &c->sites[i] : NULL;
}

const int *calls_faults(int call)
{
	return call_table[call].faults;
}

const struct site *calls_site_at(const struct calls *c, uint32_t nth, uint32_t *occurrence)
{
	*occurrence = 0;
	if (nth == 0 || nth > c->seen)
		return NULL;
	for (uint32_t i = 0; i < nth; i++)
		*occurrence += c->order[i] == c->order[nth - 1];
	return &c->sites[c->order[nth - 1]];
}

const char *fault_name(int fault, char out[32])
{
	snprintf(out, 32, "%s",
		 fault == FAULT_KILL    ? "SIGKILL"
		 : fault == FAULT_SHORT ? "half a write"
					: strerrorname_np(fault - FAULT_ERRNO));
	return out;
}
