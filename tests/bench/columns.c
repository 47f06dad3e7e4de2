/* Columns of our own Parquet files into memory: ns a row, the best of the rounds, by how they are stored. The
 * file is in memory, so that what is measured is src/parquet/reader.h.
 *
 *   bench_columns [ROUNDS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "parquet/octets.h"
#include "parquet/reader.h"

enum { ROWS = 122880 };

/* Numbers are below `below` (0: any), or below 8 above those of the row before. */
static const struct bench {
	const char *what;
	enum parquet_type type;
	uint64_t below;
	enum gaps { NONE, BLOCKS, HALF } gaps;
	bool ascending;
} benches[] = {
	{"codes of 1 bit", PARQUET_UNSIGNED8, 2, NONE, false},
	{"codes of 4 bits", PARQUET_UNSIGNED8, 16, NONE, false},
	{"codes of 8 bits", PARQUET_UNSIGNED8, 256, NONE, false},
	{"codes of 12 bits", PARQUET_UNSIGNED64, 4096, NONE, false},
	{"codes of 12 bits, half NULL", PARQUET_UNSIGNED64, 4096, HALF, false},
	{"differences of 3 bits, 64-bit times", PARQUET_TIME_MS, 8, NONE, true},
	{"differences of 17 bits, ports", PARQUET_UNSIGNED16, 65536, NONE, false},
	{"differences of 25 bits, 32-bit", PARQUET_UNSIGNED32, 1 << 24, NONE, false},
	{"differences of 33 bits, 64-bit", PARQUET_UNSIGNED64, UINT64_C(1) << 32, NONE, false},
	{"differences of 33 bits, half NULL", PARQUET_UNSIGNED64, UINT64_C(1) << 32, HALF, false},
	{"numbers as they are, 32-bit", PARQUET_UNSIGNED32, 0, NONE, false},
	{"numbers as they are, 64-bit", PARQUET_UNSIGNED64, 0, NONE, false},
	{"numbers as they are, half NULL", PARQUET_UNSIGNED64, 0, HALF, false},
	{"numbers as they are, blocks NULL", PARQUET_UNSIGNED64, 0, BLOCKS, false},
	{"booleans", PARQUET_BOOLEAN, 2, NONE, false},
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 16 ^ *state << 32;
}

static enum status put(void *arg, const void *data, size_t length, struct error *err)
{
	(void)err;
	octets_put(arg, data, length);
	return OK;
}

static enum status get(void *arg, uint64_t at, void *to, size_t length, struct error *err)
{
	const struct octets *o = arg;

	(void)err;
	memcpy(to, o->data + at, length);
	return OK;
}

static enum status make(struct octets *o, const struct bench *b, uint8_t *data, uint64_t *valid,
			struct error *err)
{
	const struct parquet_sink sink = {.arg = o, .put = put};
	const struct parquet_column column = {"column", b->type};
	const struct parquet_values values = {data, b->gaps == NONE ? NULL : valid};
	const size_t width = parquet_width(b->type);
	uint64_t random = 1, n = 0;
	struct parquet *p;
	enum status s;

	for (uint32_t i = 0; i < ROWS; i++) {
		n = (b->ascending ? n : 0) + (b->below ? draw(&random) % b->below : draw(&random));
		memcpy(data + i * width, &n, width);
	}
	for (uint32_t i = 0; i < ROWS / 64; i++)
		valid[i] = b->gaps == HALF ? draw(&random) : 0 - (uint64_t)(i / 8 % 2);
	s = parquet_new(&p, &sink, "bench", &column, 1, err);
	if (s != OK)
		return s;
	s = parquet_group(p, &values, ROWS, err);
	if (s == OK)
		s = parquet_end(p, err);
	parquet_free(p);
	return s;
}

static enum status measure(struct octets *o, const struct bench *b, struct page_memory *memory,
			   unsigned rounds, struct error *err)
{
	const struct parquet_octets octets = {o, get, o->used};
	struct parquet_reader *r;
	double best = 1e18;
	struct vector v;
	enum status s = parquet_reader_open(&r, &octets, 1 << 20, "bench", err);

	for (unsigned i = 0; s == OK && i < rounds; i++) {
		const double begun = now();

		s = parquet_reader_read(r, 0, 0, memory, &v, err);
		const double took = now() - begun;
		best = took < best ? took : best;
	}
	if (s == OK)
		printf("%-36s %5.2f octets %6.2f ns\n", b->what, (double)o->used / ROWS, best / ROWS);
	parquet_reader_close(r);
	return s;
}

int main(int argc, char **argv)
{
	const unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 50;
	static uint64_t data[ROWS], valid[ROWS / 64];
	struct page_memory *memory;
	struct error err = {.text = "no memory"};
	enum status s = page_memory_new(&memory);

	for (size_t i = 0; s == OK && i < sizeof benches / sizeof benches[0]; i++) {
		struct octets o = {0};

		s = make(&o, &benches[i], (void *)data, valid, &err);
		if (s == OK)
			s = measure(&o, &benches[i], memory, rounds, &err);
		octets_fini(&o);
	}
	page_memory_free(memory);
	if (s != OK)
		fprintf(stderr, "bench_columns: %s\n", err.text);
	return s != OK;
}
