/* file_feed.h: IPFIX files (RFC 5655) into the journal, as if they were received: a thread with a journal
 * writer of its own. It waits for the disk and for whoever reads behind it; nothing is dropped. */
#pragma once

#include "collect/journal.h"
#include "daemon/board.h"

struct file_feed;

/* `files` and `writer` are borrowed until file_feed_free. ERR_SYSTEM, ERR_MEMORY. */
MUST_CHECK enum status file_feed_start(struct file_feed **out, const char *const *files, uint32_t count,
				       struct journal_writer *writer, const struct board *board,
				       const struct logger *log, struct error *err);

/* AGAIN: still reading; OK: all is in the journal; else the first thing that was wrong, with its text. */
enum status file_feed_state(struct file_feed *feed, struct error *err);

/* Stops early when it still reads. NULL is fine. */
void file_feed_free(struct file_feed *feed);
