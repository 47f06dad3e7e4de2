/* The journal when all goes well: what goes in comes out, rotation, readers that follow, the sync policy by a
 * clock of ours, release, positions. */
#include <pthread.h>

#include "journal_support.h"

static void what_goes_in_comes_out(void **state)
{
	enum { COUNT = 1000 };
	static uint32_t seen[COUNT];
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 4096, NULL);
	struct journal_writer *w = journal_writer_of(journal, 0);
	struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};
	struct journal_statistics s;

	assert_int_equal(append_numbered(w, peers, 0, COUNT, SECOND(1)), COUNT);
	journal_statistics_read(w, &s);
	assert_int_equal(s.messages, COUNT);
	assert_true(s.segments > 10);
	assert_int_equal(s.state, JOURNAL_STORING);
	assert_int_equal(s.watermark.segment, 0);
	journal_close(journal);
	assert_int_equal(read_all(store, seen, COUNT), 0);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(seen[i], 1);
	test_store_free(store);
}

/* The .ipfix files are standard: messages back to back, each as long as its Length says. */
static void segments_are_ipfix_files(void **state)
{
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 2000, NULL);
	struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};
	static struct octets file;
	uint32_t number = 0;

	append_numbered(journal_writer_of(journal, 0), peers, 0, 64, SECOND(1));
	append_numbered(journal_writer_of(journal, 0), peers, 64, 64, SECOND(1));
	journal_close(journal);
	for (uint32_t segment = 1; segment <= 2; segment++) {
		char name[64];
		snprintf(name, sizeof name, "journal/0/%010u.ipfix", segment);
		load_file(store, name, &file);
		for (size_t at = 0; at < file.length; number++) {
			assert_int_equal(get_be16(file.data + at), 10);
			assert_int_equal(get_be32(file.data + at + 8), number);
			at += get_be16(file.data + at + 2);
			assert_true(at <= file.length);
		}
	}
	assert_int_equal(number, 128);
	test_store_free(store);
}

static void rotation(void **state)
{
	static const struct {
		const char *what;
		uint64_t octets;
		int64_t second_batch_at;
		uint32_t segment;
	} cases[] = {
		{"neither full nor old", 1 << 20, 2, 1},
		{"full", 4000, 2, 2},
		{"just not old", 1 << 20, 600, 1},
		{"old", 1 << 20, 601, 2},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *store = test_store_new();
		struct journal *journal = open_journal(store, cases[i].octets, NULL);
		struct journal_writer *w = journal_writer_of(journal, 0);
		struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};
		struct journal_statistics s;

		print_message("%s\n", cases[i].what);
		append_numbered(w, peers, 0, 64, SECOND(1));
		append_numbered(w, peers, 64, 64, SECOND(cases[i].second_batch_at));
		journal_statistics_read(w, &s);
		assert_int_equal(s.end.segment, cases[i].segment);
		assert_int_equal(s.segments, cases[i].segment);
		journal_close(journal);
		test_store_free(store);
	}
}

/* A reader beside the writer: it has everything that was appended, no more, and goes on over segments. */
static void a_reader_follows(void **state)
{
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 3000, NULL);
	struct journal_writer *w = journal_writer_of(journal, 0);
	struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};
	struct journal_reader *reader, *from;
	struct journal_entry entry;
	struct error err;
	uint32_t expected = 0;

	assert_int_equal(journal_reader_open(&reader, store, (struct journal_position){0}, false, &err), OK);
	assert_int_equal(journal_read(reader, &entry, &err), END);
	for (uint32_t first = 0; first < 600; first += 13) {
		append_numbered(w, peers, first, 13, SECOND(1));
		while (journal_read(reader, &entry, &err) == OK) {
			assert_int_equal(check_entry(&entry), expected);
			expected++;
			if (expected % 50)
				continue;
			/* Another one that begins behind this message gives the same next one. */
			struct journal_entry other;
			assert_int_equal(journal_reader_open(&from, store, entry.next, false, &err), OK);
			if (journal_read(from, &other, &err) == OK)
				assert_int_equal(check_entry(&other), expected);
			journal_reader_close(from);
		}
		assert_int_equal(expected, first + 13);
	}
	assert_true(entry.position.segment > 5);
	journal_reader_close(reader);
	journal_close(journal);
	test_store_free(store);
}

