#include "meter/frames.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "meter/memory.h"

/* Two sources tell of each of 200 000 frames a second, one of them a tenth of a second after the other. */
enum {
	SETS = 1 << 15,
	WAYS = 8,           /* so that what is still to be told again does not give way */
	TELLERS = 3,        /* denials told for one frame; of more the rest are repetitions */
	IDENTIFYING = 60,   /* octets: an IPv6 and a TCP header … */
	IDENTIFYING_4 = 40, /* … or an IPv4 one: as much as every source has */
	IPV4_TTL = 8,       /* and its checksum at 10 */
	IPV4_CHECKSUM = 10,
	IPV6_HOP_LIMIT = 7,
};

struct entry {
	uint64_t fingerprint;
	int64_t time;    /* of the latest report */
	uint16_t frames; /* different ones; 0: vacant */
	uint16_t denial[TELLERS], reports[TELLERS];
};

struct frame_table {
	struct entry entry[SETS][WAYS];
};

struct frame_table *frame_table_new(void)
{
	return memory_reserve(sizeof(struct frame_table)); /* most of it is never touched */
}

void frame_table_free(struct frame_table *table)
{
	if (table)
		memory_release(table, sizeof *table);
}

uint64_t frame_fingerprint(const struct packet *packet, uint64_t secret)
{
	uint8_t head[IDENTIFYING] = {0};
	size_t n = packet->captured < sizeof head ? packet->captured : sizeof head;
	const uint64_t place = (uint64_t)packet->point << 40 | (uint64_t)packet->direction << 32;

	memcpy(head, packet->data, n);
	if (packet->link == LINK_IP && head[0] >> 4 == 4 && n > IDENTIFYING_4)
		n = IDENTIFYING_4;
	if (packet->link == LINK_IP && head[0] >> 4 == 4) {
		head[IPV4_TTL] = 0;
		memset(head + IPV4_CHECKSUM, 0, 2);
	} else if (packet->link == LINK_IP) {
		head[IPV6_HOP_LIMIT] = 0;
	}
	return XXH3_64bits_withSeed(head, n, secret ^ place ^ packet->length);
}

static bool fresh(const struct entry *e, int64_t time)
{
	return e->frames > 0 && (time > e->time ? time - e->time : e->time - time) < FRAME_NS;
}

static struct entry *find(struct entry set[WAYS], uint64_t fingerprint, int64_t time)
{
	struct entry *use = &set[0];

	for (unsigned i = 0; i < WAYS; i++) {
		if (fresh(&set[i], time) && set[i].fingerprint == fingerprint)
			return &set[i];
		if (fresh(use, time) && (!fresh(&set[i], time) || set[i].time < use->time))
			use = &set[i];
	}
	*use = (struct entry){.fingerprint = fingerprint};
	return use;
}

bool frame_table_repeats(struct frame_table *table, uint64_t fingerprint, uint16_t denial, int64_t time)
{
	struct entry *e = find(table->entry[fingerprint % SETS], fingerprint, time);
	unsigned i = 0;

	e->time = time;
	while (i < TELLERS && e->reports[i] > 0 && e->denial[i] != denial)
		i++;
	if (i == TELLERS)
		return true;
	if (e->reports[i] == UINT16_MAX) { /* equal frames without a pause: begin to count anew */
		const uint64_t same = e->fingerprint;

		*e = (struct entry){.fingerprint = same, .time = time};
		i = 0;
	}
	e->denial[i] = denial;
	if (++e->reports[i] <= e->frames)
		return true;
	e->frames = e->reports[i];
	return false;
}
