#include "export/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "export/spool_file.h"
#include "message/writer.h"

enum {
	MESSAGE_OCTETS = 16384,
	FILES_MAX = 1024,
	FILE_SHARE = 16, /* a file is this part of the size, within … */
	FILE_LEAST = 1 << 16,
	FILE_MOST = 16 << 20,
	POSITION_OCTETS = 12, /* number, offset, checksum */
	PATH_OCTETS = 512,
};

struct file {
	uint32_t number;
	uint64_t octets; /* with its list */
};

struct spool {
	struct spool_options o;
	int folder, lock, position; /* descriptors */
	uint32_t next_number;
	uint32_t torn; /* the last file of a process before; 0: none */
	uint32_t file_count;
	struct file file[FILES_MAX]; /* oldest first */
	uint64_t file_octets;        /* of one file at most */

	/* The file being written, the last of `file`; -1: none. */
	int data, marks;
	uint32_t written; /* octets of whole messages */
	uint64_t announced;
	struct message_writer writer;
	uint64_t pending, message_templates;
	uint32_t sequence;

	/* The first of `file`, in memory; NULL: not read yet. */
	uint8_t *octets;
	uint32_t length;
	struct spool_cursor cursor; /* the next to read */
	struct spool_cursor mark;
	uint32_t confirmed; /* offset in the first file */
	struct spool_count dropped;
	struct spool_statistics statistics;
	char path[PATH_OCTETS];
	uint8_t buffer[MESSAGE_OCTETS];
};

/* ---- files and their names */

static void forget_first(struct spool *s)
{
	char name[SPOOL_NAME_MAX];

	spool_file_name(s->file[0].number, "ipfix", name);
	unlinkat(s->folder, name, 0);
	spool_file_name(s->file[0].number, "sum", name);
	unlinkat(s->folder, name, 0);
	s->statistics.octets -= s->file[0].octets;
	memmove(s->file, s->file + 1, --s->file_count * sizeof s->file[0]);
	free(s->octets);
	s->octets = NULL;
	s->length = s->confirmed = 0;
	s->cursor = s->mark = (struct spool_cursor){0};
}

static void set_aside(struct spool *s, const char *fault)
{
	char name[SPOOL_NAME_MAX], bad[SPOOL_NAME_MAX];

	spool_file_name(s->file[0].number, "ipfix", name);
	spool_file_name(s->file[0].number, "bad", bad);
	log_warn(s->o.log, "spool %s: %s is set aside as %s, nothing of it is sent: %s", s->path, name, bad,
		 fault);
	(void)!renameat(s->folder, name, s->folder, bad);
	s->statistics.set_aside++;
}

static bool read_whole(int folder, const char *name, uint8_t **out, uint32_t *length)
{
	auto_fd fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat about;
	ssize_t n;

	*out = NULL;
	*length = 0;
	if (fd < 0 || fstat(fd, &about) < 0 || !S_ISREG(about.st_mode) || about.st_size > SPOOL_FILE_MAX)
		return false;
	*out = malloc((size_t)about.st_size + 1);
	while (*out && *length < about.st_size &&
	       (n = read(fd, *out + *length, (size_t)about.st_size - *length)) > 0)
		*length += (uint32_t)n;
	return *out != NULL;
}

static void close_written(struct spool *s)
{
	if (s->data >= 0)
		close(s->data);
	if (s->marks >= 0)
		close(s->marks);
	s->data = s->marks = -1;
	s->written = 0;
	s->announced = 0;
}

/* Records of the first file behind `offset`, as far as it can be believed. */
static void count_dropped(struct spool *s, uint32_t length, uint32_t offset)
{
	const struct span octets = span_of(s->octets, length);
	struct spool_cursor c = {0};
	struct ring_view v;

	while (s->octets && spool_cursor_peek(&s->o, octets, &c, &v) == OK) {
		c.at = (uint32_t)v.next;
		if (v.next <= offset)
			continue;
		s->dropped.flows++;
		s->dropped.packets += v.packets;
		s->dropped.octets += v.octets;
	}
}

