/* The appending thread: batches into the current segment, segments one after the other, and what happens when
 * the disk refuses. The .ipfix is written before the .side, and both at places that we keep count of: what a
 * failed append left behind is cut off or, should that fail, written over or left behind in a closed segment.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "collect/journal_internal.h"

enum {
	RETRY_NS = 1000000000,
	ROOM_DATA = 1 << 17, /* octets that make a try worth it */
	ROOM_SIDE = 1 << 13,
};

const char *const journal_reason_names[JOURNAL_REASONS] = {
	[JOURNAL_NO_SPACE] = "no space",
	[JOURNAL_TOO_LARGE] = "file size limit",
	[JOURNAL_NO_FILES] = "no file descriptors",
	[JOURNAL_IO] = "I/O error",
};

static enum journal_reason reason_of(int fault)
{
	switch (fault) {
	case ENOSPC:
	case EDQUOT: return JOURNAL_NO_SPACE;
	case EFBIG: return JOURNAL_TOO_LARGE;
	case EMFILE:
	case ENFILE: return JOURNAL_NO_FILES;
	default: return JOURNAL_IO;
	}
}

/* Answers how much went out; less than `length` with errno. */
static size_t write_at(int fd, const uint8_t *octets, size_t length, uint64_t at)
{
	size_t done = 0;

	while (done < length) {
		const ssize_t n = pwrite(fd, octets + done, length - done, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* The same for a vector, which is used up. */
static size_t write_vector_at(int fd, struct iovec *iov, int iovs, uint64_t at)
{
	size_t done = 0;

	while (iovs > 0) {
		const ssize_t n = pwritev(fd, iov, iovs, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
		size_t left = (size_t)n;
		while (iovs > 0 && left >= iov->iov_len) {
			left -= iov->iov_len;
			iov++;
			iovs--;
		}
		if (left > 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + left;
			iov->iov_len -= left;
		}
	}
	return done;
}

/* The side file appears under its name with its header inside, and only then the segment exists: a reader
 * that sees it knows that the one before is finished. */
static bool make_files(struct journal_writer *w, struct segment *segment, const struct side_header *header)
{
	const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	char data[SEGMENT_NAME], side[SEGMENT_NAME], unfinished[SEGMENT_NAME];
	uint8_t octets[SIDE_HEADER];

	segment_data_name(data, segment->number);
	segment_side_name(side, segment->number);
	segment_unfinished_name(unfinished, segment->number);
	side_put_header(octets, header);
	segment->data = openat(w->folder, data, flags | O_EXCL, 0640);
	if (segment->data < 0)
		return false;
	segment->side = openat(w->folder, unfinished, flags | O_TRUNC, 0640);
	if (segment->side >= 0 && write_at(segment->side, octets, sizeof octets, 0) == sizeof octets &&
	    renameat(w->folder, unfinished, w->folder, side) == 0)
		return true;
	const int fault = errno;
	close(segment->data);
	unlinkat(w->folder, data, 0);
	if (segment->side >= 0) {
		close(segment->side);
		unlinkat(w->folder, unfinished, 0);
	}
	errno = fault ? fault : ENOSPC;
	return false;
}

static bool begin_segment(struct journal_writer *w, struct wall_ns wall, struct mono_ns now)
{
	struct segment *last = w->current, *segment;
	struct side_header header = {
		.worker = w->worker,
		.segment = w->last_number + 1,
		.previous = last->number,
		.previous_crc = last->last_crc,
		.opened = wall,
	};

	if (w->last_number == UINT32_MAX) {
		errno = EOVERFLOW;
		return false;
	}
	segment = calloc(1, sizeof *segment);
	if (!segment)
		return false;
	memcpy(header.store, w->journal->store, STORE_ID);
	segment->number = header.segment;
	segment->seed = side_seed(header.store, w->worker, segment->number);
	segment->side_end = SIDE_HEADER;
	segment->last_crc = last->last_crc;
	segment->opened = now;
	errno = 0;
	if (!make_files(w, segment, &header)) {
		free(segment);
		if (errno == EEXIST)
			w->last_number++; /* never into a file that we did not make */
		return false;
	}
	w->last_number = segment->number;
	w->current = segment;
	count(&w->segments, 1);
	atomic_store_explicit(&last->next, segment, memory_order_release);
	return true;
}

static bool is_full(const struct journal_writer *w, const struct segment *segment, size_t octets,
		    struct mono_ns now)
{
	const struct journal_options *options = &w->journal->options;

	if (segment->messages == 0)
		return false;
	return segment->data_end + octets > options->segment_octets ||
	       segment->side_end > options->segment_octets || segment->peers + JOURNAL_BATCH > PEERS_MAX ||
	       now.ns - segment->opened.ns >= options->segment_age_ns;
}

/* A segment that takes `octets` more; false with errno. */
static bool ready_segment(struct journal_writer *w, size_t octets, struct wall_ns wall, struct mono_ns now)
{
	struct segment *segment = w->current;
	const bool closed = segment->closed || atomic_load_explicit(&segment->poisoned, memory_order_relaxed);

	if (!closed && !is_full(w, segment, octets, now))
		return true;
	errno = EFBIG;
	if (closed || now.ns >= w->rotate_at.ns) {
		if (begin_segment(w, wall, now))
			return true;
		w->rotate_at.ns = now.ns + RETRY_NS;
	}
	/* One that is merely full goes on for a while: better than to refuse. */
	return !closed && segment->data_end < SEGMENT_HARD_LIMIT &&
	       segment->peers + JOURNAL_BATCH <= PEERS_MAX;
}

static void put_peer(struct batch *batch, struct segment *segment, struct journal_peer *peer, uint32_t offset)
{
	if (peer->segment != segment->number) {
		peer->segment = segment->number;
		peer->index = segment->peers++;
		peer->uses = 0;
	}
	const struct side_record record = {.peer = peer->index, .offset = offset, .session = peer->session};
	side_put_peer(batch->side + batch->side_length, segment->seed, segment->side_end + batch->side_length,
		      &record);
	batch->side_length += SIDE_PEER;
}

static void put_message(struct batch *batch, struct segment *segment, const struct journal_message *message)
{
	const size_t i = batch->count;
	const uint64_t offset = i > 0 ? batch->data_end[i - 1] : segment->data_end;
	struct iovec *last = batch->iovs > 0 ? &batch->iov[batch->iovs - 1] : NULL;

	assert(message->octets.length >= MESSAGE_MIN && message->octets.length <= UINT16_MAX);
	if (message->peer->segment != segment->number || message->peer->uses == 1 ||
	    message->peer->uses % PEER_REPEAT == 0)
		put_peer(batch, segment, message->peer, (uint32_t)offset);
	message->peer->uses++;
	const struct side_record record = {
		.peer = message->peer->index,
		.offset = (uint32_t)offset,
		.length = (uint16_t)message->octets.length,
		.ordinal = segment->messages + (uint32_t)i,
		.received = message->received,
		.message_crc = crc32c(0, message->octets.data, message->octets.length),
	};
	batch->crc[i] = side_put_message(batch->side + batch->side_length, segment->seed,
					 segment->side_end + batch->side_length, &record);
	batch->side_length += SIDE_MESSAGE;
	batch->side_end[i] = segment->side_end + batch->side_length;
	batch->data_end[i] = offset + message->octets.length;
	if (last && (const uint8_t *)last->iov_base + last->iov_len == message->octets.data)
		last->iov_len += message->octets.length;
	else
		batch->iov[batch->iovs++] =
			(struct iovec){(void *)(uintptr_t)message->octets.data, message->octets.length};
	batch->count++;
}

/* What the failed append left behind the last whole message goes. */
static void cut_back(struct journal_writer *w, struct segment *segment, int fault)
{
	count(&w->cuts, 1);
	if (ftruncate(segment->data, (off_t)segment->data_end) < 0 ||
	    ftruncate(segment->side, (off_t)segment->side_end) < 0)
		segment->closed = true;
	if (fault != ENOSPC && fault != EDQUOT && segment->messages > 0)
		segment->closed = true; /* no more trust in this file */
}

/* Answers how many of the messages are in; fewer than `n` with *fault. */
static size_t append_batch(struct journal_writer *w, const struct journal_message *messages, size_t n,
			   struct mono_ns now, int *fault)
{
	struct batch *batch = &w->batch;
	size_t octets = 0, whole = 0, stored = 0;

	for (size_t i = 0; i < n; i++)
		octets += messages[i].octets.length;
	errno = 0;
	if (!ready_segment(w, octets, messages[0].received, now)) {
		*fault = errno;
		return 0;
	}
	struct segment *segment = w->current;
	batch->iovs = 0;
	batch->count = batch->side_length = 0;
	for (size_t i = 0; i < n; i++)
		put_message(batch, segment, &messages[i]);
	errno = 0;
	const uint64_t data = segment->data_end +
			      write_vector_at(segment->data, batch->iov, batch->iovs, segment->data_end);
	while (whole < n && batch->data_end[whole] <= data)
		whole++;
	if (whole > 0) {
		const uint64_t begin = segment->side_end;
		const size_t length = (size_t)(batch->side_end[whole - 1] - begin);
		const uint64_t side = begin + write_at(segment->side, batch->side, length, begin);
		while (stored < whole && batch->side_end[stored] <= side)
			stored++;
	}
	*fault = errno ? errno : ENOSPC;
	if (stored > 0) {
		segment->data_end = batch->data_end[stored - 1];
		segment->side_end = batch->side_end[stored - 1];
		segment->last_crc = batch->crc[stored - 1];
		segment->messages += (uint32_t)stored;
		atomic_store_explicit(&segment->appended, segment->data_end, memory_order_release);
	}
	if (stored < n) {
		cut_back(w, segment, *fault);
		for (size_t i = stored; i < n; i++)
			messages[i].peer->segment = 0; /* its record may be among what was cut */
	}
	return stored;
}

void journal_refuse(struct journal_writer *w, const struct journal_message *messages, size_t n)
{
	uint64_t octets = 0;

	for (size_t i = 0; i < n; i++) {
		octets += messages[i].octets.length;
		messages[i].peer->gap = true;
	}
	count(&w->not_stored_messages[w->reason], n);
	count(&w->not_stored_octets[w->reason], octets);
}

static void stop_storing(struct journal_writer *w, int fault, struct mono_ns now)
{
	w->retry_at.ns = now.ns + RETRY_NS;
	w->reason = reason_of(fault);
	if (w->stopped)
		return;
	w->stopped = true;
	atomic_store_explicit(&w->is_stopped, true, memory_order_relaxed);
	log_error(w->journal->options.log,
		  "journal of worker %u: storing has stopped: %s (%s); messages are received, counted and "
		  "lost; "
		  "trying again every second",
		  w->worker, journal_reason_names[w->reason], strerror(fault));
}

static void go_on_storing(struct journal_writer *w)
{
	uint64_t lost = 0;

	if (!w->stopped)
		return;
	w->stopped = false;
	atomic_store_explicit(&w->is_stopped, false, memory_order_relaxed);
	for (int i = 0; i < JOURNAL_REASONS; i++)
		lost += atomic_load_explicit(&w->not_stored_messages[i], memory_order_relaxed);
	log_warn(w->journal->options.log,
		 "journal of worker %u: storing goes on; %llu messages were not stored since the start",
		 w->worker, (unsigned long long)lost);
}

/* False with errno. */
static bool has_room(struct journal_writer *w, struct mono_ns now)
{
	const struct segment *s = w->current;

	if (s->closed || atomic_load_explicit(&s->poisoned, memory_order_relaxed))
		return begin_segment(w, wall_now(), now);
	errno = 0;
	return (fallocate(s->data, FALLOC_FL_KEEP_SIZE, (off_t)s->data_end, ROOM_DATA) == 0 &&
		fallocate(s->side, FALLOC_FL_KEEP_SIZE, (off_t)s->side_end, ROOM_SIDE) == 0) ||
	       errno == EOPNOTSUPP; /* then the next message tries */
}

bool journal_goes_on(struct journal_writer *w, struct mono_ns now)
{
	if (!w->stopped)
		return true;
	if (now.ns < w->retry_at.ns)
		return false;
	if (has_room(w, now))
		go_on_storing(w);
	else
		stop_storing(w, errno, now);
	return !w->stopped;
}

size_t journal_append(struct journal_writer *w, const struct journal_message *messages, size_t n,
		      struct mono_ns now)
{
	size_t done = 0;
	bool again = true;
	int fault = 0;

	if (w->stopped && now.ns < w->retry_at.ns) {
		journal_refuse(w, messages, n);
		return 0;
	}
	while (done < n) {
		const size_t part = n - done < JOURNAL_BATCH ? n - done : JOURNAL_BATCH;
		const size_t stored = append_batch(w, messages + done, part, now, &fault);
		uint64_t octets = 0;

		for (size_t i = done; i < done + stored; i++)
			octets += messages[i].octets.length;
		done += stored;
		count(&w->messages, stored);
		count(&w->octets, octets);
		if (stored == part)
			continue;
		if (fault != EFBIG || !again)
			break;
		again = false; /* this file may not grow; a new one can */
	}
	atomic_store_explicit(&w->end, position_pack(w->current->number, w->current->data_end),
			      memory_order_relaxed);
	if (done == n) {
		go_on_storing(w);
	} else {
		stop_storing(w, fault, now);
		journal_refuse(w, messages + done, n - done);
	}
	return done;
}

uint64_t journal_session_number(struct journal_writer *w)
{
	/* The next run's segments have other numbers, so its sessions do too. */
	return (uint64_t)(w->last_number + 1) << 32 | ++w->sessions;
}
