#include "query/worker.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "ie/value.h"
#include "query/export.h"
#include "query/live.h"
#include "query/sandbox.h"

enum { NICENESS = 5, COMPLAINT_MAX = 4096 };

struct worker {
	const struct worker_options *options;
	char octets[QUESTION_OCTETS];
	struct question question;
	int client;
	FILE *out;
	struct reply reply;
	int64_t seconds; /* to answer in; 0: as long as there is a client */
};

/* Frames. */

static bool send_all(int fd, const char *data, size_t length)
{
	while (length) {
		const ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		length -= (size_t)n;
	}
	return true;
}

static void send_frame(struct worker *w, const char *data, size_t length)
{
	const uint32_t head = htobe32((uint32_t)length);

	if (!send_all(w->client, (const char *)&head, sizeof head) || !send_all(w->client, data, length))
		_exit(0); /* nobody waits */
}

static ssize_t write_frame(void *arg, const char *data, size_t length)
{
	for (size_t at = 0; at < length;) {
		const size_t n = length - at < FRAME_MAX ? length - at : FRAME_MAX;

		send_frame(arg, data + at, n);
		at += n;
	}
	return (ssize_t)length;
}

static void send_head(struct worker *w, unsigned status, const char *type, const char *file)
{
	char head[256];
	const int n =
		snprintf(head, sizeof head, "%u %s%s%s", status, type, file ? "\t" : "", file ? file : "");

	send_frame(w, head, (size_t)n);
}

/* A thread: the client leaves, or loses patience. The kernel clears up. */
static void *watch(void *arg)
{
	const struct worker *w = arg;
	struct pollfd p = {.fd = w->client, .events = POLLRDHUP};
	const int64_t end = mono_now().ns + w->seconds * NS_PER_S;

	for (;;) {
		const int64_t left = w->seconds ? (end - mono_now().ns) / NS_PER_MS : 60000;
		const int n = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (n > 0 || (n == 0 && w->seconds && mono_now().ns >= end))
			_exit(0);
	}
	return NULL;
}

/* A question and where its answer goes. False: there are no more. */
static bool take_question(struct worker *w)
{
	union {
		struct cmsghdr head;
		char octets[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec io = {.iov_base = w->octets, .iov_len = sizeof w->octets};
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	ssize_t n;

	do
		n = recvmsg(w->options->requests, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return false;
	memcpy(&w->client, CMSG_DATA(c), sizeof w->client);
	return question_read(&w->question, w->octets, (size_t)n);
}

/* Answers. */

static unsigned status_of(enum status s)
{
	return s == ERR_USAGE ? 400 : s == ERR_PERMISSION ? 403 : 500;
}

static const char *word_of(enum status s)
{
	switch (s) {
	case ERR_USAGE: return "usage";
	case ERR_PERMISSION: return "permission";
	case ERR_FORMAT: return "format";
	case ERR_MEMORY: return "memory";
	default: return "system";
	}
}

static void complain(struct worker *w, enum status s, const char *which, const struct filter_error *wrong,
		     const struct error *err)
{
	char buffer[COMPLAINT_MAX];
	struct text t = {.data = buffer, .capacity = sizeof buffer};
	const bool place = s == ERR_USAGE && which && wrong->text[0];
	const char *text = place ? wrong->text : err->text;

	text_string(&t, "{\"error\":{\"kind\":\"");
	text_string(&t, word_of(s));
	text_string(&t, "\",\"text\":");
	value_print_string(&t, span_of(text, strlen(text)));
	if (place) {
		text_string(&t, ",\"what\":");
		value_print_string(&t, span_of(which, strlen(which)));
		text_string(&t, ",\"at\":");
		text_unsigned(&t, wrong->at);
		text_string(&t, ",\"length\":");
		text_unsigned(&t, wrong->length);
	}
	text_string(&t, "}}\n");
	send_head(w, status_of(s), "application/json; charset=utf-8", NULL);
	send_frame(w, t.data, t.used);
	send_frame(w, NULL, 0);
	_exit(0);
}

static void done(struct worker *w)
{
	fflush(w->out);
	send_frame(w, NULL, 0);
	_exit(0);
}

/* JSON is small, so it is made whole before its head goes out: then a failure has its own status. */
static void answer_json(struct worker *w)
{
	struct filter_error wrong = {0};
	struct error err = {0};
	const char *which = NULL;
	char *text = NULL;
	size_t length = 0;
	FILE *memory = open_memstream(&text, &length);
	enum status s = memory ? OK : ERR_MEMORY;

	if (s == OK)
		s = reply_open(&w->reply, &w->question, w->options->store, memory, &which, &wrong, &err);
	if (s == OK)
		s = reply_answer(&w->reply, &err);
	if (s == OK && fclose(memory) != 0)
		s = ERR_MEMORY;
	if (s != OK)
		complain(w, s, which, &wrong, &err);
	send_head(w, 200, "application/json; charset=utf-8", NULL);
	write_frame(w, text, length);
	done(w);
}

static void answer_export(struct worker *w)
{
	struct filter_error wrong = {0};
	struct error err = {0};
	const char *which = NULL;
	struct export_head head;
	enum status s = reply_open(&w->reply, &w->question, w->options->store, w->out, &which, &wrong, &err);

	if (s == OK)
		s = export_begin(&head, &w->reply, &which, &wrong);
	if (s != OK)
		complain(w, s, which, &wrong, &err);
	setvbuf(w->out, NULL, _IOFBF, FRAME_MAX);
	send_head(w, 200, head.type, head.file);
	s = export_answer(&w->reply, &which, &wrong, &err);
	if (s == OK)
		done(w);
	_exit(1); /* without its end: the client sees that it is not whole */
}

static void answer_live(struct worker *w)
{
	struct filter_error wrong = {0};
	struct error err = {0};
	const char *which = NULL;
	struct scope scope;
	const enum status s = scope_read(&scope, &w->question, &which, &wrong);

	if (s != OK)
		complain(w, s, which, &wrong, &err);
	setvbuf(w->out, NULL, _IOFBF, FRAME_MAX);
	send_head(w, 200, "text/event-stream; charset=utf-8", NULL);
	live_run(&w->question, &scope, w->options->store, &w->reply.engine, w->out);
	done(w);
}

static void answer(struct worker *w)
{
	static const cookie_io_functions_t functions = {.write = write_frame};
	const bool export = strcmp(w->question.path, "export") == 0;
	const bool live = strcmp(w->question.path, "live") == 0;
	pthread_t watcher;

	w->seconds = live ? 0 : export ? WORKER_EXPORT_SECONDS : WORKER_SECONDS;
	w->out = fopencookie(w, "w", functions);
	if (!w->out || pthread_create(&watcher, NULL, watch, w) != 0)
		_exit(1);
	if (live)
		answer_live(w);
	else if (export)
		answer_export(w);
	else
		answer_json(w);
}

_Noreturn void worker_run(const struct worker_options *options)
{
	struct worker *w = calloc(1, sizeof *w);
	struct sandbox sandbox;
	struct error err = {0};
	enum status s;

	prctl(PR_SET_NAME, "answerer");
	(void)!setpriority(PRIO_PROCESS, 0, NICENESS);
	if (!w)
		_exit(1);
	w->options = options;
	const enum status confined = sandbox_enter(&sandbox, options->store, &err);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* becoming nobody has cleared it */
	s = confined == OK ? engine_open(&w->reply.engine, options->store, &err) : confined;
	if (!take_question(w))
		_exit(0);
	options->taken(options->arg);
	if (s != OK)
		complain(w, s, NULL, &(struct filter_error){0}, &err);
	answer(w);
	_exit(0);
}
