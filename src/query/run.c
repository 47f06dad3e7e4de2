#include "query/run.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "query/coverage.h"
#include "query/engine.h"
#include "query/plain.h"
#include "query/result.h"
#include "query/rules.h"
#include "query/sandbox.h"
#include "query/select.h"
#include "store/store.h"

enum {
	MANY_RECORDS = 1000000, /* from here on a second thread is worth its start */
	GRACE_MS = 200,         /* of an interrupted query, to end in order */
	NEEDS_DATABASE = 64, /* how a process ends that cannot answer without one, and has written nothing */
};

struct answer {
	const struct query *query;
	bool database; /* DuckDB may be opened: its library is here */
	FILE *out;
	struct store *store;
	struct engine engine;
	struct store_coverage coverage;
	_Atomic(duckdb_connection) busy; /* what an interruption ends; NULL: nothing yet */
	atomic_bool interrupted;
};

static void sleep_ms(long ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS};

	nanosleep(&t, NULL);
}

/* A thread that waits for the user to lose patience. What does not end by itself is ended. */
static void *watch(void *arg)
{
	struct answer *a = arg;
	sigset_t set;
	int signal;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigwait(&set, &signal) != 0)
		return NULL;
	atomic_store(&a->interrupted, true);
	const duckdb_connection busy = atomic_load(&a->busy);
	if (busy)
		duckdb_interrupt(busy);
	sleep_ms(GRACE_MS);
	_exit(QUERY_INTERRUPTED);
}

static int complain(const struct answer *a, enum status status, const struct error *err)
{
	const struct logger log = {.out = stderr, .level = LOG_ERROR};

	if (atomic_load(&a->interrupted))
		return QUERY_INTERRUPTED;
	log_error(&log, "%s", err->text);
	return status == ERR_USAGE ? QUERY_USAGE : QUERY_FAILED;
}

static struct result_sink sink_of(struct answer *a)
{
	return (struct result_sink){.type = a->query->show,
				    .out = a->out,
				    .width = a->query->wide ? 0 : show_terminal_width(a->out),
				    .stop = &a->interrupted};
}

static enum status show(struct answer *a, duckdb_result *result, const struct ask_column *asked,
			uint32_t count, struct error *err)
{
	struct result_sink sink = sink_of(a);

	return result_show(&sink, result, asked, count, err);
}

/* By the database. */
static enum status select_answer(struct answer *a, struct error *err)
{
	struct ask_column asked[ASK_COLUMNS_MAX];
	uint32_t count = 0;
	duckdb_result result;
	enum status s = select_ask(&a->engine, a->store, &a->query->ask, &a->interrupted, &result, asked,
				   &count, err);

	if (s == OK) {
		s = show(a, &result, asked, count, err);
		duckdb_destroy_result(&result);
	}
	return s;
}

static enum status answer_ask(struct answer *a, struct error *err)
{
	struct result_sink sink = sink_of(a);

	return a->database ? select_answer(a, err)
			   : plain_answer(a->store, &a->query->ask,
					  a->coverage.records + a->coverage.tail_records, &sink, err);
}

/* Any SELECT: columns as they come. */
static enum status answer_sql(struct answer *a, const char *text, struct error *err)
{
	duckdb_result result;
	enum status s = engine_select(&a->engine, text, &result, err);

	if (s == OK) {
		s = show(a, &result, NULL, 0, err);
		duckdb_destroy_result(&result);
	}
	return s;
}

/* Only an exporter of ours tells of rules: without one there are no such columns, and the answer is empty. */
static enum status answer_rules(struct answer *a, struct error *err)
{
	struct schema schema = {0};
	struct sql sql;
	enum status s;

	sql_init(&sql);
	s = engine_columns(&a->engine, "options", &schema, err);
	if (s == OK && rules_sql(&a->query->ask, &schema, &sql) != OK)
		s = error_set(err, ERR_MEMORY, "no memory");
	if (s == OK)
		s = answer_sql(a, sql.text, err);
	sql_fini(&sql);
	schema_fini(&schema);
	return s;
}

static enum status answer_query(struct answer *a, struct error *err)
{
	if (a->query->rules)
		return answer_rules(a, err);
	return a->query->sql ? answer_sql(a, a->query->sql, err) : answer_ask(a, err);
}

/* Behind a table always, on request or where something is missing behind the others. */
static enum status show_coverage(struct answer *a, struct error *err)
{
	const bool table = a->query->show == &show_table, json = a->query->show == &show_json;
	char buffer[2048];
	struct text t = {.data = buffer, .capacity = sizeof buffer};
	FILE *out = table || (json && a->query->coverage) ? a->out : stderr;

	if (!table && !a->query->coverage && !coverage_is_short(&a->coverage))
		return OK;
	if (json && a->query->coverage) {
		text_string(&t, "{\"coverage\":");
		coverage_json(&t, &a->coverage);
		text_char(&t, '}');
	} else {
		coverage_line(&t, &a->coverage);
	}
	fprintf(out, "%.*s\n", (int)t.used, buffer);
	fputs(store_quarantine_text(a->store), stderr);
	if (!a->query->coverage || (!table && !json))
		return OK;
	return answer_sql(a, "SELECT * FROM ledger", err);
}

