/* The printer's process: journal -> JSON Lines, as `weir dump` writes them. It never holds anybody up: what
 * waits for a slow reader waits in the journal, up to a bound, and is then passed over and counted. Without a
 * file to print to it decodes and counts: a collector that keeps no store still tells what comes. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/feed.h"
#include "daemon/printer_sessions.h"
#include "daemon/roles.h"
#include "message/json.h"

enum {
	OUTPUT = 1 << 20,   /* most of one message's text: 64 KiB of octets */
	GATHER = 256 << 10, /* written at once */
	LAG_OCTETS = 64 << 20,
	IDLE_MS = 20,
	METRICS_MS = 1000,
	POLL_MS = 50,
	STALL_POLLS = 40, /* at the end a reader that takes nothing has so long */
};

struct printing {
	const struct role_context *context;
	struct role_board *board;
	struct feed *feed;
	struct printer_sessions *sessions;
	struct text out;
	struct json_printer json;
	struct session_sink sink;
	int fd;        /* -1: only count */
	bool chunks;   /* it blocks: in pieces that it takes when it says it is ready */
	bool skipping; /* too far behind: pass over until half the bound */
	bool broken;   /* nobody reads it any more, or not before our end */
	struct mono_ns metrics;
	struct text page;
};

static void on_data(void *arg, const struct message_header *header, const struct template *t,
		    const struct template_store *store, struct span records, uint32_t count)
{
	struct printing *p = arg;

	atomic_store_explicit(&p->board->records,
			      atomic_load_explicit(&p->board->records, memory_order_relaxed) + count,
			      memory_order_relaxed);
	if (p->fd >= 0)
		json_print_set(&p->json, header, t, store, records);
}

static uint64_t lag(const struct printing *p)
{
	const uint64_t in = atomic_load(&p->context->board->appended_octets),
		       out = atomic_load(&p->board->octets);

	return in > out ? in - out : 0;
}

static bool too_late(struct printing *p)
{
	const uint64_t bound =
		p->context->options->json_lag_octets ? p->context->options->json_lag_octets : LAG_OCTETS;

	if (p->fd < 0 || p->context->options->reads)
		return false; /* files wait for us */
	p->skipping = lag(p) > (p->skipping ? bound / 2 : bound);
	return p->skipping;
}

/* Write for at most a moment. False: the reader is gone. */
static bool write_some(struct printing *p, size_t *at)
{
	struct pollfd ready = {.fd = p->fd, .events = POLLOUT};
	size_t length = p->out.used - *at;

	if (poll(&ready, 1, p->skipping ? 0 : POLL_MS) <= 0)
		return true;
	if (p->chunks && length > PIPE_BUF)
		length = PIPE_BUF;
	const ssize_t n = write(p->fd, p->out.data + *at, length);
	if (n > 0)
		*at += (size_t)n;
	return n >= 0 || errno == EAGAIN || errno == EINTR || errno == ENOSPC;
}

/* What is in the buffer; it stays there when the reader takes nothing and we are too far behind to wait. */
static void write_out(struct printing *p)
{
	unsigned stalled = 0;
	size_t at = 0;

	while (at < p->out.used && !p->broken) {
		const size_t before = at;

		role_beat(p->board);
		if (!write_some(p, &at)) {
			log_error(p->context->options->log, "%s: %s; no more records are printed",
				  p->context->options->json, strerror(errno));
			role_failing(p->board, "the records' reader is gone");
			p->broken = true;
		}
		stalled = at == before ? stalled + 1 : 0;
		if (stalled > STALL_POLLS && atomic_load(&p->context->board->finish))
			p->broken = true;
		if (stalled && too_late(p))
			break;
	}
	p->out.used = p->broken ? 0 : p->out.used - at;
	memmove(p->out.data, p->out.data + at, p->out.used);
}

static void take(struct printing *p, const struct journal_entry *e)
{
	struct session *session;

	const bool skip = p->broken || too_late(p);

	if (skip) { /* templates and counts all the same */
		atomic_fetch_add_explicit(&p->board->skipped_messages, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&p->board->skipped_octets, e->octets.length, memory_order_relaxed);
		p->sink.data = NULL;
	}
	session = printer_session(p->sessions, e->session);
	if (session)
		session_message(session, e->octets, wall_ms(e->received), &p->sink);
	p->sink.data = on_data;
	if (!skip && p->out.used >= GATHER)
		write_out(p);
	role_read(p->board, e->next, e->octets.length, wall_ms(e->received));
}