static void the_watermark_follows_the_sync_policy(void **state)
{
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 3000, NULL);
	struct journal_writer *w = journal_writer_of(journal, 0);
	struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};
	struct journal_watermark mark;
	struct journal_statistics s;
	struct error err;

	assert_int_equal(journal_watermark_read(store, 0, &mark, &err), END);
	assert_int_equal(journal_sync(w, SECOND(10), false), OK);
	append_numbered(w, peers, 0, 10, SECOND(10));
	assert_int_equal(journal_sync(w, (struct mono_ns){11 * NS_PER_S - 1}, false), OK);
	assert_int_equal(journal_watermark_read(store, 0, &mark, &err), END); /* not due */
	assert_int_equal(journal_sync(w, SECOND(11), false), OK);
	assert_int_equal(journal_watermark_read(store, 0, &mark, &err), OK);
	journal_statistics_read(w, &s);
	assert_int_equal(mark.accepted.segment, 1);
	assert_int_equal(mark.accepted.offset, s.end.offset);
	assert_int_equal(s.watermark.offset, s.end.offset);

	append_numbered(w, peers, 10, 200, SECOND(11)); /* over several segments */
	assert_int_equal(journal_sync(w, SECOND(11), true), OK);
	assert_int_equal(journal_watermark_read(store, 0, &mark, &err), OK);
	journal_statistics_read(w, &s);
	assert_true(s.end.segment > 1);
	assert_int_equal(journal_position_compare(mark.accepted, s.end), 0);
	const uint64_t serial = mark.serial;
	assert_int_equal(journal_sync(w, SECOND(20), true), OK); /* nothing new: nothing published */
	assert_int_equal(journal_watermark_read(store, 0, &mark, &err), OK);
	assert_int_equal(mark.serial, serial);
	journal_close(journal);
	test_store_free(store);
}

static void a_loader_reads_what_is_accepted(void **state)
{
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 3000, NULL);
	struct journal_writer *w = journal_writer_of(journal, 0);
	struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};
	struct journal_reader *reader;
	struct journal_entry entry;
	struct error err;
	uint32_t expected = 0;

	assert_int_equal(journal_reader_open(&reader, store, (struct journal_position){0}, true, &err), OK);
	for (uint32_t first = 0; first < 400; first += 40) {
		append_numbered(w, peers, first, 40, SECOND(1));
		assert_int_equal(journal_read(reader, &entry, &err), END);
		assert_int_equal(journal_sync(w, SECOND(1), true), OK);
		while (journal_read(reader, &entry, &err) == OK)
			assert_int_equal(check_entry(&entry), expected++);
		assert_int_equal(expected, first + 40);
	}
	journal_reader_close(reader);
	journal_close(journal);
	test_store_free(store);
}

static void released_segments_go(void **state)
{
	static uint32_t seen[400];
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 2000, NULL);
	struct journal_writer *w = journal_writer_of(journal, 0);
	struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};
	struct journal_statistics s;
	struct journal_recovery found;
	struct error err;
	uint32_t removed;

	for (uint32_t first = 0; first < 400; first += 20)
		append_numbered(w, peers, first, 20, SECOND(1));
	journal_statistics_read(w, &s);
	const uint32_t newest = s.end.segment;
	assert_int_equal(journal_release(store, (struct journal_position){0, 4, 100}, &removed, &err), OK);
	assert_int_equal(removed, 3);
	read_all(store, seen, 400);
	assert_int_equal(seen[0], 0);
	assert_int_equal(seen[399], 1);
	/* Above all that there is: the newest stays, so its number is not given again. */
	assert_int_equal(journal_release(store, (struct journal_position){0, 4000, 0}, &removed, &err), OK);
	assert_int_equal(removed, newest - 4);
	journal_close(journal);
	journal = open_journal(store, 2000, &found);
	assert_int_equal(found.lost + found.set_aside + found.chain_breaks, 0);
	append_numbered(journal_writer_of(journal, 0), peers, 400, 1, SECOND(1));
	journal_statistics_read(journal_writer_of(journal, 0), &s);
	assert_int_equal(s.end.segment, newest + 1);
	journal_close(journal);
	test_store_free(store);
}

