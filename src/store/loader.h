/* loader.h: messages as they were received -> records -> partitions. It reads behind the receivers, so it may
 * be slow, stop and start again: what it has read and what it has written become true in one step
 * (manifest.h), so that no record is lost and none is there twice.
 *
 *   loop: loader_take(message)…  until it answers AGAIN or loader_due;  then loader_flush
 *
 * One thread. Records wait in memory as they came (loader_options.flush_records of them) until they are
 * written; queries see them in the journal meanwhile. */
#pragma once

#include "base/log.h"
#include "store/ledger.h"
#include "store/rows.h"
#include "store/waiting.h"

struct loader_options {
	const char *store;      /* folder; made if missing */
	uint64_t flush_records; /* write a partition at so many; 0 = 500,000 */
	uint64_t flush_octets;  /* or at so many octets of records; 0 = 64 MiB */
	int64_t flush_age_ms;   /* or when the oldest record waits so long; 0 = 5 minutes */
	uint64_t lift_records;  /* from so many on, columns of one value go into the manifest (lift.h); 0 =
				 * LIFT_RECORDS */
	bool ignore_port;       /* the exporter's port is no part of a session over UDP: for exporters that
				 * send templates from another port than data */
	int64_t template_lifetime_ms;  /* over UDP (RFC 7011 section 8.4); 0 = one day, -1 = for ever */
	uint32_t peers;                /* sessions kept; 0 = 16,384; the one idle for longest makes room */
	struct waiting_limits waiting; /* all zero: waiting_limits_default */
	uint64_t seed;                 /* of hash tables: random */
	int64_t retain_ms;             /* partitions received longer ago go; 0 = never */
	uint64_t retain_octets;        /* the oldest go until the store is no larger; 0 = no bound */
	bool read_only;                /* decode, never write: for queries */
	const struct logger *log;      /* may be NULL */
};

struct loader;

/* Go on where the manifest says. A writer takes the store's lock (ERR_USAGE: another loader has it) and
 * sweeps what an unfinished step left. ERR_SYSTEM, ERR_PERMISSION, ERR_FORMAT, ERR_MEMORY. Caller owns *out.
 */
MUST_CHECK enum status loader_open(struct loader **out, const struct loader_options *options,
				   struct error *err);
void loader_close(struct loader *loader);

/* For a process that does nothing else: up to 64 MiB that one flush has used stay for the next, in place of
 * being given back to the kernel and cleared by it again. */
void loader_keep_memory(void);

/* Where to read on, for each worker below INPUT_WORKERS_MAX; all zero: from the beginning. */
struct input_position loader_position(const struct loader *loader, uint32_t worker);

/* OK: taken (malformed ones are counted). AGAIN: the batch is full, flush first; nothing was taken. */
MUST_CHECK enum status loader_take(struct loader *loader, const struct input_message *message);

/* Take messages of `input` until it has none (END), the batch is full (AGAIN), or `limit` were taken (OK). An
 * input that fails: its status. */
MUST_CHECK enum status loader_pull(struct loader *loader, const struct input *input, uint64_t limit,
				   struct error *err);

/* A flush is due: the batch is full, or old by this clock (wall, milliseconds). */
bool loader_due(const struct loader *loader, int64_t now_ms);

/* Write what is there. On failure nothing is lost and the store is as it was: call again later. */
MUST_CHECK enum status loader_flush(struct loader *loader, int64_t now_ms, struct error *err);

/* Of a read-only loader: forget the records that wait, go on behind them. */
void loader_drop(struct loader *loader);

/* What the receivers lost. */
void loader_add_kernel_drops(struct loader *loader, uint64_t messages);

/* What waits in memory, options (with a scope) or flows: number `i` from 0; NULL: no more. Borrowed. */
struct rows *loader_rows(struct loader *loader, bool options, uint32_t i);

/* The ledger: every counter, with whose it is. `origin` NULL: of the session; `peer` NULL: of the store. */
typedef void loader_ledger_visitor(void *arg, const struct peer *peer, const struct origin *origin,
				   const char *name, uint64_t count);
void loader_visit_ledger(struct loader *loader, loader_ledger_visitor *visit, void *arg);

/* When what was lost (hearing.h). Borrowed until the next message. */
struct hearing;
const struct hearing *loader_hearing(const struct loader *loader);

struct manifest;
/* What is true now. Borrowed until the next flush. */
const struct manifest *loader_manifest(const struct loader *loader);
