/* The keeper, with roles that do nothing but die. */
#include "daemon/keeper.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Dies twice, then has done its work. */
static int dies_twice(void *arg)
{
	struct board *b = arg;

	raise(SIGTERM); /* the board ends a role, and a file that may not grow is an error */
	raise(SIGXFSZ);
	if (atomic_load(&b->role[ROLE_LOADER].starts) <= 2)
		raise(SIGKILL);
	_exit(0);
}

static int waits(void *arg)
{
	struct board *b = arg;

	while (!atomic_load(&b->finish))
		pause_ms(5);
	_exit(0);
}

static int never_ends(void *arg)
{
	while (arg)
		pause_ms(900);
	return 0;
}

static struct board *begin(struct keeper *k, struct keeper_options *o, int (*role)(void *arg),
			   const char *scratch)
{
	struct board *b = board_new();
	struct error err = {""};

	assert_non_null(b);
	b->role[ROLE_LOADER].wanted = true;
	*o = (struct keeper_options){.board = b, .run = {[ROLE_LOADER] = role}, .arg = b, .scratch = scratch};
	assert_int_equal(keeper_start(k, o, &err), OK);
	return b;
}

static void a_role_that_dies_is_started_again(void **state)
{
	struct keeper_options o;
	struct keeper k;
	struct board *b = begin(&k, &o, dies_twice, NULL);

	pause_ms(50);
	assert_int_equal(atomic_load(&b->role[ROLE_LOADER].starts), 0); /* not before keeper_go */
	keeper_go(&k);
	assert_true(keeper_finish(&k, 60));
	assert_int_equal(atomic_load(&b->role[ROLE_LOADER].starts), 3);
	assert_true(atomic_load(&b->role[ROLE_LOADER].done));
	assert_non_null(strstr(b->role[ROLE_LOADER].fault, "signal 9"));
	assert_int_equal(atomic_load(&b->role[ROLE_PRINTER].starts), 0); /* nobody wanted it */
	board_free(b);
}

static void roles_end_when_the_board_says_so(void **state)
{
	struct keeper_options o;
	struct keeper k;
	struct board *b = begin(&k, &o, waits, NULL);

	keeper_go(&k);
	for (int i = 0; i < 6000 && !atomic_load(&b->role[ROLE_LOADER].up); i++)
		pause_ms(10);
	assert_true(atomic_load(&b->role[ROLE_LOADER].up));
	assert_false(keeper_ended(&k));
	atomic_store(&b->finish, true);
	assert_true(keeper_finish(&k, 60));
	assert_true(keeper_ended(&k));
	board_free(b);
}

/* A role that does not listen is ended, and the folder it buffered in goes. */
static void patience_has_an_end(void **state)
{
	char folder[] = "/tmp/weir-keeper-XXXXXX", inside[64];
	struct keeper_options o;
	struct keeper k;

	assert_non_null(mkdtemp(folder));
	snprintf(inside, sizeof inside, "%s/journal", folder);
	assert_int_equal(mkdir(inside, 0700), 0);
	struct board *b = begin(&k, &o, never_ends, folder);
	keeper_go(&k);
	for (int i = 0; i < 6000 && !atomic_load(&b->role[ROLE_LOADER].up); i++)
		pause_ms(10);
	atomic_store(&b->finish, true);
	assert_false(keeper_finish(&k, 0));
	assert_int_equal(access(folder, F_OK), -1);
	board_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_role_that_dies_is_started_again),
		cmocka_unit_test(roles_end_when_the_board_says_so),
		cmocka_unit_test(patience_has_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
