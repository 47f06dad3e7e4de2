#include "meter/owed.h"

#include <stdlib.h>

#include "meter/memory.h"
#include "meter/store.h"

/* 64 Ki frames: a third of a second of 200 000 refusals a second. */
enum { SETS = 8192, WAYS = 8 };

struct debt {
	struct flow_key key;
	uint32_t octets; /* of one frame */
	uint32_t frames; /* 0: vacant */
	int64_t time;
};

struct owed_table {
	const struct flow_hasher *hasher;
	struct debt (*set)[WAYS];
};

struct owed_table *owed_table_new(const struct flow_hasher *hasher)
{
	struct owed_table *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->hasher = hasher;
	t->set = memory_reserve(SETS * sizeof *t->set);
	if (!t->set) {
		free(t);
		return NULL;
	}
	return t;
}

void owed_table_free(struct owed_table *t)
{
	if (!t)
		return;
	memory_release(t->set, SETS * sizeof *t->set);
	free(t);
}

static struct debt *set_of(struct owed_table *t, const struct flow_key *key)
{
	return t->set[flow_hash(t->hasher, key) % SETS];
}

/* Either of the two may be the earlier one. */
static bool fresh(const struct debt *d, int64_t time)
{
	return d->frames > 0 && (time > d->time ? time - d->time : d->time - time) < OWED_NS;
}

static bool fits(const struct debt *d, const struct flow_key *key, int64_t time)
{
	return fresh(d, time) && flow_key_equal(&d->key, key);
}

bool owed_table_add(struct owed_table *t, const struct flow_key *key, const struct packet_facts *facts,
		    int64_t time)
{
	struct debt *set = set_of(t, key), *use = &set[0];

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].octets == facts->octets && fits(&set[i], key, time)) {
			set[i].frames++;
			set[i].time = time;
			return true;
		}
		if (fresh(use, time) && (!fresh(&set[i], time) || set[i].time < use->time))
			use = &set[i];
	}
	const bool room = !fresh(use, time);
	*use = (struct debt){.key = *key, .octets = facts->octets, .frames = 1, .time = time};
	return room;
}

bool owed_table_take(struct owed_table *t, const struct flow_key *key, const struct packet_facts *facts,
		     int64_t time, bool *more)
{
	struct debt *set = set_of(t, key);
	bool taken = false;

	*more = false;
	for (unsigned i = 0; i < WAYS; i++) {
		if (!fits(&set[i], key, time))
			continue;
		if (!taken && set[i].octets == facts->octets) {
			set[i].frames--;
			taken = true;
		}
		*more |= set[i].frames > 0;
	}
	return taken;
}
