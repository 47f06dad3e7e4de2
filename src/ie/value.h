/* value.h: the octets of one field -> a value -> text.
 *
 * Encodings are those of RFC 7011 section 6, text is that of RFC 7373 as JSON: numbers bare, all else quoted,
 * times in UTC with the precision of their type and a "Z". Numbers of a value are in host order; octets are
 * borrowed from the message. No I/O, no allocation. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "ie/ie.h"
#include "ie/text.h"

enum value_kind {
	VALUE_UNSIGNED,
	VALUE_SIGNED,
	VALUE_FLOAT,
	VALUE_BOOLEAN,
	VALUE_MAC,    /* octets, 6 */
	VALUE_IPV4,   /* octets, 4 */
	VALUE_IPV6,   /* octets, 16 */
	VALUE_TIME,   /* time */
	VALUE_STRING, /* octets: whole UTF-8, without the zero octets that pad it at its end */
	VALUE_OCTETS, /* octetArray, and unsigned256 over 64 bits */
	VALUE_LIST,   /* the octets of a list of RFC 6313; message/list.h reads them */
	VALUE_WRONG,  /* not a value of its type: fault says why, octets are what was there */
};

/* FAULT(constant, name in statistics, text) */
#define VALUE_FAULTS(FAULT)                                                                                  \
	FAULT(NONE, "none", "a value of its type")                                                           \
	FAULT(SIZE, "wrong_size", "the type has no encoding of this length")                                 \
	FAULT(RANGE, "out_of_range", "longer than its type and over its range")                              \
	FAULT(BOOLEAN, "undefined_boolean", "a boolean other than 1 (true) and 2 (false)")                   \
	FAULT(STRING, "bad_utf8", "a string that is not UTF-8")                                              \
	FAULT(LIST, "bad_list", "a list that contradicts itself")                                            \
	FAULT(LIST_TEMPLATE, "list_without_template", "a list whose template is not known")                  \
	FAULT(LIST_DEPTH, "list_too_deep", "lists nested deeper than is followed")

enum value_fault {
#define FAULT(constant, name, text) VALUE_FAULT_##constant,
	VALUE_FAULTS(FAULT)
#undef FAULT
		VALUE_FAULT_COUNT
};

struct value {
	enum value_kind kind;
	enum value_fault fault;
	enum ie_type type;
	union {
		uint64_t u;
		int64_t i;
		double f;
		bool b;
		struct {
			int64_t seconds;      /* since 1970-01-01 UTC */
			uint32_t nanoseconds; /* 0 to 999999999 */
		} time;
		struct span octets;
	};
};

/* Decode `octets` as the abstract type says.
 * - Unsigned, signed and float take the reduced sizes of section 6.2; signed numbers keep their sign.
 * - An unsigned or signed number longer than its type is taken when the octets in front add nothing
 *   (exporters do this); else it is VALUE_FAULT_RANGE.
 * - Every other fixed type takes its own size only.
 * - NTP times (micro- and nanoseconds): seconds before 1970 are of the era that begins in 2036; the low 11
 *   fraction bits of microseconds are ignored. A fraction is rounded to the nearest unit of the type.
 * - octetArray, string and lists take any length. */
void value_decode(struct value *out, enum ie_type type, struct span octets);

/* Append the value as JSON. VALUE_WRONG and VALUE_LIST are hexadecimal, an undefined boolean "undefined". */
void value_print(struct text *t, const struct value *value);

/* A JSON string in its quotes; control characters are escaped. The caller knows that it is UTF-8. */
void value_print_string(struct text *t, struct span utf8);

/* "2026-11-22T01:02:03Z" in quotes, with `digits` (0, 3, 6 or 9) digits of the second. Years 0 to 9999 and
 * beyond are written as they are. */
void value_print_time(struct text *t, int64_t seconds, uint32_t nanoseconds, unsigned digits);

/* The name of an element, without quotes: IANA's; "reverseOctetDeltaCount" where pen is REVERSE_PEN and `ie`
 * its forward element (RFC 5103 section 6); "e32473.7" (PEN, id) where `ie` is NULL. */
void value_print_name(struct text *t, const struct information_element *ie, uint32_t pen, uint16_t id);

/* The octets are well-formed UTF-8 (RFC 3629). */
bool utf8_valid(struct span octets);

/* Name in statistics and text of a fault. */
const char *value_fault_name(enum value_fault fault);
const char *value_fault_text(enum value_fault fault);