static void tell(struct printing *p, bool now)
{
	if (!now && mono_now().ns - p->metrics.ns < METRICS_MS * NS_PER_MS)
		return;
	p->metrics = mono_now();
	p->page.used = 0;
	p->page.full = false;
	printer_sessions_print(p->sessions, &p->page);
	page_put(&p->board->metrics, p->page.data, p->page.full ? 0 : p->page.used);
}

static bool turn(struct printing *p)
{
	const struct timespec idle = {.tv_nsec = IDLE_MS * NS_PER_MS};
	const bool finish = atomic_load(&p->context->board->finish);
	struct journal_entry e;
	struct error err = {""};
	const enum status st = feed_next(p->feed, &e, &err);

	role_beat(p->board);
	tell(p, false);
	if (st == OK) {
		take(p, &e);
		return true;
	}
	if (st == ERR_FORMAT) {
		log_warn(p->context->options->log, "%s", err.text);
		return true;
	}
	if (p->out.used)
		write_out(p);
	if (st == END && finish)
		return false;
	nanosleep(&idle, NULL);
	return true;
}

/* A descriptor of our own that does not block, where that can be had: others may share the one we were given.
 */
static enum status open_output(struct printing *p, const char *name, struct error *err)
{
	struct stat st;

	p->fd = -1;
	if (!name)
		return OK;
	if (strcmp(name, "-") == 0) {
		p->fd = open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC);
		if (p->fd < 0)
			p->fd = dup(STDOUT_FILENO);
		p->chunks = fstat(p->fd, &st) == 0 && !S_ISREG(st.st_mode) &&
			    !(fcntl(p->fd, F_GETFL) & O_NONBLOCK);
	} else {
		p->fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
		p->chunks = p->fd >= 0 && fstat(p->fd, &st) == 0 && !S_ISREG(st.st_mode);
	}
	return p->fd >= 0 ? OK : error_errno(err, "%s", name);
}

static enum status open_printing(struct printing *p, struct error *err)
{
	enum status st = open_output(p, p->context->options->json, err);

	p->out = (struct text){.data = malloc(OUTPUT), .capacity = OUTPUT};
	p->page = (struct text){.data = malloc(PAGE_MAX), .capacity = PAGE_MAX};
	p->sessions = printer_sessions_new(p->context->seed);
	if (st == OK &&
	    (!p->out.data || !p->page.data || !p->sessions || json_printer_init(&p->json, &p->out) != OK))
		st = error_set(err, ERR_MEMORY, "printer: no memory");
	if (st == OK)
		st = feed_open(&p->feed, p->context->store, p->context->board->workers,
			       p->context->board->printer_from, false, err);
	return st;
}

/* One message gave more text than the buffer has. Wait for the reader, within bounds; a reader that does not
 * read gets a line that is cut. */
static void flush_text(void *arg, const char *data, size_t length)
{
	struct printing *p = arg;

	write_out(p);
	if (p->out.used == p->out.capacity)
		atomic_fetch_add_explicit(&p->board->skipped_octets, 1, memory_order_relaxed);
	p->out.used = 0;
}

int printer_role(void *arg)
{
	struct printing p = {.context = arg, .fd = -1};
	struct error err = {""};
	int status = 1;

	p.board = &p.context->board->role[ROLE_PRINTER];
	p.sink = (struct session_sink){.arg = &p, .data = on_data};
	signal(SIGPIPE, SIG_IGN);
	if (open_printing(&p, &err) == OK) {
		p.out.flush = flush_text;
		p.out.flush_arg = &p;
		role_well(p.board);
		while (turn(&p))
			;
		tell(&p, true);
		status = 0;
	} else {
		log_error(p.context->options->log, "%s", err.text);
		role_failing(p.board, err.text);
	}
	feed_close(p.feed);
	json_printer_fini(&p.json);
	printer_sessions_free(p.sessions);
	free(p.out.data);
	free(p.page.data);
	if (p.fd >= 0)
		close(p.fd);
	return status;
}