/* Whether only DuckDB can answer, whatever the store is like. */
static bool asks_database(const struct query *q)
{
	return q->sql || q->coverage || q->rules;
}

/* Views cost as much as a small question, so only those get them that name them. What a counter of a rule
 * grew by needs its value before. */
static enum status attach(struct answer *a, struct error *err)
{
	const struct query *q = a->query;
	const duckdb_connection connection = a->engine.connection;

	return asks_database(q) ? store_attach(a->store, connection, q->rules ? 0 : q->ask.from_ms,
					       q->ask.to_ms, &a->coverage, err)
				: store_attach_parts(a->store, connection, q->ask.from_ms, q->ask.to_ms,
						     &a->coverage, err);
}

static enum status open_store(struct answer *a, struct error *err)
{
	const struct query *q = a->query;
	enum status s = store_open(&a->store, q->store, err);

	if (s == OK && !a->database)
		return store_look(a->store, q->ask.from_ms, q->ask.to_ms, &a->coverage, err);
	if (s == OK)
		s = engine_open(&a->engine, q->store, err);
	if (s != OK)
		return s;
	atomic_store(&a->busy, a->engine.connection);
	s = attach(a, err);
	return s == OK ? engine_settle(&a->engine,
				       a->coverage.records + a->coverage.tail_records >= MANY_RECORDS,
				       !q->sql && !q->rules, err)
		       : s;
}

static int answer(const struct query *query, bool database, FILE *out)
{
	struct answer a = {.query = query, .database = database, .out = out};
	struct error err = {0};
	pthread_t watcher;
	enum status s = OK;

	if (pthread_create(&watcher, NULL, watch, &a) != 0)
		s = error_set(&err, ERR_SYSTEM, "no thread can be started");
	if (s == OK)
		s = open_store(&a, &err);
	if (s == OK) {
		s = answer_query(&a, &err);
		if (!database && (s == ERR_UNSUPPORTED || s == ERR_LIMIT))
			return NEEDS_DATABASE;
		if (s == OK)
			s = show_coverage(&a, &err);
		if (s == OK && fflush(out) != 0)
			s = error_errno(&err, "standard output");
	}
	if (s != OK)
		return complain(&a, s, &err);
	return atomic_load(&a.interrupted) ? QUERY_INTERRUPTED : QUERY_DONE;
}

/* The process that asks. It leaves without taking anything apart: that is the kernel's, and quicker. */
static _Noreturn void child(const struct query *query, bool database, FILE *out, const sigset_t *old)
{
	const struct logger log = {.out = stderr, .level = LOG_ERROR};
	struct sandbox sandbox;
	struct error err;
	sigset_t both = *old;

	sigaddset(&both, SIGINT);
	sigaddset(&both, SIGTERM);
	sigprocmask(SIG_SETMASK, &both, NULL);
	if (sandbox_enter(&sandbox, query->store, &err) != OK) {
		log_error(&log, "%s", err.text);
		_exit(QUERY_FAILED);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);

	const int status = answer(query, database, out);
	fflush(out);
	_exit(status);
}

/* Signals for us are the child's too, whoever sent them. */
static int wait_for(pid_t pid, const sigset_t *signals)
{
	bool interrupted = false;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		siginfo_t info;

		if (sigwaitinfo(signals, &info) < 0 || info.si_signo == SIGCHLD)
			continue;
		interrupted = true;
		kill(pid, SIGTERM);
	}
	/* Who ended it does not want a second one. */
	if (WIFEXITED(status))
		return interrupted && WEXITSTATUS(status) == NEEDS_DATABASE ? QUERY_INTERRUPTED
									    : WEXITSTATUS(status);
	if (interrupted)
		return QUERY_INTERRUPTED;
	fprintf(stderr, "weir query: the process that asked was ended by signal %d (%s)\n", WTERMSIG(status),
		strsignal(WTERMSIG(status)));
	return QUERY_FAILED;
}

static int run_child(const struct query *query, bool database, FILE *out, const sigset_t *signals,
		     const sigset_t *old)
{
	const pid_t pid = fork();

	if (pid == 0)
		child(query, database, out, old);
	if (pid > 0)
		return wait_for(pid, signals);
	fprintf(stderr, "weir query: no process can be started: %s\n", strerror(errno));
	return QUERY_FAILED;
}

/* DuckDB's library has to be here before the sandbox is closed. */
static int run_database(const struct query *query, FILE *out, const sigset_t *signals, const sigset_t *old)
{
	struct error err;

	if (engine_load(&err) == OK)
		return run_child(query, true, out, signals, old);
	fprintf(stderr, "weir query: %s\n", err.text);
	return QUERY_FAILED;
}

int query_run(const struct query *query, FILE *out)
{
	int status = NEEDS_DATABASE;
	sigset_t signals, old;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &old);
	fflush(out);
	if (!asks_database(query))
		status = run_child(query, false, out, &signals, &old);
	if (status == NEEDS_DATABASE)
		status = run_database(query, out, &signals, &old);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return status;
}
