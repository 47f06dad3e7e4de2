/* store.h: what lies in a store, for whoever asks: views over its partitions and over the journal's tail.
 *
 * Read-only and without locks: any process, also while a collector writes the store. The partitions are those
 * of the manifest as it stands at store_attach; what the journal holds behind them is decoded here.
 *
 * View flows: every column under its IANA name; docs/store.md has the types and the columns that are not
 * IANA's. Elements people ask for most are always there, as NULL where no record has them. Besides:
 *   sourceAddress, destinationAddress   VARCHAR, IPv4 or IPv6, whichever is there
 *   flowStart, flowEnd                  TIMESTAMP, from whichever elements tell
 *   denied                              BOOLEAN: firewallEvent 3, or forwardingStatus of the class dropped
 * View options: the same for records with a scope. View ledger: one row for each kind of loss of each
 * Transport Session and observation domain (ledger.h). View gaps: when records were lost or an exporter was
 * not heard; view exporters: who was heard, and when (hearing_view.h). SQL function address_text(UINTEGER,
 * UUID): an address as people write it. */
#pragma once

#include <duckdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/column.h"
#include "store/sql.h"

struct store;

struct store_coverage {
	uint64_t partitions;   /* that are in the views, flows and options */
	uint64_t left_out;     /* outside from_ms to to_ms */
	uint64_t records;      /* in those partitions, tail not included */
	uint64_t quarantined;  /* partitions that failed their checks: not in the views */
	uint64_t tail_records; /* decoded from the journal's tail */
	bool tail_cut;         /* the tail is longer than a query decodes: its newest end is missing */
	/* The ledger, summed up. */
	uint64_t lost_sequence;         /* records that the sequence numbers miss */
	uint64_t lost_kernel;           /* messages that the kernel dropped */
	uint64_t undecodable;           /* data sets that never found their template */
	uint64_t waiting;               /* data sets that wait for it */
	uint64_t malformed;             /* messages */
	uint64_t reported_by_exporters; /* packets that they say they did not meter or send */
	uint64_t wrong_values;          /* values that are no value of their type */
	int64_t first_ms, last_ms;      /* of all partitions in the views and the tail; 0: nothing there */
	int64_t received_first_ms, received_last_ms; /* likewise, by the collector's clock */
};

/* Read the manifest. An empty or missing folder `path` is a store without records when it exists; ERR_SYSTEM,
 * ERR_PERMISSION: it cannot be read; ERR_FORMAT: no manifest of ours, or of another layout version. Caller
 * owns *out; it must live as long as the database it is attached to. */
MUST_CHECK enum status store_open(struct store **out, const char *path, struct error *err);
void store_close(struct store *store);

/* Create (or replace) the views on `connection`. `from_ms`, `to_ms` (milliseconds since 1970, 0 = open) let
 * it leave out partitions without records of that time; the views still have to be filtered. Reads the
 * manifest anew. ERR_SYSTEM, ERR_FORMAT, ERR_MEMORY. */
MUST_CHECK enum status store_attach(struct store *store, duckdb_connection connection, int64_t from_ms,
				    int64_t to_ms, struct store_coverage *out, struct error *err);

/* What store_attach begins with, and all that needs no database: which partitions and what tail there are.
 * *out is filled; reading.h gives the records. store_give makes the last look a database's, for statements of
 * one's own that store_flows begins; the database has address_text then. ERR_SYSTEM, ERR_FORMAT, ERR_MEMORY.
 */
MUST_CHECK enum status store_look(struct store *store, int64_t from_ms, int64_t to_ms,
				  struct store_coverage *out, struct error *err);
MUST_CHECK enum status store_give(struct store *store, duckdb_connection connection, struct error *err);

/* Both: as store_attach, without the views and tables. */
MUST_CHECK enum status store_attach_parts(struct store *store, duckdb_connection connection, int64_t from_ms,
					  int64_t to_ms, struct store_coverage *out, struct error *err);

/* The ledger, gaps and exporters alone, behind store_attach_parts. */
MUST_CHECK enum status store_attach_ledger(struct store *store, duckdb_connection connection,
					   struct error *err);

/* The columns of `flows` that records of the last attachment have; borrowed until the next. */
const struct schema *store_columns(const struct store *store);

/* Append "WITH flows AS NOT MATERIALIZED (…) ": the records of the last attachment, with those columns that
 * `statement`, which shall follow, names in quotes. */
void store_flows(const struct store *store, struct sql *out, const char *statement);

/* For who asks for the newest: a part of the last attachment, its tail and those partitions that end last. */
struct store_newest {
	uint32_t partitions;
	int64_t behind_ms; /* all records outside have flowEnd and receiveTime before this */
};

/* So many of them that they have `records` or more. False: that is no small part of all there are. */
bool store_newest(const struct store *store, uint64_t records, struct store_newest *out);

/* As store_flows, over that part; NULL: over all. */
void store_flows_of(const struct store *store, const struct store_newest *part, struct sql *out,
		    const char *statement);

/* As store_flows, without partitions that have no record between the two times, 0: open. */
void store_flows_between(const struct store *store, struct sql *out, const char *statement, int64_t from_ms,
			 int64_t to_ms);

/* From when on all records are in the newest partitions of the last attachment (and its tail) that together
 * have at most `records`, and how many are in the others. 0: there are no others. */
int64_t store_begin(const struct store *store, uint64_t records, uint64_t *left_out);

/* Names and reasons of what the last store_attach left out as damaged: one line each, "" when nothing. */
const char *store_quarantine_text(const struct store *store);
