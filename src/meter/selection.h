/* selection.h: which packets the Metering Process looks at (RFC 5470 section 5.2: sampling Si and filters Fi,
 * RFC 5475), one chain of selectors for each Observation Point.
 *
 * Each point passes its packets through an instance of its own of every selector, with counters of its own.
 * Selectors are numbered from 1 in an Observation Domain (selectorId): those of one chain in order, then a
 * number for the chain as a whole where more than one of them samples. Frames that policy refused are never
 * left out, and neither here nor there is anything to pay where no chain is configured. */
#pragma once

#include "decode/decode.h"
#include "meter/selector.h"
#include "observe/point.h"

enum { CHAINS_MAX = 1 + 64 };

/* Chains by the name of the point; the first one, without a name, is that of every other point. */
struct selection_options {
	uint32_t count;
	struct {
		const char *point;
		const struct selector_chain *chain;
	} of[CHAINS_MAX];
};

struct selection;

/* `points` is read as it grows and outlives the selection; `seed` is for random selectors. ERR_USAGE: an
 * expression that libpcap does not take, for no kind of link; ERR_MEMORY. */
MUST_CHECK enum status selection_new(struct selection **out, const struct selection_options *options,
				     const struct point_table *points, uint64_t seed, struct error *err);
void selection_free(struct selection *selection);

/* Is a packet of `packets` packets selected? A filter that has no meaning for the packet's link (an Ethernet
 * address on a link without Ethernet) does not match. */
bool selection_takes(struct selection *selection, const struct packet *packet, uint32_t packets);

/* selectorId for records of the point: it stands for the chain's sampling. */
uint32_t selection_selector_of(const struct selection *selection, uint32_t point);

/* What there is to tell a collector, one item at a time. */
enum selection_report {
	REPORT_SELECTOR,   /* a selector: `selector`, `id`; with `composite`: that of a whole chain */
	REPORT_SEQUENCE,   /* a point and its chain: `point`, `ids` */
	REPORT_STATISTICS, /* an instance of a selector: `point`, `id`, `observed`, `selected` */
};

struct selection_item {
	enum selection_report report;
	uint32_t id;
	struct selector selector;
	uint32_t point;
	uint32_t id_count, ids[CHAIN_MAX];
	uint64_t observed, selected; /* packets, since the start */
};

/* Item `index` from 0 on, in the order selectors, sequences, statistics. False: there are no more. */
bool selection_item(const struct selection *selection, uint32_t index, struct selection_item *out);

/* All packets seen, and taken, by the chains of all points. */
void selection_sums(const struct selection *selection, uint64_t *observed, uint64_t *selected);
