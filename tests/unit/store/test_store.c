/* A store from outside: what a reader is told when it is empty, older, damaged; what a writer keeps in order.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build.h"
#include "store/keep.h"

static const struct field one[] = {{IE_flowId, 8, 0}};

/* `count` records in a partition of their own. */
static void put_partition(struct loader *l, struct build *b, uint64_t number, unsigned count, int64_t now_ms)
{
	struct error err = {0};

	build_begin(b, (uint32_t)number, 1);
	build_template(b, 256, 0, one, 1);
	build_set(b, 256);
	for (unsigned i = 0; i < count; i++)
		build_number(b, number * 1000 + i, 8);
	take(l, b, 1, number);
	if (loader_flush(l, now_ms, &err) != OK)
		fail_msg("%s", err.text);
}

static void path_of(char *out, size_t size, const char *folder, const struct loader *l, uint32_t i)
{
	snprintf(out, size, "%s/%s", folder, loader_manifest(l)->partitions[i].path);
}

static void an_empty_store(void **state)
{
	char *folder = folder_new();
	struct asking a;

	ask_open(&a, folder);
	assert_int_equal(a.coverage.partitions, 0);
	assert_int_equal(a.coverage.first_ms, 0);
	assert_answer(&a, "SELECT count(*) FROM flows WHERE sourceAddress = '10.0.0.1' AND denied", "0");
	assert_answer(&a, "SELECT count(*) FROM options", "0");
	assert_answer(&a, "SELECT count(*) FROM ledger", "0");
	ask_close(&a);
	folder_free(folder);
}

static void open_says(const char *folder, enum status expected, const char *part)
{
	struct error err = {0};
	struct store *s;

	assert_int_equal(store_open(&s, folder, &err), expected);
	if (!strstr(err.text, part))
		fail_msg("expected \"%s\" in: %s", part, err.text);
}

static void put_file(const char *folder, const char *name, const char *text)
{
	char path[1024];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void no_store_and_other_layouts(void **state)
{
	char *folder = folder_new();

	open_says("/nonexistent/store", ERR_SYSTEM, "/nonexistent/store: No such file");
	open_says("/dev/null", ERR_FORMAT, "no folder");
	put_file(folder, "manifest.json", "{\"weir\":\"store\",\"layout\":0,\"partitions\":[]}");
	open_says(folder, ERR_FORMAT,
		  "the store has layout 0, this weir reads layouts 1 to 2 and writes layout 2");
	put_file(folder, "manifest.json", "{\"weir\":\"store\",\"layout\":1");
	open_says(folder, ERR_FORMAT, "line 1, column");
	put_file(folder, "manifest.json", "[]");
	open_says(folder, ERR_FORMAT, "no manifest of a weir store");
	put_file(folder, "manifest.json",
		 "{\"weir\":\"store\",\"layout\":1,\"serial\":1,\"nextName\":1,\"templates\":\"../x\","
		 "\"templatesChecksum\":\"0\",\"columns\":[],\"partitions\":[]}");
	open_says(folder, ERR_FORMAT, "not as weir writes it");
	folder_free(folder);
}

struct damage {
	const char *what;
	void (*make)(const char *path);
	const char *reason;
};

static void cut(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
}

static void empty(const char *path)
{
	assert_int_equal(truncate(path, 0), 0);
}

static void gone(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void flip(const char *path, off_t from_end)
{
	struct stat st;
	uint8_t octet;
	const int fd = open(path, O_RDWR);

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pread(fd, &octet, 1, st.st_size - from_end), 1);
	octet ^= 0x10;
	assert_int_equal(pwrite(fd, &octet, 1, st.st_size - from_end), 1);
	close(fd);
}

static void flip_footer(const char *path)
{
	flip(path, 40);
}

static void flip_magic(const char *path)
{
	flip(path, 1);
}

static void damaged_partitions_are_left_out(void **state)
{
	static const struct damage damages[] = {
		{"cut in half", cut, "octets, its manifest says"},
		{"emptied", empty, "it has 0 octets"},
		{"removed", gone, "No such file"},
		{"a bit of the footer", flip_footer, "its footer is not the one that was written"},
		{"a bit of the magic", flip_magic, "it has no Parquet footer"},
	};
	struct build *b = malloc(sizeof *b);

	for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
		char *folder = folder_new(), path[512];
		struct loader *l = open_loader(folder);
		struct asking a;

		for (unsigned n = 1; n <= 3; n++)
			put_partition(l, b, n, 10, RECEIVED_MS);
		path_of(path, sizeof path, folder, l, 1);
		damages[i].make(path);
		ask_open(&a, folder);
		assert_answer(&a, "SELECT count(*) || ' ' || min(flowId) || ' ' || max(flowId) FROM flows",
			      "20 1000 3009");
		assert_int_equal(a.coverage.quarantined, 1);
		if (!strstr(store_quarantine_text(a.store), damages[i].reason) ||
		    !strstr(store_quarantine_text(a.store), "parts/"))
			fail_msg("%s: %s", damages[i].what, store_quarantine_text(a.store));
		ask_close(&a);
		loader_close(l);
		folder_free(folder);
	}
	free(b);
}

