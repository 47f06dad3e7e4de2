#include "query/texts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

__extension__ typedef unsigned __int128 uint128;

enum { FIRST_SLOTS = 256, FIRST_OCTETS = 4096 };

struct texts {
	char *octets;
	size_t used, room, most;
	size_t *begins; /* of each text, and one more: where the next will begin */
	uint32_t count;
	uint32_t *slots; /* number + 1; 0: free */
	uint32_t mask;
	uint32_t last; /* that was asked for: neighbours are often alike */
	uint64_t seed;
};

void texts_free(struct texts *t)
{
	if (!t)
		return;
	free(t->octets);
	free(t->begins);
	free(t->slots);
	free(t);
}

struct texts *texts_new(size_t octets_most)
{
	struct texts *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->most = octets_most;
	t->room = FIRST_OCTETS;
	t->mask = FIRST_SLOTS - 1;
	t->octets = malloc(t->room);
	t->begins = calloc(FIRST_SLOTS / 2 + 1, sizeof *t->begins);
	t->slots = calloc(FIRST_SLOTS, sizeof *t->slots);
	/* Who sends flows chooses the texts: not the places they get. */
	if (getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) != sizeof t->seed)
		t->seed = (uint64_t)(uintptr_t)t;
	if (t->octets && t->begins && t->slots)
		return t;
	texts_free(t);
	return NULL;
}

static uint32_t hash(const struct texts *t, struct span text)
{
	uint64_t h = t->seed ^ text.length;

	for (size_t i = 0; i < text.length; i += 8) {
		const size_t left = text.length - i;
		uint64_t word = 0;

		memcpy(&word, text.data + i, left < 8 ? left : 8);
		const uint128 product = (uint128)(h ^ word) * (UINT64_C(0x9e3779b97f4a7c15) ^ t->seed >> 7);
		h = (uint64_t)product ^ (uint64_t)(product >> 64);
	}
	return (uint32_t)(h ^ h >> 32);
}

struct span texts_at(const struct texts *t, uint32_t number)
{
	return span_of(t->octets + t->begins[number], t->begins[number + 1] - t->begins[number]);
}

static bool is(const struct texts *t, uint32_t number, struct span text)
{
	const struct span have = texts_at(t, number);

	return have.length == text.length &&
	       (text.length == 0 || memcmp(have.data, text.data, text.length) == 0);
}

/* Twice as many slots, and room for half as many texts. */
static bool more_slots(struct texts *t)
{
	const uint32_t mask = 2 * t->mask + 1;
	uint32_t *slots = calloc((size_t)mask + 1, sizeof *slots);
	size_t *begins = slots ? realloc(t->begins, ((size_t)mask / 2 + 2) * sizeof *begins) : NULL;

	if (!begins) {
		free(slots);
		return false;
	}
	t->begins = begins;
	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t at = hash(t, texts_at(t, i)) & mask;

		while (slots[at])
			at = (at + 1) & mask;
		slots[at] = i + 1;
	}
	free(t->slots);
	t->slots = slots;
	t->mask = mask;
	return true;
}

static bool make_room(struct texts *t, size_t length)
{
	size_t room = t->room;

	if (length > t->most || t->used + length + (size_t)t->count * 16 > t->most)
		return false;
	while (room < t->used + length)
		room *= 2;
	if (room > t->room) {
		char *octets = realloc(t->octets, room);

		if (!octets)
			return false;
		t->octets = octets;
		t->room = room;
	}
	return t->count < t->mask / 2 || more_slots(t);
}

uint32_t texts_number(struct texts *t, struct span text, bool add)
{
	if (t->last < t->count && is(t, t->last, text))
		return t->last;
	if (add && !make_room(t, text.length))
		add = false;

	uint32_t at = hash(t, text) & t->mask;
	for (; t->slots[at]; at = (at + 1) & t->mask)
		if (is(t, t->slots[at] - 1, text))
			return t->last = t->slots[at] - 1;
	if (!add)
		return TEXTS_NONE;
	if (text.length)
		memcpy(t->octets + t->used, text.data, text.length);
	t->used += text.length;
	t->slots[at] = t->count + 1;
	t->begins[t->count + 1] = t->used;
	return t->last = t->count++;
}