/* Bring the first file into memory. false: it was set aside or is not there; the next one is the first. */
static bool load_first(struct spool *s)
{
	const uint32_t number = s->file[0].number;
	auto_free uint8_t *marks = NULL;
	char name[SPOOL_NAME_MAX];
	uint32_t mark_octets;
	const char *fault = "it cannot be read";
	size_t good = 0;

	if (s->data >= 0 && s->file_count == 1)
		close_written(s);
	spool_file_name(number, "sum", name);
	(void)read_whole(s->folder, name, &marks, &mark_octets);
	spool_file_name(number, "ipfix", name);
	if (read_whole(s->folder, name, &s->octets, &s->length))
		good = spool_file_check(&s->o, span_of(s->octets, s->length), span_of(marks, mark_octets),
					&fault);
	if (!fault && good < s->length && number == s->torn)
		log_info(s->o.log, "spool %s: %zu octets cut at the torn end of %s", s->path,
			 s->length - good, name);
	else if (!fault && good < s->length)
		fault = "octets without a checksum";
	if (!fault && s->confirmed > good)
		s->confirmed = (uint32_t)good;
	if (!fault) {
		s->length = (uint32_t)good;
		return true;
	}
	count_dropped(s, (uint32_t)good, s->confirmed);
	set_aside(s, fault);
	forget_first(s);
	return false;
}

static void drop_first(struct spool *s)
{
	if (!s->octets && !load_first(s))
		return;
	/* What was read is on its way: it is counted when its fate is known. */
	const uint32_t seen = s->cursor.at > s->confirmed ? s->cursor.at : s->confirmed;
	count_dropped(s, s->length, seen);
	forget_first(s);
}

/* ---- writing */

