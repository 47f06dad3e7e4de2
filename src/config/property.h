/* property.h: every property of the object FlowMetadata, one row each. A property of an object inside it has
 * a row too, with a dotted name: "Tls.Key".
 *
 * The table is the only list: reading, ranges, defaults, `weir check` and the test of weir.json(5) follow it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"

enum property_type {
	PROPERTY_FLAG,       /* true, false */
	PROPERTY_NUMBER,     /* a whole number in minimum … maximum */
	PROPERTY_WORD,       /* one of `words`; its index is the value */
	PROPERTY_COLLECTORS, /* a list of COLLECTOR */
	PROPERTY_NAMES,      /* a list of interface names */
	PROPERTY_TEXT,       /* a string; `unit` says of what kind */
	PROPERTY_ALLOWED,    /* a list of names in certificates */
	PROPERTY_OBJECT,     /* properties of its own: the rows "NAME.…" behind it */
	PROPERTY_GROUPS,     /* a list of NFLOG groups */
	PROPERTY_PREFIXES,   /* a list of NFLOG prefixes and what they mean */
	PROPERTY_CHAIN,      /* a list of selectors */
};

struct property_word {
	const char *word, *meaning;
};

struct property {
	const char *name; /* PascalCase, letters exact */
	enum property_type type;
	const char *unit; /* of a number, in words: "milliseconds"; NULL: a bare number */
	int64_t minimum, maximum;
	int64_t standard;    /* the default; lists: empty */
	const char *meaning; /* what a value other than 0, false or [] does */
	const char *zero;    /* what 0, false or [] does; a number whose minimum is above 0 and that has
				this takes 0 too. NULL: none of that */
	const char *rule;    /* a documented rule that a value may break with a warning; NULL: none */
	const struct property_word *words; /* PROPERTY_WORD; ends with NULL */
	size_t offset, size; /* the member of struct settings that numbers, words, flags and texts set … */
	int64_t scale;       /* … in units this many times smaller: NS_PER_MS for a member in ns */
	bool of_records;     /* PROPERTY_CHAIN: of flow records, not of packets */
	bool live;           /* a reload changes it; else it waits for the next start */
};

extern const struct property properties[];
extern const size_t property_count;

/* The name without the object in front: "Key". */
const char *property_leaf(const char *name);

/* Names are compared letter by letter. NULL: no such property. */
const struct property *property_find(const char *name);

/* The property of the same object whose name is most like `name`, letter case aside. *distance (may be NULL)
 * counts the letters to insert, drop, change or swap; 0: only the case differs. Of equals the one that begins
 * alike. */
const struct property *property_nearest(const char *name, unsigned *distance);

/* Optimal string alignment distance without letter case; a string counts up to its 63rd octet. */
unsigned edit_distance(const char *a, const char *b);

/* The value in the unit of the property; numbers, words and flags only (others: nothing, 0). */
void property_set(const struct property *property, struct settings *settings, int64_t value);
int64_t property_get(const struct property *property, const struct settings *settings);

/* The chain of a PROPERTY_CHAIN. */
struct selector_chain *property_chain(const struct property *property, struct settings *settings);

/* A row for objects in a list ("ObservationPoints[].Name"): its member holds what is being read. */
bool property_in_list(const struct property *property);

/* The text of a PROPERTY_TEXT, in `size` octets with its end. */
char *property_text(const struct property *property, struct settings *settings);

/* The value as `weir check` shows it; cut where it is longer. */
void property_print(const struct property *property, const struct settings *settings, char *out, size_t size);

/* What may stand there, as messages say it: "0 or 1000 to 86400000 (milliseconds)". */
void property_allowed(const struct property *property, char *out, size_t size);
