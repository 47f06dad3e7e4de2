/* loader_state.h: the loader inside. */
#pragma once

#include "store/duck.h"
#include "store/hearing.h"
#include "store/loader.h"
#include "store/manifest.h"

enum {
	BATCHES = 2, /* of a kind: the second takes what has no columns left in the first */
	PEER_BUCKETS = 1 << 14,
	FLUSH_RECORDS = 500000,
	FLUSH_OCTETS = 64 << 20,
	FLUSH_AGE_MS = 5 * 60 * 1000,
	PEERS = 16384,
	TEMPLATE_LIFETIME_MS = 24 * 60 * 60 * 1000,
	EXPIRE_EVERY_MS = 60 * 1000,
};

struct loader {
	struct loader_options options;
	char *store;
	int lock;
	struct manifest manifest;
	struct duck duck;
	struct input_position positions[INPUT_WORKERS_MAX];
	struct rows rows[2][BATCHES]; /* flows, options */
	struct elements elements;
	struct waiting waiting;
	struct ledger_totals totals;
	struct ledger_forgotten forgotten;
	struct hearing hearing;
	struct peer **buckets;
	struct peer *newest, *oldest;
	uint32_t peer_count;
	uint64_t epoch;         /* of the batch */
	uint64_t plan_fields;   /* in plans made since they were dropped */
	int64_t begun_ms;       /* when the oldest record in the batch was received; 0: none */
	int64_t expired_ms;     /* when templates were last looked at */
	int64_t now_ms;         /* receipt of the present message */
	bool full;              /* flush before the next message */
	bool templates_changed; /* since they were written */
	bool taken;             /* something was read since the last commit */
	struct json_printer printer;
	struct text text;
	struct session_sink sink;
	struct peer *peer; /* of the present message */
};

/* The session of a message; NULL: no memory, or no room before a flush. */
struct peer *loader_peer(struct loader *l, const struct input_peer *key);

/* The templates and waiting sets as an IPFIX file, sessions and ledger as JSON, and back. */
MUST_CHECK enum status loader_save(struct loader *l, struct error *err);
MUST_CHECK enum status loader_restore(struct loader *l, struct error *err);
