/* Files of our own writer, read again: value by value, and damaged in every octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <duckdb.h>

#include "made.h"
#include "parquet/octets.h"
#include "parquet/reader.h"

enum { FOOTER_MOST = 16 << 20 };

static enum status put(void *arg, const void *data, size_t length, struct error *err)
{
	struct octets *o = arg;

	(void)err;
	octets_put(o, data, length);
	return o->failed ? ERR_MEMORY : OK;
}

static enum status get(void *arg, uint64_t at, void *to, size_t length, struct error *err)
{
	const struct octets *o = arg;

	(void)err;
	assert_true(at <= o->used && length <= o->used - at);
	memcpy(to, o->data + at, length);
	return OK;
}

static struct parquet *begin(struct octets *o, const struct parquet_column *columns, uint32_t count)
{
	const struct parquet_sink sink = {.arg = o, .put = put};
	struct parquet *p;

	*o = (struct octets){0};
	assert_int_equal(parquet_new(&p, &sink, "here", columns, count, NULL), OK);
	return p;
}

static void end(struct parquet *p)
{
	assert_int_equal(parquet_end(p, NULL), OK);
	parquet_free(p);
}

static struct parquet_reader *open_reader(struct octets *o)
{
	const struct parquet_octets octets = {o, get, o->used};
	struct parquet_reader *r;
	struct error err = {0};

	if (parquet_reader_open(&r, &octets, FOOTER_MOST, "here", &err) != OK)
		fail_msg("%s", err.text);
	return r;
}

static void read_column(const struct parquet_reader *r, uint32_t group, uint32_t column,
			struct page_memory *m, struct vector *v)
{
	struct error err = {0};

	if (parquet_reader_read(r, group, column, m, v, &err) != OK)
		fail_msg("%s", err.text);
}

static void assert_value(const struct made *m, uint32_t row, const struct vector *v)
{
	const size_t width = parquet_width(m->column.type);
	const uint8_t *mine = m->data + row * width;
	const uint8_t *theirs = (const uint8_t *)v->data + vector_at(v, row) * width;
	const union parquet_text *a = (const void *)mine, *b = (const void *)theirs;

	if (v->codes)
		assert_true(v->codes[row] < v->entries);
	if (m->column.type == PARQUET_TEXT || m->column.type == PARQUET_OCTETS) {
		assert_memory_equal(a, b, 8);
		assert_memory_equal(parquet_text_octets(a), parquet_text_octets(b), a->near.length);
	} else {
		assert_memory_equal(mine, theirs, width);
	}
}

/* Rows `from` and on of what was made. */
static void assert_column(const struct made *m, uint32_t from, const struct vector *v)
{
	const uint8_t *last = (const uint8_t *)v->data + vector_at(v, v->rows - 1) * parquet_width(v->type);
	uint64_t any = *last; /* can be read */

	assert_int_equal(v->type, m->column.type);
	for (uint32_t i = 0; i < v->rows; i++) {
		if (vector_has(v, i) != there(m->gaps, from + i))
			fail_msg("%s: row %u is not there, or should not be", m->name, from + i);
		any += v->codes ? v->codes[i] : 0;
		if (vector_has(v, i))
			assert_value(m, from + i, v);
		else if (v->codes)
			assert_int_equal(v->codes[i], 0);
	}
	if (m->gaps == NEVER)
		assert_null(v->valid);
	else if (v->rows % 64)
		assert_true(!v->valid || v->valid[v->rows / 64] >> v->rows % 64 == 0);
	(void)any;
}

/* Two groups: all rows, and the first half of them once more. */
static void check_rows(struct made *all, uint32_t count, uint32_t rows)
{
	static struct parquet_column columns[COLUMNS];
	static struct parquet_values values[COLUMNS];
	struct page_memory *memory;
	struct parquet_reader *r;
	uint64_t random = rows;
	struct parquet *p;
	struct vector v;
	struct octets o;

	for (uint32_t i = 0; i < count; i++) {
		make_values(&all[i], rows, &random);
		columns[i] = all[i].column;
		values[i] = (struct parquet_values){.data = all[i].data,
						    .valid = all[i].gaps == NEVER ? NULL : all[i].valid};
	}
	p = begin(&o, columns, count);
	assert_int_equal(parquet_group(p, values, rows, NULL), OK);
	assert_int_equal(parquet_group(p, values, (rows + 1) / 2, NULL), OK);
	end(p);
	r = open_reader(&o);
	assert_int_equal(page_memory_new(&memory), OK);
	assert_int_equal(parquet_reader_groups(r), 2);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t group = 0; group < 2; group++) {
			assert_int_equal(parquet_reader_column(r, all[i].name), i);
			assert_int_equal(parquet_reader_type(r, i), all[i].column.type);
			read_column(r, group, i, memory, &v);
			assert_int_equal(v.rows, parquet_reader_rows(r, group));
			assert_int_equal(v.rows, group ? (rows + 1) / 2 : rows);
			assert_column(&all[i], 0, &v);
		}
	assert_int_equal(parquet_reader_column(r, "none"), -1);
	page_memory_free(memory);
	parquet_reader_close(r);
	octets_fini(&o);
}

