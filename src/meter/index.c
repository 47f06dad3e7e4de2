#include "meter/index.h"

#include "meter/memory.h"

enum {
	SLOTS_AT_FIRST_LOG2 = 12,
	HUGE_FROM = 1 << 20, /* octets: half a huge page */
};

static size_t octets(const struct flow_index *x)
{
	return ((size_t)x->mask + 1) * sizeof *x->slots;
}

static bool make(struct flow_index *x, uint32_t slots_log2)
{
	*x = (struct flow_index){.mask = (1u << slots_log2) - 1, .shift = 32 - slots_log2};
	x->slots = memory_reserve(octets(x));
	if (x->slots && octets(x) >= HUGE_FROM)
		memory_make_huge(x->slots);
	return x->slots != NULL;
}

static void put(struct flow_index *x, uint64_t slot)
{
	uint32_t at = (uint32_t)(slot >> 32) >> x->shift;

	while (x->slots[at] != 0)
		at = (at + 1) & x->mask;
	x->slots[at] = slot;
}

enum status flow_index_init(struct flow_index *x, struct error *err)
{
	return make(x, SLOTS_AT_FIRST_LOG2) ? OK : error_set(err, ERR_MEMORY, "no memory for the flow index");
}

void flow_index_fini(struct flow_index *x)
{
	memory_release(x->slots, octets(x));
	x->slots = NULL;
}

bool flow_index_reserve(struct flow_index *x)
{
	/* Over three quarters full, searches for what is not there leave their cache line too often. */
	if (x->used < x->mask / 4 * 3)
		return true;

	struct flow_index wider;

	if (!make(&wider, 33 - x->shift))
		return false;
	for (size_t i = 0; i <= x->mask; i++)
		if (x->slots[i] != 0)
			put(&wider, x->slots[i]);
	wider.used = x->used;
	flow_index_fini(x);
	*x = wider;
	return true;
}

void flow_index_insert(struct flow_index *x, uint32_t hash, uint32_t flow)
{
	put(x, (uint64_t)hash << 32 | (flow + 1));
	x->used++;
}

void flow_index_remove(struct flow_index *x, uint32_t hash, uint32_t flow)
{
	const uint64_t wanted = (uint64_t)hash << 32 | (flow + 1);
	uint32_t hole = hash >> x->shift;

	while (x->slots[hole] != wanted)
		hole = (hole + 1) & x->mask;
	for (uint32_t at = (hole + 1) & x->mask; x->slots[at] != 0; at = (at + 1) & x->mask) {
		const uint32_t home = (uint32_t)(x->slots[at] >> 32) >> x->shift;

		/* One that lives after the hole stays: moved into it, it would stand before its home. */
		if (((at - home) & x->mask) >= ((at - hole) & x->mask)) {
			x->slots[hole] = x->slots[at];
			hole = at;
		}
	}
	x->slots[hole] = 0;
	x->used--;
}

void flow_index_clear(struct flow_index *x)
{
	memset(x->slots, 0, octets(x));
	x->used = 0;
}
