#include "meter/store.h"

#include "meter/memory.h"

/* From here on the first flows, which in real traffic are the busy ones, are worth a huge page: 1 MiB is in
 * use.
 */
enum { HUGE_FROM = (1 << 20) / sizeof(struct flow_hot) };

static size_t blocks(uint32_t capacity)
{
	return ((size_t)capacity + FLOW_BLOCK - 1) / FLOW_BLOCK;
}

enum status flow_store_init(struct flow_store *s, uint32_t capacity, bool phases, bool extras,
			    struct error *err)
{
	*s = (struct flow_store){
		.capacity = capacity,
		.vacant = FLOW_NONE,
		.hot = memory_reserve(capacity * sizeof *s->hot),
		.cold = memory_reserve(capacity * sizeof *s->cold),
		.check_at = memory_reserve(blocks(capacity) * FLOW_BLOCK * sizeof *s->check_at),
		.phase = phases ? memory_reserve(capacity * sizeof *s->phase) : NULL,
		.extra = extras ? memory_reserve(capacity * sizeof *s->extra) : NULL,
		.denial = memory_reserve(capacity * sizeof *s->denial),
		.due_in = memory_reserve(blocks(capacity) * sizeof *s->due_in),
	};
	if (s->hot && s->cold && s->check_at && s->denial && s->due_in && (s->phase || !phases) &&
	    (s->extra || !extras))
		return OK;
	flow_store_fini(s);
	return error_set(err, ERR_MEMORY, "no address space for a table of %u flows", capacity);
}

void flow_store_fini(struct flow_store *s)
{
	memory_release(s->hot, s->capacity * sizeof *s->hot);
	memory_release(s->cold, s->capacity * sizeof *s->cold);
	memory_release(s->check_at, blocks(s->capacity) * FLOW_BLOCK * sizeof *s->check_at);
	memory_release(s->phase, s->capacity * sizeof *s->phase);
	memory_release(s->extra, s->capacity * sizeof *s->extra);
	memory_release(s->denial, s->capacity * sizeof *s->denial);
	memory_release(s->due_in, blocks(s->capacity) * sizeof *s->due_in);
	*s = (struct flow_store){0};
}

uint32_t flow_store_take(struct flow_store *s, const struct flow_key *key)
{
	uint32_t flow = s->vacant;

	if (flow != FLOW_NONE) {
		s->vacant = (uint32_t)s->hot[flow].octets;
	} else {
		if (s->used == s->capacity)
			return FLOW_NONE;
		flow = s->used++;
		if (flow == HUGE_FROM && !s->huge) {
			memory_make_huge(s->hot);
			s->huge = true;
		}
		if (flow % FLOW_BLOCK == 0) { /* a block that was not there before */
			s->due_in[flow / FLOW_BLOCK] = TICK_NEVER;
			memset(&s->check_at[flow], 0xff, FLOW_BLOCK * sizeof *s->check_at);
		}
	}
	s->hot[flow] = (struct flow_hot){.key = *key};
	s->check_at[flow] = TICK_NEVER;
	s->active++;
	if (key->kind & KIND_DENIED) {
		s->denial[flow] = (struct flow_denial){0};
		s->denied++;
	}
	return flow;
}

void flow_store_give_back(struct flow_store *s, uint32_t flow)
{
	s->denied -= (s->hot[flow].key.kind & KIND_DENIED) != 0;
	s->hot[flow].key.kind = KIND_VACANT;
	s->hot[flow].octets = s->vacant;
	s->check_at[flow] = TICK_NEVER;
	s->vacant = flow;
	s->active--;
}

void flow_store_rewind(struct flow_store *s)
{
	s->used = 0;
	s->vacant = FLOW_NONE;
}

size_t flow_store_flow_size(const struct flow_store *s)
{
	return sizeof *s->hot + sizeof *s->cold + sizeof *s->check_at + sizeof *s->due_in / FLOW_BLOCK +
	       (s->phase ? sizeof *s->phase : 0) + (s->extra ? sizeof *s->extra : 0);
}
