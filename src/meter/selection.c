#include "meter/selection.h"

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

/* LINKTYPE_NULL has its address family in the byte order of whoever wrote it, so it takes two programs. */
enum { PROGRAM_LOOP = LINK_COUNT, PROGRAM_COUNT };

static const int link_types[PROGRAM_COUNT] = {
	[LINK_IP] = DLT_RAW,          [LINK_ETHERNET] = DLT_EN10MB, [LINK_NULL] = DLT_NULL,
	[LINK_SLL] = DLT_LINUX_SLL,   [LINK_SLL2] = DLT_LINUX_SLL2, [LINK_PPP] = DLT_PPP,
	[LINK_PPPOE] = DLT_PPP_ETHER, [PROGRAM_LOOP] = DLT_LOOP,
};

enum { SNAP_OCTETS = 65535, NOT_KNOWN = 0xff };

/* A selector that is configured. */
struct configured {
	struct selector selector;
	uint32_t id;
	uint64_t threshold;                        /* probability, of 2^32 */
	struct bpf_program program[PROGRAM_COUNT]; /* bf_insns is NULL where the expression has no meaning */
};

/* … and what it is at one point. */
struct instance {
	uint64_t observed, selected;
	uint64_t random;
	uint32_t position; /* in the present N packets */
	uint32_t wanted;   /* of the rest of them, SELECTOR_RANDOM */
};

struct chain {
	uint32_t count, id; /* id: that of records */
	struct configured selector[CHAIN_MAX];
	struct selector whole; /* where id is of no selector of its own; algorithm 0: it is */
	char point[POINT_NAME_MAX];
};

struct selection {
	const struct point_table *points;
	uint32_t chain_count;
	uint8_t chain_of[POINT_MAX]; /* NOT_KNOWN: no packet yet */
	struct instance at[POINT_MAX][CHAIN_MAX];
	struct chain chain[CHAINS_MAX];
};

/* ---- making ---- */

static enum status compile(struct configured *c, struct error *err)
{
	struct error first = {0};
	bool any = false;

	for (int i = 0; i < PROGRAM_COUNT; i++) {
		pcap_t *link = pcap_open_dead(link_types[i], SNAP_OCTETS);

		if (!link)
			return error_set(err, ERR_MEMORY, "no memory for a filter");
		if (pcap_compile(link, &c->program[i], c->selector.text, 1, PCAP_NETMASK_UNKNOWN) == 0)
			any = true;
		else if (!*first.text)
			error_set(&first, ERR_USAGE, "%s", pcap_geterr(link));
		pcap_close(link);
	}
	return any ? OK : error_set(err, ERR_USAGE, "Filter/%.80s: %.160s", c->selector.text, first.text);
}

/* Which selector stands for what the chain samples. */
static void find_whole(struct chain *chain, uint32_t *next_id)
{
	uint32_t samplers = 0;
	double share = 1;

	for (uint32_t i = 0; i < chain->count; i++) {
		const struct configured *c = &chain->selector[i];

		if (i == 0 || (c->selector.algorithm != SELECTOR_FILTER && samplers == 0))
			chain->id = c->id;
		samplers += c->selector.algorithm != SELECTOR_FILTER;
		share *= selector_share(&c->selector);
	}
	if (chain->count > 0 && samplers < 2)
		return;
	chain->whole = chain->count
			       ? (struct selector){.algorithm = SELECTOR_PROBABILITY, .probability = share}
			       : (struct selector){.algorithm = SELECTOR_COUNT, .take = 1, .of = 1};
	chain->id = (*next_id)++;
}

static enum status make_chain(struct chain *chain, const struct selector_chain *from, uint32_t *next_id,
			      struct error *err)
{
	enum status st = OK;

