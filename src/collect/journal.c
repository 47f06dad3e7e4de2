#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "collect/journal_internal.h"

enum { SEGMENT_DEFAULT = 256 << 20, SEGMENT_MAX = 1 << 30, AGE_DEFAULT_S = 600 };

static enum status take_options(struct journal *j, const struct journal_options *options, struct error *err)
{
	j->options = *options;
	j->options.store = NULL;
	if (options->workers == 0 || options->workers > JOURNAL_WORKERS)
		return error_set(err, ERR_LIMIT, "journal: %u workers; allowed: 1 to %d", options->workers,
				 JOURNAL_WORKERS);
	if (options->segment_octets > SEGMENT_MAX)
		return error_set(err, ERR_LIMIT, "journal: segments of %" PRIu64 " octets; allowed: up to %d",
				 options->segment_octets, SEGMENT_MAX);
	if (!options->segment_octets)
		j->options.segment_octets = SEGMENT_DEFAULT;
	if (!options->segment_age_ns)
		j->options.segment_age_ns = AGE_DEFAULT_S * NS_PER_S;
	if (!options->sync_interval_ns)
		j->options.sync_interval_ns = NS_PER_S;
	return OK;
}

/* A folder inside `parent` whose name is on disk. Answers a descriptor. */
static int make_folder(int parent, const char *name)
{
	const int made = mkdirat(parent, name, 0750);

	if (made < 0 && errno != EEXIST)
		return -1;
	auto_fd fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && made == 0 && fsync(parent) < 0)
		return -1;
	return take_fd(&fd);
}

/* The identity that any segment of this journal carries. */
static bool store_of_segments(int folder, uint8_t store[STORE_ID])
{
	struct segment_list list;
	bool found = false;

	if (segment_list_read(&list, folder, NULL) != OK)
		return false;
	for (uint32_t i = list.count; i-- > 0 && !found;) {
		char name[SEGMENT_NAME];
		uint8_t octets[SIDE_HEADER];
		struct side_header header;

		segment_side_name(name, list.files[i].number);
		auto_fd side = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		found = side >= 0 && pread(side, octets, sizeof octets, 0) == (ssize_t)sizeof octets &&
			side_get_header(octets, &header);
		if (found)
			memcpy(store, header.store, STORE_ID);
	}
	free(list.files);
	return found;
}

/* Which store this is: from the watermark file, else from the segments, else a new one. */
static enum status know_store(struct journal *j, int folder, struct error *err)
{
	if (watermark_get_store(j->watermark, j->store))
		return OK;
	bool found = false;
	for (uint32_t i = 0; i < JOURNAL_WORKERS && !found; i++) {
		auto_fd worker = worker_folder_open(folder, i);
		found = worker >= 0 && store_of_segments(worker, j->store);
	}
	if (!found && getrandom(j->store, STORE_ID, 0) != STORE_ID)
		return error_errno(err, "journal: no random numbers");
	return watermark_put_store(j->watermark, j->store, err);
}

