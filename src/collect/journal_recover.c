/* Putting the end of the last run in order. What its checksum covers is kept, all of it; what lies behind the
 * last such message is cut. A damaged place with good messages behind it stays as it is: readers step over
 * it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "collect/journal_internal.h"
#include "collect/journal_walk.h"

/* What a walk through a segment found. */
struct scan {
	uint64_t side_end, data_end; /* behind the last good message */
	uint64_t messages, damaged;
	uint32_t last_crc;
	uint64_t trailing; /* bad units behind side_end, not counted as damaged */
};

/* ERR_SYSTEM: not all of it can be read. */
static enum status scan_segment(int data, int side, uint32_t seed, uint8_t *buffers, struct scan *out)
{
	struct side_walk walk = {.fd = side, .seed = seed, .at = SIDE_HEADER, .buffer = buffers};
	struct data_window window = {.fd = data, .buffer = buffers + WALK_OCTETS};
	struct side_record record;
	struct span octets;
	enum status st;

	*out = (struct scan){.side_end = SIDE_HEADER};
	while ((st = side_walk_next(&walk, &record)) == OK) {
		if (record.kind == SIDE_IS_PEER)
			continue;
		st = record.kind == SIDE_IS_BAD || record.offset < out->data_end
			     ? ERR_FORMAT
			     : data_window_message(&window, &record, &octets);
		if (st == ERR_SYSTEM)
			return st;
		if (st != OK) {
			out->trailing++;
			continue;
		}
		out->damaged += out->trailing;
		out->trailing = 0;
		out->messages++;
		out->side_end = walk.at;
		out->data_end = (uint64_t)record.offset + record.length;
		out->last_crc = record.crc;
	}
	return st == ERR_SYSTEM ? st : OK;
}

static void set_aside(struct recovery *r, const char *name, const char *why)
{
	char aside[SEGMENT_NAME + 8];

	snprintf(aside, sizeof aside, "%s.aside", name);
	if (renameat(r->folder, name, r->folder, aside) < 0 && errno == ENOENT)
		return;
	r->found->set_aside++;
	log_error(r->log, "journal of worker %u: %s %s: set aside as %s", r->worker, name, why, aside);
}

static void set_aside_both(struct recovery *r, uint32_t number, const char *why)
{
	char data[SEGMENT_NAME], side[SEGMENT_NAME];

	segment_data_name(data, number);
	segment_side_name(side, number);
	set_aside(r, data, why);
	set_aside(r, side, why);
}

static void sweep(struct recovery *r, const char *name)
{
	if (unlinkat(r->folder, name, 0) == 0)
		r->found->swept++;
}

