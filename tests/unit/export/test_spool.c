/* Records that wait on disk: order, bounds, restarts, torn and damaged files, a full disk. */
#include "peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "export/spool.h"

struct peer peers[PEERS];

static struct layout layouts[FLOW_LAYOUT_COUNT];

struct place {
	char folder[128];
	struct spool_options options;
	struct spool *spool;
};

static void remove_all(const char *folder)
{
	char command[256];

	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
}

static void place_init(struct place *p, uint64_t size)
{
	*p = (struct place){.folder = "/tmp/weir-spool-XXXXXX"};
	assert_non_null(mkdtemp(p->folder));
	layout_make_flows(layouts, 0);
	strcat(p->folder, "/a/b");
	p->options = (struct spool_options){.folder = p->folder,
					    .size = size,
					    .layout = layouts,
					    .layout_count = FLOW_LAYOUT_COUNT,
					    .domain = 7};
}

static void place_open(struct place *p)
{
	struct error err = {""};

	if (spool_open(&p->spool, &p->options, &err) != OK)
		fail_msg("%s", err.text);
}

static void place_fini(struct place *p)
{
	spool_close(p->spool);
	p->folder[strlen(p->folder) - 4] = 0;
	remove_all(p->folder);
}

static bool put_one(struct place *p, uint64_t id)
{
	const struct flow_record r = stand_record(id, id % 3 ? 6 : 17, id % 2, false);
	const uint32_t number = layout_of(&r);
	uint8_t octets[RING_RECORD_MAX];
	const size_t length = encode_record(&layouts[number], &r, octets);
	bool kept;

	return spool_put(p->spool, number, span_of(octets, length), 1700000000, &kept, NULL) == OK;
}

static void put_many(struct place *p, uint64_t from, uint64_t count)
{
	for (uint64_t i = from; i < from + count; i++)
		assert_true(put_one(p, i));
	assert_int_equal(spool_flush(p->spool, 1700000000, NULL), OK);
}

/* Read the next one; its flow id (the field before the last of 8 octets). UINT64_MAX: none. */
static uint64_t take_one(struct place *p, uint64_t *position)
{
	struct ring_view v;

	if (spool_peek(p->spool, &v) != OK)
		return UINT64_MAX;
	spool_advance(p->spool);
	*position = v.next;
	assert_in_range(v.packets, 1, 10);
	return get_be64(v.data + v.length - 16);
}

static uint64_t expect(struct place *p, uint64_t from, uint64_t count)
{
	uint64_t position = 0;

	for (uint64_t i = from; i < from + count; i++)
		assert_int_equal(take_one(p, &position), i);
	return position;
}

static void test_in_order_and_again(void **state)
{
	struct place p;
	uint64_t at;

	place_init(&p, 16 << 20);
	place_open(&p);
	assert_true(spool_is_empty(p.spool));
	put_many(&p, 0, 1000);
	assert_false(spool_is_empty(p.spool));
	at = expect(&p, 0, 600);
	spool_confirm(p.spool, at);
	(void)expect(&p, 600, 100);
	spool_rewind(p.spool); /* the connection broke */
	(void)expect(&p, 600, 200);
	spool_mark(p.spool);
	(void)expect(&p, 800, 50);
	spool_return(p.spool);
	put_many(&p, 1000, 100); /* while it is read */
	at = expect(&p, 800, 200);
	spool_confirm(p.spool, at);
	at = expect(&p, 1000, 100);
	assert_int_equal(take_one(&p, &at), UINT64_MAX);
	assert_false(spool_is_empty(p.spool));
	spool_confirm(p.spool, at);
	assert_true(spool_is_empty(p.spool));
	assert_int_equal(spool_take_dropped(p.spool).flows, 0);
	place_fini(&p);
}

