#include "cmd/top_ask.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/span.h"
#include "query/question.h"
#include "query/worker.h"

static const char path[] = "view";

void top_asker_init(struct top_asker *a, const char *store)
{
	*a = (struct top_asker){.store = store, .requests = -1, .answer = -1};
}

/* The process ends by itself when nobody waits for it; it is ended all the same. */
static void let_go(struct top_asker *a)
{
	if (a->requests >= 0)
		close(a->requests);
	if (a->answer >= 0)
		close(a->answer);
	if (a->pid > 0) {
		kill(a->pid, SIGKILL);
		waitpid(a->pid, NULL, 0);
	}
	a->requests = a->answer = -1;
	a->pid = 0;
	a->used = 0;
}

void top_asker_fini(struct top_asker *a)
{
	let_go(a);
	free(a->octets);
	a->octets = NULL;
}

static void taken(void *arg)
{
}

static _Noreturn void be_worker(const struct top_asker *a, int requests)
{
	const struct worker_options options = {.store = a->store, .requests = requests, .taken = taken};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	worker_run(&options);
}

enum status top_asker_ready(struct top_asker *a, struct error *err)
{
	int pair[2];

	if (a->requests >= 0)
		return OK;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "a socket");
	a->pid = fork();
	if (a->pid == 0) {
		close(pair[0]);
		be_worker(a, pair[1]);
	}
	close(pair[1]);
	if (a->pid < 0) {
		close(pair[0]);
		a->pid = 0;
		return error_errno(err, "a process");
	}
	a->requests = pair[0];
	return OK;
}

static bool put(char *to, size_t *used, const char *text)
{
	const size_t length = strlen(text) + 1;

	if (*used + length > QUESTION_OCTETS)
		return false;
	memcpy(to + *used, text, length);
	*used += length;
	return true;
}

static bool send_question(int requests, const char *octets, size_t length, int answer)
{
	union {
		struct cmsghdr head;
		char octets[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec io = {.iov_base = (void *)(uintptr_t)octets, .iov_len = length};
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

	control.head = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(&control.head), &answer, sizeof answer);
	return sendmsg(requests, &m, MSG_NOSIGNAL) >= 0;
}

enum status top_ask(struct top_asker *a, const struct top_question *q, struct error *err)
{
	char octets[QUESTION_OCTETS];
	size_t used = 0;
	bool fits = put(octets, &used, path);
	int pair[2];

	for (unsigned i = 0; fits && i < q->count; i++)
		fits = put(octets, &used, q->words[i][0]) && put(octets, &used, q->words[i][1]);
	if (!fits)
		return error_set(err, ERR_USAGE, "the filter is too long");
	if (a->answer >= 0)
		let_go(a);
	enum status s = top_asker_ready(a, err);
	if (s != OK)
		return s;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "a socket");
	const bool sent = send_question(a->requests, octets, used, pair[1]);
	close(pair[1]);
	if (!sent) {
		close(pair[0]);
		let_go(a);
		return error_set(err, ERR_SYSTEM, "the process that asks the store has ended");
	}
	(void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
	a->answer = pair[0];
	return OK;
}

/* END: all frames are there. ERR_FORMAT: they are none. */
static enum status look(const struct top_asker *a)
{
	for (size_t at = 0, n; at + 4 <= a->used; at += 4 + n) {
		n = get_be32(a->octets + at);
		if (n > FRAME_MAX)
			return ERR_FORMAT;
		if (n == 0)
			return END;
	}
	return AGAIN;
}

/* The frames moved together, without the head. */
static size_t join(struct top_asker *a)
{
	size_t at = 0, out = 0;

	for (size_t n; (n = get_be32(a->octets + at)) != 0; at += 4 + n) {
		if (at) {
			memmove(a->octets + out, a->octets + at + 4, n);
			out += n;
		}
	}
	return out;
}

static enum status understand(struct top_asker *a, json_t **out, struct error *err)
{
	const size_t length = join(a);
	json_t *answer = json_loadb(a->octets, length, JSON_REJECT_DUPLICATES, NULL);
	const json_t *complaint = json_object_get(answer, "error");

	*out = NULL;
	if (complaint) {
		const char *kind = json_string_value(json_object_get(complaint, "kind"));
		const char *text = json_string_value(json_object_get(complaint, "text"));

		(void)error_set(err, kind && strcmp(kind, "usage") == 0 ? ERR_USAGE : ERR_SYSTEM, "%s",
				text ? text : "");
		json_decref(answer);
		return kind && strcmp(kind, "usage") == 0 ? ERR_USAGE : ERR_SYSTEM;
	}
	if (!answer)
		return error_set(err, ERR_SYSTEM, "the answer is not understood");
	*out = answer;
	return OK;
}

static bool make_room(struct top_asker *a)
{
	if (a->room - a->used >= FRAME_MAX)
		return true;
	char *more = a->room < TOP_ANSWER_MAX ? realloc(a->octets, a->room + 4 * FRAME_MAX) : NULL;

	if (!more)
		return false;
	a->octets = more;
	a->room += 4 * FRAME_MAX;
	return true;
}

enum status top_hear(struct top_asker *a, json_t **out, struct error *err)
{
	enum status s = AGAIN;

	while (s == AGAIN) {
		if (!make_room(a)) {
			let_go(a);
			return error_set(err, ERR_MEMORY, "the answer is too long");
		}
		const ssize_t n = recv(a->answer, a->octets + a->used, a->room - a->used, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return AGAIN;
		if (n <= 0) {
			let_go(a);
			return error_set(err, ERR_SYSTEM, "the process that asks the store has ended");
		}
		a->used += (size_t)n;
		s = look(a);
	}
	s = s == END ? understand(a, out, err) : error_set(err, ERR_SYSTEM, "the answer is not understood");
	let_go(a);
	return s;
}