static void test_every_value(void **state)
{
	static const uint32_t sizes[] = {1, 7, 64, 65, 129, 2047, ROWS_MAX};
	static uint8_t pool[POOL];
	static struct made all[COLUMNS];
	const uint32_t count = make_columns(all, pool);

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		check_rows(all, count, sizes[i]);
	free_columns(all, count);
}

/* One column, one group, all rows valid or as `valid` says; the file is in *o. */
static void write_one(struct octets *o, enum parquet_type type, const void *data, const uint64_t *valid,
		      uint32_t rows)
{
	const struct parquet_column column = {"c", type};
	const struct parquet_values values = {data, valid};
	struct parquet *p = begin(o, &column, 1);

	assert_int_equal(parquet_group(p, &values, rows, NULL), OK);
	end(p);
}

/* A whole row group, as the store writes them; and the most there can be. */
static void test_large(void **state)
{
	static const uint32_t sizes[] = {122880, 1 << 20};
	static uint64_t data[1 << 20], valid[(1 << 20) / 64];
	struct page_memory *memory;
	struct parquet_reader *r;
	uint64_t random = 1;
	struct vector v;
	struct octets o;

	(void)state;
	assert_int_equal(page_memory_new(&memory), OK);
	for (unsigned bits = 8; bits <= 64; bits += 14)
		for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
			for (uint32_t i = 0; i < sizes[k]; i++) {
				data[i] = draw(&random) >> (64 - bits);
				valid[i / 64] = draw(&random) | draw(&random);
			}
			write_one(&o, PARQUET_UNSIGNED64, data, k ? NULL : valid, sizes[k]);
			r = open_reader(&o);
			read_column(r, 0, 0, memory, &v);
			assert_true((v.codes != NULL) == (bits <= 8));
			for (uint32_t i = 0; i < sizes[k]; i++) {
				const bool is = k || (valid[i / 64] >> i % 64 & 1);

				assert_true(vector_has(&v, i) == is);
				if (is && ((const uint64_t *)v.data)[vector_at(&v, i)] != data[i])
					fail_msg("%u bits, row %u of %u", bits, i, sizes[k]);
			}
			parquet_reader_close(r);
			octets_fini(&o);
		}
	page_memory_free(memory);
}

/* Of every length around the places where they stand, more than a dictionary takes. */
static void test_texts(void **state)
{
	enum { ROWS = 6000, LENGTHS = 300 };
	static char pool[ROWS][LENGTHS];
	static union parquet_text data[ROWS];
	const union parquet_text *texts;
	struct page_memory *memory;
	struct parquet_reader *r;
	uint64_t random = 1;
	struct vector v;
	struct octets o;

	(void)state;
	assert_int_equal(page_memory_new(&memory), OK);
	for (unsigned compressible = 0; compressible < 2; compressible++) {
		for (uint32_t i = 0; i < ROWS; i++) {
			for (uint32_t k = 0; k < LENGTHS; k++)
				pool[i][k] = compressible ? 'x' : (char)draw(&random);
			snprintf(pool[i], 8, "%07u", i);
			data[i] = parquet_text(pool[i], i % LENGTHS);
		}
		write_one(&o, PARQUET_OCTETS, data, NULL, ROWS);
		r = open_reader(&o);
		read_column(r, 0, 0, memory, &v);
		assert_null(v.codes);
		texts = v.data;
		for (uint32_t i = 0; i < ROWS; i++) {
			assert_memory_equal(&texts[i], &data[i], i % LENGTHS > PARQUET_NEAR ? 8 : 16);
			assert_memory_equal(parquet_text_octets(&texts[i]), pool[i], i % LENGTHS);
		}
		parquet_reader_close(r);
		octets_fini(&o);
	}
	page_memory_free(memory);
}

