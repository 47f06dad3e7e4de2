/* json.h: data records and templates as JSON Lines.
 *
 * One object a record: "exportTime", "observationDomainId" and "templateId", then the fields in their order
 * under their IANA names, values as ie/value.h prints them.
 * - An element that a template has more than once becomes an array, in order, where it first stands.
 * - An element that is not known is "e32473.7" (PEN, id) with its octets in hexadecimal.
 * - A reverse element of RFC 5103 is "reverseOctetDeltaCount".
 * - The scope of an options record is an object "scope".
 * - observationDomainId and templateId as plain fields are "e0.149" and "e0.145": their names are taken.
 * - basicList: {"semantic":"allOf","element":"interfaceName","values":[…]}
 *   subTemplateList: {"semantic":…,"templateId":257,"records":[{…}]}
 *   subTemplateMultiList: {"semantic":…,"lists":[{"templateId":257,"records":[{…}]}]}
 *   Records whose template is not known are "octets":"0x…" in the place of "records". A list that contradicts
 *   itself or lies too deep is hexadecimal as a whole.
 *
 * Nothing is allocated after json_printer_init. */
#pragma once

#include "ie/value.h"
#include "message/record.h"

struct json_printer {
	struct text *text;
	uint64_t faults[VALUE_FAULT_COUNT]; /* values that were not what their type says; [0] unused */
	struct field_place *places;         /* private */
};

/* ERR_MEMORY. `text` is borrowed. */
MUST_CHECK enum status json_printer_init(struct json_printer *p, struct text *text);
void json_printer_fini(struct json_printer *p);

/* The name of a field as above, without quotes. */
void json_print_name(struct text *t, const struct template_field *field);

/* The value of one field of a record in a data set of `domain`. */
void json_print_field(struct json_printer *p, const struct template_field *field, struct span octets,
		      const struct template_store *store, uint32_t domain);

/* All records of a set that record_count has found whole. `store` has the templates of lists inside. */
void json_print_set(struct json_printer *p, const struct message_header *header,
		    const struct template *template, const struct template_store *store, struct span records);

/* One line about a template record: {"exportTime":…,"observationDomainId":1,"templateId":256,
 * "template":"new","scopeFieldCount":1,"fields":[{"name":…,"pen":0,"id":8,"length":4},…]}.
 * `template` is NULL where none stands (withdrawn, refused). A variable length is "variable". */
void json_print_template(struct json_printer *p, const struct message_header *header,
			 const struct template_record *record, enum template_outcome outcome,
			 const struct template *template);
