/* Where a capture comes from: a file, a pipe that trickles, standard input; all read the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "observe/input.h"

/* Write the file into a pipe from a child, `piece` octets at a time, and read it from there. */
static struct reading read_piped(const struct file *f, size_t length, size_t piece)
{
	char spec[32];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	const pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(ends[0]);
		for (size_t at = 0; at < length;) {
			const size_t left = length - at;
			const ssize_t n = write(ends[1], f->octets + at, left < piece ? left : piece);
			if (n <= 0)
				_exit(1);
			at += (size_t)n;
		}
		_exit(0);
	}
	close(ends[1]);
	snprintf(spec, sizeof spec, "/dev/fd/%d", ends[0]);
	struct reading r = read_named(spec);
	close(ends[0]);
	waitpid(child, NULL, 0);
	return r;
}

static struct reading read_file(const struct file *f, size_t length)
{
	const int fd = memfd_create("capture", MFD_CLOEXEC);
	char spec[32];

	assert_true(fd >= 0);
	assert_int_equal(write(fd, f->octets, length), length);
	snprintf(spec, sizeof spec, "/proc/self/fd/%d", fd);
	struct reading r = read_named(spec);
	close(fd);
	return r;
}

static void expect_same(const char *what, const struct reading *a, const struct reading *b)
{
	if (a->status != b->status || a->count != b->count)
		fail_msg("%s: status %d and %d, %zu and %zu packets: %s; %s", what, a->status, b->status,
			 a->count, b->count, a->error.text, b->error.text);
	for (size_t i = 0; i < a->count; i++) {
		const struct packet *p = &a->packets[i].packet, *q = &b->packets[i].packet;
		if (p->time.ns != q->time.ns || p->captured != q->captured || p->length != q->length ||
		    p->point != q->point || p->link != q->link || p->direction != q->direction ||
		    a->packets[i].sum != b->packets[i].sum)
			fail_msg("%s: packet %zu differs", what, i + 1);
	}
	/* The texts differ in the name alone. */
	assert_string_equal(strstr(a->error.text, ": ") ? strstr(a->error.text, ": ") : "",
			    strstr(b->error.text, ": ") ? strstr(b->error.text, ": ") : "");
}

/* Packets of every size, enough to go through the buffer more than once. */
static struct file large_pcap(void)
{
	struct file f = {.length = 0};

	file_pcap(&f, 0xa1b2c3d4, 101);
	for (uint32_t i = 0; f.length < 2 * INPUT_ROOM; i++)
		file_record(&f, i, 0, i * 7 % 3000, 3000, (uint8_t)i);
	file_record(&f, 1, 0, 262144, 262144, 3);
	return f;
}

static struct file large_pcapng(void)
{
	struct file f = {.length = 0};

	file_section(&f);
	file_interface(&f, 101, "wg0", 9);
	for (uint32_t i = 0; f.length < 2 * INPUT_ROOM; i++) {
		file_packet(&f, 0, i, i * 7 % 3000, 3000, i % 3);
		if (i % 1000 == 0) {
			const size_t at = file_block(&f, 0x0bad);
			file_zeros(&f, i == 1000 ? INPUT_ROOM + 4000 : 5000);
			file_end_block(&f, at);
		}
	}
	return f;
}

static void test_pipe_and_file_agree(void **state)
{
	struct file files[] = {large_pcap(), large_pcapng()};
	const size_t pieces[] = {977, 65536};

	for (size_t i = 0; i < 2; i++) {
		for (size_t cut = 0; cut < 2; cut++) {
			const size_t length = files[i].length - (cut ? 100 : 0);
			struct reading memory = read_octets(&files[i], length);
			struct reading whole = read_file(&files[i], length);
			assert_int_equal(memory.status, cut ? ERR_FORMAT : END);
			expect_same("file", &memory, &whole);
			assert_int_equal(whole.total, length);
			for (size_t j = 0; j < 2; j++) {
				struct reading piped = read_piped(&files[i], length, pieces[j]);
				expect_same("piped", &memory, &piped);
				assert_int_equal(piped.total, 0);
				assert_int_equal(piped.done, memory.done);
				reading_free(&piped);
			}
			reading_free(&memory);
			reading_free(&whole);
		}
		free(files[i].octets);
	}
}

static void test_small_files_trickle(void **state)
{
	struct file f = {.length = 0};

	file_section(&f);
	file_interface(&f, 101, "wg0", 9);
	file_packet(&f, 0, 1, 21, 21, 1);
	file_end_block(&f, file_block(&f, 0x0bad));
	file_packet(&f, 0, 2, 22, 22, 2);
	for (size_t n = 0; n <= f.length; n += 3) {
		struct reading memory = read_octets(&f, n);
		struct reading piped = read_piped(&f, n, 1);
		expect_same("trickle", &memory, &piped);
		reading_free(&memory);
		reading_free(&piped);
	}
	free(f.octets);
}

/* A block that is passed over and ends before the pipe does. */
static void test_cut_in_a_passed_over_block(void **state)
{
	struct file f = {.length = 0};

	file_section(&f);
	const size_t at = file_block(&f, 0x0bad);
	file_zeros(&f, 3 * INPUT_ROOM);
	file_end_block(&f, at);
	struct reading r = read_piped(&f, f.length - 10, 65536);
	assert_int_equal(r.status, ERR_FORMAT);
	assert_non_null(
		strstr(r.error.text, "packet 1 at offset 28: cut short: 10 octets of a block are missing"));
	reading_free(&r);
	free(f.octets);
}

/* Standard input that is a file begins where the last reader left it. */
static void test_standard_input(void **state)
{
	const int saved = dup(STDIN_FILENO), fd = memfd_create("stdin", MFD_CLOEXEC);
	struct file f = {.length = 0};

	file_pcap(&f, 0xa1b2c3d4, 101);
	file_record(&f, 1, 2, 20, 20, 9);
	assert_int_equal(write(fd, "skipped", 7), 7);
	assert_int_equal(write(fd, f.octets, f.length), f.length);
	assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
	assert_true(dup2(fd, STDIN_FILENO) == STDIN_FILENO);
	struct reading r = read_named("-");
	assert_true(dup2(saved, STDIN_FILENO) == STDIN_FILENO);
	close(saved);
	close(fd);
	assert_int_equal(r.status, END);
	assert_int_equal(r.count, 1);
	assert_string_equal(r.points->point[0].name, "stdin");
	reading_free(&r);
	free(f.octets);
}

static void test_cannot_open(void **state)
{
	struct reading r = read_named("/nonexistent/file.pcap");

	assert_int_equal(r.status, ERR_SYSTEM);
	assert_string_equal(r.error.text, "/nonexistent/file.pcap: No such file or directory");
	reading_free(&r);
	r = read_named("/");
	assert_int_equal(r.status, ERR_SYSTEM);
	assert_non_null(strstr(r.error.text, "/: reading failed: Is a directory"));
	reading_free(&r);
	r = read_named("/dev/null");
	assert_int_equal(r.status, ERR_FORMAT);
	assert_non_null(strstr(r.error.text, "/dev/null: too short for a capture file: 0 octets"));
	reading_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe_and_file_agree),
		cmocka_unit_test(test_small_files_trickle),
		cmocka_unit_test(test_cut_in_a_passed_over_block),
		cmocka_unit_test(test_standard_input),
		cmocka_unit_test(test_cannot_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
