#include "export/ring.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* In front of every record. */
struct entry {
	uint32_t size; /* of the whole entry, a multiple of ENTRY_ALIGN */
	uint16_t layout;
	uint16_t length; /* octets of the record */
	uint64_t packets, octets;
};

enum { ENTRY_ALIGN = 8, SKIP = 0xffff }; /* layout SKIP: the rest of the ring's memory is unused */

/* Each side writes only its own line. */
struct ring {
	_Alignas(64) uint32_t capacity;
	_Alignas(64) _Atomic uint64_t head; /* put up to here */
	uint64_t tail_seen;                 /* putter's copy of tail */
	uint64_t reserved_at;
	_Alignas(64) _Atomic uint64_t tail; /* taken up to here */
	_Alignas(64) uint8_t data[];
};

uint64_t ring_footprint(uint32_t capacity)
{
	return sizeof(struct ring) + capacity;
}

struct ring *ring_init(void *memory, uint32_t capacity)
{
	struct ring *ring = memory;

	ring->capacity = capacity;
	atomic_init(&ring->head, 0);
	atomic_init(&ring->tail, 0);
	ring->tail_seen = 0;
	ring->reserved_at = 0;
	return ring;
}

uint32_t ring_capacity(const struct ring *ring)
{
	return ring->capacity;
}

static uint32_t entry_size(uint16_t length)
{
	return ((uint32_t)sizeof(struct entry) + length + ENTRY_ALIGN - 1) & ~(uint32_t)(ENTRY_ALIGN - 1);
}

static uint32_t place(const struct ring *ring, uint64_t position)
{
	return (uint32_t)position & (ring->capacity - 1);
}

/* Is there room for the octets from head up to `end`? */
static bool has_room(struct ring *ring, uint64_t end)
{
	if (end - ring->tail_seen <= ring->capacity)
		return true;
	ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
	return end - ring->tail_seen <= ring->capacity;
}

uint8_t *ring_reserve(struct ring *ring, uint16_t length)
{
	const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	const uint32_t size = entry_size(length), to_edge = ring->capacity - place(ring, head);
	const uint32_t skipped = size > to_edge ? to_edge : 0;

	if (!has_room(ring, head + skipped + size))
		return NULL;
	if (skipped) {
		/* Only as much of the header as surely fits: what is left is a multiple of ENTRY_ALIGN. */
		const struct entry skip = {.size = skipped, .layout = SKIP};

		memcpy(ring->data + place(ring, head), &skip, offsetof(struct entry, packets));
	}
	ring->reserved_at = head + skipped;
	return ring->data + place(ring, ring->reserved_at) + sizeof(struct entry);
}

void ring_commit(struct ring *ring, uint16_t layout, uint16_t length, uint64_t packets, uint64_t octets)
{
	const struct entry entry = {.size = entry_size(length),
				    .layout = layout,
				    .length = length,
				    .packets = packets,
				    .octets = octets};

	memcpy(ring->data + place(ring, ring->reserved_at), &entry, sizeof entry);
	atomic_store_explicit(&ring->head, ring->reserved_at + entry.size, memory_order_release);
}

uint64_t ring_head(const struct ring *ring)
{
	return atomic_load_explicit(&ring->head, memory_order_acquire);
}

uint64_t ring_tail(const struct ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

enum status ring_peek(const struct ring *ring, uint64_t position, struct ring_view *out)
{
	const uint64_t head = ring_head(ring);
	struct entry e = {0};

	if (position == head)
		return END;
	memcpy(&e, ring->data + place(ring, position), offsetof(struct entry, packets));
	if (e.layout == SKIP) {
		if (e.size != ring->capacity - place(ring, position) || head - position <= e.size)
			return ERR_FORMAT;
		position += e.size;
		memcpy(&e, ring->data + place(ring, position), offsetof(struct entry, packets));
	}
	if (head - position > ring->capacity || e.size != entry_size(e.length) || e.size > head - position ||
	    e.size > ring->capacity - place(ring, position))
		return ERR_FORMAT;
	const uint8_t *at = ring->data + place(ring, position);
	out->layout = e.layout;
	out->length = e.length;
	memcpy(&out->packets, at + offsetof(struct entry, packets), sizeof out->packets);
	memcpy(&out->octets, at + offsetof(struct entry, octets), sizeof out->octets);
	out->data = at + sizeof(struct entry);
	out->next = position + e.size;
	return OK;
}

void ring_release(struct ring *ring, uint64_t position)
{
	atomic_store_explicit(&ring->tail, position, memory_order_release);
}
