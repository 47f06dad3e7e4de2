/* Any text as a filter: refused at a place inside the text, or SQL that stays the same when the filter is
 * printed and read again, and in which every quote is closed. As a sieve it lets the same of some rows pass
 * when it was printed and read again, and none where their bounds say so. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "query/sieve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refused(const uint8_t *data, size_t size, const struct filter_error *err)
{
	char caret[512];

	if (err->at > size || err->length > size - err->at || err->text[0] == '\0')
		abort();
	filter_error_caret(caret, sizeof caret, (const char *)data, size, err);
	for (const char *c = caret; *c; c++)
		if ((unsigned char)*c < ' ' && *c != '\n')
			abort(); /* nothing of the text moves a cursor */
}

/* Outside of quotes there are only characters that our own SQL has. */
static void check_quotes(const char *sql)
{
	char quote = '\0';

	for (; *sql; sql++) {
		if (quote)
			quote = *sql == quote ? '\0' : quote;
		else if (*sql == '"' || *sql == '\'')
			quote = *sql;
		else if (strchr(";\\\n-", *sql) && !strchr("- ", *sql))
			abort();
	}
	if (quote)
		abort();
}

/* Rows in which every column has the same few values. */
enum { ROWS = 70 };

struct rows {
	uint64_t data[2 * ROWS], valid[2];
	union parquet_text texts[ROWS];
	uint16_t codes[ROWS];
	struct wanted wanted;
	struct vector vector;
};

static const struct vector *get(void *arg, uint32_t column)
{
	struct rows *r = arg;
	const enum parquet_type type = column_parquet_type((enum column_kind)r->wanted.columns[column].kind);
	const bool text = type == PARQUET_TEXT || type == PARQUET_OCTETS;

	r->vector = (struct vector){.type = type, .rows = ROWS, .valid = column % 2 ? r->valid : NULL};
	r->vector.data = text ? (const void *)r->texts : r->data;
	r->vector.codes = column % 3 == 0 ? r->codes : NULL;
	r->vector.entries = column % 3 == 0 ? 8 : 0;
	return &r->vector;
}

static const struct vector *entries(void *arg, uint32_t column)
{
	struct rows *r = arg;

	if (!get(arg, column)->codes)
		return NULL;
	r->vector.rows = r->vector.entries;
	r->vector.valid = NULL;
	r->vector.codes = NULL;
	return &r->vector;
}

static void bounds(void *arg, uint32_t column, struct parquet_bounds *out)
{
	const struct rows *r = arg;

	*out = (struct parquet_bounds){.nulls = column % 2 ? ROWS / 2 : 0};
	if (column_parquet_type((enum column_kind)r->wanted.columns[column].kind) == PARQUET_UNSIGNED64)
		*out = (struct parquet_bounds){out->nulls, true, {.u = 0}, {.u = UINT64_MAX / 3 * 2}};
}

static void fill(struct rows *r)
{
	static const char *const texts[] = {"", "wg0", "10.0.0.1", "a rule of more octets"};

	r->valid[0] = 0xaaaaaaaaaaaaaaaa;
	r->valid[1] = 0x2a;
	for (unsigned i = 0; i < 2 * ROWS; i++)
		r->data[i] = i % 2 ? i : UINT64_MAX / 3 * (i % 3);
	for (unsigned i = 0; i < ROWS; i++) {
		r->codes[i] = (uint16_t)(i % 8);
		r->texts[i] = parquet_text(texts[i % 4], strlen(texts[i % 4]));
	}
}

static void add_columns(struct schema *schema)
{
	for (unsigned i = 0; i < BASE_COLUMN_COUNT; i++)
		(void)schema_add(schema, base_columns[i].name, (enum column_kind)base_columns[i].kind,
				 COLUMNS_MAX);
	for (size_t i = 0; i < ie_registry_count; i++)
		(void)schema_add(schema, ie_registry[i].name,
				 column_kind_of((enum ie_type)ie_registry[i].type), COLUMNS_MAX);
}

/* False: it is for DuckDB. */
static bool sift(const struct filter *filter, const struct schema *schema, uint64_t bits[2])
{
	struct rows r = {.wanted.schema = schema};
	const struct columns columns = {
		.arg = &r, .rows = ROWS, .get = get, .bounds = bounds, .entries = entries};
	struct sieve *sieve;
	uint32_t passed;

	fill(&r);
	if (sieve_new(&sieve, filter, 1, 1763805600000, &r.wanted) != OK)
		return false;
	if (!sieve_run(sieve, &columns, bits, &passed) ||
	    passed != (uint32_t)__builtin_popcountll(bits[0]) + (uint32_t)__builtin_popcountll(bits[1]) ||
	    (passed && !sieve_may_pass(sieve, &columns)))
		abort();
	sieve_free(sieve);
	return true;
}

static void compare_sieves(const struct filter *filter, const struct filter *again)
{
	struct schema schema = {0};
	uint64_t bits[2], bits_again[2];

	add_columns(&schema);
	if (sift(filter, &schema, bits) != sift(again, &schema, bits_again) ||
	    (sift(filter, &schema, bits) && memcmp(bits, bits_again, sizeof bits) != 0))
		abort();
	schema_fini(&schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filter *filter = NULL, *again = NULL;
	struct filter_error err;
	struct sql sql, printed, sql_again;
	enum status s = filter_parse(&filter, (const char *)data, size, 1763805600000, &err);

	if (s != OK) {
		if (s == ERR_USAGE)
			refused(data, size, &err);
		return 0;
	}
	sql_init(&sql);
	sql_init(&printed);
	sql_init(&sql_again);
	filter_sql(&sql, filter, NULL);
	filter_print(&printed, filter);
	if (sql.failed || printed.failed)
		abort();
	check_quotes(sql.text);
	/* Parentheses of its own may make a filter at the bound too long to be read back. */
	if (filter_parse(&again, printed.text, printed.length, 1763805600000, &err) == OK) {
		filter_sql(&sql_again, again, NULL);
		if (strcmp(sql.text, sql_again.text) != 0)
			abort();
		compare_sieves(filter, again);
	} else if (printed.length < FILTER_LENGTH_MAX && !strstr(err.text, "flatter")) {
		abort();
	}
	filter_free(filter);
	filter_free(again);
	sql_fini(&sql);
	sql_fini(&printed);
	sql_fini(&sql_again);
	return 0;
}