/* Without spool_close: what a killed process leaves is there, less what was confirmed. */
static void test_after_a_kill(void **state)
{
	struct place p;
	struct spool *first;

	place_init(&p, 1 << 20);
	if (fork() == 0) {
		place_open(&p);
		put_many(&p, 0, 500);
		spool_confirm(p.spool, expect(&p, 0, 120));
		put_many(&p, 500, 10);
		put_one(&p, 510); /* under way: the ring had it, and is gone */
		_exit(0);
	}
	int status = -1;
	wait(&status);
	assert_int_equal(status, 0);
	place_open(&p);
	(void)expect(&p, 120, 380);
	assert_int_equal(spool_open(&first, &p.options, NULL), ERR_LIMIT); /* locked */
	spool_rewind(p.spool);
	const uint64_t at = expect(&p, 120, 380);
	spool_confirm(p.spool, at);
	spool_confirm(p.spool, expect(&p, 500, 10));
	assert_true(spool_is_empty(p.spool));
	place_fini(&p);
}

static void name_file(const struct place *p, const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", p->folder, name);
}

static void write_at(const struct place *p, const char *name, off_t at, const void *octets, size_t length)
{
	char path[256];
	name_file(p, name, path, sizeof path);
	const int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	if (at < 0)
		at = lseek(fd, 0, SEEK_END);
	assert_int_equal(pwrite(fd, octets, length, at), length);
	close(fd);
}

static bool exists(const struct place *p, const char *name)
{
	char path[256];

	name_file(p, name, path, sizeof path);
	return access(path, F_OK) == 0;
}

static void fill_and_close(struct place *p, uint64_t count)
{
	place_init(p, 1 << 20);
	place_open(p);
	put_many(p, 0, count);
	spool_close(p->spool);
	p->spool = NULL;
}

static void test_a_torn_end_is_cut(void **state)
{
	static const uint8_t half[] = {0, 10, 4, 0, 1, 2, 3};
	struct place p;

	fill_and_close(&p, 700);
	write_at(&p, "00000001.ipfix", -1, half, sizeof half);
	write_at(&p, "00000001.sum", -1, half, 5);
	place_open(&p);
	spool_confirm(p.spool, expect(&p, 0, 700));
	assert_true(spool_is_empty(p.spool));
	assert_int_equal(spool_take_dropped(p.spool).flows, 0);
	place_fini(&p);
}

/* One octet changed somewhere in the second message: nothing of the file is sent, what was before the damage
 * is counted, and what comes after the file goes on. */
static void test_damage_is_set_aside(void **state)
{
	struct spool_statistics s;
	struct place p;

	fill_and_close(&p, 700);
	write_at(&p, "00000001.ipfix", 20000, "!", 1);
	place_open(&p);
	put_many(&p, 700, 30);
	const uint64_t at = expect(&p, 700, 30);
	spool_confirm(p.spool, at);
	spool_statistics(p.spool, &s);
	assert_int_equal(s.set_aside, 1);
	assert_true(exists(&p, "00000001.bad"));
	assert_false(exists(&p, "00000001.ipfix"));
	assert_in_range(spool_take_dropped(p.spool).flows, 100, 300);
	place_fini(&p);
}

static void test_hostile_files(void **state)
{
	struct spool_statistics s;
	struct place p;
	uint64_t at;

	place_init(&p, 1 << 20);
	place_open(&p);
	spool_close(p.spool);
	char target[256];
	name_file(&p, "00000003.ipfix", target, sizeof target);
	assert_int_equal(symlink("/etc/passwd", target), 0);
	name_file(&p, "00000004.ipfix", target, sizeof target);
	assert_int_equal(mkfifo(target, 0600), 0);
	write_at(&p, "00000005.ipfix", 0, "\0\0\0\0", 4);
	write_at(&p, "00000006.ipfix", 0, "\0\x0a\0\x10xxxxyyyyzzzz", 16);
	write_at(&p, "00000006.sum", 0, "\xff\xff\xff\xff\0\0\0\0", 8);
	write_at(&p, "position", 0, "\0\0\0\x05\xff\xff\xff\xff!!!!", 12);
	write_at(&p, "not ours", 0, "x", 1);
	place_open(&p);
	put_many(&p, 0, 20);
	at = expect(&p, 0, 20);
	spool_confirm(p.spool, at);
	spool_statistics(p.spool, &s);
	assert_int_equal(s.set_aside, 4);
	assert_true(spool_is_empty(p.spool));
	assert_true(exists(&p, "not ours"));
	assert_int_equal(access("/etc/passwd", R_OK), 0);
	place_fini(&p);
}

