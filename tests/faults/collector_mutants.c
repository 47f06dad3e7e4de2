/* Faults put into the loader from outside, at link time (-Wl,--wrap), to see whether the tests would notice.
 * MUTANT in the environment names one; without it everything is as it was. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/manifest.h"

int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
ssize_t __real_write(int fd, const void *octets, size_t length);
enum status __real_manifest_commit(struct manifest *m, const char *store, struct error *err);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
ssize_t __wrap_write(int fd, const void *octets, size_t length);
enum status __wrap_manifest_commit(struct manifest *m, const char *store, struct error *err);

enum { WINDOW_US = 15000 };

/* What the last commit said of positions and partitions; only of this test. */
static struct {
	bool known;
	uint32_t partitions;
	struct input_position positions[INPUT_WORKERS_MAX];
} last;

static bool is(const char *mutant)
{
	const char *named = getenv("MUTANT");

	return named && strcmp(named, mutant) == 0;
}

int __wrap_fsync(int fd)
{
	struct stat st;

	if (is("fsync left out"))
		return 0;
	if (is("rename before fsync") && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return 0; /* later: see below */
	const int answer = __real_fsync(fd);
	if (answer < 0 && is("fsync tried again"))
		return __real_fsync(fd);
	return answer;
}

int __wrap_rename(const char *from, const char *to)
{
	const int answer = __real_rename(from, to);

	if (answer == 0 && is("rename before fsync")) {
		const int fd = open(to, O_RDONLY | O_CLOEXEC);

		usleep(20000);
		__real_fsync(fd);
		close(fd);
	}
	return answer;
}

ssize_t __wrap_write(int fd, const void *octets, size_t length)
{
	const ssize_t answer = __real_write(fd, octets, length);

	return answer >= 0 && is("short write taken for whole") ? (ssize_t)length : answer;
}

/* The positions become true alone, before or behind the partitions that belong to them. */
static enum status commit_twice(struct manifest *m, const char *store, bool positions_first,
				struct error *err)
{
	struct input_position positions[INPUT_WORKERS_MAX];
	const uint32_t partitions = m->partition_count;
	enum status s;

	memcpy(positions, m->positions, sizeof positions);
	if (positions_first && last.partitions < m->partition_count)
		m->partition_count = last.partitions;
	if (!positions_first)
		memcpy(m->positions, last.positions, sizeof positions);
	s = __real_manifest_commit(m, store, err);
	m->partition_count = partitions;
	memcpy(m->positions, positions, sizeof positions);
	usleep(WINDOW_US);
	return s == OK ? __real_manifest_commit(m, store, err) : s;
}

enum status __wrap_manifest_commit(struct manifest *m, const char *store, struct error *err)
{
	const bool first = is("position before the partitions"),
		   behind = is("position behind the partitions");
	enum status s = OK;

	if ((first || behind) && last.known)
		s = commit_twice(m, store, first, err);
	else if (!is("manifest left out") || !last.known || m->serial % 3 == 0)
		s = __real_manifest_commit(m, store, err);
	else
		m->serial++; /* what it would say is believed all the same */
	last.known = true;
	last.partitions = m->partition_count;
	memcpy(last.positions, m->positions, sizeof last.positions);
	return s;
}
