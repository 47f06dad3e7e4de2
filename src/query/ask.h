/* ask.h: a question -> the SQL that answers it, and what its columns mean. */
#pragma once

#include "query/filter.h"

enum {
	ASK_KEYS_MAX = 16,
	ASK_COLUMNS_MAX = ASK_KEYS_MAX + 8,
};

enum ask_order { ORDER_DEFAULT, ORDER_OCTETS, ORDER_PACKETS, ORDER_FLOWS, ORDER_TIME };

/* How people see a value. Machine formats get it as it is, but for addresses and times. */
enum cell_format {
	CELL_PLAIN,
	CELL_ADDRESS, /* two columns: IPv4 as a number, IPv6 as a UUID */
	CELL_IPV4,
	CELL_IPV6,
	CELL_PROTOCOL,
	CELL_FLAGS,
	CELL_DIRECTION,
	CELL_OCTETS,   /* 1.2 MB */
	CELL_COUNT,    /* 1.2 M */
	CELL_DURATION, /* milliseconds: 1.5s */
	CELL_TIME,     /* milliseconds since 1970 */
	CELL_YES,      /* true: its name; else nothing */
};

struct ask_key {
	const struct word *word; /* NULL: the column */
	struct column column;
	uint8_t type;               /* enum word_type */
	uint8_t side;               /* enum side */
	int64_t step_ms;            /* of a time */
	char name[COLUMN_NAME_MAX]; /* as it was asked for */
};

/* One column of the answer: one or two of the result's. */
struct ask_column {
	char name[COLUMN_NAME_MAX];
	uint8_t format; /* enum cell_format */
};

struct ask {
	const struct filter *filter; /* borrowed; NULL: all */
	int64_t from_ms, to_ms;      /* flows that were there in [from, to); 0: open */
	struct ask_key keys[ASK_KEYS_MAX];
	uint32_t key_count; /* of --by, or of a list's columns */
	bool grouped;       /* keys are --by; else a list of records */
	uint8_t order;      /* enum ask_order */
	int64_t limit;      /* rows; -1: all; 0: the default */
	bool upwards;       /* of a list: smallest first */
	int64_t offset;     /* of a list: leave out so many rows in front */
	bool edged;         /* of a list: no record is wanted that stands behind `edge` */
	int64_t edge;       /* a value of the order: octets, packets, or microseconds since 1970 */
};

/* Read "src,dst port,time 5m" into out->keys. ERR_USAGE with *err filled, as filter_parse. `buckets`: time
 * may have a step. */
MUST_CHECK enum status ask_keys(struct ask *out, const char *text, bool buckets, struct filter_error *err);

/* The keys of a list when none were asked for. */
void ask_default_keys(struct ask *ask);

/* Pieces of statements. `second` is the IPv6 half of an address; the condition begins with WHERE, or is
 * nothing. */
void ask_key_sql(struct sql *sql, const struct ask_key *key, unsigned second, const struct schema *schema);
enum cell_format ask_key_format(const struct ask_key *key);
void ask_where(const struct ask *ask, const struct schema *schema, struct sql *sql);

/* Append the statement; fill the columns of its answer. ERR_MEMORY. */
MUST_CHECK enum status ask_sql(const struct ask *ask, const struct schema *schema, struct sql *sql,
			       struct ask_column *columns, uint32_t *column_count);

/* Does a list ask for the newest records, and for how many? 0: it is another question. */
uint64_t ask_newest(const struct ask *ask);

/* Append the statement that counts how many of so many there are from `from_ms` on. ERR_MEMORY. */
MUST_CHECK enum status ask_newest_sql(const struct ask *ask, const struct schema *schema, int64_t from_ms,
				      struct sql *sql);

/* The same question in two statements, for who sums up by himself (group.h): what is to be summed up (the
 * keys that are not NULL in every record, then octets and packets), and the answer out of the table function
 * `function`(). Only for a grouped ask. ERR_MEMORY. */
MUST_CHECK enum status ask_rows_sql(const struct ask *ask, const struct schema *schema, struct sql *sql);
MUST_CHECK enum status ask_groups_sql(const struct ask *ask, const struct schema *schema,
				      const char *function, struct sql *sql, struct ask_column *columns,
				      uint32_t *column_count);

/* What a list is ordered by; a time of microseconds, or a number. */
const char *ask_order_sql(enum ask_order order);
