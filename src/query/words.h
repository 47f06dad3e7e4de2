/* words.h: the words of the filter language and of --by: one table, read by the parser, --help and the test
 * of the manual page. A word stands for columns of the view `flows` (store/store.h); every name of IANA's
 * registry is a word too, without a row here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ie/ie.h"
#include "store/column.h"
#include "store/sql.h"

/* How the value behind a word is read and compared. */
enum word_type {
	WORD_BARE,      /* takes no value: its SQL is the test */
	WORD_NUMBER,    /* 80, 1k, 1000-2000; must fit the column */
	WORD_SIGNED,    /* -5 */
	WORD_REAL,      /* 0.5 */
	WORD_ADDRESS,   /* 10.0.0.1, 10.0.0.0/8, 2001:db8::/32; two columns: IPv4, IPv6 */
	WORD_IPV4,      /* the same, one column */
	WORD_IPV6,      /* the same, one column */
	WORD_PROTOCOL,  /* tcp or 6 */
	WORD_FLAGS,     /* SA: those bits are set */
	WORD_DURATION,  /* 5s, 100ms; the column counts milliseconds */
	WORD_TIME,      /* 2026-11-22T10:00:00Z */
	WORD_DIRECTION, /* ingress, egress */
	WORD_TEXT,      /* a word or "a text" */
	WORD_EXPORTER,  /* an address; the column is its text */
	WORD_INTERFACE, /* 3 or wg0; two columns: number, name */
	WORD_BOOLEAN,   /* true, false */
	WORD_OCTETS,    /* 0x0a0b */
	WORD_BUCKET,    /* only in --by: time 5m */
	WORD_TYPE_COUNT
};

enum side { SIDE_EITHER, SIDE_SOURCE, SIDE_DESTINATION };

/* In SQL, {name} is a column. */
struct word {
	const char *name;
	const char *also;      /* another spelling; NULL: none */
	unsigned char type;    /* enum word_type */
	unsigned char kind;    /* enum column_kind of a WORD_NUMBER's columns: bounds its values */
	bool sided;            /* src or dst (in or out of an interface) may stand in front */
	const char *sql[2][2]; /* of the one side (or the only), of the other; second: see enum word_type */
	const char *group[2];  /* what --by groups by when it is not sql[0]; NULL: as sql[0] */
	const char *help;      /* one line */
};

extern const struct word words[];
extern const size_t word_count;

/* By name or other spelling, in any case, `length` characters. NULL: none. */
const struct word *word_find(const char *name, size_t length);

/* What a name that is no word may stand for: IANA's name in any case, "reverse" + one, e<PEN>.<id>, or one
 * with the _word of column.h. False: nothing. */
bool word_element(struct column *out, enum word_type *type, const char *name, size_t length);

/* The word, IANA name or one of `more` (ends with NULL) nearest to what was typed. NULL: none is near. */
const char *word_nearest(const char *name, size_t length, const char *const *more);

/* "src", "dst", "in", "out" for a side; "" for either. */
const char *word_side_name(const struct word *word, enum side side);

/* Append SQL with its {names} quoted. `schema` has the columns of the view: others become a NULL of their
 * type. NULL: all are there. */
void word_sql(struct sql *sql, const char *text, const struct schema *schema);
void word_column_sql(struct sql *sql, const char *name, enum column_kind kind, const struct schema *schema);
