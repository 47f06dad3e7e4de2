/* A profile, from a file to text. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "config/settings.h"

/* At most one octet more than allowed, so that settings_parse sees when it is too much. */
static ssize_t read_all(int fd, char *text)
{
	size_t used = 0;

	while (used <= PROFILE_OCTETS_MAX) {
		const ssize_t n = read(fd, text + used, PROFILE_OCTETS_MAX + 1 - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

enum status settings_load(struct settings *settings, const char *path, struct error *err)
{
	const bool standard_input = strcmp(path, "-") == 0;
	auto_fd opened = standard_input ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	const int fd = standard_input ? STDIN_FILENO : opened;
	struct stat status;

	if (fd < 0 || fstat(fd, &status) != 0)
		return error_errno(err, "%s", path);
	if (S_ISDIR(status.st_mode))
		return error_set(err, ERR_SYSTEM, "%s: is a folder; a profile is a file", path);

	auto_free char *text = malloc(PROFILE_OCTETS_MAX + 1);
	if (!text)
		return error_set(err, ERR_MEMORY, "%s: no memory", path);
	const ssize_t length = read_all(fd, text);
	if (length < 0)
		return error_errno(err, "%s", path);
	return settings_parse(settings, standard_input ? "standard input" : path, text, (size_t)length, err);
}
