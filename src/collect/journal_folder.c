#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "collect/journal_internal.h"
#include "collect/journal_reader.h"

void segment_data_name(char out[SEGMENT_NAME], uint32_t number)
{
	snprintf(out, SEGMENT_NAME, "%0*u.ipfix", SEGMENT_DIGITS, number);
}

void segment_side_name(char out[SEGMENT_NAME], uint32_t number)
{
	snprintf(out, SEGMENT_NAME, "%0*u.side", SEGMENT_DIGITS, number);
}

void segment_unfinished_name(char out[SEGMENT_NAME], uint32_t number)
{
	snprintf(out, SEGMENT_NAME, ".%0*u.side", SEGMENT_DIGITS, number);
}

int worker_folder_open(int store, uint32_t worker)
{
	char name[32];

	snprintf(name, sizeof name, "journal/%u", worker);
	return openat(store, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Ten digits that make a segment's number, 0 if they do not. */
static uint32_t leading_number(const char *name)
{
	uint64_t number = 0;

	for (int i = 0; i < SEGMENT_DIGITS; i++) {
		if (name[i] < '0' || name[i] > '9')
			return 0;
		number = number * 10 + (uint64_t)(name[i] - '0');
	}
	return number <= UINT32_MAX ? (uint32_t)number : 0;
}

static bool append_file(struct segment_list *list, uint32_t *room, struct segment_files files)
{
	if (list->count == *room) {
		const uint32_t more = *room ? 2 * *room : 16;
		struct segment_files *grown = realloc(list->files, more * sizeof *grown);
		if (!grown)
			return false;
		list->files = grown;
		*room = more;
	}
	list->files[list->count++] = files;
	return true;
}

static int by_number(const void *a, const void *b)
{
	const struct segment_files *left = a, *right = b;

	return left->number < right->number ? -1 : left->number > right->number;
}

/* Join the two entries of a segment whose both files are there. */
static void join_pairs(struct segment_list *list)
{
	uint32_t kept = 0;

	if (list->count > 0)
		qsort(list->files, list->count, sizeof list->files[0], by_number);
	for (uint32_t i = 0; i < list->count; i++) {
		struct segment_files *last = kept ? &list->files[kept - 1] : NULL;
		if (last && last->number == list->files[i].number) {
			last->data |= list->files[i].data;
			last->side |= list->files[i].side;
		} else {
			list->files[kept++] = list->files[i];
		}
	}
	list->count = kept;
}

/* NULL at the end, with errno 0, or when the folder cannot be read. */
static const struct dirent *next_entry(DIR *folder)
{
	errno = 0;
	return readdir(folder);
}

enum status segment_list_read(struct segment_list *out, int folder, struct error *err)
{
	uint32_t room = 0;
	const int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *open = fd < 0 ? NULL : fdopendir(fd);

	*out = (struct segment_list){0};
	if (!open) {
		const enum status st = error_errno(err, "journal folder");
		if (fd >= 0)
			close(fd);
		return st;
	}
	for (const struct dirent *entry; (entry = next_entry(open));) {
		const bool unfinished = entry->d_name[0] == '.';
		const uint32_t number = leading_number(entry->d_name + unfinished);
		const char *suffix = entry->d_name + unfinished + SEGMENT_DIGITS;
		if (number == 0)
			continue;
		if (number > out->highest)
			out->highest = number;
		const struct segment_files files = {number, strcmp(suffix, ".ipfix") == 0,
						    strcmp(suffix, ".side") == 0};
		if (unfinished) {
			out->unfinished++;
		} else if ((files.data || files.side) && !append_file(out, &room, files)) {
			closedir(open);
			free(out->files);
			*out = (struct segment_list){0};
			return error_set(err, ERR_MEMORY, "journal folder: no memory for its names");
		}
	}
	const enum status st = errno ? error_errno(err, "journal folder") : OK;
	closedir(open);
	if (st != OK) {
		free(out->files);
		*out = (struct segment_list){0};
		return st;
	}
	join_pairs(out);
	return OK;
}

/* The number that a folder's name says, JOURNAL_WORKERS if it says none. */
static uint32_t worker_named(const char *name)
{
	char again[16];
	char *end;
	const unsigned long number = strtoul(name, &end, 10);

	if (number >= JOURNAL_WORKERS || *end)
		return JOURNAL_WORKERS;
	snprintf(again, sizeof again, "%lu", number);
	return strcmp(again, name) == 0 ? (uint32_t)number : JOURNAL_WORKERS;
}

/* Which numbers stand in the journal's folder: one look at it is quicker than at each that there could be. */
static enum status find_numbers(int store, bool there[JOURNAL_WORKERS], const char *name, struct error *err)
{
	const int fd = openat(store, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);

	if (!folder) {
		const bool none = fd < 0 && (errno == ENOENT || errno == ENOTDIR);
		const enum status st = none ? OK : error_errno(err, "%s/journal", name);

		close_fd(&fd);
		return st;
	}
	enum status st = OK;
	for (const struct dirent *entry; (entry = next_entry(folder));) {
		const uint32_t number = worker_named(entry->d_name);

		if (number < JOURNAL_WORKERS)
			there[number] = true;
	}
	if (errno)
		st = error_errno(err, "%s/journal", name);
	closedir(folder);
	return st;
}

enum status journal_list_workers(const char *store, uint32_t out[JOURNAL_WORKERS], uint32_t *count,
				 struct error *err)
{
	auto_fd folder = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool there[JOURNAL_WORKERS] = {false};

	*count = 0;
	if (folder < 0)
		return error_errno(err, "%s", store);
	const enum status st = find_numbers(folder, there, store, err);
	for (uint32_t i = 0; st == OK && i < JOURNAL_WORKERS; i++) {
		if (!there[i])
			continue;
		auto_fd worker = worker_folder_open(folder, i);
		if (worker >= 0)
			out[(*count)++] = i;
		else if (errno != ENOENT && errno != ENOTDIR)
			return error_errno(err, "%s/journal/%u", store, i);
	}
	return st;
}
