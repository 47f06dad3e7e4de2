#include "store/partition.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "store/folder.h"
#include "store/sql.h"

enum {
	TAIL = 8, /* a Parquet file ends with its footer's length and "PAR1" */
	WINDOW = 1 << 18,
	ROW_GROUP = 122880,
	VECTOR = 2048, /* of DuckDB: row groups are so many times some */
	DICTIONARY = 5000,
	WIDE = 128, /* columns up to which row groups and dictionaries have their full size */
};

/* The checksum of a file, once over. */
static enum status sum_file(int fd, uint64_t octets, uint64_t *out, const char *path, struct error *err)
{
	XXH3_state_t *state = XXH3_createState();
	auto_free uint8_t *window = malloc(WINDOW);
	uint64_t at = 0;

	if (!state || !window) {
		XXH3_freeState(state);
		return error_set(err, ERR_MEMORY, "%s: no memory for its checksum", path);
	}
	XXH3_64bits_reset(state);
	for (;;) {
		const ssize_t n = pread(fd, window, WINDOW, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			XXH3_freeState(state);
			return error_errno(err, "%s: read", path);
		}
		if (n == 0)
			break;
		XXH3_64bits_update(state, window, (size_t)n);
		at += (uint64_t)n;
	}
	*out = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	if (at != octets)
		return error_set(err, ERR_FORMAT, "%s: it ends after %llu octets, %llu were expected", path,
				 (unsigned long long)at, (unsigned long long)octets);
	return OK;
}

/* ERR_FORMAT: the file ends before. */
static enum status read_all(int fd, uint8_t *to, size_t length, uint64_t at, const char *path,
			    struct error *err)
{
	while (length) {
		const ssize_t n = pread(fd, to, length, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "%s: read", path);
		if (n == 0)
			return error_set(err, ERR_FORMAT, "%s: it ends at %llu", path,
					 (unsigned long long)at);
		to += n;
		length -= (size_t)n;
		at += (uint64_t)n;
	}
	return OK;
}

/* The checksum of footer and tail. ERR_FORMAT: there is none. */
static enum status sum_footer(int fd, uint64_t octets, uint64_t *out, const char *path, struct error *err)
{
	uint8_t tail[TAIL];

	if (octets < TAIL + 4)
		return error_set(err, ERR_FORMAT, "%s: it has no Parquet footer", path);
	enum status s = read_all(fd, tail, TAIL, octets - TAIL, path, err);
	if (s != OK)
		return s;
	if (memcmp(tail + 4, "PAR1", 4) != 0)
		return error_set(err, ERR_FORMAT, "%s: it has no Parquet footer", path);

	const size_t length =
		(size_t)tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
	if (length > FOOTER_MAX || length + TAIL > octets)
		return error_set(err, ERR_FORMAT, "%s: a footer of %zu octets is too long for it", path,
				 length);

	auto_free uint8_t *footer = malloc(length + TAIL);
	if (!footer)
		return error_set(err, ERR_MEMORY, "%s: no memory for its footer", path);
	s = read_all(fd, footer, length + TAIL, octets - TAIL - length, path, err);
	if (s == OK)
		*out = XXH3_64bits(footer, length + TAIL);
	return s;
}

/* DuckDB holds a row group and, from the start, a dictionary for each column: strangers choose how many
 * columns there are, so both get smaller where these are many. */
static enum status copy(struct duck *duck, const char *source, uint32_t columns, const char *to,
			struct error *err)
{
	const uint32_t share = columns > WIDE ? columns : WIDE;
	const uint32_t group = ROW_GROUP * WIDE / share;
	struct sql sql;
	enum status s = ERR_MEMORY;

	sql_init(&sql);
	sql_put(&sql, "COPY (SELECT * FROM ");
	sql_put(&sql, source);
	sql_put(&sql, ") TO ");
	sql_text(&sql, to);
	sql_put(&sql, " (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION 'v2', "
		      "DICTIONARY_SIZE_LIMIT ");
	sql_format(&sql, "%u, ROW_GROUP_SIZE %u)", DICTIONARY * WIDE / share, group - group % VECTOR);
	if (!sql.failed)
		s = duck_run(duck->connection, sql.text, to, err);
	sql_fini(&sql);
	return s;
}

