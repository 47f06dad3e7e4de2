#include "daemon/collector.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/cleanup.h"
#include "daemon/collector_state.h"
#ifdef WEIR_STORE
#include "store/manifest.h"
#endif

enum {
	TICK_MS = 100,
	TELL_EVERY_S = 60,
	FINISH_S = 30,             /* after a signal the roles have so long; the rest waits in the journal */
	SCRATCH_SEGMENT = 8 << 20, /* of a collector without a store … */
	SCRATCH_SEGMENTS = 8,      /* … which keeps so many for each worker */
};

/* The event loop's part: signals and the clock. */
struct running {
	struct collector *collector;
	uv_loop_t loop;
	uv_timer_t tick;
	uv_signal_t terminate, interrupt;
	bool finishing; /* the files are read: the roles end by themselves */
	enum status status;
	struct error error;
};

/* Beginning. */

static enum status make_scratch(struct collector *c, struct error *err)
{
	const char *const folders[] = {getenv("TMPDIR"), "/dev/shm", "/tmp"};

	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		if (!folders[i] || snprintf(c->scratch, sizeof c->scratch, "%s/weir-collect-XXXXXX",
					    folders[i]) >= (int)sizeof c->scratch)
			continue;
		if (mkdtemp(c->scratch))
			return OK;
	}
	c->scratch[0] = '\0';
	return error_errno(err, "no folder to buffer in (TMPDIR, /dev/shm, /tmp)");
}

/* Where new segments must begin: above every position that the loader remembers. */
static enum status first_segment(const struct collector *c, uint32_t *out, struct error *err)
{
	*out = 0;
#ifdef WEIR_STORE
	struct manifest manifest;
	enum status st;

	if (!c->options->store)
		return OK;
	st = manifest_read(&manifest, c->options->store, err);
	if (st != OK)
		return st == END ? OK : st;
	for (uint32_t i = 0; i < INPUT_WORKERS_MAX; i++)
		if (manifest.positions[i].segment >= *out)
			*out = manifest.positions[i].segment + 1;
	manifest_fini(&manifest);
#endif
	return OK;
}

static enum status open_journal(struct collector *c, struct error *err)
{
	struct journal_options options = {
		.store = c->store,
		.workers = c->board->workers,
		.sync_interval_ns = c->options->sync_ns,
		.log = c->options->log,
		.segment_octets = c->options->store ? 0 : SCRATCH_SEGMENT,
	};
	enum status st = first_segment(c, &options.first_segment, err);

	if (st == OK)
		st = journal_open(&c->journal, &options, &c->recovery, err);
	for (uint32_t i = 0; st == OK && i < c->board->workers; i++) {
		struct journal_statistics s;

		journal_statistics_read(journal_writer_of(c->journal, i), &s);
		c->board->printer_from[i] = s.end;
	}
	return st;
}

static enum status open_processes(struct collector *c, struct error *err)
{
	const bool store = c->options->store;

	c->board = board_new();
	if (!c->board)
		return error_set(err, ERR_MEMORY, "collector: no memory");
	c->board->workers = c->workers + (c->options->reads > 0);
	c->board->role[ROLE_LOADER].wanted = store;
	c->board->role[ROLE_PRINTER].wanted = c->options->json || !store;
	c->context = (struct role_context){
		.options = c->options, .store = c->store, .board = c->board, .requests = {-1, -1}};
#ifdef WEIR_STORE
	c->board->role[ROLE_ASKER].wanted = store && c->options->http;
	if (c->board->role[ROLE_ASKER].wanted &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, c->context.requests) < 0)
		return error_errno(err, "collector: questions");
#endif
	if (getrandom(&c->context.seed, sizeof c->context.seed, 0) != sizeof c->context.seed)
		return error_errno(err, "random numbers");
	c->keeper_options = (struct keeper_options){
		.board = c->board,
		.run =
			{
				[ROLE_LOADER] = loader_role,
				[ROLE_PRINTER] = printer_role,
#ifdef WEIR_STORE
				[ROLE_ASKER] = asker_role,
#endif
			},
		.arg = &c->context,
		.scratch = *c->scratch ? c->scratch : NULL,
		.log = c->options->log,
	};
	const enum status st = keeper_start(&c->keeper, &c->keeper_options, err);
	if (c->context.requests[1] >= 0)
		close(c->context.requests[1]); /* the keeper has it for the workers */
	return st;
}

static enum status open_sources(struct collector *c, struct error *err)
{
	const struct collector_options *o = c->options;
	auto_free char *token = NULL;
	struct web_options web = {.address = o->http,
				  .allow_remote = o->http_remote,
				  .routes = collector_routes,
				  .arg = c,
				  .log = o->log};
	struct receiver_options receiver = o->receiver;
	enum status st = OK;

