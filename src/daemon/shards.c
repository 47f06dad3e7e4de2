#include "daemon/shards.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/shards_state.h"

/* ---- records ---- */

/* The shard's sink has no room: wait until records were moved; or do it, as the thread that would. */
static void make_room(struct shard *s)
{
	struct shards *all = s->all;

	if (all->stopped) {
		struct mark until;

		shard_mark(s, &until);
		shard_move(s, &until);
		return;
	}
	if (all->tell)
		all->tell(all->tell_arg);
	pthread_mutex_lock(&all->lock);
	s->full = true;
	pthread_cond_signal(&all->told);
	while (s->full)
		pthread_cond_wait(&all->work, &all->lock);
	pthread_mutex_unlock(&all->lock);
}

static uint32_t exporter_of(const struct shards *all, const struct flow_record *record)
{
	const struct device *device = all->device;
	const uint32_t domain =
		device->domain_count ? all->points->point[record->key.point % POINT_MAX].domain : 0;

	for (uint32_t i = 0; domain && i < device->domain_count; i++)
		if (device->of_domain[i].domain == domain)
			return i + 1;
	return 0;
}

/* The flow sink of a shard. */
static void put(void *arg, const struct flow_record *record)
{
	struct shard *s = arg;
	const uint32_t number = exporter_of(s->all, record);
	const struct exporter *exporter = device_exporter(s->all->device, number);

	while (!exporter_encode(exporter, record, s->ring[number]))
		make_room(s);
}

void shard_mark(const struct shard *s, struct mark *out)
{
	for (uint32_t i = 0; i < s->all->exporter_count; i++)
		out->head[i] = ring_head(s->ring[i]);
}

bool shard_is_filling(const struct shard *s)
{
	for (uint32_t i = 0; i < s->all->exporter_count; i++)
		if (ring_head(s->ring[i]) - ring_tail(s->ring[i]) > SHARD_RING / 2)
			return true;
	return false;
}

void shard_move(struct shard *s, const struct mark *until)
{
	struct ring_view view;

	for (uint32_t i = 0; i < s->all->exporter_count; i++) {
		struct exporter *exporter = device_exporter(s->all->device, i);
		uint64_t at = ring_tail(s->ring[i]);

		while (at < until->head[i] && ring_peek(s->ring[i], at, &view) == OK) {
			exporter_put_encoded(exporter, &view);
			at = view.next;
		}
		ring_release(s->ring[i], at);
	}
}

void shard_make_room(struct shard *s, const struct mark *until)
{
	struct shards *all = s->all;

	shard_move(s, until);
	pthread_mutex_lock(&all->lock);
	if (s->full) {
		s->full = false;
		pthread_cond_broadcast(&all->work);
	}
	pthread_mutex_unlock(&all->lock);
}

/* ---- begin and end ---- */

static void shard_free(struct shard *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < EXPORTERS_MAX; i++)
		free(s->ring_memory[i]);
	capture_chunk_free(s->chunk);
	meter_free(s->meter);
	free(s->batch);
	free(s);
}

static bool make_rings(struct shard *s)
{
	for (uint32_t i = 0; i < s->all->exporter_count; i++) {
		s->ring_memory[i] = aligned_alloc(64, (ring_footprint(SHARD_RING) + 63) & ~63ULL);
		if (!s->ring_memory[i])
			return false;
		s->ring[i] = ring_init(s->ring_memory[i], SHARD_RING);
	}
	return true;
}

static uint32_t share_of(uint32_t all, uint32_t count)
{
	return all ? (all + count - 1) / count : 0;
}

static enum status make_shard(struct shards *all, uint32_t number, struct error *err)
{
	struct meter_options options = all->device->settings->meter;
	struct shard *s = all->shard[number] = calloc(1, sizeof *s);
	uint32_t factor = 0x9e3779b1; /* over a file: the same output at each run */

	if (!s)
		return error_set(err, ERR_MEMORY, "no memory for %u shards", all->count);
	s->all = all;
	s->number = number;
	s->parked = true; /* until it has a thread */
	if (!all->device->settings->exporter.packet_time)
		memcpy(&factor, options.hash_key, sizeof factor);
	s->decoder = (struct decoder){.rule = {all->count, factor | 1}, .local = options.local};
	options.max_flows = share_of(options.max_flows, all->count);
	options.first_flow_id += number;
	options.flow_id_step = all->count;
	if (!make_rings(s))
		return error_set(err, ERR_MEMORY, "no memory for the rings of %u shards", all->count);
	return meter_new(&s->meter, &options, all->points, put, s, err);
}

static uint32_t exporters(const struct device *device)
{
	uint32_t n = 0;

	while (device_exporter(device, n))
		n++;
	return n;
}

/* The reader of a file runs ahead of the exporters with what it finds; live, nothing is found while one of
 * them runs. */
static enum status find_points(struct shards *all, struct error *err)
{
	struct device *device = all->device;

	all->points = &device->points;
	if (!device->settings->exporter.packet_time)
		return OK;
	all->points = malloc(sizeof *all->points);
	if (!all->points)
		return error_set(err, ERR_MEMORY, "no memory for shards");
	*all->points = device->points;
	return OK;
}

enum status shards_new(struct shards **out, struct device *device, struct error *err)
{
	struct shards *all = calloc(1, sizeof *all);
	enum status st;

	if (!all)
		return error_set(err, ERR_MEMORY, "no memory for shards");
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->work, NULL);
	pthread_cond_init(&all->told, NULL);
	all->device = device;
	all->exporter_count = exporters(device);
	st = find_points(all, err);
	for (uint32_t i = 0; i < device->settings->shards && st == OK; i++) {
		all->count = device->settings->shards;
		st = make_shard(all, i, err);
	}
	if (st == OK)
		*out = all;
	else
		shards_free(all);
	return st;
}

void shards_free(struct shards *all)
{
	if (!all)
		return;
	for (uint32_t i = 0; i < all->count; i++)
		shard_free(all->shard[i]);
	if (all->points != &all->device->points)
		free(all->points);
	pthread_cond_destroy(&all->told);
	pthread_cond_destroy(&all->work);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

struct meter *shards_meter(const struct shards *all, uint32_t number)
{
	return number < all->count ? all->shard[number]->meter : NULL;
}

/* With no thread at all nothing can be done; with fewer than asked for neither, for each has a table. */
enum status shards_start_threads(struct shards *all, void *(*run)(void *), struct error *err)
{
	sigset_t signals, before;
	int number = 0;

	sigfillset(&signals);
	pthread_sigmask(SIG_SETMASK, &signals, &before);
	pthread_mutex_lock(&all->lock);
	for (uint32_t i = 0; i < all->count && number == 0; i++) {
		number = pthread_create(&all->shard[i]->thread, NULL, run, all->shard[i]);
		all->shard[i]->started = number == 0;
	}
	if (number != 0)
		all->ended = all->over = true;
	pthread_mutex_unlock(&all->lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return number == 0 ? OK : error_set(err, ERR_SYSTEM, "a thread to meter in: %s", strerror(number));
}

void shards_join(struct shards *all)
{
	for (uint32_t i = 0; i < all->count; i++)
		if (all->shard[i]->started)
			pthread_join(all->shard[i]->thread, NULL);
}

void shards_statistics(const struct shards *all, struct meter_statistics *out)
{
	*out = (struct meter_statistics){0};
	for (uint32_t i = 0; i < all->count; i++) {
		struct meter_statistics one;

		meter_statistics(all->shard[i]->meter, &one);
		meter_statistics_add(out, &one);
		meter_statistics_add(out, &all->shard[i]->decoder.statistics);
	}
}