static enum status open_watermark(struct journal *j, const char *store, int folder, struct error *err)
{
	j->watermark = openat(folder, "watermark", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (j->watermark < 0)
		return error_errno(err, "%s/watermark", store);
	if (flock(j->watermark, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return error_set(err, ERR_USAGE, "%s: another collector writes this store", store);
		return error_errno(err, "%s/watermark", store);
	}
	return know_store(j, folder, err);
}

static enum status open_writer(struct journal *j, struct journal_writer *w, const struct recovery *r,
			       struct error *err)
{
	w->oldest = w->current = calloc(1, sizeof *w->current);
	if (!w->current)
		return error_set(err, ERR_MEMORY, "journal: no memory for worker %u", w->worker);
	w->current->number = r->previous;
	w->current->last_crc = r->previous_crc;
	w->current->data = w->current->side = -1;
	w->current->closed = true;
	w->last_number = r->last_number;
	if (j->options.first_segment > 0 && w->last_number < j->options.first_segment - 1)
		w->last_number = j->options.first_segment - 1;
	atomic_init(&w->end, position_pack(w->mark.accepted.segment, w->mark.accepted.offset));
	atomic_init(&w->watermark, position_pack(w->mark.accepted.segment, w->mark.accepted.offset));
	return OK;
}

/* Every worker folder that is there is put in order, whether or not there is such a worker now. */
static enum status recover_all(struct journal *j, int folder, struct journal_recovery *found,
			       struct error *err)
{
	for (uint32_t i = 0; i < JOURNAL_WORKERS; i++) {
		const bool wanted = i < j->options.workers;
		struct journal_watermark mark = {0};
		char name[16];

		snprintf(name, sizeof name, "journal/%u", i);
		auto_fd worker = wanted ? make_folder(folder, name) : worker_folder_open(folder, i);
		if (worker < 0 && !wanted && errno == ENOENT)
			continue;
		if (worker < 0)
			return error_errno(err, "%s", name);
		enum status st = watermark_reserve(j->watermark, i + 1, err);
		if (st != OK)
			return st;
		watermark_get(j->watermark, j->store, i, &mark);
		mark.accepted.worker = i;
		const struct journal_position before = mark.accepted;
		const uint32_t holes = mark.holes;
		struct recovery r = {
			.store = j->store,
			.folder = worker,
			.worker = i,
			.log = j->options.log,
			.mark = &mark,
			.found = found,
		};
		st = recover_worker(&r, err);
		if (st != OK)
			return st;
		if ((journal_position_compare(before, mark.accepted) != 0 || mark.holes != holes) &&
		    !watermark_put(j->watermark, j->store, &mark))
			return error_errno(err, "watermark");
		if (!wanted)
			continue;
		j->writers[i].folder = take_fd(&worker);
		j->writers[i].mark = mark;
		st = open_writer(j, &j->writers[i], &r, err);
		if (st != OK)
			return st;
	}
	return OK;
}

static enum status open_store(struct journal *j, const char *store, struct journal_recovery *found,
			      struct error *err)
{
	if (mkdir(store, 0750) < 0 && errno != EEXIST)
		return error_errno(err, "%s", store);
	auto_fd folder = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return error_errno(err, "%s", store);
	auto_fd journal = make_folder(folder, "journal");
	if (journal < 0)
		return error_errno(err, "%s/journal", store);
	enum status st = open_watermark(j, store, folder, err);
	if (st == OK)
		st = recover_all(j, folder, found, err);
	if (st == OK && fsync(folder) < 0)
		st = error_errno(err, "%s", store);
	return st;
}

enum status journal_open(struct journal **out, const struct journal_options *options,
			 struct journal_recovery *found, struct error *err)
{
	struct journal_recovery ignored;
	struct journal *j = calloc(1, sizeof *j);
	enum status st;

	if (!j)
		return error_set(err, ERR_MEMORY, "journal: no memory");
	found = found ? found : &ignored;
	*found = (struct journal_recovery){0};
	j->watermark = -1;
	st = take_options(j, options, err);
	if (st != OK) {
		free(j);
		return st;
	}
	j->writers = aligned_alloc(alignof(struct journal_writer), options->workers * sizeof *j->writers);
	if (!j->writers) {
		free(j);
		return error_set(err, ERR_MEMORY, "journal: no memory for %u workers", options->workers);
	}
	memset(j->writers, 0, options->workers * sizeof *j->writers);
	for (uint32_t i = 0; i < options->workers; i++) {
		j->writers[i].journal = j;
		j->writers[i].worker = i;
		j->writers[i].folder = -1;
	}
	st = open_store(j, options->store, found, err);
	if (st != OK) {
		journal_close(j);
		return st;
	}
	*out = j;
	return OK;
}

static void close_writer(struct journal_writer *w)
{
	if (w->oldest) {
		/* Reported by counters and log; nobody is left to try again. */
		if (journal_sync(w, w->last_sync, true) != OK)
			log_error(w->journal->options.log, "journal of worker %u: the last sync failed",
				  w->worker);
		if (w->oldest->data >= 0) {
			close(w->oldest->data);
			close(w->oldest->side);
		}
		free(w->oldest);
	}
	if (w->folder >= 0)
		close(w->folder);
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	for (uint32_t i = 0; i < j->options.workers; i++)
		close_writer(&j->writers[i]);
	if (j->watermark >= 0)
		close(j->watermark);
	free(j->writers);
	free(j);
}

struct journal_writer *journal_writer_of(struct journal *j, uint32_t worker)
{
	return &j->writers[worker];
}

uint32_t journal_workers(const struct journal *j)
{
	return j->options.workers;
}

int64_t journal_sync_interval(const struct journal *j)
{
	return j->options.sync_interval_ns;
}

static struct journal_position unpack(const struct journal_writer *w, uint64_t packed)
{
	return (struct journal_position){w->worker, (uint32_t)(packed >> 32), (uint32_t)packed};
}

void journal_statistics_read(struct journal_writer *w, struct journal_statistics *out)
{
	*out = (struct journal_statistics){
		.state = w->is_stopped ? JOURNAL_STOPPED : JOURNAL_STORING,
		.messages = w->messages,
		.octets = w->octets,
		.cuts = w->cuts,
		.segments = w->segments,
		.syncs = w->syncs,
		.sync_alarms = w->sync_alarms,
		.watermark_alarms = w->watermark_alarms,
		.end = unpack(w, w->end),
		.watermark = unpack(w, w->watermark),
	};
	for (int i = 0; i < JOURNAL_REASONS; i++) {
		out->not_stored_messages[i] = w->not_stored_messages[i];
		out->not_stored_octets[i] = w->not_stored_octets[i];
	}
}

enum status journal_release(const char *store, struct journal_position position, uint32_t *removed,
			    struct error *err)
{
	struct segment_list list;
	uint32_t count = 0;
	auto_fd folder = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd worker = folder < 0 ? -1 : worker_folder_open(folder, position.worker);
	enum status st;

	if (worker < 0)
		return error_errno(err, "%s/journal/%u", store, position.worker);
	st = segment_list_read(&list, worker, err);
	if (st != OK)
		return st;
	for (uint32_t i = 0; i + 1 < list.count && list.files[i].number < position.segment && st == OK; i++) {
		char data[SEGMENT_NAME], side[SEGMENT_NAME];

		/* Oldest first and the messages first: recovery knows what a kill in between leaves. */
		segment_data_name(data, list.files[i].number);
		segment_side_name(side, list.files[i].number);
		if ((unlinkat(worker, data, 0) < 0 && errno != ENOENT) ||
		    (unlinkat(worker, side, 0) < 0 && errno != ENOENT))
			st = error_errno(err, "%s/journal/%u/%s", store, position.worker, side);
		else
			count++;
	}
	free(list.files);
	if (removed)
		*removed = count;
	return st;
}