static void numbers_are_never_given_again(void **state)
{
	char *store = test_store_new();
	struct journal_options options = {.store = store, .workers = 1, .first_segment = 77};
	struct journal *journal;
	struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};
	struct journal_statistics s;
	struct error err;

	assert_int_equal(journal_open(&journal, &options, NULL, &err), OK);
	append_numbered(journal_writer_of(journal, 0), peers, 0, 1, SECOND(1));
	const uint64_t session = journal_session_number(journal_writer_of(journal, 0));
	assert_true(session != journal_session_number(journal_writer_of(journal, 0)));
	journal_statistics_read(journal_writer_of(journal, 0), &s);
	assert_int_equal(s.end.segment, 77);
	journal_close(journal);
	/* The files are gone, the watermark still knows. */
	char folder[256];
	snprintf(folder, sizeof folder, "%s/journal", store);
	remove_tree(folder);
	options.first_segment = 0;
	assert_int_equal(journal_open(&journal, &options, NULL, &err), OK);
	append_numbered(journal_writer_of(journal, 0), peers, 0, 1, SECOND(1));
	journal_statistics_read(journal_writer_of(journal, 0), &s);
	assert_int_equal(s.end.segment, 78);
	assert_true(journal_session_number(journal_writer_of(journal, 0)) > session);
	journal_close(journal);
	test_store_free(store);
}

static void one_writer_at_a_time(void **state)
{
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 0, NULL), *second;
	const struct journal_options options = {.store = store, .workers = 1};
	struct error err;

	assert_int_equal(journal_open(&second, &options, NULL, &err), ERR_USAGE);
	assert_non_null(strstr(err.text, "another collector"));
	journal_close(journal);
	test_store_free(store);
}

static void limits_of_options(void **state)
{
	const struct {
		const char *what;
		struct journal_options options;
	} cases[] = {
		{"no worker", {.store = "/nonexistent/x", .workers = 0}},
		{"too many workers", {.store = "/nonexistent/x", .workers = JOURNAL_WORKERS + 1}},
		{"large segments", {.store = "/nonexistent/x", .workers = 1, .segment_octets = 1ULL << 31}},
	};
	struct journal *journal;
	struct error err;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		print_message("%s\n", cases[i].what);
		assert_int_equal(journal_open(&journal, &cases[i].options, NULL, &err), ERR_LIMIT);
	}
}

static void *append_many(void *arg)
{
	struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};

	for (uint32_t first = 0; first < 20000; first += 20)
		append_numbered(arg, peers, first, 20, SECOND(1));
	return NULL;
}

/* One thread appends over hundreds of segments, another syncs, and a reader keeps up behind the watermark. */
static void two_threads_and_a_reader(void **state)
{
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 5000, NULL);
	struct journal_writer *w = journal_writer_of(journal, 0);
	struct journal_reader *reader;
	struct journal_entry entry;
	struct journal_statistics s;
	struct error err;
	enum status st;
	pthread_t thread;
	uint32_t expected = 0;

	assert_int_equal(journal_reader_open(&reader, store, (struct journal_position){0}, true, &err), OK);
	assert_int_equal(pthread_create(&thread, NULL, append_many, w), 0);
	while (expected < 20000) {
		assert_int_equal(journal_sync(w, SECOND(1), true), OK);
		while ((st = journal_read(reader, &entry, &err)) == OK) {
			assert_int_equal(check_entry(&entry), expected);
			expected++;
		}
		assert_int_equal(st, END);
	}
	pthread_join(thread, NULL);
	journal_statistics_read(w, &s);
	assert_int_equal(s.messages, 20000);
	assert_true(s.segments > 100);
	assert_int_equal(journal_reader_statistics(reader).damaged, 0);
	journal_reader_close(reader);
	journal_close(journal);
	test_store_free(store);
}

