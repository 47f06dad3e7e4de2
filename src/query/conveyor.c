#include "query/conveyor.h"

#include <pthread.h>

#include "query/engine.h"

enum {
	ROOM = 64,  /* chunks that wait, some 50 KB each */
	ALONE = 16, /* so many are taken before a thread is worth its start */
};

struct conveyor {
	conveyor_take *take;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t filled, emptied;
	duckdb_data_chunk waiting[ROOM];
	unsigned count;
	bool ended;         /* no more will come */
	enum status status; /* of the first take that failed */
};

/* All that wait, at once; 0: it is over. */
static unsigned fetch_waiting(struct conveyor *c, duckdb_data_chunk out[ROOM], enum status said)
{
	pthread_mutex_lock(&c->lock);
	if (c->status == OK)
		c->status = said;
	while (c->count == 0 && !c->ended)
		pthread_cond_wait(&c->filled, &c->lock);

	const unsigned count = c->count;
	for (unsigned i = 0; i < count; i++)
		out[i] = c->waiting[i];
	c->count = 0;
	pthread_cond_signal(&c->emptied);
	pthread_mutex_unlock(&c->lock);
	return count;
}

static void *take_all(void *arg)
{
	struct conveyor *c = arg;
	duckdb_data_chunk chunks[ROOM];
	enum status s = OK;
	unsigned count;

	while ((count = fetch_waiting(c, chunks, s)))
		for (unsigned i = 0; i < count; i++) {
			if (s == OK)
				s = c->take(c->arg, chunks[i]);
			duckdb_destroy_data_chunk(&chunks[i]);
		}
	return NULL;
}

/* The chunk is the thread's from here on. False: it wants no more. */
static bool hand_over(struct conveyor *c, duckdb_data_chunk chunk)
{
	pthread_mutex_lock(&c->lock);
	while (c->count == ROOM)
		pthread_cond_wait(&c->emptied, &c->lock);
	c->waiting[c->count++] = chunk;
	if (c->count == 1)
		pthread_cond_signal(&c->filled);
	const bool good = c->status == OK;
	pthread_mutex_unlock(&c->lock);
	return good;
}

static void end(struct conveyor *c, pthread_t thread)
{
	pthread_mutex_lock(&c->lock);
	c->ended = true;
	pthread_cond_signal(&c->filled);
	pthread_mutex_unlock(&c->lock);
	pthread_join(thread, NULL);
}

enum status conveyor_run(duckdb_result *result, conveyor_take *take, void *arg, const atomic_bool *stop,
			 struct error *err)
{
	struct conveyor c = {.take = take,
			     .arg = arg,
			     .lock = PTHREAD_MUTEX_INITIALIZER,
			     .filled = PTHREAD_COND_INITIALIZER,
			     .emptied = PTHREAD_COND_INITIALIZER};
	bool threaded = false, good = true;
	duckdb_data_chunk chunk;
	pthread_t thread;

	for (unsigned n = 0; good && !(stop && atomic_load(stop)) && (chunk = duckdb_fetch_chunk(*result));
	     n++) {
		if (duckdb_data_chunk_get_size(chunk) == 0) {
			duckdb_destroy_data_chunk(&chunk);
			break;
		}
		if (n == ALONE)
			threaded = pthread_create(&thread, NULL, take_all, &c) == 0;
		if (threaded) {
			good = hand_over(&c, chunk);
			continue;
		}
		c.status = take(arg, chunk);
		good = c.status == OK;
		duckdb_destroy_data_chunk(&chunk);
	}
	if (threaded)
		end(&c, thread);
	if (c.status != OK)
		return c.status;
	const char *why = duckdb_result_error(result);
	return why && *why ? engine_error(err, why) : OK;
}