/* Templates of another program under our numbers: its data would be told wrong. */
static void test_other_templates(void **state)
{
	struct layout other[FLOW_LAYOUT_COUNT];
	struct spool_statistics s;
	struct place p;

	fill_and_close(&p, 50);
	memcpy(other, layouts, sizeof other);
	for (int i = 0; i < FLOW_LAYOUT_COUNT; i++)
		other[i].field[0].element++;
	p.options.layout = other;
	place_open(&p);
	uint64_t at;
	assert_int_equal(take_one(&p, &at), UINT64_MAX);
	spool_statistics(p.spool, &s);
	assert_int_equal(s.set_aside, 1);
	place_fini(&p);
}

/* Over the bound the oldest go; all that went is counted, none of what stayed is missing. */
static void test_bound(void **state)
{
	const uint64_t count = 40000;
	struct spool_statistics s;
	struct place p;
	uint64_t at = 0, first;

	place_init(&p, 1 << 20);
	place_open(&p);
	put_many(&p, 0, count);
	spool_statistics(p.spool, &s);
	assert_in_range(s.octets, (1 << 20) - (1 << 17), 1 << 20);
	const struct spool_count dropped = spool_take_dropped(p.spool);
	assert_in_range(dropped.flows, 1, count - 1);
	first = take_one(&p, &at);
	assert_int_equal(first, dropped.flows);
	for (uint64_t i = first + 1; i < count; i++) {
		uint64_t id = take_one(&p, &at);

		if (id == UINT64_MAX) { /* the end of a file: all of it has arrived */
			spool_confirm(p.spool, at);
			id = take_one(&p, &at);
		}
		assert_int_equal(id, i);
	}
	spool_confirm(p.spool, at);
	assert_true(spool_is_empty(p.spool));
	place_fini(&p);
}

static void test_full_disk(void **state)
{
	const struct rlimit small = {40000, RLIM_INFINITY};
	struct rlimit before;
	struct place p;
	uint64_t taken = 0, at;

	place_init(&p, 16 << 20);
	place_open(&p);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	setrlimit(RLIMIT_FSIZE, &small);
	while (put_one(&p, taken))
		taken++;
	setrlimit(RLIMIT_FSIZE, &before);
	assert_true(taken > 100);
	/* Two whole messages are there, and the file goes on behind them. */
	uint64_t whole = 0;
	put_many(&p, 1000000, 10);
	while (take_one(&p, &at) == whole)
		whole++;
	assert_in_range(whole, 100, taken);
	spool_rewind(p.spool);
	(void)expect(&p, 0, whole);
	(void)expect(&p, 1000000, 10);
	place_fini(&p);
}

/* ---- a session and its spool */

static void session_init(struct stand *s, struct place *p)
{
	place_init(p, 16 << 20);
	stand_init(s, &peer_connection);
	snprintf(s->options.spool_folder, sizeof s->options.spool_folder, "%s", p->folder);
	s->options.spool_size = 16 << 20;
	stand_start(s);
}

static void test_session_away_and_back(void **state)
{
	struct place p;
	struct stand s;

	session_init(&s, &p);
	peer_connect(&peers[0], true);
	stand_put_tcp(&s, 100);
	stand_pass(&s, 2 * NS_PER_S);
	peer_connect(&peers[0], false);
	for (int i = 0; i < 60; i++) { /* more than the ring holds */
		stand_put_tcp(&s, 1000);
		stand_pass(&s, NS_PER_S);
	}
	assert_in_range(stand_statistics(&s, 0).spooled_flows, 59000, 60000);
	assert_int_equal(peers[0].flows, 100);
	peer_connect(&peers[0], true);
	stand_put_tcp(&s, 50);
	stand_pass(&s, 5 * NS_PER_S);
	const struct session_statistics c = stand_statistics(&s, 0);
	assert_int_equal(peers[0].flows, s.made);
	assert_int_equal(peers[0].packets, s.made_packets);
	assert_int_equal(peers[0].parser.gaps, 0);
	assert_int_equal(c.flow_records, s.made);
	assert_int_equal(c.not_sent_flows, 0);
	assert_int_equal(c.replayed_flows, c.spooled_flows);
	assert_int_equal(c.spool_octets, 0);
	stand_free(&s);
	place_fini(&p);
}

