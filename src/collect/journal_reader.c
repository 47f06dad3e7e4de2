#include "collect/journal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "collect/journal_internal.h"
#include "collect/journal_walk.h"

enum { FAILURES_MAX = 10 };

struct known_peer {
	bool known, absent;
	struct journal_session session;
};

struct journal_reader {
	int store, folder, watermark; /* folder, watermark: -1 until they exist */
	uint32_t worker;
	bool accepted_only;
	struct journal_watermark mark; /* as last read */
	struct journal_position position;

	/* The open segment; side is -1 when none is. */
	int side, data;
	bool final;   /* a later segment exists: nothing more comes into this one */
	bool waiting; /* the last END was for the watermark or a half-written record, not the file's end */
	uint64_t end; /* behind the last good message that was passed */
	uint32_t failures; /* to read at one place, in a row */
	struct side_walk walk;
	struct data_window window;
	struct known_peer *peers;
	uint32_t peers_room;

	struct journal_reader_statistics statistics;
	uint8_t side_buffer[WALK_OCTETS], data_buffer[WINDOW_OCTETS];
};

enum status journal_reader_open(struct journal_reader **out, const char *store, struct journal_position from,
				bool accepted_only, struct error *err)
{
	auto_fd fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, "%s", store);
	struct journal_reader *r = calloc(1, sizeof *r);
	if (!r)
		return error_set(err, ERR_MEMORY, "journal reader: no memory");
	r->store = take_fd(&fd);
	r->folder = r->watermark = r->side = r->data = -1;
	r->worker = from.worker;
	r->accepted_only = accepted_only;
	r->position = from;
	*out = r;
	return OK;
}

static void close_segment(struct journal_reader *r)
{
	if (r->side >= 0)
		close(r->side);
	if (r->data >= 0)
		close(r->data);
	r->side = r->data = -1;
	r->final = false;
	r->end = 0;
	for (uint32_t i = 0; i < r->peers_room; i++)
		r->peers[i] = (struct known_peer){0};
}

void journal_reader_close(struct journal_reader *r)
{
	if (!r)
		return;
	close_segment(r);
	if (r->watermark >= 0)
		close(r->watermark);
	if (r->folder >= 0)
		close(r->folder);
	close(r->store);
	free(r->peers);
	free(r);
}

struct journal_position journal_reader_position(const struct journal_reader *r)
{
	return r->position;
}

struct journal_reader_statistics journal_reader_statistics(const struct journal_reader *r)
{
	return r->statistics;
}

static enum status damage(struct journal_reader *r, struct error *err, const char *what)
{
	char text[JOURNAL_POSITION_TEXT];

	journal_position_print(r->position, text);
	r->statistics.damaged++;
	return error_set(err, ERR_FORMAT, "journal: after %s: %s", text, what);
}

/* The disk does not give what is there. That may pass, and a loader that steps over it loses what was
 * accepted: so it is told, and comes again; at last there is nothing for it. Who asks a question does not
 * wait. */
static enum status unreadable(struct journal_reader *r, struct error *err, const char *what)
{
	const int fault = errno;
	char text[JOURNAL_POSITION_TEXT];

	if (!r->accepted_only || ++r->failures > FAILURES_MAX) {
		r->failures = 0;
		return damage(r, err, what);
	}
	journal_position_print(r->position, text);
	return error_set(err, ERR_SYSTEM, "journal: after %s: %s: %s", text, what, strerror(fault));
}

