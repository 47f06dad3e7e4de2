/* journal.h: every IPFIX Message as it was received, on disk before anything else is done with it.
 *
 * STORE/journal/<worker>/<segment>.ipfix   the messages back to back: a standard IPFIX file (RFC 5655)
 * STORE/journal/<worker>/<segment>.side    when and from whom, with checksums (journal_format.h)
 * STORE/watermark                          what is accepted (journal_watermark.h)
 *
 * IPFIX has no acknowledgement, so ours is defined: a message is *accepted* when its position lies below the
 * watermark of its worker and in none of the holes that the watermark lists.
 *
 * One process writes a store (a lock on the watermark file); any number of processes read it, without locks,
 * while it is written. Each writer belongs to two threads: one appends, one syncs; they share no lock.
 * Nothing here reads a clock. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/log.h"
#include "base/span.h"
#include "base/time.h"

enum {
	JOURNAL_WORKERS = 256, /* at most */
	JOURNAL_BATCH = 64,    /* messages that go out in one append */
	JOURNAL_HOLES = 8,     /* that a watermark remembers */
};

/* Where a message lies: the octet in the segment's .ipfix at which it begins. Segments count from 1 and no
 * number is used twice. Positions of one worker are ordered. */
struct journal_position {
	uint32_t worker;
	uint32_t segment;
	uint64_t offset;
};

/* Below 0, 0, above 0. Only for positions of one worker. */
int journal_position_compare(struct journal_position a, struct journal_position b);

/* "3/0000000042/17280": worker, segment as its file is named, offset. */
#define JOURNAL_POSITION_TEXT 48
void journal_position_print(struct journal_position position, char out[JOURNAL_POSITION_TEXT]);

/* On disk: never renumber. */
enum journal_transport {
	JOURNAL_UDP = 1,
	JOURNAL_TCP = 2,
	JOURNAL_SCTP = 3,
	JOURNAL_TLS = 4,
	JOURNAL_DTLS = 5,
	JOURNAL_FILE = 6,
	JOURNAL_DTLS_SCTP = 7,
};

/* The Transport Session that a message came by. Over UDP the addresses and ports are the session and `number`
 * is 0; elsewhere each connection has a number that its worker never gives again. */
struct journal_session {
	struct in6_addr address; /* of the exporter; IPv4 as ::ffff:a.b.c.d */
	uint32_t scope;          /* interface index of a link-local address, else 0 */
	uint16_t port;           /* of the exporter, host byte order */
	uint16_t local_port;     /* host byte order */
	uint8_t transport;       /* enum journal_transport */
	uint64_t number;
};

/* What the writer remembers about a session. The caller keeps one for each session (all zero but `session`)
 * and may drop it whenever no message names it. */
struct journal_peer {
	struct journal_session session;
	uint32_t segment, index, uses; /* the writer's */
	bool gap;                      /* set by the writer: a message of this session was not stored */
};

/* A whole message: at least 16 octets, as many as its Length field says. */
struct journal_message {
	struct span octets;
	struct wall_ns received;
	struct journal_peer *peer;
};

struct journal_options {
	const char *store;        /* folder; made if missing */
	uint32_t workers;         /* 1 to JOURNAL_WORKERS */
	uint64_t segment_octets;  /* rotate at this size; 0 = 256 MiB; at most 1 GiB */
	int64_t segment_age_ns;   /* rotate at this age, when a message comes; 0 = 10 minutes */
	int64_t sync_interval_ns; /* 0 = 1 s */
	uint32_t first_segment;   /* new segments have at least this number: above every position that
				   * somebody remembers (the loader's), though the files may be gone */
	const struct logger *log;
};

/* What was found when the journal was opened. */
struct journal_recovery {
	uint64_t segments;     /* that were looked through */
	uint64_t messages;     /* in those */
	uint64_t cut_octets;   /* of torn tails, both files */
	uint64_t cut_segments; /* whose tail was torn */
	uint64_t damaged;      /* places inside a segment where a checksum did not hold; left as they are */
	uint64_t set_aside;    /* segments renamed to <name>.aside: side file missing or not of this place */
	uint64_t swept;        /* leftovers of unfinished work removed */
	uint64_t chain_breaks; /* accepted segments that do not continue the one before */
	uint64_t sync_alarms;  /* tails whose fsync failed: readable, not accepted */
	uint64_t lost;         /* workers whose accepted end is further than their files: the disk lied */
};

