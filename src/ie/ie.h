/* ie.h: the registry of information elements (RFC 7012; IANA "IPFIX Information Elements").
 *
 * One row per element, made at build time from the tables in data/; names, codecs, JSON keys, documentation
 * and tests all read it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ie/ie_ids.h"

#define REVERSE_PEN 29305u /* RFC 5103 section 6.1: the reverse of the IANA element with the same id */
#define WEIR_PEN    32473u /* RFC 5612: the number for examples, until we have one of our own */

/* Abstract data types, with the numbers of IANA "IPFIX Information Element Data Types" (RFC 5610). */
enum ie_type {
	IE_OCTET_ARRAY = 0,
	IE_UNSIGNED8,
	IE_UNSIGNED16,
	IE_UNSIGNED32,
	IE_UNSIGNED64,
	IE_SIGNED8,
	IE_SIGNED16,
	IE_SIGNED32,
	IE_SIGNED64,
	IE_FLOAT32,
	IE_FLOAT64,
	IE_BOOLEAN,
	IE_MAC_ADDRESS,
	IE_STRING,
	IE_DATE_TIME_SECONDS,
	IE_DATE_TIME_MILLISECONDS,
	IE_DATE_TIME_MICROSECONDS,
	IE_DATE_TIME_NANOSECONDS,
	IE_IPV4_ADDRESS,
	IE_IPV6_ADDRESS,
	IE_BASIC_LIST,
	IE_SUB_TEMPLATE_LIST,
	IE_SUB_TEMPLATE_MULTI_LIST,
	IE_UNSIGNED256,
	IE_TYPE_COUNT,
};

/* IANA "IPFIX Information Element Semantics". */
enum ie_semantics {
	IE_SEMANTICS_DEFAULT = 0,
	IE_SEMANTICS_QUANTITY,
	IE_SEMANTICS_TOTAL_COUNTER,
	IE_SEMANTICS_DELTA_COUNTER,
	IE_SEMANTICS_IDENTIFIER,
	IE_SEMANTICS_FLAGS,
	IE_SEMANTICS_LIST,
	IE_SEMANTICS_SNMP_COUNTER,
	IE_SEMANTICS_SNMP_GAUGE,
};

/* IANA "IPFIX Information Element Units". */
enum ie_units {
	IE_UNITS_NONE = 0,
	IE_UNITS_BITS,
	IE_UNITS_OCTETS,
	IE_UNITS_PACKETS,
	IE_UNITS_FLOWS,
	IE_UNITS_SECONDS,
	IE_UNITS_MILLISECONDS,
	IE_UNITS_MICROSECONDS,
	IE_UNITS_NANOSECONDS,
	IE_UNITS_FOUR_OCTET_WORDS,
	IE_UNITS_MESSAGES,
	IE_UNITS_HOPS,
	IE_UNITS_ENTRIES,
	IE_UNITS_FRAMES,
	IE_UNITS_PORTS,
	IE_UNITS_INFERRED,
};

struct information_element {
	uint32_t pen; /* 0: IANA's own */
	uint16_t id;  /* without the enterprise bit */
	uint8_t type; /* enum ie_type */
	uint8_t semantics;
	uint8_t units;
	bool deprecated;
	const char *name;
	uint64_t range_begin, range_end; /* both 0: the whole range of the type */
};

/* All elements, sorted by (pen, id). */
extern const struct information_element ie_registry[];
extern const size_t ie_registry_count;

/* NULL when the registry has none. A reverse element (REVERSE_PEN) is not looked up here. */
const struct information_element *ie_find(uint32_t pen, uint16_t id);

/* By IANA name, letters exact. NULL when there is none. */
const struct information_element *ie_find_name(const char *name);

/* Octets of a full-size value of the type; 0 for types of variable length (octetArray, string, lists). */
uint8_t ie_type_size(enum ie_type type);

/* IANA's name of the type: "unsigned64". */
const char *ie_type_name(enum ie_type type);
