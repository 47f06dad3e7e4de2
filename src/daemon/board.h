/* board.h: what the collector's processes tell each other: one piece of shared memory, made before the first
 * fork. Each value has one writer; nobody waits for anybody. */
#pragma once

#include <stdatomic.h>

#include "base/error.h"
#include "base/time.h"
#include "collect/journal.h"
#include "ie/text.h"

enum { PAGE_MAX = 4 << 20, FAULT_MAX = 256 };

/* A text that is replaced as a whole. Its reader may distrust the writer: length and end are checked. */
struct page {
	_Atomic uint32_t serial;
	uint32_t length[2];
	char text[2][PAGE_MAX];
};

enum role { ROLE_LOADER, ROLE_PRINTER, ROLE_ASKER, ROLE_COUNT };
extern const char *const role_names[ROLE_COUNT];

struct role_board {
	bool wanted; /* before the fork */
	_Atomic bool up, done;
	_Atomic uint64_t starts;
	_Atomic uint64_t beats;            /* grows with each turn of its loop */
	_Atomic uint64_t messages, octets; /* read from the journal since its start */
	_Atomic uint64_t records;          /* printed */
	_Atomic uint64_t skipped_messages, skipped_octets;
	_Atomic int64_t last_received_ms; /* when the message read last was received; 0: none */
	_Atomic uint64_t flushes, flush_failures;
	_Atomic uint64_t read[JOURNAL_WORKERS], kept[JOURNAL_WORKERS]; /* board_position */
	_Atomic bool failing;
	char fault[FAULT_MAX]; /* what fails; a reader may see it half written, never without its end */
	struct page metrics;
};

struct board {
	_Atomic bool finish; /* read what is in the journal, then end */
	uint32_t workers;
	_Atomic uint64_t appended_octets; /* in this run, to the journal, as of the last tick */
	_Atomic uint64_t kernel_drops;
	_Atomic uint32_t asking; /* questions of the page that are being answered */
	struct journal_position printer_from[JOURNAL_WORKERS]; /* before the roles begin */
	struct role_board role[ROLE_COUNT];
};

/* NULL: no memory. */
struct board *board_new(void);
void board_free(struct board *board);

void page_put(struct page *page, const char *text, size_t length);

/* Append the present text. */
void page_get(const struct page *page, struct text *out);

void role_failing(struct role_board *role, const char *fault);
void role_well(struct role_board *role);

/* Ordered as positions are. */
static inline uint64_t board_position(uint32_t segment, uint64_t offset)
{
	return (uint64_t)segment << 32 | (offset & UINT32_MAX);
}
