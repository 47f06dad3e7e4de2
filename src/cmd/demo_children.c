#include "cmd/demo_children.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { LINE_MAX_OCTETS = 1024, WORDS_MAX = 48 };

struct child {
	uv_process_t process;
	struct children *all;
	struct child *next;
	child_ended *ended;
	void *arg;
	bool gone;
	int64_t status;
	int signal;
	int said; /* memory file with its standard error */
};

static void unlink_child(struct child *child)
{
	struct child **at = &child->all->first;

	while (*at && *at != child)
		at = &(*at)->next;
	if (*at)
		*at = child->next;
}

static void on_closed(uv_handle_t *handle)
{
	struct child *child = handle->data;

	close(child->said);
	free(child);
}

static void on_exit_of_child(uv_process_t *process, int64_t status, int signal)
{
	struct child *child = process->data;

	child->gone = true;
	child->status = status;
	child->signal = signal;
	unlink_child(child);
	if (child->ended)
		child->ended(child->arg, status, signal);
	uv_close((uv_handle_t *)process, on_closed);
}

/* Words of `line` behind those already in argv; the text is cut up in place. */
static void split(char *line, char **argv, int used)
{
	char *rest = NULL;

	for (char *word = strtok_r(line, " ", &rest); word && used < WORDS_MAX - 1;
	     word = strtok_r(NULL, " ", &rest))
		argv[used++] = word;
	argv[used] = NULL;
}

static int spawn_in(struct child *child, int netns, const uv_process_options_t *options)
{
	struct children *all = child->all;

	/* The child is born in the namespace this thread stands in. */
	if (netns >= 0 && setns(netns, CLONE_NEWNET) < 0)
		return uv_translate_sys_error(errno);
	const int answer = uv_spawn(all->loop, &child->process, options);
	if (netns >= 0 && setns(all->home, CLONE_NEWNET) < 0)
		abort(); /* nothing that follows would happen where it should */
	return answer;
}

enum status children_start(struct children *all, const struct child_order *order, struct child **out,
			   struct error *err)
{
	char line[LINE_MAX_OCTETS];
	char *argv[WORDS_MAX] = {"setpriv", "--pdeathsig", "TERM", "--"};
	struct child *child = calloc(1, sizeof *child);

	if (!child)
		return error_set(err, ERR_MEMORY, "no memory for a child process");
	child->said = memfd_create("said", MFD_CLOEXEC);
	if (child->said < 0) {
		free(child);
		return error_errno(err, "memory file");
	}
	child->all = all;
	child->ended = order->ended;
	child->arg = order->arg;
	child->process.data = child;

	snprintf(line, sizeof line, "%s", order->line);
	split(line, argv, order->service ? 4 : 0);
	uv_stdio_container_t stdio[3] = {
		{.flags = order->in > 0 ? UV_INHERIT_FD : UV_IGNORE, .data.fd = order->in},
		{.flags = order->out > 0 ? UV_INHERIT_FD : UV_IGNORE, .data.fd = order->out},
		{.flags = UV_INHERIT_FD, .data.fd = child->said},
	};
	const uv_process_options_t options = {
		.exit_cb = on_exit_of_child,
		.file = argv[0],
		.args = argv,
		.flags = UV_PROCESS_DETACHED,
		.stdio_count = 3,
		.stdio = stdio,
	};
	const int answer = spawn_in(child, order->netns, &options);
	if (answer < 0) {
		const enum status status = error_set(err, ERR_SYSTEM, "%s: %s", argv[0], uv_strerror(answer));

		uv_close((uv_handle_t *)&child->process, on_closed);
		return status;
	}
	child->next = all->first;
	all->first = child;
	if (out)
		*out = child;
	return OK;
}

void child_said(const struct child *child, char *out, size_t size)
{
	char text[2048];
	const off_t length = lseek(child->said, 0, SEEK_END);
	const off_t from = length > (off_t)sizeof text ? length - (off_t)sizeof text : 0;
	const ssize_t n = pread(child->said, text, sizeof text, from);
	size_t end = n > 0 ? (size_t)n : 0, begin, used = 0;

	while (end > 0 && text[end - 1] == '\n')
		end--;
	for (begin = end; begin > 0 && text[begin - 1] != '\n';)
		begin--;
	for (size_t i = begin; i < end && used + 1 < size; i++)
		out[used++] = (unsigned char)text[i] < ' ' || text[i] == 127 ? ' ' : text[i];
	out[used] = 0;
}

struct waiting {
	bool done;
	int64_t status;
	int signal;
};

static void on_waited(void *arg, int64_t status, int signal)
{
	struct waiting *waiting = arg;

	*waiting = (struct waiting){.done = true, .status = status, .signal = signal};
}

enum status children_run(struct children *all, const struct child_order *order, struct error *err)
{
	struct waiting waiting = {0};
	struct child_order waited = *order;
	struct child *child;
	char said[256] = "";

	waited.ended = on_waited;
	waited.arg = &waiting;
	const enum status status = children_start(all, &waited, &child, err);
	if (status != OK)
		return status;

	auto_fd words = dup(child->said); /* outlives the child */
	const struct child remembered = {.said = words};
	while (!waiting.done && !*all->stop)
		uv_run(all->loop, UV_RUN_ONCE);
	if (!waiting.done) {
		child->ended = NULL; /* `waiting` goes out of scope */
		child_stop(all, child);
		return END;
	}
	if (waiting.status == 0 && waiting.signal == 0)
		return OK;
	child_said(&remembered, said, sizeof said);
	return error_set(err, ERR_SYSTEM, "'%s' failed: %s", order->line,
			 said[0] ? said : "it does not say why");
}

void child_stop(struct children *all, struct child *child)
{
	for (const struct child *c = all->first; c; c = c->next)
		if (c == child)
			uv_process_kill(&child->process, SIGTERM);
}

static void signal_all(struct children *all, int number)
{
	for (struct child *child = all->first; child; child = child->next)
		uv_process_kill(&child->process, number);
}

static void on_patience_over(uv_timer_t *timer)
{
	signal_all(timer->data, SIGKILL);
}

void children_end(struct children *all, uint64_t patience_ms)
{
	uv_timer_t patience;

	uv_timer_init(all->loop, &patience);
	patience.data = all;
	uv_timer_start(&patience, on_patience_over, patience_ms, 500);
	signal_all(all, SIGTERM);
	while (all->first)
		uv_run(all->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&patience, NULL);
	uv_run(all->loop, UV_RUN_NOWAIT); /* the timer lives on our stack */
}