/* One file without the other: what a kill between two steps leaves is swept, all else is set aside. */
static void lone_file(struct recovery *r, const struct segment_files *files, bool oldest)
{
	char name[SEGMENT_NAME];
	struct stat now;

	if (files->data) { /* made first: empty until the side file has its name */
		segment_data_name(name, files->number);
		if (fstatat(r->folder, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(now.st_mode) &&
		    now.st_size == 0)
			sweep(r, name);
		else
			set_aside(r, name, "has no side file");
		return;
	}
	segment_side_name(name, files->number); /* removed last, oldest first */
	if (oldest)
		sweep(r, name);
	else
		set_aside(r, name, "has no messages file");
}

static enum status cut(struct recovery *r, int fd, uint64_t end, uint64_t *cut_octets, struct error *err)
{
	struct stat now;

	if (fstat(fd, &now) < 0)
		return error_errno(err, "journal of worker %u", r->worker);
	if ((uint64_t)now.st_size <= end)
		return OK;
	if (ftruncate(fd, (off_t)end) < 0)
		return error_errno(err, "journal of worker %u: cannot cut a torn tail", r->worker);
	*cut_octets += (uint64_t)now.st_size - end;
	return OK;
}

static bool in_hole(const struct journal_watermark *mark, uint32_t segment)
{
	for (uint32_t i = 0; i < mark->holes; i++) {
		if (mark->hole[i].segment == segment)
			return true;
	}
	return false;
}

/* The only fsync over this tail; after it, all that was found is accepted. A tail whose fsync failed in the
 * last run gets no second chance. */
static void accept_tail(struct recovery *r, uint32_t number, int data, int side, uint64_t end)
{
	struct journal_watermark *mark = r->mark;
	const uint64_t from = mark->accepted.segment == number ? mark->accepted.offset : 0;

	if (in_hole(mark, number) || end == 0)
		return;
	if (fdatasync(data) < 0 || fdatasync(side) < 0 || fsync(r->folder) < 0) {
		log_error(r->log, "journal of worker %u: fsync of segment %010u failed (%s): not accepted",
			  r->worker, number, strerror(errno));
		r->found->sync_alarms++;
		watermark_add_hole(mark, (struct journal_hole){number, from, UINT64_MAX});
		return;
	}
	if (end > from || number > mark->accepted.segment)
		mark->accepted = (struct journal_position){r->worker, number, end};
}

/* Where its torn tail begins cannot be seen: nothing is cut, and nothing more of it is accepted. */
static void leave_alone(struct recovery *r, uint32_t number)
{
	const struct journal_position accepted = r->mark->accepted;

	log_error(r->log, "journal of worker %u: segment %010u cannot be read (%s): left as it is", r->worker,
		  number, strerror(errno));
	if (number >= accepted.segment && !in_hole(r->mark, number))
		watermark_add_hole(r->mark, (struct journal_hole){
						    number, accepted.segment == number ? accepted.offset : 0,
						    UINT64_MAX});
}

/* A segment at or above the watermark: all of it is read. *empty: nothing is left of it. */
static enum status recover_tail(struct recovery *r, uint32_t number, int data, int side, struct scan *scan,
				bool has_header, struct error *err)
{
	uint64_t cut_octets = 0;
	enum status st;
	uint8_t *buffers = malloc(WALK_OCTETS + WINDOW_OCTETS);

	if (!buffers)
		return error_set(err, ERR_MEMORY, "journal: no memory to look through a segment");
	st = scan_segment(data, side, side_seed(r->store, r->worker, number), buffers, scan);
	if (st != OK)
		leave_alone(r, number);
	free(buffers);
	if (st != OK)
		return OK;
	r->found->messages += scan->messages;
	r->found->damaged += scan->damaged;
	if (!has_header && scan->messages == 0)
		scan->side_end = 0; /* nothing in it can be known */
	st = cut(r, side, scan->side_end, &cut_octets, err);
	if (st == OK)
		st = cut(r, data, scan->data_end, &cut_octets, err);
	if (st != OK)
		return st;
	if (cut_octets > 0) {
		r->found->cut_octets += cut_octets;
		r->found->cut_segments++;
		log_warn(r->log, "journal of worker %u: segment %010u: cut %llu octets of a torn tail",
			 r->worker, number, (unsigned long long)cut_octets);
	}
	accept_tail(r, number, data, side, scan->data_end);
	return OK;
}

/* The checksum of the last record, from the file's end. */
static bool last_crc_of(int side, uint32_t *out)
{
	struct stat now;
	uint8_t crc[4];

	if (fstat(side, &now) < 0 || now.st_size < SIDE_HEADER + SIDE_MESSAGE ||
	    pread(side, crc, sizeof crc, now.st_size - (off_t)sizeof crc) != (ssize_t)sizeof crc)
		return false;
	*out = get_be32(crc);
	return true;
}

/* Is this side file the one that its name says? False: it was set aside, or cannot be read. */
static bool belongs(struct recovery *r, uint32_t number, int side, struct side_header *header,
		    bool *has_header)
{
	uint8_t octets[SIDE_HEADER];

	const ssize_t n = pread(side, octets, sizeof octets, 0);

	*has_header = n == (ssize_t)sizeof octets && side_get_header(octets, header);
	if (n < 0) {
		leave_alone(r, number);
		return false;
	}
	if (!*has_header || (header->worker == r->worker && header->segment == number &&
			     memcmp(header->store, r->store, STORE_ID) == 0))
		return true;
	set_aside_both(r, number, "is not of this place in this store");
	return false;
}

static void check_chain(struct recovery *r, uint32_t number, const struct side_header *header)
{
	/* Only what was accepted must be whole: behind the watermark a power cut may have taken a tail. */
	if (header->previous != r->previous || r->previous == 0 || header->previous_crc == r->previous_crc ||
	    r->previous >= r->mark->accepted.segment || in_hole(r->mark, r->previous))
		return;
	r->found->chain_breaks++;
	log_error(r->log,
		  "journal of worker %u: segment %010u does not continue segment %010u: messages are missing",
		  r->worker, number, r->previous);
}

static enum status recover_segment(struct recovery *r, uint32_t number, uint32_t accepted, struct error *err)
{
	char data_name[SEGMENT_NAME], side_name[SEGMENT_NAME];
	struct side_header header;
	struct scan scan = {0};
	bool has_header;

	segment_data_name(data_name, number);
	segment_side_name(side_name, number);
	const int access = number >= accepted ? O_RDWR : O_RDONLY;
	auto_fd data = openat(r->folder, data_name, access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	auto_fd side = openat(r->folder, side_name, access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (data < 0 || side < 0)
		return error_errno(err, "journal of worker %u: segment %010u", r->worker, number);
	r->found->segments++;
	if (!belongs(r, number, side, &header, &has_header))
		return OK;
	if (has_header)
		check_chain(r, number, &header);
	if (number >= accepted) {
		const enum status st = recover_tail(r, number, data, side, &scan, has_header, err);
		if (st != OK)
			return st;
		if (scan.side_end == 0) {
			sweep(r, data_name);
			sweep(r, side_name);
			return OK;
		}
	}
	if (last_crc_of(side, &r->previous_crc))
		r->previous = number;
	return OK;
}

static void sweep_unfinished(struct recovery *r, const struct segment_list *list)
{
	char name[SEGMENT_NAME];

	/* Only the segment after the highest, or a number that failed before it, can be unfinished. */
	for (uint32_t i = 0; list->unfinished > 0 && i < list->count; i++) {
		segment_unfinished_name(name, list->files[i].number);
		sweep(r, name);
	}
	segment_unfinished_name(name, list->highest);
	if (list->unfinished > 0)
		sweep(r, name);
}

enum status recover_worker(struct recovery *r, struct error *err)
{
	const struct journal_position accepted = r->mark->accepted;
	struct segment_list list;
	bool oldest = true, end_seen = accepted.segment == 0;
	enum status st = segment_list_read(&list, r->folder, err);

	if (st != OK)
		return st;
	sweep_unfinished(r, &list);
	for (uint32_t i = 0; i < list.count && st == OK; i++) {
		const struct segment_files *files = &list.files[i];
		if (!files->data || !files->side) {
			lone_file(r, files, oldest);
			continue;
		}
		oldest = false;
		st = recover_segment(r, files->number, accepted.segment, err);
		end_seen |= files->number > accepted.segment;
		if (files->number == accepted.segment) {
			struct stat now;
			char name[SEGMENT_NAME];
			segment_data_name(name, files->number);
			end_seen = fstatat(r->folder, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
				   (uint64_t)now.st_size >= accepted.offset;
		}
	}
	if (st == OK && !end_seen) {
		char text[JOURNAL_POSITION_TEXT];
		journal_position_print(accepted, text);
		r->found->lost++;
		log_error(r->log, "journal: accepted up to %s, but the files end before: messages are lost",
			  text);
	}
	r->last_number = list.highest > accepted.segment ? list.highest : accepted.segment;
	free(list.files);
	return st;
}
