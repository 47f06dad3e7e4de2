/* collector_fault.h: what the parts of the collector's fault tests share: the book, the victims, the judge.
 *
 * A sender sends numbered messages of RECORDS numbered records each. The book says which were sent and which
 * were seen below the watermark; the judge says whether a store has each of those once, as it was sent. */
#pragma once

#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "collect/journal.h"

enum {
	RECORDS = 3,        /* in a message */
	MESSAGES = 1 << 16, /* in a book */
	RUNS = 1024,
	PATH_LONG = 512,
	SITE_MAX = 112,
};

/* A file that all processes of a test map. */
struct book {
	_Atomic uint32_t next;           /* number of the next message to be sent */
	uint32_t runs;                   /* senders so far */
	uint32_t first[RUNS];            /* message of each */
	struct journal_position read_to; /* the witness */
	uint64_t alarms;
	uint8_t accepted[MESSAGES];
};

struct book *book_map(const char *path); /* made if missing; ends the process when it cannot be */
void book_clear(struct book *book);

uint32_t random_next(uint64_t *state);
uint32_t random_below(uint64_t *state, uint32_t bound);

/* One line on standard output, at once. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The victims: each in a process of its own. */

struct victim {
	const char *store;
	struct book *book;
	uint64_t seed;
	bool tcp;
	uint16_t port;
	rlim_t *limit;             /* of file sizes; NULL: none */
	int (*watched)(void *arg); /* called in the child before it begins; NULL: nothing */
	void *arg;
};

/* The collector as `weir collect` runs it, in a process group of its own. */
pid_t collector_begin(const struct victim *v);
/* The loader's role alone, until it has read the journal. */
pid_t loader_begin(const struct victim *v);
/* Ends when killed. */
pid_t sender_begin(const struct victim *v);
uint16_t free_port(void);

/* Read what is accepted now into the book. False: it said what is wrong. */
bool witness(const char *store, struct book *book);

/* The store as a query sees it now: every accepted message once, nothing that was not sent. `ordered`: and
 * of each sender all from the first to the last. */
bool glance(const char *store, const struct book *book, bool ordered);

/* Restart until all is in partitions, then look; with `again`, restart once more, and nothing changes. */
bool judge(const char *store, struct book *book, bool ordered, bool again);

/* Is there a file now that a step of the loader left half done? 1: a partition, 2: templates or manifest. */
int unfinished(const char *store);

/* Wait for a child; kill it and answer -1 when it takes longer. */
int wait_for_end(pid_t pid, int ms);
/* The same for a loader or a reader, who get no signal from here that asks them to end: such a one means that
 * somebody stops the whole test. Then it ends at once and nothing is said about the store. */
int wait_for_worker(pid_t pid, int ms);
/* For all there are: this process takes in orphans. */
bool wait_for_all(int ms);

void remove_store(const char *store);

/* Faults at system calls. */

enum fault { FAULT_NONE, FAULT_KILL, FAULT_SHORT, FAULT_ERRNO }; /* FAULT_ERRNO + errno */

struct site {
	char name[SITE_MAX]; /* process, call, file */
	int call;            /* index for call_faults */
	uint32_t seen;       /* in the last run */
	uint32_t most;       /* in any */
};

struct calls;

struct calls *calls_new(void);
/* Begin to watch: `watched` and `arg` for a victim. Then strike at the `nth` call (from 1) of `site`; NULL:
 * nowhere. */
void calls_watch(struct calls *c, struct victim *v, const char *site, uint32_t nth, int fault);
/* After the victim has begun. */
void calls_serve(struct calls *c, const char *store);
/* After it has ended. True: the fault was put in; *where is what for. */
bool calls_end(struct calls *c, const char **where);

/* Was a file synced again whose sync had failed? */
bool calls_synced_again(const struct calls *c);
uint32_t calls_seen(const struct calls *c);
const struct site *calls_site(const struct calls *c, uint32_t i);
/* Where call `nth` of the last run was, and the how-manieth there; NULL: there was none. */
const struct site *calls_site_at(const struct calls *c, uint32_t nth, uint32_t *occurrence);
/* Which faults make sense at a site.call: ends with FAULT_NONE. */
const int *calls_faults(int call);
const char *fault_name(int fault, char out[32]);