/* The next process sends what this one could not, and counts what it had to drop in its own sequence. */
static void test_session_restart(void **state)
{
	struct place p;
	struct stand s;

	session_init(&s, &p);
	stand_put_tcp(&s, 5000);
	stand_pass(&s, 3 * NS_PER_S);
	stand_put_tcp(&s, 10);
	assert_int_equal(stand_finish(&s, NULL), OK); /* those of the ring go there too */
	assert_int_equal(stand_statistics(&s, 0).not_sent_flows, 0);
	stand_free(&s);
	peers[0].closed = false;
	stand_start(&s);
	peer_connect(&peers[0], true);
	stand_pass(&s, 3 * NS_PER_S);
	assert_int_equal(peers[0].flows, 5010);
	assert_int_equal(stand_statistics(&s, 0).replayed_flows, 5010);
	stand_free(&s);
	place_fini(&p);
}

/* The bound: what was dropped is in notSent and in the sequence. */
static void test_session_bound(void **state)
{
	struct place p;
	struct stand s;

	place_init(&p, 1 << 20);
	stand_init(&s, &peer_connection);
	snprintf(s.options.spool_folder, sizeof s.options.spool_folder, "%s", p.folder);
	s.options.spool_size = 1 << 20;
	s.options.spool_rate = 5000;
	stand_start(&s);
	peer_connect(&peers[0], true);
	stand_put_tcp(&s, 10);
	stand_pass(&s, 2 * NS_PER_S);
	peer_connect(&peers[0], false);
	for (int i = 0; i < 30; i++) {
		stand_put_tcp(&s, 1000);
		stand_pass(&s, NS_PER_S);
	}
	const uint64_t lost = stand_statistics(&s, 0).not_sent_flows;
	assert_in_range(lost, 1000, 29000);
	peer_connect(&peers[0], true);
	stand_pass(&s, NS_PER_S);
	assert_in_range(peers[0].flows, 10, 10 + 7000); /* not all at once */
	stand_pass(&s, 10 * NS_PER_S);
	assert_int_equal(peers[0].flows + lost, s.made);
	assert_int_equal(stand_statistics(&s, 0).flow_records + lost, s.made);
	stand_free(&s);
	place_fini(&p);
}

/* The disk takes nothing: as without a spool, and said so by counters. */
static void test_session_full_disk(void **state)
{
	const struct rlimit none = {0, RLIM_INFINITY};
	struct rlimit before;
	struct place p;
	struct stand s;

	session_init(&s, &p);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	setrlimit(RLIMIT_FSIZE, &none);
	for (int i = 0; i < 60; i++) {
		stand_put_tcp(&s, 1000);
		stand_pass(&s, NS_PER_S);
	}
	setrlimit(RLIMIT_FSIZE, &before);
	struct session_statistics c = stand_statistics(&s, 0);
	assert_true(c.spool_failures > 0);
	assert_true(c.not_sent_flows > 0);
	peer_connect(&peers[0], true);
	stand_pass(&s, 10 * NS_PER_S);
	c = stand_statistics(&s, 0);
	assert_int_equal(peers[0].flows + c.not_sent_flows, s.made);
	stand_free(&s);
	place_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order_and_again),
		cmocka_unit_test(test_after_a_kill),
		cmocka_unit_test(test_a_torn_end_is_cut),
		cmocka_unit_test(test_damage_is_set_aside),
		cmocka_unit_test(test_hostile_files),
		cmocka_unit_test(test_other_templates),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_session_away_and_back),
		cmocka_unit_test(test_session_restart),
		cmocka_unit_test(test_session_bound),
		cmocka_unit_test(test_session_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
