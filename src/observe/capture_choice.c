#include "observe/capture_choice.h"

#include <math.h>
#include <string.h>

enum { KEY_WORDS = 5, BITS = 1 << CHOICE_BITS_LOG2 };

/* An estimate only: somebody who makes flows share bits gains a dearer way of metering for us. */
static uint32_t bit_of(const uint64_t *key)
{
	uint64_t h = 0;

	for (int i = 0; i < KEY_WORDS; i++) {
		h = (h ^ key[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
	}
	return (uint32_t)(h * 0xd6e8feb86659fd93ull >> (64 - CHOICE_BITS_LOG2));
}

void capture_choice_flow(struct capture_choice *c, const uint64_t *key)
{
	c->taken++;
	if (c->counting)
		return;
	const uint32_t bit = bit_of(key);
	uint64_t *word = &c->seen[bit / 64];
	const uint64_t mask = (uint64_t)1 << bit % 64;

	c->distinct += !(*word & mask);
	*word |= mask;
}

/* Of `distinct` bits set by chance, so many flows. */
static double flows_of(uint32_t distinct)
{
	const double empty = distinct < BITS ? BITS - distinct : 1;

	return BITS * log(BITS / empty);
}

static bool is_for_a_change(const struct capture_choice *c, uint64_t frames)
{
	if (c->counting)
		return frames < CHOICE_FRAMES_FEW || frames < CHOICE_PAYS_NOT * c->taken;
	return frames >= CHOICE_FRAMES_LEAST && (double)frames >= CHOICE_PAYS * flows_of(c->distinct);
}

static void change(struct capture_choice *c)
{
	c->counting = !c->counting;
	if (c->hold == 0 || c->lasted >= 8 * c->hold) /* 0: the first one */
		c->hold = CHOICE_PERIODS_LEAST;
	else if (c->hold < CHOICE_PERIODS_MOST)
		c->hold *= 2;
	c->lasted = c->agreeing = 0;
}

bool capture_choice_period(struct capture_choice *c, uint64_t frames)
{
	bool changed = false;

	c->lasted += c->lasted < UINT32_MAX;
	c->agreeing = is_for_a_change(c, frames) ? c->agreeing + 1 : 0;
	if (c->agreeing >= (c->hold ? c->hold : CHOICE_PERIODS_LEAST)) {
		change(c);
		changed = true;
	}
	c->taken = 0;
	if (c->distinct > 0)
		memset(c->seen, 0, sizeof c->seen);
	c->distinct = 0;
	return changed;
}
