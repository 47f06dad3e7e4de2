/* options.h: what records with a scope say about others: sampling, interface names, the exporter's start, its
 * own losses, and types of elements (RFC 5476, RFC 7011 section 4, RFC 5610). */
#pragma once

#include "message/record.h"
#include "store/elements.h"
#include "store/origin.h"

/* Take a set of options records to heart. `places` has room for all fields of a template. */
void options_understand(struct origin *origin, struct elements *elements, const struct template *t,
			struct span records, struct field_place *places);