	receiver.workers = c->workers;
	receiver.log = o->log;
	if (receiver.listens)
		st = receiver_start(&c->receiver, c->journal, &receiver, err);
	if (st == OK && o->reads)
		st = file_feed_start(&c->files, o->read, o->reads, journal_writer_of(c->journal, c->workers),
				     c->board, o->log, err);
	if (st == OK && o->http && o->http_token_file)
		st = web_token_read(&token, o->http_token_file, err);
	web.token = token;
	if (st == OK && o->http)
		st = web_start(&c->web, &web, err);
	return st;
}

static enum status collector_open(struct collector *c, struct error *err)
{
	enum status st = OK;

	if (c->options->receiver.listens) {
		const long cores = sysconf(_SC_NPROCESSORS_ONLN);

		c->workers = c->options->workers ? c->options->workers : cores > 0 ? (uint32_t)cores : 1;
		c->workers = c->workers < JOURNAL_WORKERS ? c->workers : JOURNAL_WORKERS - 1;
	}
	if (!c->options->store)
		st = make_scratch(c, err);
	c->store = c->options->store ? c->options->store : c->scratch;
	if (st == OK)
		st = open_processes(c, err);
	if (st == OK)
		st = open_journal(c, err);
	if (st != OK)
		return st;
	keeper_go(&c->keeper);
	return open_sources(c, err);
}

/* Running. */

/* Losses at the sockets: a line for each kind, at most one a minute. */
static void tell_losses(struct collector *c, const struct receiver_statistics *sum)
{
	static const enum listener_counter kinds[] = {
		KERNEL_DROPS,
		REFUSED_SHORT,
		REFUSED_NETFLOW_V5,
		REFUSED_NETFLOW_V9,
		REFUSED_VERSION,
		REFUSED_LENGTH,
		ENDED_MALFORMED,
		ENDED_NOT_STORED,
		SESSIONS_REFUSED_FULL,
		SESSIONS_REFUSED_SOURCE,
		CUT_SHORT,
		HANDSHAKES_NO_CERTIFICATE,
		HANDSHAKES_UNTRUSTED,
		HANDSHAKES_WRONG_NAME,
		HANDSHAKES_EXPIRED,
		HANDSHAKES_VERSION,
		HANDSHAKES_REFUSED,
		HANDSHAKES_FAILED,
		HANDSHAKES_TIMED_OUT,
		HANDSHAKES_CROWDED_OUT,
		HANDSHAKES_REFUSED_SOURCE,
		STRAY_RECORDS,
	};
	const struct mono_ns now = mono_now();

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		const enum listener_counter k = kinds[i];

		if (sum->count[k] <= c->told[k] ||
		    (c->told_at[k].ns && now.ns - c->told_at[k].ns < TELL_EVERY_S * NS_PER_S))
			continue;
		log_warn(c->options->log, "ledger: %s: %" PRIu64 " more, %" PRIu64 " in all",
			 listener_counter_names[k], sum->count[k] - c->told[k], sum->count[k]);
		c->told[k] = sum->count[k];
		c->told_at[k] = now;
	}
}

static void publish(struct collector *c)
{
	struct receiver_statistics sum = {0}, one;
	uint64_t octets = 0;

	for (uint32_t i = 0; i < c->board->workers; i++) {
		struct journal_statistics s;

		journal_statistics_read(journal_writer_of(c->journal, i), &s);
		octets += s.octets;
		if (*c->scratch && s.end.segment > SCRATCH_SEGMENTS) {
			const struct journal_position old = {i, s.end.segment - SCRATCH_SEGMENTS, 0};
			struct error err;

			if (journal_release(c->store, old, NULL, &err) != OK)
				log_debug(c->options->log, "%s", err.text);
		}
	}
	atomic_store(&c->board->appended_octets, octets);
	for (uint32_t i = 0; c->receiver && i < c->options->receiver.listens; i++) {
		receiver_statistics_read(c->receiver, i, &one);
		for (unsigned k = 0; k < LISTENER_COUNTERS; k++)
			sum.count[k] += one.count[k];
	}
	atomic_store(&c->board->kernel_drops, sum.count[KERNEL_DROPS]);
	tell_losses(c, &sum);
}

static void look_after_roles(struct collector *c)
{
	const struct mono_ns now = mono_now();

	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		const uint64_t beats = atomic_load(&c->board->role[i].beats);

		if (beats != c->seen[i].beats || c->seen[i].since.ns == 0) {
			c->seen[i].beats = beats;
			c->seen[i].since = now;
		}
		atomic_store(&c->silent_s[i], (uint32_t)((now.ns - c->seen[i].since.ns) / NS_PER_S));
	}
}

static void sync_files(struct collector *c, bool force)
{
	if (c->options->reads &&
	    journal_sync(journal_writer_of(c->journal, c->workers), mono_now(), force) != OK)
		return; /* counted and logged there */
}

static void stop(struct running *r, enum status status)
{
	if (r->status == OK)
		r->status = status;
	uv_stop(&r->loop);
}

