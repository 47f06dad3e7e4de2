/* The ledger as metrics: right sums, and no more series than there may be. */
#include "daemon/ledger_page.h"

#include "../store/build.h"

enum { DOMAINS = 400 };

static char *page_text(const struct page *page)
{
	struct text t = {.data = malloc(PAGE_MAX + 1), .capacity = PAGE_MAX};

	page_get(page, &t);
	assert_true(t.used > 0);
	((char *)t.data)[t.used] = '\0';
	return (char *)t.data;
}

/* Samples of a family, and their sum. */
static unsigned series_of(const char *text, const char *family, unsigned long long *sum)
{
	const size_t length = strlen(family);
	unsigned n = 0;

	*sum = 0;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, family, length) == 0 && (line[length] == '{' || line[length] == ' ')) {
			const char *end = strchr(line, '\n');

			while (end > line && end[-1] != ' ')
				end--;
			*sum += strtoull(end, NULL, 10);
			n++;
		}
	}
	return n;
}

static void take_of(struct loader *l, struct build *b, uint32_t domain, uint32_t sequence, uint64_t n)
{
	static const struct field fields[] = {{IE_flowId, 8, 0}};

	build_begin(b, sequence, domain);
	build_template(b, 256, 0, fields, 1);
	build_set(b, 256);
	build_number(b, n, 8);

	take(l, b, 1, n);
}

static void series_are_bounded(void **state)
{
	char *folder = folder_new();
	const struct loader_options options = {.store = folder};
	struct build *b = malloc(sizeof *b);
	struct board *board = board_new();
	struct page *out = &board->role[ROLE_LOADER].metrics;
	struct ledger_page *page = ledger_page_new();
	struct loader *l;
	struct error err = {""};
	unsigned long long sum;
	char *text;

	assert_int_equal(loader_open(&l, &options, &err), OK);
	for (uint32_t d = 0; d < DOMAINS; d++)
		take_of(l, b, d, 0, d + 1);
	ledger_page_make(page, l, NULL, out);
	text = page_text(out);
	const unsigned n = series_of(text, "weir_ledger_records_total", &sum);
	assert_int_equal(sum, DOMAINS);
	assert_true(n > 100 && n <= LEDGER_SERIES + 2);
	assert_non_null(strstr(text, "exporter=\"other\""));
	free(text);

	/* Again: the sums stay. A gap of five records: it shows. */
	take_of(l, b, 7, 6, DOMAINS + 1);
	ledger_page_make(page, l, NULL, out);
	text = page_text(out);
	assert_int_equal(series_of(text, "weir_ledger_records_total", &sum), n);
	assert_int_equal(sum, DOMAINS + 1);
	series_of(text, "weir_ledger_sequence_lost_total", &sum);
	assert_int_equal(sum, 5);
	assert_int_equal(series_of(text, "weir_store_partitions", &sum), 1);
	free(text);

	ledger_page_free(page);
	ledger_page_free(NULL);
	loader_close(l);
	board_free(board);
	free(b);
	folder_free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(series_are_bounded)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