static void read_watermark(struct journal_reader *r)
{
	uint8_t store[STORE_ID];

	if (r->watermark < 0)
		r->watermark = openat(r->store, "watermark", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (r->watermark >= 0 && watermark_get_store(r->watermark, store))
		watermark_get(r->watermark, store, r->worker, &r->mark);
}

/* Is everything before `position` accepted? The mark is read again only when the one at hand says no. */
static bool below_mark(struct journal_reader *r, struct journal_position position)
{
	if (journal_position_compare(position, r->mark.accepted) <= 0)
		return true;
	read_watermark(r);
	return journal_position_compare(position, r->mark.accepted) <= 0;
}

/* The first whole segment with a number above (or, with `same`, at) `number`; 0 = none yet. */
static enum status find_segment(struct journal_reader *r, uint32_t number, bool same, uint32_t *found,
				struct error *err)
{
	struct segment_list list;
	enum status st;

	*found = 0;
	if (r->folder < 0)
		r->folder = worker_folder_open(r->store, r->worker);
	if (r->folder < 0)
		return errno == ENOENT ? OK : error_errno(err, "journal of worker %u", r->worker);
	st = segment_list_read(&list, r->folder, err);
	for (uint32_t i = 0; st == OK && i < list.count && *found == 0; i++) {
		const struct segment_files *files = &list.files[i];
		if (files->data && files->side &&
		    (files->number > number || (same && files->number == number)))
			*found = files->number;
	}
	if (st == OK)
		free(list.files);
	return st;
}

/* The checksums' beginning: from the header, or, when that is damaged, from what else is known. */
static enum status learn_seed(struct journal_reader *r, struct error *err)
{
	uint8_t octets[SIDE_HEADER], store[STORE_ID];
	struct side_header header;
	const bool known = (r->watermark >= 0 || (read_watermark(r), r->watermark >= 0)) &&
			   watermark_get_store(r->watermark, store);
	const ssize_t n = pread(r->side, octets, sizeof octets, 0);
	const bool has_header = n == (ssize_t)sizeof octets && side_get_header(octets, &header);

	if (n < 0) {
		const enum status st = unreadable(r, err, "the segment's header cannot be read");
		if (st != ERR_FORMAT)
			return st;
	}
	if (has_header && (header.worker != r->worker || header.segment != r->position.segment ||
			   (known && memcmp(header.store, store, STORE_ID) != 0))) {
		r->statistics.segments_missing++;
		return damage(r, err, "the segment is not of this place in this store");
	}
	if (!has_header && !known) {
		r->statistics.segments_missing++;
		return damage(r, err, "the segment's header is damaged and the store is not known");
	}
	r->walk.seed = side_seed(has_header ? header.store : store, r->worker, r->position.segment);
	return OK;
}

/* END: there is none yet. ERR_FORMAT: it was stepped over. */
static enum status open_segment(struct journal_reader *r, struct error *err)
{
	char name[SEGMENT_NAME];
	uint32_t number;
	enum status st = find_segment(r, r->position.segment, true, &number, err);

	if (st != OK)
		return st;
	if (number == 0)
		return END;
	if (number != r->position.segment) {
		if (r->position.segment > 0)
			r->statistics.segments_missing += number - r->position.segment;
		r->position.segment = number;
		r->position.offset = 0;
	}
	segment_side_name(name, number);
	r->side = openat(r->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	segment_data_name(name, number);
	if (r->side >= 0)
		r->data = openat(r->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (r->data < 0) {
		const int fault = errno;
		close_segment(r);
		errno = fault;
		/* Released between the look and the opening: look again at the next call. */
		return fault == ENOENT ? AGAIN : error_errno(err, "journal: %s", name);
	}
	r->walk = (struct side_walk){.fd = r->side, .at = SIDE_HEADER, .buffer = r->side_buffer};
	r->window = (struct data_window){.fd = r->data, .buffer = r->data_buffer};
	st = learn_seed(r, err);
	if (st != OK)
		close_segment(r);
	if (st == ERR_FORMAT) {
		r->position.segment++;
		r->position.offset = 0;
	}
	return st;
}

static enum status learn_peer(struct journal_reader *r, const struct side_record *record, struct error *err)
{
	if (record->peer >= PEERS_MAX)
		return OK; /* no writer does this; its messages will be without a session */
	if (record->peer >= r->peers_room) {
		uint32_t room = r->peers_room ? r->peers_room : 64;
		while (room <= record->peer)
			room *= 2;
		struct known_peer *grown = realloc(r->peers, room * sizeof *grown);
		if (!grown)
			return error_set(err, ERR_MEMORY, "journal reader: no memory for peer %u",
					 record->peer);
		memset(grown + r->peers_room, 0, (room - r->peers_room) * sizeof *grown);
		r->peers = grown;
		r->peers_room = room;
	}
	r->peers[record->peer] = (struct known_peer){.known = true, .session = record->session};
	return OK;
}

/* The record of a peer was damaged: it is repeated further on. Looked for once. */
static enum status find_peer_ahead(struct journal_reader *r, uint32_t peer, struct error *err)
{
	struct side_walk ahead = r->walk;
	struct side_record record;
	enum status st;
	auto_free uint8_t *buffer = malloc(WALK_OCTETS);

	if (!buffer)
		return error_set(err, ERR_MEMORY, "journal reader: no memory");
	ahead.buffer = buffer;
	side_walk_back(&ahead, r->walk.at);
	while ((st = side_walk_next(&ahead, &record)) == OK) {
		if (record.kind == SIDE_IS_PEER && record.peer == peer)
			return learn_peer(r, &record, err);
	}
	if (st == ERR_SYSTEM && (st = unreadable(r, err, "the side file cannot be read")) != ERR_FORMAT)
		return st;
	record = (struct side_record){.peer = peer};
	st = learn_peer(r, &record, err);
	if (st == OK && peer < r->peers_room)
		r->peers[peer] = (struct known_peer){.absent = true};
	return st;
}

static enum status session_of(struct journal_reader *r, uint32_t peer, const struct journal_session **out,
			      struct error *err)
{
	enum status st = OK;

	if (peer < PEERS_MAX && (peer >= r->peers_room || (!r->peers[peer].known && !r->peers[peer].absent)))
		st = find_peer_ahead(r, peer, err);
	*out = st == OK && peer < r->peers_room && r->peers[peer].known ? &r->peers[peer].session : NULL;
	return st;
}

/* Something does not hold at `at`. In the segment that is being written it may be half done: then come back.
 */
static enum status not_good(struct journal_reader *r, uint64_t at, struct error *err, const char *what)
{
	struct journal_position behind = {r->worker, r->position.segment, r->end + 1};

	if (!r->final && !below_mark(r, behind)) {
		r->waiting = true;
		side_walk_back(&r->walk, at);
		return END;
	}
	return damage(r, err, what);
}

static enum status bad_records(struct journal_reader *r, uint64_t at, struct error *err)
{
	struct side_record record;
	const enum status st = not_good(r, at, err, "side records are damaged");
	uint64_t behind;

	if (st != ERR_FORMAT)
		return st;
	do /* one report for a row of them */
		behind = r->walk.at;
	while (side_walk_next(&r->walk, &record) == OK && record.kind == SIDE_IS_BAD);
	side_walk_back(&r->walk, behind);
	return st;
}

static enum status give_message(struct journal_reader *r, uint64_t at, const struct side_record *record,
				struct journal_entry *out, struct error *err)
{
	const struct journal_position next = {r->worker, r->position.segment,
					      (uint64_t)record->offset + record->length};
	enum status st;

	if (r->accepted_only && !below_mark(r, next)) {
		r->waiting = true;
		side_walk_back(&r->walk, at);
		return END;
	}
	if (record->offset < r->end)
		return not_good(r, at, err, "a side record goes back");
	st = data_window_message(&r->window, record, &out->octets);
	if (st == ERR_SYSTEM) {
		st = unreadable(r, err, "a message cannot be read");
		if (st == ERR_FORMAT)
			r->end = r->position.offset = next.offset;
		else
			side_walk_back(&r->walk, at);
		return st;
	}
	if (st != OK) {
		st = not_good(r, at, err, "a message is damaged");
		if (st == ERR_FORMAT)
			r->end = r->position.offset = next.offset;
		return st;
	}
	st = session_of(r, record->peer, &out->session, err);
	if (st != OK) {
		side_walk_back(&r->walk, at);
		return st;
	}
	out->position = (struct journal_position){r->worker, r->position.segment, record->offset};
	out->next = r->position = next;
	out->received = record->received;
	r->end = next.offset;
	if (!out->session) {
		r->statistics.without_session++;
		return damage(r, err, "the record of a message's sender is damaged");
	}
	r->statistics.messages++;
	return OK;
}

static enum status next_in_segment(struct journal_reader *r, struct journal_entry *out, struct error *err)
{
	struct side_record record;

	for (;;) {
		const uint64_t at = r->walk.at;
		enum status st = side_walk_next(&r->walk, &record);

		if (st == ERR_SYSTEM) {
			st = unreadable(r, err, "the side file cannot be read");
			r->final |= st == ERR_FORMAT; /* no more of this segment */
			return st;
		}
		if (st != OK) {
			side_walk_back(&r->walk, at);
			return st;
		}
		if (record.kind == SIDE_IS_BAD)
			return bad_records(r, at, err);
		if (record.kind == SIDE_IS_PEER) {
			st = learn_peer(r, &record, err);
			if (st == OK)
				continue;
			side_walk_back(&r->walk, at);
			return st;
		}
		if (record.offset < r->position.offset && record.offset >= r->end) {
			r->end = (uint64_t)record.offset + record.length; /* before where we begin */
			continue;
		}
		return give_message(r, at, &record, out, err);
	}
}

/* The segment's end is reached: OK when there is more to read, END when it is the newest. */
static enum status leave_segment(struct journal_reader *r, struct error *err)
{
	uint32_t next;
	enum status st = find_segment(r, r->position.segment, false, &next, err);

	if (st != OK)
		return st;
	if (next == 0)
		return END;
	if (!r->final) {
		r->final = true; /* what came in before the next one began is read first */
		return OK;
	}
	if (r->waiting)
		return END;
	/* Unless everything here is accepted the end may not be the end for a loader: wait for the mark. */
	if (r->accepted_only && !below_mark(r, (struct journal_position){r->worker, next, 0}))
		return END;
	if (next > r->position.segment + 1)
		r->statistics.segments_missing += next - r->position.segment - 1;
	close_segment(r);
	r->position.segment = next;
	r->position.offset = 0;
	return OK;
}

enum status journal_read(struct journal_reader *r, struct journal_entry *out, struct error *err)
{
	enum status st;

	do {
		st = OK;
		r->waiting = false;
		if (r->side < 0)
			st = open_segment(r, err);
		if (st == OK)
			st = next_in_segment(r, out, err);
		if (st == END && r->side >= 0) {
			st = leave_segment(r, err);
			if (st == OK)
				st = AGAIN;
		}
	} while (st == AGAIN);
	if (st == OK)
		r->failures = 0;
	return st;
}
