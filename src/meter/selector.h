/* selector.h: one Primitive Selector of packets (RFC 5475) and chains of them, as a profile writes them.
 *
 *   Count/1/100       systematic, count-based: of each 100 packets the first one (3/100: the first three)
 *   Time/20/1000      systematic, time-based: what comes in the first 20 of each 1000 milliseconds
 *   Random/1/100      n out of N: of each 100 packets one, each with the same chance
 *   Probability/0.01  each packet with this chance
 *   Filter/EXPRESSION packets that an expression of pcap-filter(7) matches
 *   Match/EXPRESSION  flow records whose field has a value (export/record_selection.h)
 *
 * "Packets": a GSO super-packet is the packets it stands for, all of them selected or none. Records are
 * selected by Count, Random, Probability and Match, packets by all but Match. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

/* selectorAlgorithm (IANA element 304). */
enum selector_algorithm {
	SELECTOR_COUNT = 1,
	SELECTOR_TIME = 2,
	SELECTOR_RANDOM = 3,
	SELECTOR_PROBABILITY = 4,
	SELECTOR_FILTER = 5,
};

enum { CHAIN_MAX = 4, SELECTOR_TEXT_MAX = 256 };

struct selector {
	uint16_t algorithm;           /* enum selector_algorithm */
	uint32_t take;                /* of so many … packets, or microseconds */
	uint32_t of;                  /* … >= take >= 1 */
	double probability;           /* SELECTOR_PROBABILITY: above 0, at most 1 */
	bool of_records;              /* SELECTOR_FILTER: it is Match/… */
	char text[SELECTOR_TEXT_MAX]; /* SELECTOR_FILTER: the expression */
};

/* In the order in which packets pass them. None: every packet is selected. */
struct selector_chain {
	uint32_t count;
	struct selector selector[CHAIN_MAX];
};

#define SELECTOR_ALLOWED                                                                                     \
	"\"Count/1/100\", \"Time/20/1000\" (milliseconds), \"Random/1/100\", \"Probability/0.01\" or "       \
	"\"Filter/EXPRESSION\""
#define RECORD_SELECTOR_ALLOWED                                                                              \
	"\"Count/1/10\", \"Random/1/10\", \"Probability/0.1\" or \"Match/ELEMENT=VALUE,…\""

/* Is what `text` says a selector? Whether an expression makes sense is found out by selection_new. ERR_USAGE
 * without a text: SELECTOR_ALLOWED and RECORD_SELECTOR_ALLOWED say what is. */
MUST_CHECK enum status selector_parse(struct selector *out, const char *text);

void selector_print(const struct selector *selector, char *out, size_t size);

/* May it be in a chain of packets, or of flow records? */
bool selector_is_of_packets(const struct selector *selector);
bool selector_is_of_records(const struct selector *selector);

/* The part of the packets that a selector takes, 0 to 1; a filter: 1. */
double selector_share(const struct selector *selector);
