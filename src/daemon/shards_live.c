/* shards_live.c: live interfaces through several meters.
 *
 * Each thread reads the lane that has what is its own (observe/lanes.h), meters it and encodes its records;
 * it shares nothing with another one but `pause`, which is only read. All that is neither packet nor record
 * is done by the thread that exports, while the others rest: interfaces that come and go, counters, settings.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/shards_state.h"
#include "observe/lanes.h"
#include "observe/share.h"

enum {
	TURN_BATCHES = 64, /* then records are told of, and the clock is looked at */
	CLOCK_MS = 250,    /* a meter without packets looks at the clock this often */
	VAIN_MS = 1,       /* a ring has something that may not be read yet */
	LAST_BATCHES = 1024
};

/* ---- a shard's thread ---- */

/* All lanes have got it. Who decodes it knows whose it is; what has no flow is the first one's. */
static bool is_own(const struct shard *s, const struct packet *packet)
{
	struct flow_key key;
	struct packet_facts facts;

	if (decode_packet(packet, &key, &facts) != DECODE_FLOW)
		return s->number == 0;
	return shard_of(&s->decoder.rule, &key) == s->number;
}

static void leave_foreign(struct shard *s, struct packet_batch *batch)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < batch->count; i++) {
		if (unlikely(share_way_of(&batch->packet[i]) == SHARE_WALK) &&
		    !is_own(s, &batch->packet[i])) {
			s->foreign_packets++;
			s->foreign_octets += batch->packet[i].length;
			continue;
		}
		if (unlikely(n != i))
			batch->packet[n] = batch->packet[i];
		n++;
	}
	batch->count = n;
}

/* False: there was nothing. */
static bool read_batch(struct shard *s)
{
	struct error err;

	if (s->lane->type->read(s->lane, s->batch, &err) != OK)
		return false;
	leave_foreign(s, s->batch);
	meter_observe(s->meter, s->batch);
	s->lane->type->release(s->lane, s->batch);
	return true;
}

static bool is_paused(struct shards *all)
{
	return __atomic_load_n(&all->pause, __ATOMIC_RELAXED);
}

static void look_at_clock(struct shard *s)
{
	const struct mono_ns now = mono_now();

	if (now.ns < s->due_ns)
		return;
	meter_advance(s->meter, now, wall_now().ns - now.ns);
	s->due_ns = now.ns + CLOCK_MS * NS_PER_MS;
}

static bool has_records(const struct shard *s)
{
	for (uint32_t i = 0; i < s->all->exporter_count; i++)
		if (ring_head(s->ring[i]) != ring_tail(s->ring[i]))
			return true;
	return false;
}

/* True: there was something, and there may be more. */
static bool take_turn(struct shard *s)
{
	bool more = true;
	uint32_t read = 0;

	while (more && read < TURN_BATCHES && !is_paused(s->all)) {
		more = read_batch(s);
		read += more;
	}
	look_at_clock(s);
	if (has_records(s))
		s->all->tell(s->all->tell_arg);
	return read > 0;
}

/* With the lock: somebody may do with the shard what he likes, until it is the shard's turn again. */
static void park(struct shard *s)
{
	s->parked = true;
	pthread_cond_signal(&s->all->told);
}

/* With the lock. False: it is over. */
static bool go_on(struct shard *s)
{
	struct shards *all = s->all;

	while (all->pause && !all->over)
		pthread_cond_wait(&all->work, &all->lock);
	if (!all->over)
		s->parked = false;
	return !all->over;
}

/* Parked. Something is wrong with a socket: the thread of the exporters looks after it. */
static void ask(struct shard *s)
{
	struct shards *all = s->all;

	pthread_mutex_lock(&all->lock);
	s->asks = true;
	all->tell(all->tell_arg);
	while (s->asks && !all->over)
		pthread_cond_wait(&all->work, &all->lock);
	pthread_mutex_unlock(&all->lock);
}

