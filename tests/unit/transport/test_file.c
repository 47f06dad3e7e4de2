/* IPFIX Files: whole messages, errors with the path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "transport/transport.h"

static const struct transport_options options = {0};

static struct transport *open_path(const char *path, struct error *err)
{
	struct endpoint e = {.type = &file_transport};
	struct transport *t = NULL;

	snprintf(e.host, sizeof e.host, "%s", path);
	return e.type->open(&t, &e, &options, err) == OK ? t : NULL;
}

static size_t slurp(const char *path, char *out, size_t size)
{
	auto_file f = fopen(path, "rb");

	assert_non_null(f);
	return fread(out, 1, size, f);
}

static void make_path(char path[static 64])
{
	strcpy(path, "/tmp/weir-test-file-XXXXXX");
	close(mkstemp(path));
}

static void test_append_and_truncate(void **state)
{
	char path[64], got[64];
	struct error err;

	make_path(path);
	for (int i = 0; i < 2; i++) { /* the second run replaces the file of the first */
		struct transport *t = open_path(path, &err);

		assert_non_null(t);
		assert_int_equal(t->type->send(t, span_of("first", 5), &err), OK);
		assert_int_equal(t->type->send(t, span_of("second", 6), &err), OK);
		assert_int_equal(t->type->flush(t, &err), OK);
		t->type->close(t);
		assert_int_equal(slurp(path, got, sizeof got), 11);
		assert_memory_equal(got, "firstsecond", 11);
	}
	unlink(path);
}

static void test_cannot_open(void **state)
{
	struct error err = {""};

	assert_null(open_path("/nonexistent/x.ipfix", &err));
	assert_non_null(strstr(err.text, "/nonexistent/x.ipfix"));
	assert_non_null(strstr(err.text, "No such file"));
}

/* A full disk (here: the file size limit) leaves whole messages only. */
static void test_full_disk_keeps_whole_messages(void **state)
{
	static const uint8_t message[1000];
	static char got[8192];
	const struct rlimit small = {2500, RLIM_INFINITY};
	struct rlimit old;
	char path[64];
	struct error err = {""};

	make_path(path);
	struct transport *t = open_path(path, &err);
	assert_non_null(t);
	getrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(t->type->send(t, span_of(message, 1000), &err), OK);
	assert_int_equal(t->type->send(t, span_of(message, 1000), &err), OK);
	const enum status st = t->type->send(t, span_of(message, 1000), &err);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(st, ERR_SYSTEM);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(t->errors, 1);
	assert_int_equal(slurp(path, got, sizeof got), 2000);
	assert_int_equal(t->type->send(t, span_of(message, 1000), &err), OK); /* room again */
	t->type->close(t);
	assert_int_equal(slurp(path, got, sizeof got), 3000);
	unlink(path);
}

/* /dev/full refuses every write, as a disk without room does. */
static void test_write_error_has_path(void **state)
{
	struct error err = {""};
	struct transport *t = open_path("/dev/full", &err);

	assert_non_null(t);
	assert_int_equal(t->type->send(t, span_of("x", 1), &err), ERR_SYSTEM);
	assert_non_null(strstr(err.text, "/dev/full"));
	t->type->close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_and_truncate),
		cmocka_unit_test(test_cannot_open),
		cmocka_unit_test(test_full_disk_keeps_whole_messages),
		cmocka_unit_test(test_write_error_has_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
