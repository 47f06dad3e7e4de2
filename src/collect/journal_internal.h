/* journal_internal.h: what the files of the journal share. Only they include it. */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "collect/journal_watermark.h"

enum {
	SEGMENT_NAME = 24, /* "0123456789.ipfix", ".0123456789.side" */
	SEGMENT_DIGITS = 10,
	PEERS_MAX = 1 << 18, /* per segment: bounds what a reader holds */
};

#define SEGMENT_HARD_LIMIT (UINT32_MAX / 2) /* offsets are 4 octets */

struct segment {
	uint32_t number;
	int data, side; /* -1: stands for the end of the last run */
	uint32_t seed;

	/* The appending thread's. */
	uint64_t data_end, side_end;
	uint32_t messages, peers, last_crc;
	bool closed; /* takes no more */
	struct mono_ns opened;

	/* Between the two threads. */
	_Atomic uint64_t appended;    /* data_end, once side and data are written */
	_Atomic bool poisoned;        /* an fsync failed: the appending thread begins another */
	struct segment *_Atomic next; /* set when the appending thread has left this one for good */

	/* The syncing thread's. */
	uint64_t synced;
	bool named; /* the folder was fsync'd since the files were made */
};

/* One append being put together; lives here so that appending needs neither heap nor a large stack. */
struct batch {
	struct iovec iov[JOURNAL_BATCH];
	int iovs;
	size_t count, side_length;
	uint8_t side[JOURNAL_BATCH * (SIDE_MESSAGE + SIDE_PEER)];
	uint64_t data_end[JOURNAL_BATCH], side_end[JOURNAL_BATCH]; /* behind each message, in the files */
	uint32_t crc[JOURNAL_BATCH];                               /* of each message's side record */
};

struct journal_writer {
	struct journal *journal; /* borrowed */
	uint32_t worker;
	int folder;

	/* The appending thread's. */
	alignas(64) struct segment *current;
	uint32_t last_number;
	uint32_t sessions;
	bool stopped;
	enum journal_reason reason;
	struct mono_ns retry_at, rotate_at; /* not before */
	struct batch batch;
	_Atomic uint64_t messages, octets, cuts, segments, end;
	_Atomic uint64_t not_stored_messages[JOURNAL_REASONS], not_stored_octets[JOURNAL_REASONS];
	_Atomic bool is_stopped;

	/* The syncing thread's. */
	alignas(64) struct segment *oldest; /* not yet wholly synced */
	struct journal_watermark mark;
	bool mark_moved, mark_failing, synced_before;
	struct mono_ns last_sync;
	_Atomic uint64_t syncs, sync_alarms, watermark_alarms, watermark;
};

struct journal {
	struct journal_options options; /* defaults put in; store is not kept */
	uint8_t store[STORE_ID];
	int watermark; /* holds the lock */
	struct journal_writer *writers;
};

/* Counters with one writing thread: no locked instruction. */
static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* A position as one number, so that it is published in one piece. */
static inline uint64_t position_pack(uint32_t segment, uint64_t offset)
{
	return (uint64_t)segment << 32 | offset;
}

/* journal_folder.c: names. */

struct segment_files {
	uint32_t number;
	bool data, side;
};

struct segment_list {
	struct segment_files *files; /* by number; free() it */
	uint32_t count;
	uint32_t highest;    /* number in any name of the folder, those set aside included */
	uint32_t unfinished; /* names that begin with a dot */
};

void segment_data_name(char out[SEGMENT_NAME], uint32_t number);
void segment_side_name(char out[SEGMENT_NAME], uint32_t number);
void segment_unfinished_name(char out[SEGMENT_NAME], uint32_t number);
MUST_CHECK enum status segment_list_read(struct segment_list *out, int folder, struct error *err);

/* STORE/journal/<worker>. Answers a descriptor, or -1 with errno. */
int worker_folder_open(int store, uint32_t worker);

/* journal_recover.c */

struct recovery {
	const uint8_t *store;
	int folder;
	uint32_t worker;
	const struct logger *log;
	struct journal_watermark *mark;  /* in: as found; out: to be published */
	struct journal_recovery *found;  /* added to */
	uint32_t last_number;            /* out: highest that was ever seen */
	uint32_t previous, previous_crc; /* out: what the next segment continues */
};

MUST_CHECK enum status recover_worker(struct recovery *r, struct error *err);