	chain->count = from->count;
	for (uint32_t i = 0; i < from->count && st == OK; i++) {
		struct configured *c = &chain->selector[i];

		c->selector = from->selector[i];
		c->id = (*next_id)++;
		c->threshold = (uint64_t)(c->selector.probability * 0x1p32);
		if (c->selector.algorithm == SELECTOR_FILTER)
			st = compile(c, err);
	}
	find_whole(chain, next_id);
	return st;
}

enum status selection_new(struct selection **out, const struct selection_options *options,
			  const struct point_table *points, uint64_t seed, struct error *err)
{
	struct selection *s = calloc(1, sizeof *s);
	uint32_t next_id = 1;
	enum status st = OK;

	if (!s)
		return error_set(err, ERR_MEMORY, "no memory for the selection of packets");
	s->points = points;
	memset(s->chain_of, NOT_KNOWN, sizeof s->chain_of);
	for (uint32_t i = 0; i < POINT_MAX * CHAIN_MAX; i++)
		s->at[i / CHAIN_MAX][i % CHAIN_MAX].random = seed + i;
	for (uint32_t i = 0; i < options->count && st == OK; i++) {
		struct chain *chain = &s->chain[s->chain_count++];

		snprintf(chain->point, sizeof chain->point, "%s",
			 options->of[i].point ? options->of[i].point : "");
		st = make_chain(chain, options->of[i].chain, &next_id, err);
	}
	if (st == OK)
		*out = s;
	else
		selection_free(s);
	return st;
}

void selection_free(struct selection *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->chain_count * CHAIN_MAX; i++)
		for (int k = 0; k < PROGRAM_COUNT; k++)
			pcap_freecode(&s->chain[i / CHAIN_MAX].selector[i % CHAIN_MAX].program[k]);
	free(s);
}

/* ---- packets ---- */

static const struct chain *find_chain(const struct selection *s, uint32_t point)
{
	for (uint32_t i = 1; i < s->chain_count; i++)
		if (strcmp(s->chain[i].point, s->points->point[point].name) == 0)
			return &s->chain[i];
	return &s->chain[0];
}

static bool matches(const struct bpf_program *program, const uint8_t *data, uint32_t length,
		    uint32_t captured)
{
	return program->bf_insns && bpf_filter(program->bf_insns, data, length, captured) != 0;
}

static bool filter_takes(const struct configured *c, const struct packet *p)
{
	enum { PROTOCOL_OCTETS = 2, FRAMING_OCTETS = 2, VERSION_SHIFT = 4 };
	uint32_t program = p->link < LINK_COUNT ? p->link : LINK_IP;

	if (program == LINK_NULL && p->captured > 0 && p->data[0] == 0)
		program = PROGRAM_LOOP;
	/* libpcap knows PPP with its framing octets only; without them, what is behind the protocol. */
	if (program == LINK_PPP && p->captured > PROTOCOL_OCTETS && p->data[0] == 0 &&
	    (p->data[PROTOCOL_OCTETS] >> VERSION_SHIFT == 4 ||
	     p->data[PROTOCOL_OCTETS] >> VERSION_SHIFT == 6))
		return matches(&c->program[LINK_IP], p->data + PROTOCOL_OCTETS, p->length - PROTOCOL_OCTETS,
			       p->captured - PROTOCOL_OCTETS);
	return matches(&c->program[program], p->data, p->length, p->captured);
}

/* The first `take` of each `of` packets. A super-packet goes by its first packet. */
static bool count_takes(const struct configured *c, struct instance *at, uint32_t packets)
{
	const bool take = at->position < c->selector.take;

	at->position = (uint32_t)(((uint64_t)at->position + packets) % c->selector.of);
	return take;
}

/* Knuth's selection: each of the rest has the chance (still wanted / still to come). */
static bool random_takes(const struct configured *c, struct instance *at, uint32_t packets)
{
	if (at->position == 0)
		at->wanted = c->selector.take;

	const bool take = random_below(&at->random, c->selector.of - at->position) < at->wanted;

	at->wanted -= take;
	at->position = at->position + packets < c->selector.of ? at->position + packets : 0;
	return take;
}

