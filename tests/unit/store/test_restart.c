/* A loader that dies at any step, or whose disk refuses any step, loses no record and stores none twice. The
 * system calls that change the disk are counted here; one of them kills the process or fails. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build.h"

enum { MESSAGES = 12, RECORDS = 5, FLUSH_MESSAGES = 4, KILLED = 99 };

static unsigned calls, fatal;
static int refuse_with; /* errno; 0: die */

/* True: this call is refused. */
static int is_refused(void)
{
	if (fatal == 0 || ++calls != fatal)
		return 0;
	if (refuse_with == 0)
		_exit(KILLED);
	errno = refuse_with;
	return 1;
}

/* Before the C library's, for DuckDB too. */
int fsync(int fd)
{
	return is_refused() ? -1 : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
	return is_refused() ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path)
{
	return is_refused() ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

ssize_t write(int fd, const void *octets, size_t length)
{
	return fd > 2 && is_refused() ? -1 : syscall(SYS_write, fd, octets, length);
}

int mkdir(const char *path, mode_t mode)
{
	return is_refused() ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

/* Message `n` of the input, counted from 1: data of a number of its own in each record. Its template comes in
 * message 6: what is before waits, over a flush. */
static struct span message(struct build *b, uint64_t n)
{
	static const struct field fields[] = {{IE_flowId, 8, 0}, {IE_octetDeltaCount, 8, 0}};

	build_begin(b, (uint32_t)((n - 1) * RECORDS), 1);
	if (n == 6)
		build_template(b, 256, 0, fields, 2);
	build_set(b, 256);
	for (unsigned i = 0; i < RECORDS; i++) {
		build_number(b, n * 100 + i, 8);
		build_number(b, 1, 8);
	}
	return build_end(b);
}

/* Load from where the store stands to the end; a refused step is tried again. */
static int load(const char *folder)
{
	const struct loader_options options = {.store = folder};
	struct build *b = malloc(sizeof *b);
	struct loader *l = NULL;
	unsigned tries = 0;

	while (loader_open(&l, &options, NULL) != OK)
		if (++tries == 5)
			return 1;
	for (uint64_t n = loader_position(l, 0).offset + 1; n <= MESSAGES; n++) {
		const struct input_message m = from_host(message(b, n), 1, n);

		if (loader_take(l, &m) != OK)
			return 2;
		if (n % FLUSH_MESSAGES == 0 && loader_flush(l, RECEIVED_MS, NULL) != OK)
			tries++;
	}
	while (loader_flush(l, RECEIVED_MS, NULL) != OK)
		if (++tries == 5)
			return 3;
	loader_close(l);
	free(b);
	return 0;
}

static int in_child(const char *folder, unsigned at, int with)
{
	const pid_t child = fork();
	int status = 0;

	if (child == 0) {
		calls = 0;
		fatal = at;
		refuse_with = with;
		_exit(load(folder) ? 50 : calls >= fatal && fatal ? 0 : 7);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int check(const char *folder, char *text, size_t size)
{
	struct asking a;
	char *answer;
	int good;

	ask_open(&a, folder);
	answer = ask(&a, "SELECT count(*) || ' ' || count(DISTINCT flowId) || ' ' || sum(flowId) FROM flows");
	/* 12 messages of 5: 100 n + i */
	good = strcmp(answer, "60 60 39120") == 0;
	snprintf(text, size, "%s", answer);
	free(answer);
	answer = counter(&a, "sets_waiting");
	good &= strcmp(answer, "0") == 0;
	free(answer);
	answer = counter(&a, "sets_decoded_late");
	good &= strcmp(answer, "5") == 0;
	free(answer);
	answer = counter(&a, "messages");
	good &= strcmp(answer, "12") == 0;
	free(answer);
	answer = counter(&a, "sequence_in_order");
	snprintf(text + strlen(text), size - strlen(text), ", in order %s", answer);
	free(answer);
	ask_close(&a);
	return good;
}

/* Questions are asked in a child: a fork must not inherit DuckDB's threads. */
static void check_in_child(const char *folder, const char *what, unsigned at)
{
	const pid_t child = fork();
	int status = 0;

	if (child == 0) {
		char text[256];
		const int good = check(folder, text, sizeof text);

		if (!good)
			print_error("%s at call %u: %s\n", what, at, text);
		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* The same, with every call in turn. */
static void each_call(const char *what, int with, unsigned step)
{
	unsigned at = 1, faults = 0;

	for (;; at += step) {
		char *folder = folder_new();
		const int end = in_child(folder, at, with);

		if (end == KILLED)
			assert_int_equal(in_child(folder, 0, 0), 7);
		else if (end != 0 && end != 7)
			fail_msg("%s at call %u: the loader ended with %d", what, at, end);
		check_in_child(folder, what, at);
		folder_free(folder);
		faults += end != 7;
		if (end == 7)
			break;
	}
	print_message("%s: %u calls, one each\n", what, faults);
	assert_true(faults > 10 / step);
}

static void killed_at_any_call(void **state)
{
	each_call("killed", 0, 1);
}

static void refused_at_any_call(void **state)
{
	each_call("EIO", EIO, 1);
	each_call("ENOSPC", ENOSPC, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_at_any_call),
		cmocka_unit_test(refused_at_any_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
