#include "policy/run.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* A file in memory: what is in it is whole, whatever becomes of who wrote it. */
static int memory_file(const char *name, const char *text, size_t length)
{
	auto_fd fd = memfd_create(name, MFD_CLOEXEC);

	for (size_t at = 0; fd >= 0 && at < length;) {
		const ssize_t n = write(fd, text + at, length - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += (size_t)n;
	}
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	return take_fd(&fd);
}

static enum status read_file(int fd, char **out, struct error *err)
{
	struct stat status;
	char *text;

	if (fstat(fd, &status) != 0)
		return error_errno(err, "nft: its output");
	text = malloc((size_t)status.st_size + 1);
	if (!text)
		return error_set(err, ERR_MEMORY, "nft: no memory for its output");
	const ssize_t n = pread(fd, text, (size_t)status.st_size, 0);
	if (n < 0) {
		free(text);
		return error_errno(err, "nft: its output");
	}
	text[n] = 0;
	*out = text;
	return OK;
}

static enum status complain(int said, int status, struct error *err)
{
	auto_free char *text = NULL;
	struct error unused;

	if (read_file(said, &text, &unused) != OK || !text[0])
		return error_set(err, ERR_SYSTEM, "nft ended with status %d", status);
	text[strcspn(text, "\n")] = 0;
	const char *line = strstr(text, "Error: ") ? strstr(text, "Error: ") + 7 : text;
	return error_set(err, strstr(line, "not permitted") ? ERR_PERMISSION : ERR_SYSTEM, "nft: %s", line);
}

static int start(pid_t *child, const char *const *words, const int descriptors[3])
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int error = posix_spawn_file_actions_init(&actions);

	if (error != 0)
		return error;
	error = posix_spawnattr_init(&attributes);
	if (error == 0) {
		sigemptyset(&none);
		(void)posix_spawnattr_setsigmask(&attributes, &none);
		(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
		for (int i = 0; error == 0 && i < 3; i++)
			error = posix_spawn_file_actions_adddup2(&actions, descriptors[i], i);
		if (error == 0)
			error = posix_spawnp(child, words[0], &actions, &attributes,
					     (char *const *)(const void *)words, environ);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

enum status nft_run(const char *const *words, const char *input, size_t length, char **output,
		    struct error *err)
{
	auto_fd in = memory_file("nft-input", input, length);
	auto_fd out = memory_file("nft-output", NULL, 0);
	auto_fd said = memory_file("nft-errors", NULL, 0);
	const int descriptors[3] = {in, out, said};
	pid_t child;
	int status;

	if (in < 0 || out < 0 || said < 0)
		return error_errno(err, "a file in memory");
	const int error = start(&child, words, descriptors);
	if (error == ENOENT)
		return error_set(err, ERR_UNSUPPORTED, "no program 'nft' here: apt-get install nftables");
	if (error != 0)
		return error_set(err, ERR_SYSTEM, "nft: %s", strerror(error));
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return error_errno(err, "nft");
	if (!WIFEXITED(status))
		return error_set(err, ERR_SYSTEM, "nft was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return complain(said, WEXITSTATUS(status), err);
	return output ? read_file(out, output, err) : OK;
}
