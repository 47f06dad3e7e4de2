/* pass.h: one reading of the records of a window, for all sums of an answer.
 *
 * What is wanted is said first: sums by keys, cubes (cube.h), edges of lists. pass_run then reads the records
 * once, and those columns that are named; a second time, with less columns, only where a cube has more values
 * than it can show and must know the largest of them first. It reads them by scan.h, several threads at once
 * of which one at a time adds up; what scan.h does not understand it reads by a statement of DuckDB's. What a
 * key or the memory does not allow is left to DuckDB altogether: its status says so. */
#pragma once

#include "query/chart.h"
#include "query/group.h"
#include "store/store.h"

enum { PASS_COLUMNS = 64, PASS_TALLIES = 32, PASS_CUBES = 8, PASS_EDGES = 4, PASS_EDGE_MOST = 20000 };

/* Some rows of it (GROUPS_STEP at most): values as groups.h takes them, of the columns that are needed. */
struct pass_rows {
	uint32_t count;
	struct groups_values columns[PASS_COLUMNS], octets, packets, denied;
};

/* A value of every row. */
struct pass_column {
	char *sql;        /* with the names that there are */
	char *plain;      /* with all names: for expression.h */
	duckdb_type type; /* it must be of; DUCKDB_TYPE_INVALID: any */
	duckdb_type null; /* that it has when no record has a value */
	bool needed;      /* in this reading */
};

struct tally {
	int columns[ASK_KEYS_MAX][2]; /* of the pass; -1: no record has it */
	uint32_t key_count;
	struct groups *groups; /* after pass_run, when status is OK */
	enum status status;    /* ERR_UNSUPPORTED, ERR_LIMIT: not summed up here */
	uint32_t *rows;        /* groups of the rows at hand; NULL: nobody asks */
	bool registered;
};

/* The largest values of a tally, which the second reading looks for. */
struct pick {
	int tally;
	uint8_t order; /* enum ask_order */
	uint32_t count;
	struct groups *groups;
	uint32_t *rows; /* of the rows at hand: the value's rank; UINT32_MAX: another value */
};

/* Where a list of `most` records ends: its last value. */
struct edge {
	int column;
	bool number; /* of any size; what is above INT64_MAX is that */
	bool upwards;
	int64_t *heap; /* the worst in front */
	uint32_t count, most;
};

struct cube;

struct pass {
	struct engine *engine;       /* borrowed, as all here */
	const struct store *store;   /* attached */
	const struct schema *schema; /* of the store's columns */
	struct ask window;           /* filter and time */
	uint64_t records;            /* about how many there are */
	bool by_database;            /* by statements alone: for tests */
	struct pass_column columns[PASS_COLUMNS];
	unsigned column_count;
	struct tally tallies[PASS_TALLIES];
	unsigned tally_count;
	struct cube *cubes[PASS_CUBES];
	unsigned cube_count;
	struct pick picks[PASS_CUBES * CHART_KEYS];
	unsigned pick_count;
	struct edge edges[PASS_EDGES];
	unsigned edge_count;
	struct groups_sums totals; /* of all records that match */
};

/* `records`: about how many there are. */
MUST_CHECK enum status pass_new(struct pass **out, struct engine *engine, const struct store *store,
				const struct ask *window, uint64_t records, struct error *err);
void pass_free(struct pass *pass);

/* Numbers of what is wanted; the same twice is one. -1: no room, or no memory. `rows`: also tell of each
 * record its group. */
int pass_tally(struct pass *pass, const struct ask_key *keys, uint32_t count, bool rows);
int pass_cube(struct pass *pass, const struct chart *chart);
int pass_edge(struct pass *pass, enum ask_order order, bool upwards, int64_t most);

/* Look for the groups `ranked` of a tally, which has been read; the same with less is a part of it. -1: no
 * memory. */
int pass_pick(struct pass *pass, int tally, enum ask_order order, const uint32_t *ranked, uint32_t count);

/* A column by its SQL, in words.h's manner. -1 as above. */
int pass_column(struct pass *pass, const char *sql, duckdb_type type);

MUST_CHECK enum status pass_run(struct pass *pass, struct error *err);

/* The last value of a list; false: it has all records. */
bool pass_edge_at(const struct pass *pass, int edge, int64_t *out);

/* One reading, into `take`. */
typedef void pass_take(struct pass *pass, const struct pass_rows *rows);

/* By scan.h, and by a statement. The first says the types of the columns, so it opens the tallies.
 * ERR_UNSUPPORTED of pass_scan: some rows may have been taken. */
MUST_CHECK enum status pass_scan(struct pass *pass, pass_take *take, bool first, struct error *err);
MUST_CHECK enum status pass_statement(struct pass *pass, pass_take *take, bool first, struct error *err);

/* Open the tallies over columns of these types. */
void pass_open(struct pass *pass, const duckdb_type types[PASS_COLUMNS]);

/* Make the table function tally_N of a tally that is OK. */
MUST_CHECK enum status pass_register(struct pass *pass, int tally, struct error *err);