static void wait_for_packets(struct shard *s, bool in_vain)
{
	const int64_t left_ms = (s->due_ns - mono_now().ns) / NS_PER_MS + 1;

	if (!afpacket_lane_wait(s->lane, left_ms < 0 ? 0 : left_ms > CLOCK_MS ? CLOCK_MS : (int)left_ms))
		ask(s);
	else if (in_vain)
		(void)poll(NULL, 0, VAIN_MS);
}

static void *run(void *arg)
{
	struct shard *s = arg;
	struct shards *all = s->all;
	bool more = true, in_vain = false;

	pthread_mutex_lock(&all->lock);
	while (go_on(s)) {
		pthread_mutex_unlock(&all->lock);
		in_vain = !more;
		more = take_turn(s);
		in_vain &= !more;
		pthread_mutex_lock(&all->lock);
		park(s);
		pthread_mutex_unlock(&all->lock);
		if (!more)
			wait_for_packets(s, in_vain);
		pthread_mutex_lock(&all->lock);
	}
	pthread_mutex_unlock(&all->lock);
	return NULL;
}

/* ---- the thread of the exporters ---- */

static void move(struct shard *s)
{
	struct mark until;

	shard_mark(s, &until);
	shard_make_room(s, &until);
}

void shards_move(struct shards *all)
{
	for (uint32_t i = 0; i < all->count; i++)
		move(all->shard[i]);
}

void shards_stop(struct shards *all)
{
	pthread_mutex_lock(&all->lock);
	__atomic_store_n(&all->pause, true, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < all->count; i++) {
		struct shard *s = all->shard[i];

		while (!s->parked) {
			if (!s->full) {
				pthread_cond_wait(&all->told, &all->lock);
				continue;
			}
			pthread_mutex_unlock(&all->lock);
			move(s);
			pthread_mutex_lock(&all->lock);
		}
	}
	all->stopped = true;
	pthread_mutex_unlock(&all->lock);
}

void shards_go(struct shards *all)
{
	pthread_mutex_lock(&all->lock);
	all->stopped = false;
	__atomic_store_n(&all->pause, false, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < all->count; i++)
		all->shard[i]->asks = false;
	pthread_cond_broadcast(&all->work);
	pthread_mutex_unlock(&all->lock);
}

bool shards_ask(struct shards *all)
{
	bool asked = false;

	pthread_mutex_lock(&all->lock);
	for (uint32_t i = 0; i < all->count; i++)
		asked |= all->shard[i]->asks;
	pthread_mutex_unlock(&all->lock);
	return asked;
}

void shards_foreign(const struct shards *all, uint64_t *packets, uint64_t *octets)
{
	*packets = *octets = 0;
	for (uint32_t i = 0; i < all->count; i++) {
		*packets += all->shard[i]->foreign_packets;
		*octets += all->shard[i]->foreign_octets;
	}
}

/* ---- begin and end ---- */

void shards_lanes(const struct shards *all, uint32_t *lanes, uint32_t *factor)
{
	*lanes = all->count;
	*factor = all->shard[0]->decoder.rule.factor;
}

enum status shards_start_live(struct shards *all, struct packet_source *source, void (*tell)(void *arg),
			      void *arg, struct error *err)
{
	all->tell = tell;
	all->tell_arg = arg;
	__atomic_store_n(&all->pause, true, __ATOMIC_RELAXED);
	all->stopped = true;
	for (uint32_t i = 0; i < all->count; i++) {
		struct shard *s = all->shard[i];

		s->lane = afpacket_lane(source, i);
		s->batch = malloc(sizeof *s->batch);
		if (!s->batch)
			return error_set(err, ERR_MEMORY, "no memory for shards");
	}
	return shards_start_threads(all, run, err);
}

void shards_end_live(struct shards *all)
{
	pthread_mutex_lock(&all->lock);
	all->over = true;
	pthread_cond_broadcast(&all->work);
	pthread_mutex_unlock(&all->lock);
	for (uint32_t i = 0; i < all->count; i++)
		for (uint32_t n = 0; n < LAST_BATCHES && all->shard[i]->batch && read_batch(all->shard[i]);
		     n++)
			;
	for (uint32_t i = 0; i < all->count; i++)
		meter_flush(all->shard[i]->meter);
	shards_move(all);
	shards_join(all);
}
