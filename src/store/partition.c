#include "store/partition.h"

#include <endian.h>
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
#include "store/partition_file.h"

enum {
	TAIL = 8, /* a Parquet file ends with its footer's length and "PAR1" */
	WINDOW = 1 << 18,
	ROW_GROUP = 122880,
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

enum status partition_read(int fd, void *octets, size_t length, uint64_t at, const char *path,
			   struct error *err)
{
	uint8_t *to = octets;

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
	enum status s = partition_read(fd, tail, TAIL, octets - TAIL, path, err);
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
	s = partition_read(fd, footer, length + TAIL, octets - TAIL - length, path, err);
	if (s == OK)
		*out = XXH3_64bits(footer, length + TAIL);
	return s;
}

void partition_order_uuids(void *values, uint32_t rows)
{
	uint64_t *halves = values;

	for (uint32_t i = 0; i < rows; i++) {
		const uint64_t low = htobe64(halves[2 * i]);

		halves[2 * i] = htobe64(halves[2 * i + 1] ^ UINT64_C(1) << 63);
		halves[2 * i + 1] = low;
	}
}

static enum status put_group(struct parquet *file, struct row_group *g, struct parquet_values *values,
			     struct error *err)
{
	for (uint32_t i = 0; i < g->schema->count; i++) {
		const struct row_group_column *c = &g->columns[i];

		if (g->schema->columns[i].kind == COLUMN_IPV6)
			partition_order_uuids(c->data, g->rows);
		values[i] = (struct parquet_values){.data = c->data, .valid = c->nulls ? c->valid : NULL};
	}
	return parquet_group(file, values, g->rows, err);
}

static enum status put_groups(struct parquet *file, struct row_group *g, const struct row_source *source,
			      uint64_t records, const char *path, struct error *err)
{
	uint64_t rows = 0;
	auto_free struct parquet_values *values = calloc(g->schema->count + 1, sizeof *values);
	enum status s = values ? OK : error_set(err, ERR_MEMORY, "%s: no memory for a row group", path);

	while (s == OK) {
		row_group_clear(g);
		s = source->fill(source->arg, g, err);
		if (s == OK && g->failed)
			s = error_set(err, ERR_MEMORY, "%s: no memory for texts of a row group", path);
		if (s != OK || g->rows == 0)
			break;
		s = put_group(file, g, values, err);
		rows += g->rows;
	}
	if (s == OK && rows != records)
		s = error_set(err, ERR_SYSTEM, "%s: %llu rows came of %llu", path, (unsigned long long)rows,
			      (unsigned long long)records);
	return s == OK ? parquet_end(file, err) : s;
}

/* Strangers choose how many columns there are: row groups get smaller where these are many. */
static uint32_t rows_of_group(uint32_t columns)
{
	const uint32_t room =
		ROW_GROUP * PARTITION_WIDE / (columns > PARTITION_WIDE ? columns : PARTITION_WIDE);

	return room - room % ROW_GROUP_STEP;
}

struct file {
	int fd;
	const char *path;
};

static enum status write_all(void *arg, const void *data, size_t length, struct error *err)
{
	const struct file *f = arg;

	for (size_t at = 0; at < length;) {
		const ssize_t n = write(f->fd, (const uint8_t *)data + at, length - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "%s: write", f->path);
		at += (size_t)n;
	}
	return OK;
}

static enum status put_file(int fd, const char *path, const struct schema *schema,
			    const struct row_source *source, uint64_t records, struct error *err)
{
	auto_free struct parquet_column *columns = calloc(schema->count + 1, sizeof *columns);
	struct file to = {.fd = fd, .path = path};
	const struct parquet_sink sink = {.arg = &to, .put = write_all};
	struct parquet *file = NULL;
	struct row_group group = {0};
	enum status s = ERR_MEMORY;

	for (uint32_t i = 0; columns && i < schema->count; i++)
		columns[i] = (struct parquet_column){
			schema->columns[i].name,
			column_parquet_type((enum column_kind)schema->columns[i].kind)};
	if (columns)
		s = row_group_init(&group, schema, rows_of_group(schema->count));
	if (s != OK)
		(void)error_set(err, s, "%s: no memory for %u columns", path, schema->count);
	if (s == OK)
		s = parquet_new(&file, &sink, path, columns, schema->count, err);
	if (s == OK)
		s = put_groups(file, &group, source, records, path, err);
	parquet_free(file);
	row_group_fini(&group);
	return s;
}

/* Prove the finished hidden file and bring it to disk. */
static enum status settle(int fd, const char *hidden, struct partition *p, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_errno(err, "%s", hidden);
	if (fsync(fd) != 0)
		return error_errno(err, "%s: fsync", hidden);
	p->octets = (uint64_t)st.st_size;

	enum status s = sum_file(fd, p->octets, &p->checksum, hidden, err);
	if (s == OK)
		s = sum_footer(fd, p->octets, &p->footer_checksum, hidden, err);
	return s;
}

static enum status write_hidden(const char *hidden, const struct schema *schema,
				const struct row_source *source, struct partition *p, struct error *err)
{
	auto_fd fd = open(hidden, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	enum status s = fd < 0 ? error_errno(err, "%s", hidden) : OK;

	if (s == OK)
		s = put_file(fd, hidden, schema, source, p->records, err);
	return s == OK ? settle(fd, hidden, p, err) : s;
}

enum status partition_write(const char *store, const struct schema *schema, const struct row_source *source,
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
		s = write_hidden(hidden, schema, source, p, err);
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

enum status partition_open(const char *store, const struct partition *p, int *out, struct error *err)
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
	enum status s = partition_open(store, p, &fd, err);

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
	enum status s = partition_open(store, p, &fd, err);

	if (s == OK)
		s = sum_file(fd, p->octets, &sum, p->path, err);
	if (s == OK && sum != p->checksum)
		s = error_set(err, ERR_FORMAT, "%s: its checksum is %016llx, its manifest says %016llx",
			      p->path, (unsigned long long)sum, (unsigned long long)p->checksum);
	return s;
}
