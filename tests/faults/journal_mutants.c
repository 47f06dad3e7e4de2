/* Faults put into the journal from outside, at link time (-Wl,--wrap), to see whether the tests would notice.
 * MUTANT in the environment names one; without it everything is as it was. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

int __real_fdatasync(int fd);
int __real_ftruncate64(int fd, off_t length);
ssize_t __real_pwrite64(int fd, const void *octets, size_t length, off_t at);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int count, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_ftruncate64(int fd, off_t length);
ssize_t __wrap_pwrite64(int fd, const void *octets, size_t length, off_t at);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int count, off_t at);

static int is(const char *mutant)
{
	const char *named = getenv("MUTANT");

	return named && strcmp(named, mutant) == 0;
}

/* Descriptors whose sync was put off; the only state, and only of this test. */
static int put_off[64];
static int put_off_count;

int __wrap_fdatasync(int fd)
{
	if (is("fsync left out"))
		return 0;
	if (is("watermark before fsync") && put_off_count < 64) {
		put_off[put_off_count++] = fd;
		return 0;
	}
	const int answer = __real_fdatasync(fd);
	if (answer < 0 && is("fsync tried again"))
		return __real_fdatasync(fd);
	return answer;
}

int __wrap_ftruncate64(int fd, off_t length)
{
	return is("tail not cut") ? 0 : __real_ftruncate64(fd, length);
}

ssize_t __wrap_pwrite64(int fd, const void *octets, size_t length, off_t at)
{
	const ssize_t answer = __real_pwrite64(fd, octets, length, at);

	if (length == 512 && put_off_count > 0) { /* a watermark's slot */
		usleep(20000);
		while (put_off_count > 0)
			__real_fdatasync(put_off[--put_off_count]);
	}
	return answer;
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int count, off_t at)
{
	const ssize_t answer = __real_pwritev64(fd, iov, count, at);
	ssize_t whole = 0;

	for (int i = 0; i < count; i++)
		whole += (ssize_t)iov[i].iov_len;
	return answer > 0 && is("short write taken for whole") ? whole : answer;
}