/* Whoever only reads sees the workers of a journal that was moved and linked to, and no other names. */
static void workers_are_listed(void **state)
{
	static const char *const others[] = {"journal/01", "journal/-0", "journal/256", "journal/x",
					     "journal/2"};
	uint32_t workers[JOURNAL_WORKERS], count;
	char *store = test_store_new(), from[256], to[256];
	struct error err;

	assert_int_equal(journal_list_workers(store, workers, &count, &err), OK);
	assert_int_equal(count, 0);
	journal_close(open_journal(store, 4096, NULL));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		snprintf(to, sizeof to, "%s/%s", store, others[i]);
		assert_int_equal(mkdir(to, 0700), 0);
	}
	snprintf(from, sizeof from, "%s/journal", store);
	snprintf(to, sizeof to, "%s/moved", store);
	for (unsigned linked = 0; linked < 2; linked++) {
		assert_int_equal(journal_list_workers(store, workers, &count, &err), OK);
		assert_int_equal(count, 2);
		assert_int_equal(workers[0], 0);
		assert_int_equal(workers[1], 2);
		if (!linked) {
			assert_int_equal(rename(from, to), 0);
			assert_int_equal(symlink("moved", from), 0);
		}
	}
	test_store_free(store);
}

static void positions(void **state)
{
	static const struct {
		struct journal_position a, b;
		int order;
	} cases[] = {
		{{0, 1, 5}, {0, 1, 5}, 0},
		{{0, 1, 5}, {0, 1, 6}, -1},
		{{0, 2, 0}, {0, 1, 6}, 1},
	};
	char text[JOURNAL_POSITION_TEXT];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(journal_position_compare(cases[i].a, cases[i].b), cases[i].order);
		assert_int_equal(journal_position_compare(cases[i].b, cases[i].a), -cases[i].order);
	}
	journal_position_print((struct journal_position){255, UINT32_MAX, UINT64_MAX}, text);
	assert_string_equal(text, "255/4294967295/18446744073709551615");
}

static void holes_are_not_accepted(void **state)
{
	struct journal_watermark mark = {.accepted = {0, 5, 100}};

	watermark_add_hole(&mark, (struct journal_hole){3, 50, UINT64_MAX});
	static const struct {
		const char *what;
		struct journal_position at;
		bool accepted;
	} cases[] = {
		{"well below", {0, 1, 0}, true},    {"before the hole", {0, 3, 49}, true},
		{"in the hole", {0, 3, 50}, false}, {"behind the hole", {0, 4, 0}, true},
		{"the last one", {0, 5, 99}, true}, {"at the mark", {0, 5, 100}, false},
		{"next segment", {0, 6, 0}, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		print_message("%s\n", cases[i].what);
		assert_int_equal(journal_is_accepted(&mark, cases[i].at), cases[i].accepted);
	}
	for (uint32_t i = 0; i < 2 * JOURNAL_HOLES; i++)
		watermark_add_hole(&mark, (struct journal_hole){10 + i, 0, 1});
	assert_int_equal(mark.holes, JOURNAL_HOLES);
	assert_int_equal(mark.hole[JOURNAL_HOLES - 1].segment, 10 + 2 * JOURNAL_HOLES - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(segments_are_ipfix_files),
		cmocka_unit_test(rotation),
		cmocka_unit_test(a_reader_follows),
		cmocka_unit_test(the_watermark_follows_the_sync_policy),
		cmocka_unit_test(a_loader_reads_what_is_accepted),
		cmocka_unit_test(released_segments_go),
		cmocka_unit_test(numbers_are_never_given_again),
		cmocka_unit_test(one_writer_at_a_time),
		cmocka_unit_test(limits_of_options),
		cmocka_unit_test(two_threads_and_a_reader),
		cmocka_unit_test(workers_are_listed),
		cmocka_unit_test(positions),
		cmocka_unit_test(holes_are_not_accepted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