static void look_after_files(struct running *r)
{
	struct collector *c = r->collector;
	const enum status st = c->files ? file_feed_state(c->files, &r->error) : AGAIN;

	if (st == AGAIN)
		return;
	file_feed_free(c->files);
	c->files = NULL;
	sync_files(c, true);
	publish(c);
	if (c->receiver) {
		if (st == OK)
			log_info(c->options->log, "the files are read");
		return; /* what was wrong is in the log */
	}
	r->status = st;
	r->finishing = true;
	atomic_store(&c->board->finish, true);
}

static void on_tick(uv_timer_t *timer)
{
	struct running *r = timer->data;
	struct collector *c = r->collector;

	publish(c);
	sync_files(c, false);
	look_after_roles(c);
	look_after_files(r);
	if (!keeper_ended(&c->keeper))
		return;
	if (r->finishing)
		stop(r, OK);
	else
		stop(r, error_set(&r->error, ERR_SYSTEM, "the keeper of the loader has ended"));
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct running *r = signal->data;

	log_info(r->collector->options->log, "%s: storing what was received", strsignal(number));
	stop(r, OK);
}

static int start_handles(struct running *r)
{
	int e;

	r->tick.data = r->terminate.data = r->interrupt.data = r;
	if ((e = uv_timer_init(&r->loop, &r->tick)) < 0 ||
	    (e = uv_signal_init(&r->loop, &r->terminate)) < 0 ||
	    (e = uv_signal_init(&r->loop, &r->interrupt)) < 0 ||
	    (e = uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS)) < 0 ||
	    (e = uv_signal_start(&r->terminate, on_signal, SIGTERM)) < 0 ||
	    (e = uv_signal_start(&r->interrupt, on_signal, SIGINT)) < 0)
		return e;
	return 0;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	uv_close(handle, NULL);
}

static void say_ready(const struct collector *c)
{
	const struct logger *log = c->options->log;

	for (uint32_t i = 0; i < c->options->receiver.listens; i++) {
		const struct listen_address *l = &c->options->receiver.listen[i];
		const bool bracket = strchr(l->host, ':') != NULL;

		log_info(log, "listening on %s/%s%s%s:%u", listener_scheme(l->type), bracket ? "[" : "",
			 l->host, bracket ? "]" : "", receiver_port(c->receiver, i));
	}
	if (c->web)
		log_info(log, "http on port %u", web_port(c->web));
	if (c->recovery.cut_octets)
		log_warn(log, "journal: %" PRIu64 " octets of torn tails were cut", c->recovery.cut_octets);
}

static enum status run_loop(struct collector *c, struct error *err)
{
	struct running r = {.collector = c};
	int e = uv_loop_init(&r.loop);

	if (e < 0)
		return error_set(err, ERR_SYSTEM, "event loop: %s", uv_strerror(e));
	e = start_handles(&r);
	if (e < 0) {
		r.status = error_set(&r.error, ERR_SYSTEM, "event loop: %s", uv_strerror(e));
	} else {
		say_ready(c);
		uv_run(&r.loop, UV_RUN_DEFAULT);
	}
	uv_walk(&r.loop, close_handle, NULL);
	uv_run(&r.loop, UV_RUN_DEFAULT);
	uv_loop_close(&r.loop);
	return r.status == OK ? OK : error_set(err, r.status, "%s", r.error.text);
}

/* Ending: the wire first, then what reads behind it. */
static enum status collector_stop(struct collector *c, struct error *err)
{
	enum status st = OK;

	atomic_store(&c->stopping, true);
	if (c->receiver && receiver_stop(c->receiver) != OK)
		st = error_set(err, ERR_SYSTEM, "the last messages received could not be brought to disk");
	file_feed_free(c->files);
	c->files = NULL;
	if (c->journal) {
		sync_files(c, true);
		publish(c);
	}
	if (c->board)
		atomic_store(&c->board->finish, true);
	if (c->journal && !keeper_finish(&c->keeper, FINISH_S))
		log_warn(c->options->log, "the loader needs longer; the next start goes on where it was");
	return st;
}

static void collector_close(struct collector *c)
{
	web_stop(c->web);
	receiver_free(c->receiver);
	journal_close(c->journal);
	keeper_finish(&c->keeper, 1);
	if (c->context.requests[0] > 0)
		close(c->context.requests[0]);
	board_free(c->board);
}

enum status collector_run(const struct collector_options *options, struct error *err)
{
	struct collector *c = calloc(1, sizeof *c);
	struct error end = {""};
	enum status st, stopped;

	if (!c)
		return error_set(err, ERR_MEMORY, "collector: no memory");
#ifndef WEIR_STORE
	if (options->store) {
		free(c);
		return error_set(err, ERR_UNSUPPORTED,
				 "this weir was built without DuckDB, so it keeps no store");
	}
#endif
	c->options = options;
	st = collector_open(c, err);
	if (st == OK)
		st = run_loop(c, err);
	stopped = collector_stop(c, &end);
	if (st == OK && stopped != OK)
		st = error_set(err, stopped, "%s", end.text);
	collector_close(c);
	free(c);
	return st;
}