static bool time_takes(const struct configured *c, const struct packet *p)
{
	enum { NS_PER_US = 1000 };

	return (uint64_t)p->time.ns / NS_PER_US % c->selector.of < c->selector.take;
}

static bool takes(const struct configured *c, struct instance *at, const struct packet *p, uint32_t packets)
{
	switch ((enum selector_algorithm)c->selector.algorithm) {
	case SELECTOR_COUNT: return count_takes(c, at, packets);
	case SELECTOR_TIME: return time_takes(c, p);
	case SELECTOR_RANDOM: return random_takes(c, at, packets);
	case SELECTOR_PROBABILITY: return random_next(&at->random) >> 32 < c->threshold;
	case SELECTOR_FILTER: return filter_takes(c, p);
	}
	return true;
}

bool selection_takes(struct selection *s, const struct packet *p, uint32_t packets)
{
	const uint32_t point = p->point % POINT_MAX;

	if (s->chain_of[point] == NOT_KNOWN)
		s->chain_of[point] = (uint8_t)(find_chain(s, point) - s->chain);

	const struct chain *chain = &s->chain[s->chain_of[point]];

	for (uint32_t i = 0; i < chain->count; i++) {
		struct instance *at = &s->at[point][i];

		at->observed += packets;
		if (!takes(&chain->selector[i], at, p, packets))
			return false;
		at->selected += packets;
	}
	return true;
}

/* ---- telling ---- */

uint32_t selection_selector_of(const struct selection *s, uint32_t point)
{
	const uint8_t known = s->chain_of[point % POINT_MAX];

	return known == NOT_KNOWN ? find_chain(s, point % POINT_MAX)->id : s->chain[known].id;
}

static bool selector_item(const struct selection *s, uint32_t *index, struct selection_item *out)
{
	for (uint32_t i = 0; i < s->chain_count; i++) {
		const struct chain *chain = &s->chain[i];
		const uint32_t count = chain->count + (chain->whole.algorithm != 0);

		if (*index < count) {
			out->report = REPORT_SELECTOR;
			out->id = *index < chain->count ? chain->selector[*index].id : chain->id;
			out->selector =
				*index < chain->count ? chain->selector[*index].selector : chain->whole;
			return true;
		}
		*index -= count;
	}
	return false;
}

static bool sequence_item(const struct selection *s, uint32_t *index, struct selection_item *out)
{
	if (*index >= s->points->count) {
		*index -= s->points->count;
		return false;
	}

	const struct chain *chain = find_chain(s, *index);

	out->report = REPORT_SEQUENCE;
	out->point = *index;
	for (uint32_t i = 0; i < chain->count; i++)
		out->ids[out->id_count++] = chain->selector[i].id;
	if (chain->count == 0)
		out->ids[out->id_count++] = chain->id;
	return true;
}

static bool statistics_item(const struct selection *s, uint32_t *index, struct selection_item *out)
{
	for (uint32_t point = 0; point < s->points->count; point++) {
		const struct chain *chain = find_chain(s, point);

		if (*index < chain->count) {
			out->report = REPORT_STATISTICS;
			out->point = point;
			out->id = chain->selector[*index].id;
			out->observed = s->at[point][*index].observed;
			out->selected = s->at[point][*index].selected;
			return true;
		}
		*index -= chain->count;
	}
	return false;
}

bool selection_item(const struct selection *s, uint32_t index, struct selection_item *out)
{
	*out = (struct selection_item){0};
	return selector_item(s, &index, out) || sequence_item(s, &index, out) ||
	       statistics_item(s, &index, out);
}

void selection_sums(const struct selection *s, uint64_t *observed, uint64_t *selected)
{
	*observed = *selected = 0;
	for (uint32_t point = 0; point < s->points->count; point++) {
		const uint32_t count = find_chain(s, point)->count;

		if (count == 0)
			continue;
		*observed += s->at[point][0].observed;
		*selected += s->at[point][count - 1].selected;
	}
}