enum journal_state { JOURNAL_STORING, JOURNAL_STOPPED };

enum journal_reason {                    /* why a message was not stored */
		      JOURNAL_NO_SPACE,  /* ENOSPC, EDQUOT */
		      JOURNAL_TOO_LARGE, /* EFBIG: the process may not write files of this size */
		      JOURNAL_NO_FILES,  /* EMFILE, ENFILE */
		      JOURNAL_IO,        /* EIO and all else */
		      JOURNAL_REASONS,
};
extern const char *const journal_reason_names[JOURNAL_REASONS];

/* Counted since the journal was opened. */
struct journal_statistics {
	enum journal_state state;
	uint64_t messages, octets;                     /* appended */
	uint64_t not_stored_messages[JOURNAL_REASONS]; /* received but refused by the disk */
	uint64_t not_stored_octets[JOURNAL_REASONS];
	uint64_t cuts;             /* appends that did not go in whole and were cut back to a message edge */
	uint64_t segments;         /* begun */
	uint64_t syncs;            /* that succeeded */
	uint64_t sync_alarms;      /* fsync failures: segments poisoned */
	uint64_t watermark_alarms; /* the watermark could not be written; it stays and is tried again */
	struct journal_position end;       /* of what is appended */
	struct journal_position watermark; /* as published */
};

struct journal;
struct journal_writer;

/* Open a store for writing: take the lock, put the last run's end in order, publish the watermark. Caller
 * owns *out and ends it with journal_close. ERR_USAGE: somebody else writes it. ERR_LIMIT, ERR_SYSTEM,
 * ERR_PERMISSION, ERR_MEMORY. `found` may be NULL. */
MUST_CHECK enum status journal_open(struct journal **out, const struct journal_options *options,
				    struct journal_recovery *found, struct error *err);

/* Borrowed, `worker` below options.workers. */
struct journal_writer *journal_writer_of(struct journal *journal, uint32_t worker);
uint32_t journal_workers(const struct journal *journal);
int64_t journal_sync_interval(const struct journal *journal);

/* Append in order; one thread per writer. Answers how many of the messages are in the journal: all, or the
 * first so many when the disk refuses; then the rest is counted, storing stops, and the disk is tried again
 * at the first call a second later. No allocation; two system calls per JOURNAL_BATCH messages; errors are
 * never fatal. */
size_t journal_append(struct journal_writer *writer, const struct journal_message *messages, size_t count,
		      struct mono_ns now);

/* A session of a stream with a gap may have lost a template in it, which never comes again; so no message of
 * it may be appended any more. Its messages are counted here as long as storing has stopped, */
void journal_refuse(struct journal_writer *writer, const struct journal_message *messages, size_t count);
/* and when this is true, the session has to end. Once a second it tries the disk, without a message. */
bool journal_goes_on(struct journal_writer *writer, struct mono_ns now);

/* A session number that this writer has not given before. Appending thread. */
uint64_t journal_session_number(struct journal_writer *writer);

/* Bring what is appended to disk, then move the watermark: when the sync interval is over or, with `force`,
 * at once. One thread per writer, not necessarily the appending one. fsync is called once: when it fails the
 * segment takes no more messages, the watermark stays where it is and later jumps over the hole.
 * ERR_SYSTEM: something failed now (counted, logged); go on calling. */
enum status journal_sync(struct journal_writer *writer, struct mono_ns now, bool force);

/* Any thread. */
void journal_statistics_read(struct journal_writer *writer, struct journal_statistics *out);

/* Sync everything and free. No thread may be inside any more. */
void journal_close(struct journal *journal);

/* Remove the segments of position.worker that lie wholly below `position`; any process. The newest one stays,
 * so the numbers go on. *removed may be NULL. */
MUST_CHECK enum status journal_release(const char *store, struct journal_position position, uint32_t *removed,
				       struct error *err);
