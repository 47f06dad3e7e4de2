#include "query/scan.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { MANY_RECORDS = 500000 }; /* from here on a second thread is worth its start */

struct worker {
	const struct scan *scan;
	const struct scan_taker *taker;
	atomic_bool *ended; /* one has failed: the others need not go on */
	struct sieve *sieve;
	struct slice *slice;
	uint64_t *bits;
	pthread_t thread;
	bool started;
	enum status status;
	struct error err;
};

static const struct vector *get(void *arg, uint32_t column)
{
	return slice_column(arg, column);
}

static void bounds(void *arg, uint32_t column, struct parquet_bounds *out)
{
	slice_bounds(arg, column, out);
}

static const struct vector *entries(void *arg, uint32_t column)
{
	return slice_entries(arg, column);
}

static enum status take_slice(struct worker *w)
{
	const struct columns columns = {.arg = w->slice,
					.rows = slice_rows(w->slice),
					.number = slice_number(w->slice),
					.get = get,
					.bounds = bounds,
					.entries = entries};
	uint32_t passed = 0;
	enum status s = OK;

	if (!sieve_may_pass(w->sieve, &columns) ||
	    (w->taker->skip && w->taker->skip(w->taker->arg, &columns)))
		return OK;
	if (!sieve_run(w->sieve, &columns, w->bits, &passed))
		s = error_set(&w->err, ERR_MEMORY, "no memory for a filter");
	else if (passed)
		s = w->taker->take(w->taker->arg, &columns, w->bits, passed, &w->err);
	/* Who asked for a column in vain cannot know why. */
	const enum status failed = slice_failed(w->slice, &w->err);
	return failed != OK ? failed : s;
}

static bool goes_on(const struct worker *w)
{
	return !atomic_load_explicit(w->ended, memory_order_relaxed) &&
	       !(w->scan->stop && atomic_load_explicit(w->scan->stop, memory_order_relaxed));
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (w->status == OK && goes_on(w)) {
		w->status = slice_next(w->slice, &w->err);
		if (w->status == OK)
			w->status = take_slice(w);
	}
	if (w->status != OK && w->status != END)
		atomic_store(w->ended, true);
	return NULL;
}

uint32_t scan_threads(const struct scan *scan)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (scan->records < MANY_RECORDS || cores < 2)
		return 1;
	return cores < SCAN_THREADS_MAX ? (uint32_t)cores : SCAN_THREADS_MAX;
}

static enum status worker_init(struct worker *w, struct reading *reading)
{
	w->slice = slice_new(reading);
	w->bits = malloc(SLICE_ROWS_MAX / 8);
	return w->slice && w->bits ? OK : error_set(&w->err, ERR_MEMORY, "no memory to read records");
}

static void worker_fini(struct worker *w)
{
	sieve_free(w->sieve);
	slice_free(w->slice);
	free(w->bits);
}

/* The first is this thread's own. */
static void run_all(struct worker *workers, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++)
		workers[i].started = pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0;
	work(&workers[0]);
	for (uint32_t i = 1; i < count; i++)
		if (workers[i].started)
			pthread_join(workers[i].thread, NULL);
}

static enum status outcome(const struct scan *scan, const struct worker *workers, uint32_t count,
			   struct error *err)
{
	for (uint32_t i = 0; i < count; i++)
		if (workers[i].status != OK && workers[i].status != END) {
			*err = workers[i].err;
			return workers[i].status;
		}
	if (scan->stop && atomic_load(scan->stop))
		return error_set(err, ERR_SYSTEM, "interrupted");
	return OK;
}

/* All that is asked for must be known before the first is read. */
static enum status make_sieves(struct worker *workers, uint32_t count, const struct ask *ask,
			       struct wanted *wanted, struct error *err)
{
	enum status s = OK;

	for (uint32_t i = 0; s == OK && i < count; i++)
		s = sieve_new(&workers[i].sieve, ask->filter, ask->from_ms, ask->to_ms, wanted);
	return s == OK ? OK
		       : error_set(err, s,
				   s == ERR_MEMORY ? "no memory for a filter"
						   : "the filter asks for what only DuckDB can do");
}

enum status scan_run(const struct scan *scan, const struct scan_taker *takers, uint32_t count,
		     struct error *err)
{
	struct worker workers[SCAN_THREADS_MAX] = {0};
	struct wanted wanted = *scan->wanted; /* the sieves' columns stand behind the takers' */
	struct reading *reading = NULL;
	atomic_bool ended = false;
	enum status s = make_sieves(workers, count, scan->ask, &wanted, err);

	if (s == OK)
		s = reading_open(&reading, scan->store, wanted.columns, wanted.count, err);
	for (uint32_t i = 0; s == OK && i < count; i++) {
		workers[i].scan = scan;
		workers[i].taker = &takers[i];
		workers[i].ended = &ended;
		s = worker_init(&workers[i], reading);
		if (s != OK)
			*err = workers[i].err;
	}
	if (s == OK) {
		run_all(workers, count);
		s = outcome(scan, workers, count, err);
	}
	for (uint32_t i = 0; i < count; i++)
		worker_fini(&workers[i]);
	reading_close(reading);
	return s;
}
