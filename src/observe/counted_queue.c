#include "observe/counted_queue.h"

#include <stdlib.h>
#include <string.h>

#include "observe/counted.h"

enum { ENTRIES_LEAST = 1024, OCTETS_LEAST = 1 << 16, TCP_SYN = 0x02, TCP_FIN_OR_RST = 0x05 };

void counted_queue_fini(struct counted_queue *q)
{
	free(q->entry);
	free(q->order);
	free(q->octets);
	*q = (struct counted_queue){0};
}

void counted_queue_clear(struct counted_queue *q)
{
	q->count = q->next = 0;
	q->used = 0;
}

static bool grow_entries(struct counted_queue *q)
{
	const uint32_t capacity = q->capacity ? q->capacity * 2 : ENTRIES_LEAST;
	struct counted_entry *entry = reallocarray(q->entry, capacity, sizeof *entry);

	if (entry)
		q->entry = entry;
	uint32_t *order = entry ? reallocarray(q->order, capacity, 2 * sizeof *order) : NULL;
	if (!order)
		return false;
	q->order = order;
	q->capacity = capacity;
	return true;
}

static bool grow_octets(struct counted_queue *q)
{
	const size_t room = q->room ? q->room * 2 : OCTETS_LEAST;
	uint8_t *octets = realloc(q->octets, room);

	if (!octets)
		return false;
	q->octets = octets;
	q->room = room;
	return true;
}

/* Room for one more entry and `length` octets (less than OCTETS_LEAST); NULL: no memory. */
static uint8_t *add(struct counted_queue *q, struct counted_entry entry, uint32_t length, uint32_t packets)
{
	if ((q->count == q->capacity && !grow_entries(q)) ||
	    (q->used + length > q->room && !grow_octets(q))) {
		q->lost += packets;
		return NULL;
	}
	uint8_t *place = q->octets + q->used;

	entry.data = q->used;
	entry.captured = length;
	q->entry[q->count++] = entry;
	q->used += (length + 7U) & ~7U;
	return place;
}

static void add_counted(struct counted_queue *q, const struct counted_entry *entry,
			const struct counted_packets *counted)
{
	uint8_t *place = add(q, *entry, sizeof *counted, counted->packets);

	if (place)
		memcpy(place, counted, sizeof *counted);
}

/* `packets` of them, with `octets` in all, at one time. */
static void add_many(struct counted_queue *q, struct counted_entry *entry, struct counted_packets *counted,
		     uint32_t packets, uint32_t octets)
{
	while (packets > 0) {
		counted->packets = (uint16_t)(packets > UINT16_MAX ? UINT16_MAX : packets);
		counted->octets = (uint32_t)((uint64_t)octets * counted->packets / packets);
		entry->length = counted->octets;
		packets -= counted->packets;
		octets -= counted->octets;
		add_counted(q, entry, counted);
	}
}

void counted_queue_flow(struct counted_queue *q, uint16_t point, const struct cached_flow *flow)
{
	const uint16_t flags = flow->tcp_flags;
	const uint32_t last = flow->packets > 1 ? flow->octets / flow->packets : 0;
	struct counted_entry entry = {
		.time = (int64_t)flow->first,
		.point = point,
		.link = LINK_COUNTED,
		.direction = flow->kind & FLOW_CACHE_EGRESS ? DIRECTION_EGRESS : DIRECTION_INGRESS,
	};
	struct counted_packets counted = {
		.tcp_flags = flow->packets > 1 ? flags & (uint16_t)~TCP_FIN_OR_RST : flags,
		.class_of_service = flow->class_of_service,
	};

	memcpy(counted.key, flow->word, sizeof counted.key);
	if (flow->packets == 1) {
		add_many(q, &entry, &counted, 1, flow->octets);
		return;
	}
	add_many(q, &entry, &counted, flow->packets - 1, flow->octets - last);
	counted.tcp_flags = flags & (uint16_t)~TCP_SYN;
	entry.time += flow->span;
	add_many(q, &entry, &counted, 1, last);
}

void counted_queue_frame(struct counted_queue *q, uint16_t point, uint8_t link,
			 const struct cache_event_frame *frame)
{
	const uint32_t captured = frame->captured < FLOW_CACHE_SNAP ? frame->captured : FLOW_CACHE_SNAP;
	const struct counted_entry entry = {
		.time = (int64_t)frame->time,
		.length = frame->length < captured ? captured : frame->length,
		.point = point,
		.gso_size = frame->gso_size,
		.link = link,
		.direction = frame->egress ? DIRECTION_EGRESS : DIRECTION_INGRESS,
	};
	uint8_t *place = add(q, entry, captured, 1);

	if (place)
		memcpy(place, frame->data, captured);
}

/* ---- order ---- */

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, PASSES = 3 };

/* Times from the earliest on, in as many bits as the passes take: whole nanoseconds up to 8 seconds. */
static int64_t find_scale(const struct counted_queue *q, unsigned *shift)
{
	int64_t least = INT64_MAX, most = INT64_MIN;

	for (uint32_t i = 0; i < q->count; i++) {
		const int64_t time = q->entry[i].time;

		least = time < least ? time : least;
		most = time > most ? time : most;
	}
	for (*shift = 0; (uint64_t)(most - least) >> *shift >> (DIGIT_BITS * PASSES) != 0;)
		(*shift)++;
	return least;
}

static void sort_by(const struct counted_queue *q, int64_t least, unsigned shift, const uint32_t *from,
		    uint32_t *to)
{
	uint32_t place[DIGITS] = {0};

#define DIGIT(index) ((uint64_t)(q->entry[index].time - least) >> shift & (DIGITS - 1))
	for (uint32_t i = 0; i < q->count; i++)
		place[DIGIT(i)]++;
	for (uint32_t i = 0, sum = 0; i < DIGITS; i++) {
		const uint32_t here = place[i];

		place[i] = sum;
		sum += here;
	}
	for (uint32_t i = 0; i < q->count; i++)
		to[place[DIGIT(from[i])]++] = from[i];
#undef DIGIT
}

void counted_queue_sort(struct counted_queue *q)
{
	uint32_t *order = q->order, *other = q->order + q->capacity;
	unsigned shift;

	if (q->count == 0)
		return;
	const int64_t least = find_scale(q, &shift);
	/* An odd number of passes: begin where the result is not to be. */
	for (uint32_t i = 0; i < q->count; i++)
		other[i] = i;
	sort_by(q, least, shift, other, order);
	sort_by(q, least, shift + DIGIT_BITS, order, other);
	sort_by(q, least, shift + 2 * DIGIT_BITS, other, order);
}

int64_t counted_queue_time(const struct counted_queue *q)
{
	return q->next < q->count ? q->entry[q->order[q->next]].time : INT64_MAX;
}

uint32_t counted_queue_read(struct counted_queue *q, struct packet *out, uint32_t max)
{
	uint32_t n = 0;

	for (; n < max && q->next < q->count; n++, q->next++) {
		const struct counted_entry *e = &q->entry[q->order[q->next]];

		out[n] = (struct packet){
			.data = q->octets + e->data,
			.captured = e->captured,
			.length = e->length,
			.time = {e->time},
			.point = e->point,
			.gso_size = e->gso_size,
			.link = e->link,
			.direction = e->direction,
		};
	}
	return n;
}
