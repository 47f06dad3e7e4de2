/* rows.h: data records that wait to become columns (pour.h): their octets, as they were received, and what
 * stands on each. No record is taken apart before.
 *
 * One batch holds records of one kind: with a scope (options) or without. */
#pragma once

#include <duckdb.h>

#include "message/json.h"
#include "store/origin.h"
#include "store/plan.h"

/* Data records of one set. */
struct run {
	struct origin *origin;
	const uint8_t *at;
	const struct span *lists; /* JSON of each list of each record */
	int64_t received_ms;
	uint32_t export_time;
	uint32_t length, count;
	uint32_t plan; /* index in rows.plans */
};

struct rows_plan {
	struct plan *plan;
	int32_t *columns; /* of each field: where it stands in the schema; -1: nowhere */
	int32_t *derived; /* likewise what is made from it */
};

struct rows {
	uint64_t number; /* of the batch */
	struct schema schema;
	struct rows_plan *plans;
	uint32_t plan_count, plan_room;
	struct run *runs;
	uint32_t run_count, run_room;
	struct rows_block *blocks; /* octets; the newest first */
	uint64_t records, octets;  /* octets: with the texts of lists */
	uint64_t columns_left_out; /* fields, each counted once a batch, for which there was no column */
	int64_t first_ms, last_ms; /* of the times on the records; first > last: none */
	int64_t received_first_ms, received_last_ms;
};

void rows_init(struct rows *rows);

/* Empty again, with its memory given back; origins are let go. */
void rows_reset(struct rows *rows);
void rows_fini(struct rows *rows);

/* Take the records of a set: they are copied. ERR_LIMIT: its columns do not fit beside those of other
 * records; nothing was taken and an emptied batch will take them. ERR_MEMORY. `lists` prints lists; `store`
 * has their templates. */
MUST_CHECK enum status rows_add(struct rows *rows, struct plan *plan, struct origin *origin,
				const struct message_header *header, int64_t received_ms, struct span records,
				uint32_t count, struct json_printer *lists,
				const struct template_store *store);

/* Settle which derived columns there are: before the first scan, after the last rows_add. */
void rows_seal(struct rows *rows);

/* A table function `name` without parameters that gives the rows. `rows` stays the caller's and must outlive
 * the database. A scan counts times into first_ms, last_ms. */
MUST_CHECK enum status rows_register(struct rows *rows, duckdb_connection connection, const char *name,
				     struct error *err);
