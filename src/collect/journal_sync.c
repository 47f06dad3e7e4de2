/* The syncing thread: fdatasync, then the watermark, never the other way round. Segments that the appending
 * thread has left are synced whole, closed and freed here. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "collect/journal_internal.h"

/* What an fsync that failed has left on disk cannot be known, and a second one would say "fine" (the kernel
 * reports a lost write once). So nothing appended since the last good one is ever accepted. */
static void poison(struct journal_writer *w, struct segment *segment)
{
	const int fault = errno;

	atomic_store_explicit(&segment->poisoned, true, memory_order_relaxed);
	watermark_add_hole(&w->mark, (struct journal_hole){segment->number, segment->synced, UINT64_MAX});
	w->mark_moved = true;
	count(&w->sync_alarms, 1);
	log_error(w->journal->options.log,
		  "journal of worker %u: fsync of segment %010u failed (%s): messages from octet %llu on are "
		  "not "
		  "accepted; a new segment begins",
		  w->worker, segment->number, strerror(fault), (unsigned long long)segment->synced);
}

static bool sync_segment(struct journal_writer *w, struct segment *segment)
{
	/* What is appended later than this is not promised, though it may be on disk. */
	const uint64_t appended = atomic_load_explicit(&segment->appended, memory_order_acquire);

	if (segment->data < 0 || atomic_load_explicit(&segment->poisoned, memory_order_relaxed) ||
	    appended == segment->synced)
		return true;
	if (fdatasync(segment->data) < 0 || fdatasync(segment->side) < 0 ||
	    (!segment->named && fsync(w->folder) < 0)) {
		poison(w, segment);
		return false;
	}
	count(&w->syncs, 1);
	segment->named = true;
	segment->synced = appended;
	w->mark.accepted = (struct journal_position){w->worker, segment->number, appended};
	w->mark_moved = true;
	return true;
}

static bool publish(struct journal_writer *w)
{
	if (!w->mark_moved)
		return true;
	if (!watermark_put(w->journal->watermark, w->journal->store, &w->mark)) {
		const int fault = errno;
		count(&w->watermark_alarms, 1);
		if (!w->mark_failing)
			log_error(w->journal->options.log,
				  "journal of worker %u: the watermark cannot be written (%s) and stays",
				  w->worker, strerror(fault));
		w->mark_failing = true;
		return false;
	}
	w->mark_moved = w->mark_failing = false;
	atomic_store_explicit(&w->watermark, position_pack(w->mark.accepted.segment, w->mark.accepted.offset),
			      memory_order_relaxed);
	return true;
}

enum status journal_sync(struct journal_writer *w, struct mono_ns now, bool force)
{
	bool good = true;

	if (!force && w->synced_before && now.ns - w->last_sync.ns < w->journal->options.sync_interval_ns)
		return OK;
	w->synced_before = true;
	w->last_sync = now;
	for (;;) {
		/* Asked first: a segment that has a next one gets nothing more. */
		struct segment *next = atomic_load_explicit(&w->oldest->next, memory_order_acquire);

		good &= sync_segment(w, w->oldest);
		if (!next)
			break;
		if (w->oldest->data >= 0) {
			close(w->oldest->data);
			close(w->oldest->side);
		}
		free(w->oldest);
		w->oldest = next;
	}
	good &= publish(w);
	return good ? OK : ERR_SYSTEM;
}