/* A bit inside a page: only the whole checksum sees it, and DuckDB would give wrong values. */
static void a_bit_in_a_page_is_found(void **state)
{
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new(), path[512];
	struct loader *l = open_loader(folder);
	struct error err = {0};
	struct asking a;
	uint32_t aside;
	struct stat st;

	put_partition(l, b, 1, 1000, RECEIVED_MS);
	put_partition(l, b, 2, 1000, RECEIVED_MS);
	path_of(path, sizeof path, folder, l, 0);
	assert_int_equal(stat(path, &st), 0);
	flip(path, st.st_size - 100);
	assert_int_equal(keep_checked(l, false, &aside, &err), OK);
	assert_int_equal(aside, 0);
	assert_int_equal(keep_checked(l, true, &aside, &err), OK);
	assert_int_equal(aside, 1);
	loader_close(l);
	l = open_loader(folder);
	assert_int_equal(loader_manifest(l)->aside_count, 1);
	assert_non_null(strstr(loader_manifest(l)->aside[0].reason, "its checksum is"));
	assert_int_equal(stat(path, &st), 0); /* kept, for who wants to look */
	ask_open(&a, folder);
	assert_answer(&a, "SELECT count(*) FROM flows", "1000");
	assert_int_equal(a.coverage.quarantined, 1);
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

/* What cannot be read at the moment is not damaged for that. */
static void what_cannot_be_opened_now_stays(void **state)
{
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new();
	struct loader *l = open_loader(folder);
	struct error err = {0};
	struct rlimit before, none;
	uint32_t aside = 1;

	put_partition(l, b, 1, 10, RECEIVED_MS);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	const enum status s = keep_checked(l, true, &aside, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(s, OK);
	assert_int_equal(aside, 0);
	assert_int_equal(loader_manifest(l)->partition_count, 1);
	loader_close(l);
	folder_free(folder);
	free(b);
}

static void small_partitions_are_put_together(void **state)
{
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new(), path[512];
	struct loader *l = open_loader(folder);
	struct asking a;
	struct stat st;

	put_partition(l, b, 1, 10, RECEIVED_MS);
	path_of(path, sizeof path, folder, l, 0);
	for (unsigned n = 2; n <= 40; n++)
		put_partition(l, b, n, 10, RECEIVED_MS);
	assert_true(loader_manifest(l)->partition_count < COMPACT_FILES);
	assert_int_equal(stat(path, &st), 0); /* a query may still read it */
	ask_open(&a, folder);
	assert_answer(&a, "SELECT count(*) || ' ' || count(DISTINCT flowId) || ' ' || sum(flowId) FROM flows",
		      "400 400 8201800");
	assert_answer(&a, "SELECT typeof(any_value(exportTime)) FROM flows", "TIMESTAMP");
	ask_close(&a);
	keep_house(l, RECEIVED_MS + 2 * LEAVING_MS);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(loader_manifest(l)->leaving_count, 0);
	loader_close(l);
	folder_free(folder);
	free(b);
}

static void old_partitions_go(void **state)
{
	char *folder = folder_new(), path[512];
	const struct loader_options options = {.store = folder, .retain_ms = 3600 * 1000};
	struct build *b = malloc(sizeof *b);
	struct error err = {0};
	struct loader *l;
	struct asking a;
	struct stat st;

	assert_int_equal(loader_open(&l, &options, &err), OK);
	put_partition(l, b, 1, 10, RECEIVED_MS);
	path_of(path, sizeof path, folder, l, 0);
	put_partition(l, b, 3000 * 1000, 10, RECEIVED_MS + 3000 * 1000);
	assert_int_equal(loader_manifest(l)->partition_count, 2);
	keep_house(l, RECEIVED_MS + 3700 * 1000);
	assert_int_equal(loader_manifest(l)->partition_count, 1);
	assert_int_equal(stat(path, &st), 0);
	keep_house(l, RECEIVED_MS + 3700 * 1000 + LEAVING_MS);
	assert_int_equal(stat(path, &st), -1);
	ask_open(&a, folder);
	assert_answer(&a, "SELECT count(*) FROM flows", "10");
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

static void leftovers_are_swept_by_a_writer_only(void **state)
{
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new(), day[512], path[600];
	struct loader *l = open_loader(folder);
	struct error err = {0};
	struct loader *second;
	struct asking a;

	put_partition(l, b, 1, 10, RECEIVED_MS);
	path_of(day, sizeof day, folder, l, 0);
	*strrchr(day, '/') = '\0';
	put_file(day, ".flows-0000000009.parquet", "half");
	put_file(day, "flows-0000000008.parquet", "renamed, not in the manifest");
	put_file(folder, "templates-0000000007.ipfix", "old");
	put_file(folder, "notes.txt", "somebody's own");
	ask_open(&a, folder);
	assert_answer(&a, "SELECT count(*) FROM flows", "10");
	ask_close(&a);
	snprintf(path, sizeof path, "%s/flows-0000000008.parquet", day);
	assert_int_equal(access(path, F_OK), 0);

	const struct loader_options options = {.store = folder};
	assert_int_equal(loader_open(&second, &options, &err), ERR_USAGE);
	assert_non_null(strstr(err.text, "another process loads into it"));
	loader_close(l);
	l = open_loader(folder);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof path, "%s/.flows-0000000009.parquet", day);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof path, "%s/notes.txt", folder);
	assert_int_equal(access(path, F_OK), 0);
	put_partition(l, b, 2, 10, RECEIVED_MS);
	ask_open(&a, folder);
	assert_answer(&a, "SELECT count(*) FROM flows", "20");
	assert_counter(&a, "swept", "3");
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

static void time_leaves_partitions_out(void **state)
{
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new();
	struct loader *l = open_loader(folder);
	struct store_coverage c;
	struct error err = {0};
	struct asking a;

	put_partition(l, b, 1, 10, RECEIVED_MS);
	ask_open(&a, folder);
	assert_int_equal(a.coverage.first_ms, EXPORTED * INT64_C(1000));
	assert_int_equal(store_attach(a.store, a.duck.connection, EXPORTED * INT64_C(1000) + 1, 0, &c, &err),
			 OK);
	assert_int_equal(c.partitions, 0);
	assert_int_equal(c.left_out, 1);
	assert_answer(&a, "SELECT count(*) FROM flows", "0");
	assert_int_equal(store_attach(a.store, a.duck.connection, 0, EXPORTED * INT64_C(1000), &c, &err), OK);
	assert_int_equal(c.partitions, 1);
	assert_answer(&a, "SELECT count(*) FROM flows", "10");
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

/* Which partitions have the newest records, and from when on no other has any. */
static void the_newest_part(void **state)
{
	static const struct field timed[] = {{IE_flowId, 8, 0}, {IE_flowEndMilliseconds, 8, 0}};
	static const unsigned ends[] = {3, 9, 1, 7, 4,
					8, 2, 6, 5, 0}; /* of each partition's last record, s */
	enum { COUNT = sizeof ends / sizeof ends[0] };
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new();
	struct loader *l = open_loader(folder);
	struct store_newest part;
	struct error err = {0};
	struct asking a;
	struct sql sql;

	for (unsigned n = 0; n < COUNT; n++) {
		build_begin(b, n, 1);
		build_template(b, 256, 0, timed, 2);
		build_set(b, 256);
		for (unsigned i = 0; i < 2; i++) { /* the first is always old */
			build_number(b, n * 10 + i, 8);
			build_number(b, (uint64_t)RECEIVED_MS + (i ? 1000 * ends[n] : 0), 8);
		}
		take(l, b, 1, n + 1);
		assert_int_equal(loader_flush(l, RECEIVED_MS, &err), OK);
	}
	ask_open(&a, folder);
	assert_true(store_newest(a.store, 3, &part));
	assert_int_equal(part.partitions, 2);
	assert_int_equal(part.behind_ms, RECEIVED_MS + 7001);
	sql_init(&sql);
	store_flows_of(a.store, &part, &sql, "\"flowId\"");
	sql_put(&sql, "SELECT string_agg(\"flowId\", ' ' ORDER BY \"flowId\") FROM flows");
	assert_answer(&a, sql.text, "10 11 50 51");
	assert_false(store_newest(a.store, 6, &part)); /* almost a third of all */
	assert_false(store_newest(a.store, 1000, &part));
	sql_fini(&sql);
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_store),
		cmocka_unit_test(no_store_and_other_layouts),
		cmocka_unit_test(damaged_partitions_are_left_out),
		cmocka_unit_test(a_bit_in_a_page_is_found),
		cmocka_unit_test(what_cannot_be_opened_now_stays),
		cmocka_unit_test(small_partitions_are_put_together),
		cmocka_unit_test(old_partitions_go),
		cmocka_unit_test(leftovers_are_swept_by_a_writer_only),
		cmocka_unit_test(time_leaves_partitions_out),
		cmocka_unit_test(the_newest_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