/* Prove the finished hidden file and bring it to disk. */
static enum status settle(const char *hidden, struct partition *p, struct error *err)
{
	auto_fd fd = open(hidden, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return error_errno(err, "%s", hidden);
	if (fsync(fd) != 0)
		return error_errno(err, "%s: fsync", hidden);
	p->octets = (uint64_t)st.st_size;

	enum status s = sum_file(fd, p->octets, &p->checksum, hidden, err);
	if (s == OK)
		s = sum_footer(fd, p->octets, &p->footer_checksum, hidden, err);
	return s;
}

enum status partition_write(struct duck *duck, const char *store, const char *source, uint32_t columns,
			    struct partition *p, struct error *err)
{
	char folder[STORE_PATH_MAX], hidden[STORE_PATH_MAX], final[STORE_PATH_MAX];
	const char *name = strrchr(p->path, '/');
	enum status s;

	if (!name || path_format(final, "%s/%s", store, p->path) != OK ||
	    path_format(folder, "%s/%.*s", store, (int)(name - p->path), p->path) != OK ||
	    path_format(hidden, "%s/.%s", folder, name + 1) != OK)
		return error_set(err, ERR_LIMIT, "%s/%s: the name is too long", store, p->path);
	s = folder_make(folder, err);
	if (s == OK)
		s = copy(duck, source, columns, hidden, err);
	if (s == OK)
		s = settle(hidden, p, err);
	if (s == OK && rename(hidden, final) != 0)
		s = error_errno(err, "%s: rename to %s", hidden, final);
	if (s != OK) {
		unlink(hidden);
		return s;
	}
	/* And the folder's own name: who made it may have been stopped before he could bring that to disk. */
	s = folder_sync(folder, err);
	return s == OK ? folder_sync(dirname(folder), err) : s;
}

static enum status open_checked(const char *store, const struct partition *p, int *out, struct error *err)
{
	char path[STORE_PATH_MAX];
	struct stat st;

	*out = -1;
	if (path_format(path, "%s/%s", store, p->path) != OK)
		return error_set(err, ERR_LIMIT, "%s/%s: the name is too long", store, p->path);

	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && (errno == ENOENT || errno == ELOOP))
		return error_set(err, ERR_FORMAT, "%s: %s", p->path, strerror(errno));
	if (fd < 0 || fstat(fd, &st) != 0)
		return error_errno(err, "%s", p->path);
	if ((uint64_t)st.st_size != p->octets)
		return error_set(err, ERR_FORMAT, "%s: it has %lld octets, its manifest says %llu", p->path,
				 (long long)st.st_size, (unsigned long long)p->octets);
	*out = take_fd(&fd);
	return OK;
}

enum status partition_check(const char *store, const struct partition *p, struct error *err)
{
	auto_fd fd = -1;
	uint64_t sum = 0;
	enum status s = open_checked(store, p, &fd, err);

	if (s == OK)
		s = sum_footer(fd, p->octets, &sum, p->path, err);
	if (s == OK && sum != p->footer_checksum)
		s = error_set(err, ERR_FORMAT, "%s: its footer is not the one that was written", p->path);
	return s;
}

enum status partition_verify(const char *store, const struct partition *p, struct error *err)
{
	auto_fd fd = -1;
	uint64_t sum = 0;
	enum status s = open_checked(store, p, &fd, err);

	if (s == OK)
		s = sum_file(fd, p->octets, &sum, p->path, err);
	if (s == OK && sum != p->checksum)
		s = error_set(err, ERR_FORMAT, "%s: its checksum is %016llx, its manifest says %016llx",
			      p->path, (unsigned long long)sum, (unsigned long long)p->checksum);
	return s;
}
