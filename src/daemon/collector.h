/* collector.h: the Collecting Process put together: receivers -> journal -> loader -> partitions, records as
 * JSON Lines, metrics over HTTP.
 *
 *   collector   receivers (threads), journal, HTTP, signals: never decodes a record
 *   keeper      starts the roles again when they die (keeper.h)
 *   loader      journal -> partitions; printer: journal -> JSON Lines: these two parse what strangers sent
 *
 * The roles read behind the journal, so nothing that happens to them holds up or loses what is received.
 * Without a store the journal is a bounded buffer in a folder of its own, which goes with the process. */
#pragma once

#include "base/log.h"
#include "collect/receive.h"

enum { COLLECTOR_READS = 64 };

struct collector_options {
	struct receiver_options receiver; /* listens may be 0 */
	uint32_t workers;                 /* 0 = one per core */
	const char *store;                /* NULL: none is kept */
	const char *json;                 /* file, "-" = standard output; NULL: not printed */
	const char *http;                 /* ADDR:PORT; NULL: none */
	bool http_remote;
	const char *http_token_file;       /* NULL: none */
	const char *read[COLLECTOR_READS]; /* IPFIX files to load */
	uint32_t reads;
	int64_t sync_ns;          /* of the journal; 0 = 1 s */
	uint64_t flush_records;   /* of a partition; 0 = the loader's default */
	int64_t flush_age_ms;     /* 0 = the loader's default */
	uint64_t lift_records;    /* of loader_options; 0 = its default */
	int64_t retain_ms;        /* 0 = for ever */
	uint64_t retain_octets;   /* of partitions; 0 = no bound */
	bool ignore_port;         /* loader_options */
	uint64_t json_lag_octets; /* received and not yet printed; what is beyond is dropped; 0 = 64 MiB */
	const struct logger *log;
};

/* Until SIGTERM or SIGINT; without listens until the files are loaded. ERR_USAGE, ERR_SYSTEM, ERR_PERMISSION,
 * ERR_FORMAT (a file to read is damaged; what is whole in it was loaded), ERR_UNSUPPORTED (a store in a build
 * without DuckDB). */
MUST_CHECK enum status collector_run(const struct collector_options *options, struct error *err);
