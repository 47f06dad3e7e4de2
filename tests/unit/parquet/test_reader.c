/* Files of our own writer, read again: value by value, and damaged in every octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
	static const uint32_t sizes[] = {1, 2, 7, 64, 65, 129, 2047, ROWS_MAX};
	static uint8_t pool[POOL];
	static struct made all[COLUMNS];
	const uint32_t count = make_columns(all, pool);

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		check_rows(all, count, sizes[i]);
	free_columns(all, count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
