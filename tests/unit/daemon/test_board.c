#include "daemon/board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void a_page_is_replaced_as_a_whole(void **state)
{
	struct board *b = board_new();
	char octets[64];
	struct text t = {.data = octets, .capacity = sizeof octets};

	assert_non_null(b);
	page_get(&b->role[ROLE_LOADER].metrics, &t);
	assert_int_equal(t.used, 0);
	page_put(&b->role[ROLE_LOADER].metrics, "first", 5);
	page_put(&b->role[ROLE_LOADER].metrics, "second one", 10);
	page_put(&b->role[ROLE_LOADER].metrics, "third", 5);
	text_string(&t, "before ");
	page_get(&b->role[ROLE_LOADER].metrics, &t);
	assert_int_equal(t.used, 12);
	assert_memory_equal(octets, "before third", 12);
	board_free(b);
}

static void what_is_too_long_is_left_out(void **state)
{
	struct board *b = board_new();
	char *large = calloc(1, PAGE_MAX + 1), octets[16];
	struct text t = {.data = octets, .capacity = sizeof octets};

	page_put(&b->role[ROLE_LOADER].metrics, "x", 1);
	page_put(&b->role[ROLE_LOADER].metrics, large, PAGE_MAX + 1);
	page_get(&b->role[ROLE_LOADER].metrics, &t);
	assert_int_equal(t.used, 0);
	free(large);
	board_free(b);
}

/* The writer parses what strangers send and may be anybody by now: its numbers are not believed. */
static void a_length_that_is_none(void **state)
{
	struct board *b = board_new();
	struct page *p = &b->role[ROLE_LOADER].metrics;
	char octets[16];
	struct text t = {.data = octets, .capacity = sizeof octets};

	page_put(p, "x", 1);
	p->length[0] = p->length[1] = UINT32_MAX;
	page_get(p, &t);
	assert_int_equal(t.used, 0);
	board_free(b);
}

static void *put_many(void *arg)
{
	static const char a[] = "aaaaaaaaaaaaaaaaaaaaaaaa", b[] = "bbbbbbbbbbbb";

	for (int i = 0; i < 20000; i++)
		page_put(arg, i & 1 ? a : b, i & 1 ? 24 : 12);
	return NULL;
}

/* While it is written a reader gets one text or the other, or none. */
static void reading_while_it_is_written(void **state)
{
	struct board *board = board_new();
	struct page *p = &board->role[ROLE_LOADER].metrics;
	const pid_t pid = fork();

	if (pid == 0) {
		put_many(p);
		_exit(0);
	}
	for (int i = 0; i < 2000; i++) {
		char octets[64];
		struct text t = {.data = octets, .capacity = sizeof octets};

		page_get(p, &t);
		assert_true(t.used == 0 || t.used == 12 || t.used == 24);
		for (size_t k = 0; k < t.used; k++)
			assert_int_equal(octets[k], t.used == 24 ? 'a' : 'b');
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	board_free(board);
}

static void faults_are_cut_and_end(void **state)
{
	struct board *b = board_new();
	char *text = malloc(4 * FAULT_MAX);

	memset(text, 'x', 4 * FAULT_MAX - 1);
	text[4 * FAULT_MAX - 1] = '\0';
	role_failing(&b->role[ROLE_PRINTER], text);
	assert_true(atomic_load(&b->role[ROLE_PRINTER].failing));
	assert_int_equal(strlen(b->role[ROLE_PRINTER].fault), FAULT_MAX - 1);
	role_well(&b->role[ROLE_PRINTER]);
	assert_false(atomic_load(&b->role[ROLE_PRINTER].failing));
	free(text);
	board_free(b);
	board_free(NULL);
}

static void positions_are_ordered(void **state)
{
	assert_true(board_position(1, UINT32_MAX) < board_position(2, 0));
	assert_true(board_position(2, 0) < board_position(2, 1));
	assert_int_equal(board_position(0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_replaced_as_a_whole),
		cmocka_unit_test(what_is_too_long_is_left_out),
		cmocka_unit_test(a_length_that_is_none),
		cmocka_unit_test(reading_while_it_is_written),
		cmocka_unit_test(faults_are_cut_and_end),
		cmocka_unit_test(positions_are_ordered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