enum { LATE_ROWS = 1000, LATE_GROUPS = 5, SETTLED = 2 };

static void write_late(struct octets *o)
{
	static uint8_t ascending[LATE_ROWS];
	static int64_t late[LATE_ROWS];
	static int16_t low[LATE_ROWS];
	static union parquet_text texts[LATE_ROWS];
	static const uint64_t none[LATE_ROWS / 64 + 1];
	const struct parquet_column columns[] = {{"n", PARQUET_UNSIGNED8},
						 {"late", PARQUET_NOTHING},
						 {"never", PARQUET_NOTHING},
						 {"low", PARQUET_SIGNED16},
						 {"late text", PARQUET_NOTHING}};
	struct parquet *p = begin(o, columns, 5);

	parquet_note(p, "question", "all of it");
	for (uint32_t g = 0; g < LATE_GROUPS; g++) {
		struct parquet_values values[] = {
			{ascending, NULL}, {late, none}, {NULL, none}, {low, NULL}, {texts, none}};

		for (uint32_t i = 0; i < LATE_ROWS; i++) {
			ascending[i] = (uint8_t)(g * 10 + i % 100);
			late[i] = -(int64_t)i - g * 10000;
			low[i] = (int16_t)(i % 7 - 32768);
			texts[i] = parquet_text("the same text for all", 21);
		}
		if (g == SETTLED) {
			parquet_settle(p, 1, PARQUET_SIGNED64);
			parquet_settle(p, 4, PARQUET_TEXT);
		}
		if (g >= SETTLED)
			values[1].valid = values[4].valid = NULL;
		assert_int_equal(parquet_group(p, values, LATE_ROWS, NULL), OK);
	}
	end(p);
}

static void assert_bounds(const struct parquet_reader *r, uint32_t g)
{
	struct parquet_bounds b;

	parquet_reader_bounds(r, g, 0, &b);
	assert_true(b.bounded && b.nulls == 0 && b.least.u == g * 10 && b.greatest.u == g * 10 + 99);
	parquet_reader_bounds(r, g, 3, &b);
	assert_true(b.bounded && b.least.i == -32768 && b.greatest.i == -32762);
	parquet_reader_bounds(r, g, 1, &b);
	assert_true(b.bounded == (g >= SETTLED) && b.nulls == (g < SETTLED ? LATE_ROWS : 0));
	assert_true(g < SETTLED ||
		    (b.least.i == -(int64_t)(g * 10000) - 999 && b.greatest.i == -(int64_t)(g * 10000)));
	parquet_reader_bounds(r, g, 4, &b);
	assert_true(!b.bounded && b.nulls == (g < SETTLED ? LATE_ROWS : 0));
}

static void assert_entries(const struct parquet_reader *r, uint32_t g, struct page_memory *memory)
{
	struct vector v;

	assert_int_equal(parquet_reader_entries(r, g, 2, memory, &v, NULL), END);
	assert_int_equal(parquet_reader_entries(r, g, 4, memory, &v, NULL), g < SETTLED ? END : OK);
	if (g >= SETTLED) {
		assert_true(v.rows == 1 && !v.codes && !v.valid && v.type == PARQUET_TEXT);
		assert_memory_equal(parquet_text_octets(v.data), "the same text for all", 21);
	}
	assert_int_equal(parquet_reader_entries(r, g, 3, memory, &v, NULL), OK);
	assert_int_equal(v.rows, 7);
	for (int16_t i = 0; i < 7; i++)
		assert_int_equal(((const int16_t *)v.data)[i], i - 32768);
}

/* Bounds as the footer has them, of columns that get their type late too; entries alone. */
static void test_groups(void **state)
{
	struct page_memory *memory;
	struct parquet_reader *r;
	struct vector v;
	struct octets o;

	(void)state;
	write_late(&o);
	r = open_reader(&o);
	assert_int_equal(page_memory_new(&memory), OK);
	assert_int_equal(parquet_reader_columns(r), 5);
	assert_int_equal(parquet_reader_groups(r), LATE_GROUPS);
	assert_int_equal(parquet_reader_type(r, 1), PARQUET_SIGNED64);
	assert_int_equal(parquet_reader_type(r, 2), PARQUET_TEXT);
	for (uint32_t g = 0; g < LATE_GROUPS; g++) {
		assert_bounds(r, g);
		assert_entries(r, g, memory);
		read_column(r, g, 1, memory, &v);
		for (uint32_t i = 0; i < LATE_ROWS; i++)
			assert_true(vector_has(&v, i) == (g >= SETTLED) &&
				    ((const int64_t *)v.data)[vector_at(&v, i)] ==
					    (g < SETTLED ? 0 : -(int64_t)i - g * 10000));
	}
	page_memory_free(memory);
	parquet_reader_close(r);
	octets_fini(&o);
}

