/* list.h: structured data (RFC 6313): basicList, subTemplateList, subTemplateMultiList. No I/O, no
 * allocation; nesting is the caller's, who stops at LIST_DEPTH_MAX. */
#pragma once

#include "ie/ie.h"
#include "message/template.h"

enum { LIST_DEPTH_MAX = 8 };

/* "allOf", …; NULL for a number that RFC 6313 section 4.4 does not name. */
const char *list_semantic_name(uint8_t semantic);

struct list {
	uint8_t semantic;
	struct template_field element; /* basicList: what each element is, as a field specifier says it */
	uint16_t template_id;          /* subTemplateList */
	const uint8_t *at, *end;       /* what is left of the elements, records or blocks */
};

/* Read the header of a list of `type`. ERR_FORMAT: cut, or elements of no octets in a list that has octets.
 */
MUST_CHECK enum status list_open(struct list *out, enum ie_type type, struct span octets);

/* basicList: the next element. END at the end; ERR_FORMAT: it runs past the list. */
MUST_CHECK enum status list_next_element(struct list *list, struct span *out);

/* subTemplateMultiList: the next block, records of one template. A block of length 0 is one without records.
 * END; ERR_FORMAT: it runs past the list, or its length is under its header. */
MUST_CHECK enum status list_next_block(struct list *list, uint16_t *template_id, struct span *records);

/* subTemplateList: all of its records. */
static inline struct span list_records(const struct list *list)
{
	return span_of(list->at, (size_t)(list->end - list->at));
}
