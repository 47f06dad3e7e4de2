/* From the journal into the store: what the loader has taken and what it has not is seen once each, and what
 * is written lets its segments go. */
#include "build.h"
#include "collect/journal.h"
#include "store/journal_source.h"

static const struct field one[] = {{IE_flowId, 8, 0}};

struct bench {
	char *folder;
	struct journal *journal;
	struct journal_peer peers[2];
	struct build *b;
	uint32_t sequence;
};

static void begin(struct bench *t)
{
	struct error err = {0};

	*t = (struct bench){.folder = folder_new(), .b = malloc(sizeof *t->b)};
	const struct journal_options options = {.store = t->folder, .workers = 2, .segment_octets = 4096};
	if (journal_open(&t->journal, &options, NULL, &err) != OK)
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < 2; i++)
		t->peers[i].session = (struct journal_session){
			.address = {.s6_addr = {[10] = 0xff, 0xff, 192, 0, 2, (uint8_t)(i + 1)}},
			.port = 2055,
			.transport = JOURNAL_UDP};
}

static void append(struct bench *t, uint32_t worker, uint64_t number)
{
	build_begin(t->b, t->sequence++, 1);
	build_template(t->b, 256, 0, one, 1);
	build_set(t->b, 256);
	build_number(t->b, number, 8);
	const struct journal_message m = {.octets = build_end(t->b),
					  .received = {(RECEIVED_MS + (int64_t)number) * NS_PER_MS},
					  .peer = &t->peers[worker]};

	assert_int_equal(journal_append(journal_writer_of(t->journal, worker), &m, 1, mono_now()), 1);
	assert_int_equal(journal_sync(journal_writer_of(t->journal, worker), mono_now(), true), OK);
}

static void load(struct bench *t, bool write)
{
	struct input_position positions[INPUT_WORKERS_MAX];
	struct loader *l = open_loader(t->folder);
	struct journal_source *source;
	struct error err = {0};
	struct input input;

	for (uint32_t i = 0; i < INPUT_WORKERS_MAX; i++)
		positions[i] = loader_position(l, i);
	if (journal_source_open(&source, &input, t->folder, positions, true, &err) != OK)
		fail_msg("%s", err.text);
	assert_int_equal(loader_pull(l, &input, UINT64_MAX, &err), END);
	if (write) {
		flush(l);
		for (uint32_t i = 0; i < 2; i++)
			if (input.release(input.arg, loader_position(l, i), &err) != OK)
				fail_msg("%s", err.text);
	}
	journal_source_close(source);
	loader_close(l);
}

static void each_record_once(void **state)
{
	struct bench t;
	struct asking a;

	begin(&t);
	for (unsigned i = 0; i < 100; i++)
		append(&t, i % 2, i);
	ask_open(&a, t.folder);
	assert_answer(&a, "SELECT count(*) || ' ' || sum(flowId) FROM flows", "100 4950");
	assert_int_equal(a.coverage.tail_records, 100);
	assert_int_equal(a.coverage.records, 0);
	ask_close(&a);
	load(&t, true);
	for (unsigned i = 100; i < 150; i++)
		append(&t, i % 2, i);
	load(&t, false); /* read, not written: nothing has changed */
	ask_open(&a, t.folder);
	assert_answer(&a, "SELECT count(*) || ' ' || count(DISTINCT flowId) || ' ' || sum(flowId) FROM flows",
		      "150 150 11175");
	assert_int_equal(a.coverage.tail_records, 50);
	assert_int_equal(a.coverage.records, 100);
	assert_answer(&a, "SELECT count(DISTINCT exporterAddress) FROM flows", "2");
	assert_answer(&a, "SELECT max(receiveTime) FROM flows", "2023-11-14 22:13:20.149");
	assert_counter(&a, "messages", "150");
	ask_close(&a);
	load(&t, true);
	ask_open(&a, t.folder);
	assert_answer(&a, "SELECT count(*) || ' ' || sum(flowId) FROM flows", "150 11175");
	assert_int_equal(a.coverage.tail_records, 0);
	ask_close(&a);
	journal_close(t.journal);
	folder_free(t.folder);
	free(t.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_record_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
