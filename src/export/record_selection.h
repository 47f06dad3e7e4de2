/* record_selection.h: which Flow Records are exported (RFC 5470 section 5.5, RFC 7014): a chain of selectors
 * as meter/selector.h reads them, over records in place of packets.
 *
 *   Count/1/10   Random/1/10   Probability/0.1     sampling, of the records that come to the selector
 *   Match/ELEMENT=VALUE,…                          property match filtering: what a field of the record has
 *
 * ELEMENT is the name of one of IANA's elements that a record may have (docs/wire.md), a number or an
 * address. Operators: = and != with one or several values, < <= > >= with one. An address may be a prefix,
 * "10.0.0.0/8". A record without the element does not match, nor does it with "!=".
 *
 * Records of refused frames are always exported, and are not counted here. No I/O. */
#pragma once

#include "export/layout.h"
#include "meter/selector.h"

struct record_selection;

/* Does `text` (behind "Match/") make sense? ERR_USAGE: the text says what does not. */
MUST_CHECK enum status record_match_check(const char *text, struct error *err);

/* `layout` are those of the flow records, as layout_make_flows made them, and may go afterwards. Selectors
 * have the numbers from `first_id` on (selectorId). ERR_USAGE; ERR_MEMORY. */
MUST_CHECK enum status record_selection_new(struct record_selection **out, const struct selector_chain *chain,
					    const struct layout layout[static FLOW_LAYOUT_COUNT],
					    uint32_t first_id, uint64_t seed, struct error *err);
void record_selection_free(struct record_selection *selection);

/* Is the record exported? `number` is that of its layout. */
bool record_selection_takes(struct record_selection *selection, uint32_t number,
			    const struct flow_record *record);

/* A selector of the chain: what it is, and records since the start. */
struct record_selector_item {
	uint32_t id;
	const struct selector *selector;
	uint64_t observed, selected;
};

/* Selector `index` from 0 on. False: there are no more, or `selection` is NULL. */
bool record_selection_item(const struct record_selection *selection, uint32_t index,
			   struct record_selector_item *out);