/* Many columns in many groups: names are found, and the footer is longer than what is read at once. */
static void test_wide(void **state)
{
	enum { WIDE = 1000, GROUPS = 64 };
	static char names[WIDE][16];
	static struct parquet_column columns[WIDE];
	static struct parquet_values values[WIDE];
	static const uint16_t value = 7;
	const struct parquet_octets *no_source = &(const struct parquet_octets){0};
	struct parquet_reader *r;
	struct parquet_bounds b;
	struct error err = {0};
	struct octets o;
	struct parquet *p;

	(void)state;
	for (unsigned i = 0; i < WIDE; i++) {
		snprintf(names[i], sizeof names[i], "column%u", i * 7919 % WIDE);
		columns[i] = (struct parquet_column){names[i], PARQUET_UNSIGNED16};
		values[i].data = &value;
	}
	p = begin(&o, columns, WIDE);
	for (unsigned g = 0; g < GROUPS; g++)
		assert_int_equal(parquet_group(p, values, 1, NULL), OK);
	end(p);
	r = open_reader(&o);
	for (unsigned i = 0; i < WIDE; i++) {
		assert_int_equal(parquet_reader_column(r, names[i]), i);
		parquet_reader_bounds(r, i % GROUPS, i, &b);
		assert_true(b.least.u == value && b.greatest.u == value);
	}
	parquet_reader_close(r);
	const struct parquet_octets octets = {&o, get, o.used};
	assert_int_equal(parquet_reader_open(&r, &octets, 100000, "here", &err), ERR_LIMIT);
	assert_null(r);
	assert_int_equal(parquet_reader_open(&r, no_source, 100000, "here", &err), ERR_FORMAT);
	assert_string_equal(err.text, "here: not a Parquet file");
	octets_fini(&o);
}

/* Damage. */

/* Whatever the octets are: every column that the footer has is read. */
static unsigned read_all(struct octets *o, struct page_memory *memory)
{
	const struct parquet_octets octets = {o, get, o->used};
	struct parquet_reader *r;
	unsigned read = 0;
	uint64_t any = 0;
	struct vector v;

	if (parquet_reader_open(&r, &octets, FOOTER_MOST, "here", NULL) != OK)
		return 0;
	for (uint32_t g = 0; g < parquet_reader_groups(r); g++)
		for (uint32_t c = 0; c < parquet_reader_columns(r); c++) {
			if (parquet_reader_entries(r, g, c, memory, &v, NULL) == OK)
				any += *(const uint8_t *)v.data;
			if (parquet_reader_read(r, g, c, memory, &v, NULL) != OK)
				continue;
			for (uint32_t i = 0; i < v.rows; i++) {
				const uint32_t at = vector_at(&v, i);
				const union parquet_text *t = v.data;

				any += ((const uint8_t *)v.data)[at * parquet_width(v.type)];
				if (v.codes && v.codes[i] >= v.entries)
					fail_msg("code %u of %u", v.codes[i], v.entries);
				if (v.type == PARQUET_TEXT && t[at].near.length)
					any += parquet_text_octets(&t[at])[t[at].near.length - 1];
			}
			read++;
		}
	parquet_reader_close(r);
	return read + (any == UINT64_MAX);
}

/* One column of each way to write it; those that are in no dictionary have to be long. */
static const struct {
	enum parquet_type type;
	enum spread spread;
	enum gaps gaps;
	uint32_t rows;
} small[] = {
	{PARQUET_UNSIGNED16, FEW, NOW_AND_THEN, 300},
	{PARQUET_TEXT, FEW, NEVER, 300},
	{PARQUET_UUID, FEW, IN_BLOCKS, 1000},
	{PARQUET_BOOLEAN, MANY, NOW_AND_THEN, 500},
	{PARQUET_UNSIGNED16, MANY, NEVER, 6000},
	{PARQUET_SIGNED64, ASCENDING, NOW_AND_THEN, 6000},
	{PARQUET_UNSIGNED64, MANY, ALTERNATING, 10000},
	{PARQUET_TEXT, MANY, ALTERNATING, 10000},
	{PARQUET_FLOAT, MANY, NEVER, 6000},
	{PARQUET_UNSIGNED32, WIDENING, NEVER, 8500},
	{PARQUET_TIME_MS, ASCENDING, ALWAYS, 100},
};

