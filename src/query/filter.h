/* filter.h: the filter language: text -> tree -> SQL.
 *
 *   expr    = term { ("or" | "||") term }
 *   term    = factor { ("and" | "&&") factor }          and binds stronger than or
 *   factor  = ("not" | "!") factor | "(" expr ")" | test
 *   test    = [side] word [compare] value | [side] word "in" set | bare word
 *   compare = "=" "==" "!=" "<" "<=" ">" ">=" "~"       none is "="; ~ is: contains, in any case
 *   set     = "{" value { [","] value } "}"              [ ] do as well
 *   word    = words.h, or the name of an element or column
 *
 * A test is true or false, never unknown: a record that lacks the column fails the test, and passes its
 * "not". "x != v" is "not x = v". A word for both sides (host, port) is true when either side is. Nothing of
 * the user's text gets into SQL but as a number, or in quotes. */
#pragma once

#include "base/error.h"
#include "query/words.h"

enum {
	FILTER_LENGTH_MAX = 65536, /* octets of text */
	FILTER_DEPTH_MAX = 100,    /* parentheses and nots inside each other */
	FILTER_NODES_MAX = 2048,
	FILTER_VALUES_MAX = 8192,
};

enum filter_kind { FILTER_TEST, FILTER_NOT, FILTER_AND, FILTER_OR };

enum filter_compare {
	COMPARE_EQUAL,
	COMPARE_LESS,
	COMPARE_LESS_EQUAL,
	COMPARE_MORE,
	COMPARE_MORE_EQUAL,
	COMPARE_CONTAINS,
	COMPARE_HAS
};

enum filter_value_kind { FILTER_NUMBER, FILTER_SIGNED, FILTER_REAL, FILTER_PREFIX, FILTER_TEXT };

struct filter_value {
	uint8_t kind;            /* enum filter_value_kind */
	uint8_t version, prefix; /* of a FILTER_PREFIX: 4 or 6, bits */
	union {
		struct {
			uint64_t low, high; /* both within the range */
		} number;                   /* also protocols, flags, directions, booleans, interfaces */
		int64_t integer;            /* also times and durations, milliseconds */
		double real;
		uint8_t address[16]; /* network order; bits behind the prefix are 0 */
		const char *text;    /* terminated; octets as "0x…" */
	};
};

struct filter_node {
	uint8_t kind;    /* enum filter_kind */
	uint8_t side;    /* enum side */
	uint8_t compare; /* enum filter_compare; HAS: all bits are set */
	uint8_t type;    /* enum word_type */
	uint16_t left, right;
	uint16_t first, count;   /* values */
	const struct word *word; /* NULL: the column */
	struct column column;
};

struct filter {
	struct filter_node *nodes;
	struct filter_value *values;
	char *texts;
	uint16_t node_count, value_count, root;
	uint32_t text_used, text_room;
};

/* What is wrong and where: octets [at, at + length) of the text; length 0: at its end. */
struct filter_error {
	size_t at, length;
	char text[320];
};

/* `now_ms` is what relative times count from. ERR_USAGE with *err filled; ERR_MEMORY. On OK the caller owns
 * what filter_free lets go. An empty text is "any". */
MUST_CHECK enum status filter_parse(struct filter **out, const char *text, size_t length, int64_t now_ms,
				    struct filter_error *err);
struct filter *filter_free(struct filter *filter);

/* Two more lines for people: the text, cut to its neighbourhood, and a caret line under it. */
void filter_error_caret(char *out, size_t size, const char *text, size_t length,
			const struct filter_error *err);

/* Append the condition that stands behind WHERE. `schema` as in word_sql. */
void filter_sql(struct sql *sql, const struct filter *filter, const struct schema *schema);

/* "or" over two columns is nothing that DuckDB looks up in a row group's minimum and maximum, nor does it
 * skip columns for it. Where all that is sought has to pass one test of either side, it is sought in two
 * parts: what passes on this side, and what passes on the other and not on this. *test: the node. False: no
 * such test. */
bool filter_has_sides(const struct filter *filter, uint16_t *test);
void filter_sql_side(struct sql *sql, const struct filter *filter, const struct schema *schema, uint16_t test,
		     bool second);

/* Append the filter as text, which parses to the same tree. */
void filter_print(struct sql *out, const struct filter *filter);

/* Every value that a column of the kind can hold is at most this. */
uint64_t filter_kind_max(enum column_kind kind);
