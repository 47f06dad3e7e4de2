#include "store/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

enum status path_format(char out[STORE_PATH_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	const int length = vsnprintf(out, STORE_PATH_MAX, format, args);
	va_end(args);
	return length >= 0 && length < STORE_PATH_MAX ? OK : ERR_LIMIT;
}

enum status folder_sync(const char *path, struct error *err)
{
	auto_fd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, "%s", path);
	return fsync(fd) == 0 ? OK : error_errno(err, "%s: fsync", path);
}

enum status folder_make(const char *path, struct error *err)
{
	char above[STORE_PATH_MAX];

	if (mkdir(path, 0750) == 0) {
		if (path_format(above, "%s", path) != OK)
			return OK;
		char *slash = strrchr(above, '/');
		if (slash && slash != above)
			*slash = '\0';
		return folder_sync(slash == above ? "/" : slash ? above : ".", err);
	}
	if (errno == EEXIST)
		return OK;
	if (errno != ENOENT)
		return error_errno(err, "%s: mkdir", path);
	if (path_format(above, "%s", path) != OK)
		return error_set(err, ERR_LIMIT, "%s: the name is too long", path);

	char *slash = strrchr(above, '/');
	if (!slash || slash == above) {
		errno = ENOENT;
		return error_errno(err, "%s: mkdir", path);
	}
	*slash = '\0';

	const enum status s = folder_make(above, err);
	return s == OK ? folder_make(path, err) : s;
}

static enum status write_all(int fd, struct span octets)
{
	while (octets.length) {
		const ssize_t n = write(fd, octets.data, octets.length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_SYSTEM;
		octets = span_of(octets.data + n, octets.length - (size_t)n);
	}
	return OK;
}

enum status file_replace(const char *folder, const char *name, struct span octets, struct error *err)
{
	char hidden[STORE_PATH_MAX], final[STORE_PATH_MAX];
	enum status s = OK;

	if (path_format(hidden, "%s/.%s", folder, name) != OK ||
	    path_format(final, "%s/%s", folder, name) != OK)
		return error_set(err, ERR_LIMIT, "%s/%s: the name is too long", folder, name);

	auto_fd fd = open(hidden, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return error_errno(err, "%s", hidden);
	if (write_all(fd, octets) != OK)
		s = error_errno(err, "%s: write", hidden);
	else if (fsync(fd) != 0)
		s = error_errno(err, "%s: fsync", hidden);
	else if (rename(hidden, final) != 0)
		s = error_errno(err, "%s: rename to %s", hidden, name);
	if (s != OK)
		unlink(hidden);
	return s;
}

enum status file_read(const char *path, size_t limit, char **out, size_t *length, struct error *err)
{
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t used = 0;

	*out = NULL;
	*length = 0;
	if (fd < 0 && errno == ENOENT)
		return END;
	if (fd < 0 || fstat(fd, &st) != 0)
		return error_errno(err, "%s", path);
	if (st.st_size < 0 || (uint64_t)st.st_size > limit)
		return error_set(err, ERR_LIMIT, "%s: %lld octets are more than is read (%zu)", path,
				 (long long)st.st_size, limit);

	const size_t size = (size_t)st.st_size;
	auto_free char *text = malloc(size + 1);
	if (!text)
		return error_set(err, ERR_MEMORY, "%s: no memory", path);
	while (used < size) {
		const ssize_t n = read(fd, text + used, size - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "%s: read", path);
		if (n == 0)
			break;
		used += (size_t)n;
	}
	text[used] = '\0';
	*length = used;
	*out = text;
	text = NULL;
	return OK;
}