static void write_small(struct octets *o, size_t which, const uint8_t *pool)
{
	const size_t width = parquet_width(small[which].type);
	struct made m = {.column = {"c", small[which].type},
			 .spread = small[which].spread,
			 .gaps = small[which].gaps,
			 .data = malloc(small[which].rows * width),
			 .valid = malloc((small[which].rows / 64 + 1) * 8),
			 .pool = pool};
	uint64_t random = which;

	make_values(&m, small[which].rows, &random);
	write_one(o, m.column.type, m.data, m.valid, small[which].rows);
	free(m.data);
	free(m.valid);
}

/* Everywhere in a small file; of a large one, in its headers and footer, and here and there. */
static void damage(struct octets *o, struct page_memory *memory)
{
	enum { NEAR = 250, STEP = 101 };
	static const uint8_t how[] = {1, 0x80};

	for (size_t at = 0; at<o->used; at += at> 400 && at + 400 < o->used ? 41 : 1)
		for (size_t k = 0; k < sizeof how; k++) {
			o->data[at] ^= how[k];
			(void)read_all(o, memory);
			o->data[at] ^= how[k];
		}
	for (size_t length = 0; length<o->used; length += length> 400 && length + 400 < o->used ? 41 : 1) {
		struct octets cut = {.data = malloc(length + 1), .used = length};

		memcpy(cut.data, o->data, length);
		assert_int_equal(read_all(&cut, memory), 0);
		free(cut.data);
	}
}

static void test_damage(void **state)
{
	static uint8_t pool[POOL];
	struct page_memory *memory;
	struct octets o;

	(void)state;
	assert_int_equal(page_memory_new(&memory), OK);
	for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
		write_small(&o, i, pool);
		assert_int_equal(read_all(&o, memory), 1);
		damage(&o, memory);
		assert_int_equal(read_all(&o, memory), 1);
		octets_fini(&o);
	}
	page_memory_free(memory);
}

static void assert_unsupported(struct octets *o)
{
	const struct parquet_octets octets = {o, get, o->used};
	struct parquet_reader *r;
	struct error err = {0};

	assert_int_equal(parquet_reader_open(&r, &octets, FOOTER_MOST, "here", &err), ERR_UNSUPPORTED);
	assert_string_equal(err.text, "here: of another writer");
	assert_null(r);
}

/* Our own with another's name, and one that has another shape. */
static void test_foreign(void **state)
{
	char path[] = "/tmp/weir-parquet-XXXXXX", sql[256];
	static const uint32_t value = 1;
	duckdb_connection connection;
	duckdb_database database;
	struct octets o;
	uint8_t some[4096];
	FILE *file;

	(void)state;
	write_one(&o, PARQUET_UNSIGNED32, &value, NULL, 1);
	memcpy(memmem(o.data, o.used, "weir " WEIR_VERSION, 5 + strlen(WEIR_VERSION)), "else", 4);
	assert_unsupported(&o);
	octets_fini(&o);

	file = fdopen(mkstemp(path), "rb");
	assert_non_null(file);
	snprintf(sql, sizeof sql,
		 "COPY (SELECT range AS a, [range] AS b FROM range(9)) TO '%s' (FORMAT parquet)", path);
	assert_int_equal(duckdb_open(NULL, &database), DuckDBSuccess);
	assert_int_equal(duckdb_connect(database, &connection), DuckDBSuccess);
	assert_int_equal(duckdb_query(connection, sql, NULL), DuckDBSuccess);
	duckdb_disconnect(&connection);
	duckdb_close(&database);
	assert_int_equal(freopen(path, "rb", file) == file, 1);
	o = (struct octets){0};
	octets_put(&o, some, fread(some, 1, sizeof some, file));
	assert_true(o.used > 100);
	assert_unsupported(&o);
	octets_fini(&o);
	fclose(file);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_value), cmocka_unit_test(test_large),
		cmocka_unit_test(test_texts),       cmocka_unit_test(test_groups),
		cmocka_unit_test(test_wide),        cmocka_unit_test(test_damage),
		cmocka_unit_test(test_foreign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
