/* shards_file.c: a capture file through several meters.
 *
 * Each thread reads (one at a time), decodes (side by side) and counts (each for its own meter, in the order
 * of the file). All that two of them exchange is what was decoded, a few stretches at a time, under one lock
 * that is taken a few times for each. */
#include <stdlib.h>

#include "daemon/shards_state.h"
#include "observe/capture.h"

enum {
	TELL_EVERY = 16,        /* stretches: then the exporters' thread is woken */
	PROGRESS_STRETCHES = 64 /* … and looks at the clock */
};

/* ---- a shard's thread; functions on the left of `locked` are called with the lock ---- */

static struct slot *slot_of(struct shards *all, uint64_t number)
{
	return &all->slot[number % SLOTS];
}

static bool may_read(struct shards *all)
{
	return !all->ended && !all->reading && slot_of(all, all->read)->left == 0;
}

static bool may_count(struct shards *all, const struct shard *s)
{
	return slot_of(all, s->counted)->decoded == s->counted + 1 && s->counted - all->exported < MARKS;
}

static void decode(struct shard *s, struct slot *slot)
{
	uint32_t pace = 0;

	for (uint32_t i = 0; i < s->all->count; i++)
		slot->part[i].count = slot->part[i].pace_count = 0;
	for (uint32_t i = 0; i < s->chunk->batches; i++) {
		const struct packet_batch *batch = &s->chunk->batch[i];
		uint32_t first = 0;

		for (; pace < slot->pace_count && slot->pace[pace] / PACKET_BATCH_MAX == i; pace++) {
			const uint32_t at = slot->pace[pace] % PACKET_BATCH_MAX;

			decoder_batch(&s->decoder, batch, first, at, slot->part);
			decoder_pace(&s->decoder, batch->packet[at].time.ns, slot->part);
			first = at;
		}
		decoder_batch(&s->decoder, batch, first, batch->count, slot->part);
	}
}

/* In the order of the file, so by whose turn it is to read. */
static void pace(struct shards *all, struct slot *slot, const struct capture_chunk *chunk)
{
	slot->pace_count = 0;
	for (uint32_t i = 0; i < chunk->batches; i++)
		for (uint32_t n = 0; n < chunk->batch[i].count; n++)
			if (pacer_is_due(&all->pacer, chunk->batch[i].packet[n].time.ns))
				slot->pace[slot->pace_count++] = i * PACKET_BATCH_MAX + n;
}

/* With the lock, which is let go meanwhile. */
static void read_stretch(struct shard *s)
{
	struct shards *all = s->all;
	const uint64_t number = all->read;
	struct slot *slot = slot_of(all, number);
	uint64_t total;

	all->reading = true;
	pthread_mutex_unlock(&all->lock);
	const enum status status = capture_read_chunk(all->source, s->chunk, &all->error);
	if (status == OK) {
		const struct packet_batch *last = &s->chunk->batch[s->chunk->batches - 1];

		slot->time = last->packet[last->count - 1].time;
		capture_progress(all->source, &slot->octets, &total);
		pace(all, slot, s->chunk);
		slot->points = all->points->count;
	}
	pthread_mutex_lock(&all->lock);
	all->reading = false;
	if (status != OK) {
		all->ended = true;
		all->status = status;
		pthread_cond_broadcast(&all->work);
		return;
	}
	all->read++;
	slot->left = all->count;
	pthread_cond_broadcast(&all->work); /* whose turn it is to read */
	pthread_mutex_unlock(&all->lock);
	decode(s, slot);
	pthread_mutex_lock(&all->lock);
	slot->decoded = number + 1;
	pthread_cond_broadcast(&all->work);
}

static void tell(struct shard *s)
{
	shard_mark(s, &s->mark[s->counted % MARKS]);
	s->counted++;
	if (s->counted % TELL_EVERY == 0 || shard_is_filling(s) || s->all->ended)
		pthread_cond_signal(&s->all->told);
}

static void count_stretch(struct shard *s)
{
	struct shards *all = s->all;
	struct slot *slot = slot_of(all, s->counted);

	pthread_mutex_unlock(&all->lock);
	meter_take(s->meter, &slot->part[s->number], 0);
	pthread_mutex_lock(&all->lock);
	all->time[s->counted % MARKS] = slot->time;
	all->octets[s->counted % MARKS] = slot->octets;
	all->point_count[s->counted % MARKS] = slot->points;
	tell(s);
	if (--slot->left == 0)
		pthread_cond_broadcast(&all->work);
}

/* Who stands still tells first what it has counted: tell() does not for every stretch, and the exporters'
 * thread may be waiting for just this one before it makes room for another shard, who may be what this one
 * waits for. */
static void stand_still(struct shards *all)
{
	pthread_cond_signal(&all->told);
	pthread_cond_wait(&all->work, &all->lock);
}