static bool write_whole(int fd, const void *octets, size_t length, off_t at)
{
	size_t done = 0;

	while (done < length) {
		const ssize_t n = pwrite(fd, (const uint8_t *)octets + done, length - done, at + (off_t)done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			return false;
	}
	return true;
}

static int create(struct spool *s, const char *ending)
{
	char name[SPOOL_NAME_MAX];

	spool_file_name(s->next_number, ending, name);
	return openat(s->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static enum status begin_file(struct spool *s, struct error *err)
{
	if (s->file_count == FILES_MAX)
		drop_first(s);
	s->data = create(s, "ipfix");
	s->marks = s->data >= 0 ? create(s, "sum") : -1;
	if (s->marks < 0) {
		const bool there = errno == EEXIST;
		char name[SPOOL_NAME_MAX];

		error_errno(err, "spool %s: cannot make file %08u", s->path, s->next_number);
		spool_file_name(s->next_number, "ipfix", name);
		if (s->data >= 0)
			unlinkat(s->folder, name, 0);
		s->next_number += there;
		s->statistics.failures++;
		close_written(s);
		return ERR_SYSTEM;
	}
	s->file[s->file_count++] = (struct file){.number = s->next_number++};
	s->written = 0;
	s->announced = s->message_templates = 0;
	return OK;
}

static void begin_message(struct spool *s)
{
	message_begin(&s->writer, s->buffer, sizeof s->buffer);
	s->pending = s->message_templates = 0;
}

/* The message, then its checksum: what has one is whole. */
static enum status write_message(struct spool *s, struct span message, struct error *err)
{
	const uint32_t end = s->written + (uint32_t)message.length;
	const off_t mark = (off_t)(s->file[s->file_count - 1].octets - s->written);
	uint8_t octets[SPOOL_MARK];

	put_be32(octets, end);
	put_be32(octets + 4, crc32c(0, message.data, message.length));
	if (!write_whole(s->data, message.data, message.length, s->written) ||
	    !write_whole(s->marks, octets, sizeof octets, mark)) {
		const enum status st = error_errno(err, "spool %s: cannot write", s->path);

		s->statistics.failures++;
		(void)!ftruncate(s->data, s->written);
		(void)!ftruncate(s->marks, mark);
		return st;
	}
	s->written = end;
	s->file[s->file_count - 1].octets += message.length + sizeof octets;
	s->statistics.octets += message.length + sizeof octets;
	return OK;
}

enum status spool_flush(struct spool *s, uint32_t export_time, struct error *err)
{
	if (s->pending == 0)
		return OK;
	const struct span m = message_finish(&s->writer, export_time, s->sequence, s->o.domain);
	const enum status st = write_message(s, m, err);

	if (st == OK) {
		s->announced |= s->message_templates;
		s->sequence += s->writer.data_records;
		s->statistics.written += s->pending;
	}
	begin_message(s);
	if (s->written >= s->file_octets)
		close_written(s);
	while (s->statistics.octets > s->o.size && s->file_count > 1)
		drop_first(s);
	return st == ERR_PERMISSION ? ERR_SYSTEM : st;
}

static enum status put(struct spool *s, uint32_t number, struct span record)
{
	const struct layout *layout = &s->o.layout[number];
	const struct message_writer before = s->writer;
	uint8_t octets[TEMPLATE_RECORD_MAX];
	enum status st = OK;

	if (!((s->announced | s->message_templates) & 1ULL << number)) {
		const size_t length = layout_template(layout, octets);

		st = message_put_record(&s->writer, layout_template_set(layout), span_of(octets, length));
	}
	if (st == OK)
		st = message_put_record(&s->writer, layout->template_id, record);
	if (st != OK) {
		s->writer = before;
		return st;
	}
	s->message_templates |= 1ULL << number;
	s->pending++;
	return OK;
}

enum status spool_put(struct spool *s, uint32_t number, struct span record, uint32_t export_time, bool *kept,
		      struct error *err)
{
	enum status st;

	*kept = false;
	if (s->data < 0) {
		st = begin_file(s, err);
		if (st != OK)
			return ERR_SYSTEM;
		begin_message(s);
	}
	if (put(s, number, record) == OK)
		return OK;
	st = spool_flush(s, export_time, err);
	if (st != OK)
		return st;
	*kept = true;
	if (s->data < 0) {
		st = begin_file(s, err);
		if (st != OK)
			return ERR_SYSTEM;
		begin_message(s);
	}
	return put(s, number, record) == OK
		       ? OK
		       : error_set(err, ERR_SYSTEM, "spool %s: a record is too long", s->path);
}

/* ---- reading */

enum status spool_peek(struct spool *s, struct ring_view *out)
{
	while (s->file_count > 0) {
		if (!s->octets) {
			if (!load_first(s))
				continue;
			s->cursor = (struct spool_cursor){0};
		}
		while (spool_cursor_peek(&s->o, span_of(s->octets, s->length), &s->cursor, out) == OK) {
			if (out->next > s->confirmed) {
				out->next |= (uint64_t)s->file[0].number << 32;
				return OK;
			}
			s->cursor.at = (uint32_t)out->next;
		}
		if (s->confirmed < s->cursor.at)
			return END; /* the rest is on its way; then the next file */
		forget_first(s);
	}
	return END;
}

void spool_advance(struct spool *s)
{
	struct ring_view v;

	if (s->octets && spool_cursor_peek(&s->o, span_of(s->octets, s->length), &s->cursor, &v) == OK)
		s->cursor.at = (uint32_t)v.next;
}

/* A restart goes on from here. Lost with the machine, it costs that records come twice. */
static void keep_position(struct spool *s, uint32_t number, uint32_t offset)
{
	uint8_t octets[POSITION_OCTETS];

	put_be32(octets, number);
	put_be32(octets + 4, offset);
	put_be32(octets + 8, crc32c(0, octets, 8));
	(void)!write_whole(s->position, octets, sizeof octets, 0);
}

void spool_confirm(struct spool *s, uint64_t position)
{
	struct ring_view v;

	if (s->file_count == 0 || position >> 32 != s->file[0].number || (uint32_t)position <= s->confirmed)
		return;
	s->confirmed = (uint32_t)position;
	keep_position(s, s->file[0].number, s->confirmed);
	/* All of it has arrived: the file goes, and the spool may be empty. */
	if (s->octets && s->cursor.at == s->confirmed &&
	    spool_cursor_peek(&s->o, span_of(s->octets, s->length), &s->cursor, &v) == END)
		forget_first(s);
}

void spool_rewind(struct spool *s)
{
	s->cursor = (struct spool_cursor){0};
}

void spool_mark(struct spool *s)
{
	s->mark = s->cursor;
}

void spool_return(struct spool *s)
{
	s->cursor = s->mark;
}

uint64_t spool_confirmed(const struct spool *s)
{
	return s->file_count ? (uint64_t)s->file[0].number << 32 | s->confirmed
			     : (uint64_t)s->next_number << 32;
}

struct spool_count spool_take_dropped(struct spool *s)
{
	const struct spool_count dropped = s->dropped;

	s->dropped = (struct spool_count){0};
	return dropped;
}

bool spool_is_empty(const struct spool *s)
{
	return s->file_count == 0 || (s->file_count == 1 && s->data >= 0 && s->written == 0);
}

void spool_statistics(const struct spool *s, struct spool_statistics *out)
{
	*out = s->statistics;
}

/* ---- opening and closing */

static int by_number(const void *a, const void *b)
{
	const uint32_t x = ((const struct file *)a)->number, y = ((const struct file *)b)->number;

	return (x > y) - (x < y);
}

static uint64_t octets_of(int folder, uint32_t number)
{
	static const char *const endings[] = {"ipfix", "sum"};
	char name[SPOOL_NAME_MAX];
	struct stat about;
	uint64_t octets = 0;

	for (int i = 0; i < 2; i++) {
		spool_file_name(number, endings[i], name);
		if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) == 0)
			octets += (uint64_t)about.st_size;
	}
	return octets;
}

/* Only names that we would give ourselves. */
static uint32_t number_of(const char *name)
{
	char again[SPOOL_NAME_MAX];
	const uint32_t number = (uint32_t)strtoul(name, NULL, 10);

	spool_file_name(number, strstr(name, ".bad") ? "bad" : "ipfix", again);
	return strcmp(name, again) == 0 ? number : 0;
}

static enum status list_files(struct spool *s, struct error *err)
{
	const int fd = openat(s->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir) {
		const enum status st = error_errno(err, "spool %s", s->path);

		if (fd >= 0)
			close(fd);
		return st;
	}
	while ((entry = readdir(dir))) {
		const uint32_t number = number_of(entry->d_name);

		if (number >= s->next_number && number < UINT32_MAX)
			s->next_number = number + 1;
		if (number == 0 || strstr(entry->d_name, ".bad") || s->file_count == FILES_MAX)
			continue;
		s->file[s->file_count].number = number;
		s->file[s->file_count].octets = octets_of(s->folder, number);
		s->statistics.octets += s->file[s->file_count++].octets;
	}
	closedir(dir);
	qsort(s->file, s->file_count, sizeof s->file[0], by_number);
	s->torn = s->file_count ? s->file[s->file_count - 1].number : 0;
	return OK;
}

/* Without a position that can be believed all is sent again. */
static void take_position(struct spool *s)
{
	uint8_t octets[POSITION_OCTETS];

	if (pread(s->position, octets, sizeof octets, 0) != sizeof octets ||
	    crc32c(0, octets, 8) != get_be32(octets + 8))
		return;
	const uint32_t number = get_be32(octets);
	if (number >= s->next_number && number < UINT32_MAX)
		s->next_number = number + 1;
	while (s->file_count && s->file[0].number < number)
		forget_first(s);
	if (s->file_count && s->file[0].number == number)
		s->confirmed = get_be32(octets + 4);
}

/* All parts of the path: the place for spools need not be there yet. */
static enum status make_folder(const char *path, struct error *err)
{
	char part[PATH_OCTETS];

	for (size_t i = 1; path[i - 1]; i++) {
		if (path[i] != '/' && path[i])
			continue;
		snprintf(part, sizeof part, "%.*s", (int)i, path);
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return error_errno(err, "spool %s: cannot make %s", path, part);
	}
	return OK;
}

static enum status open_folder(struct spool *s, struct error *err)
{
	s->folder = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->folder < 0)
		return error_errno(err, "spool %s", s->path);
	s->lock = openat(s->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock < 0 || flock(s->lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? error_set(err, ERR_LIMIT, "spool %s: another process uses it", s->path)
			       : error_errno(err, "spool %s: cannot be locked", s->path);
	s->position = openat(s->folder, "position", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->position < 0)
		return error_errno(err, "spool %s/position", s->path);
	return list_files(s, err);
}

enum status spool_open(struct spool **out, const struct spool_options *options, struct error *err)
{
	struct spool *s = calloc(1, sizeof *s);
	enum status st;

	if (!s)
		return error_set(err, ERR_MEMORY, "spool: no memory");
	s->o = *options;
	s->folder = s->lock = s->position = s->data = s->marks = -1;
	s->next_number = 1;
	s->file_octets = options->size / FILE_SHARE;
	s->file_octets = s->file_octets < FILE_LEAST ? FILE_LEAST : s->file_octets;
	s->file_octets = s->file_octets > FILE_MOST ? FILE_MOST : s->file_octets;
	snprintf(s->path, sizeof s->path, "%s", options->folder);
	begin_message(s);
	st = strlen(options->folder) < sizeof s->path
		     ? make_folder(s->path, err)
		     : error_set(err, ERR_LIMIT, "spool: the path is longer than %d octets", PATH_OCTETS - 1);
	if (st == OK)
		st = open_folder(s, err);
	if (st != OK) {
		spool_close(s);
		return st;
	}
	take_position(s);
	if (s->file_count)
		log_info(s->o.log, "spool %s: %llu octets wait from before", s->path,
			 (unsigned long long)s->statistics.octets);
	*out = s;
	return OK;
}

static void close_one(int fd, bool to_disk)
{
	if (fd >= 0 && to_disk)
		(void)!fsync(fd);
	if (fd >= 0)
		close(fd);
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	close_one(s->data, true);
	close_one(s->marks, true);
	close_one(s->position, true);
	close_one(s->folder, true);
	close_one(s->lock, false);
	free(s->octets);
	free(s);
}