static void *run(void *arg)
{
	struct shard *s = arg;
	struct shards *all = s->all;

	pthread_mutex_lock(&all->lock);
	while (!all->ended || s->counted < all->read) {
		if (may_count(all, s))
			count_stretch(s);
		else if (may_read(all))
			read_stretch(s);
		else
			stand_still(all);
	}
	while (s->counted - all->exported >= MARKS)
		stand_still(all);
	pthread_mutex_unlock(&all->lock);
	meter_flush(s->meter);
	pthread_mutex_lock(&all->lock);
	tell(s); /* the flush is a stretch of its own */
	pthread_mutex_unlock(&all->lock);
	return NULL;
}

/* ---- the thread of the exporters ---- */

/* Move what the shard made of the stretch. */
static void move_stretch(struct shard *s, uint64_t number)
{
	struct shards *all = s->all;
	bool done = false;

	while (!done) {
		struct mark until;

		pthread_mutex_lock(&all->lock);
		while (s->counted <= number && !s->full)
			pthread_cond_wait(&all->told, &all->lock);
		done = s->counted > number;
		if (done)
			until = s->mark[number % MARKS];
		else
			shard_mark(s, &until); /* of this stretch: it is not at the next one */
		pthread_mutex_unlock(&all->lock);
		shard_make_room(s, &until);
	}
}

/* Points that the file named since. */
static void learn_points(struct shards *all, uint32_t count)
{
	struct point_table *known = &all->device->points;

	for (; known->count < count; known->count++)
		known->point[known->count] = all->points->point[known->count];
}

static void export_stretches(struct shards *all, const char *path, struct mono_ns *time)
{
	struct device *device = all->device;
	const struct mono_ns started = mono_now();
	struct mono_ns shown = started;
	uint64_t octets = 0;
	bool last = false;

	for (uint64_t number = 0; !last; number++) {
		for (uint32_t i = 0; i < all->count; i++)
			move_stretch(all->shard[i], number);
		pthread_mutex_lock(&all->lock);
		last = all->ended && number == all->read;
		if (!last) {
			*time = all->time[number % MARKS];
			octets = all->octets[number % MARKS];
			learn_points(all, all->point_count[number % MARKS]);
		}
		all->exported = number + 1;
		pthread_cond_broadcast(&all->work);
		pthread_mutex_unlock(&all->lock);
		device_service(device, *time, (struct wall_ns){time->ns});
		if (number % PROGRESS_STRETCHES == 0 && mono_now().ns - shown.ns > NS_PER_S / 5) {
			shown = mono_now();
			device_show_progress(device, path, started, octets, all->total, false);
		}
	}
	device_show_progress(device, path, started, octets, all->total, true);
}

/* ---- begin and end ---- */

static enum status make_room(struct shards *all, struct error *err)
{
	const bool extras = (all->device->settings->meter.extras & EXTRA_PACKETS) != 0;

	all->slot = calloc(SLOTS, sizeof *all->slot);
	for (uint32_t i = 0; all->slot && i < SLOTS; i++)
		for (uint32_t n = 0; n < all->count; n++)
			if (!decoded_init(&all->slot[i].part[n], CHUNK_PACKETS, extras))
				return error_set(err, ERR_MEMORY, "no memory for shards");
	for (uint32_t i = 0; all->slot && i < all->count; i++)
		if (!(all->shard[i]->chunk = capture_chunk_new()))
			return error_set(err, ERR_MEMORY, "no memory for shards");
	return all->slot ? OK : error_set(err, ERR_MEMORY, "no memory for shards");
}

static void give_room_back(struct shards *all)
{
	for (uint32_t i = 0; all->slot && i < SLOTS; i++)
		for (uint32_t n = 0; n < all->count; n++)
			decoded_fini(&all->slot[i].part[n]);
	free(all->slot);
	all->slot = NULL;
}

enum status shards_run_file(struct shards *all, const char *path, struct mono_ns *packet_time,
			    struct error *err)
{
	const struct source_options options = {.spec = path, .points = all->points, .log = &all->device->log};
	struct device *device = all->device;
	enum status status = capture_source.open(&device->source[0], &options, err);

	if (status != OK)
		return status;
	device->source_count = 1;
	all->source = device->source[0];
	learn_points(all, all->points->count);
	capture_progress(all->source, &all->octets[0], &all->total);
	device_interfaces_changed(device);
	status = make_room(all, err);
	if (status == OK)
		status = shards_start_threads(all, run, err);
	if (status == OK)
		export_stretches(all, path, packet_time);
	shards_join(all);
	give_room_back(all);
	if (status != OK)
		return status;
	if (all->status != END)
		error_set(err, all->status, "%s", all->error.text);
	return all->status == END ? OK : all->status;
}
