/* Encodings against readers that go bit by bit, as the format's text has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "parquet/dictionary.h"
#include "parquet/pack.h"
#include "parquet/thrift.h"
#include "parquet/thrift_read.h"
#include "parquet/unpack.h"

struct reader {
	const uint8_t *at, *end;
};

static uint64_t read_varint(struct reader *r)
{
	uint64_t value = 0;

	for (unsigned shift = 0;; shift += 7) {
		assert_true(r->at < r->end && shift < 70);
		value |= (uint64_t)(*r->at & 127) << shift;
		if (!(*r->at++ & 128))
			return value;
	}
}

static int64_t read_zigzag(struct reader *r)
{
	const uint64_t v = read_varint(r);

	return (int64_t)(v >> 1 ^ -(v & 1));
}

/* Bit `bit` and on of what is at r->at. */
static uint64_t read_bits(const struct reader *r, size_t bit, unsigned width)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < width; i++, bit++) {
		assert_true(r->at + bit / 8 < r->end);
		value |= (uint64_t)(r->at[bit / 8] >> bit % 8 & 1) << i;
	}
	return value;
}

static void read_hybrid(struct reader *r, uint16_t *out, size_t count, unsigned width)
{
	for (size_t done = 0; done < count;) {
		const uint64_t header = read_varint(r), n = header >> 1;

		assert_true(n > 0);
		if (header & 1) {
			for (size_t i = 0; i < 8 * n; i++) {
				const uint16_t v = (uint16_t)read_bits(r, i * width, width);

				if (done < count)
					out[done++] = v;
				else
					assert_true(v == 0 && i >= 8 * (n - 1));
			}
			r->at += n * width;
		} else {
			assert_true(n <= count - done);
			for (size_t i = 0; i < n; i++)
				out[done++] = (uint16_t)read_bits(r, 0, width > 8 ? 16 : 8);
			r->at += width > 8 ? 2 : 1;
		}
	}
	assert_ptr_equal(r->at, r->end);
}

static void read_delta(struct reader *r, uint64_t *out, size_t count, uint64_t mask)
{
	const uint64_t block = read_varint(r), pieces = read_varint(r);
	size_t done = 1;

	assert_int_equal(block % 128, 0);
	assert_int_equal(block / pieces % 32, 0);
	assert_int_equal(read_varint(r), count);
	const uint64_t first = (uint64_t)read_zigzag(r);
	if (count)
		out[0] = first & mask;
	while (done < count) {
		const uint64_t least = (uint64_t)read_zigzag(r);
		const uint8_t *widths = r->at;

		r->at += pieces;
		for (uint64_t p = 0; p < pieces && done < count; p++) {
			for (size_t i = 0; i < block / pieces && done < count; i++, done++)
				out[done] = (out[done - 1] + least + read_bits(r, i * widths[p], widths[p])) &
					    mask;
			r->at += block / pieces * widths[p] / 8;
		}
	}
	assert_ptr_equal(r->at, r->end);
}

static uint64_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 16 ^ *state << 32;
}

/* Runs of all lengths between what is no run. */
static void make_indexes(uint16_t *out, size_t count, unsigned width, uint64_t *random)
{
	const uint16_t mask = (uint16_t)((1u << width) - 1);

	for (size_t i = 0; i < count;) {
		const size_t run = draw(random) % 3 == 0 ? draw(random) % 70 : 1;
		const uint16_t value = (uint16_t)draw(random) & mask;

		for (size_t k = 0; k < run && i < count; k++)
			out[i++] = value;
	}
}

/* In memory of just as much as is asked for. */
static uint8_t *slack(const uint8_t *octets, size_t length)
{
	uint8_t *copy = malloc(length + UNPACK_SLACK);

	assert_non_null(copy);
	memcpy(copy, octets, length);
	memset(copy + length, 0xff, UNPACK_SLACK);
	return copy;
}

/* Our own reader, which has to find the same, and no entry fewer to be enough. */
static void check_codes(const uint16_t *in, size_t count, unsigned width, const uint8_t *octets,
			size_t length)
{
	uint16_t *out = malloc((count + CODES_MORE) * sizeof *out), most = 0;
	uint8_t *from = slack(octets, length);
	uint64_t bits[5];
	uint32_t ones, sum = 0;

	for (size_t i = 0; i < count; i++) {
		most = in[i] > most ? in[i] : most;
		sum += in[i];
	}
	if (width <= CODE_BITS) {
		assert_true(codes_get(out, count, width, most + 1u, from, length));
		assert_memory_equal(in, out, count * sizeof *out);
		if (most)
			assert_false(codes_get(out, count, width, most, from, length));
		for (size_t n = 0; n < length; n++)
			assert_false(codes_get(out, count, width, most + 1u, from, n));
	}
	if (width == 1) {
		assert_true(levels_get(bits, (uint32_t)count, from, length, &ones));
		assert_int_equal(ones, sum);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(bits[i / 64] >> i % 64 & 1, in[i]);
		if (count % 64)
			assert_int_equal(bits[count / 64] >> count % 64, 0);
		for (size_t n = 0; n < length; n++)
			assert_false(levels_get(bits, (uint32_t)count, from, n, &ones));
	}
	free(out);
	free(from);
}

static void test_hybrid(void **state)
{
	uint16_t in[300], out[300];
	uint64_t random = 1;

	(void)state;
	for (unsigned width = 1; width <= 16; width++)
		for (size_t count = 0; count <= 300; count += count < 40 ? 1 : 13) {
			/* Just as much as is said to be enough: a sanitizer sees the rest. */
			uint8_t *octets = malloc(hybrid_room(count, width));

			assert_non_null(octets);
			make_indexes(in, count, width, &random);
			struct reader r = {octets, hybrid_put(octets, in, count, width)};
			assert_true((size_t)(r.end - r.at) <= hybrid_room(count, width));
			check_codes(in, count, width, octets, (size_t)(r.end - octets));
			read_hybrid(&r, out, count, width);
			assert_memory_equal(in, out, count * sizeof in[0]);
			free(octets);
		}
}

/* Equal ones cost a run, not a bit each. */
static void test_runs_are_short(void **state)
{
	static uint16_t in[100000];
	static uint8_t octets[200000];

	(void)state;
	for (size_t i = 0; i < 100000; i++)
		in[i] = i < 50000 ? 3 : 5;
	assert_int_equal(hybrid_put(octets, in, 100000, 3) - octets, 8);
}

enum { COUNT_MAX = 9000 };

static uint64_t make_number(unsigned how, size_t i, uint64_t *random)
{
	switch (how) {
	case 0: return 1700000000000 + i * 3 + draw(random) % 5;
	case 1: return draw(random);
	case 2: return i % 2 ? UINT64_C(1) << 63 : UINT64_MAX >> 1;
	case 3: return draw(random) % 60000;
	case 4: return i % 2 ? 0 : UINT32_MAX;
	case 5: return UINT64_C(0) - i * (draw(random) % 3);
	case 6: return draw(random) % 100 + 50;
	case 7: return draw(random) >> (63 - i / 128 % 64);
	case 8: return UINT64_C(0) - draw(random) % 30000;
	default: return 7;
	}
}

/* Our own reader, into memory of each width: `in` fits or not. */
static void check_delta(const uint64_t *in, size_t count, unsigned octets, const uint8_t *packed,
			size_t length)
{
	uint8_t *from = slack(packed, length);

	for (unsigned memory = octets == 8 ? 8 : 1; memory <= octets; memory *= 2)
		for (unsigned is_signed = 0; is_signed < 2; is_signed++) {
			const struct number_form form = {(uint8_t)octets, (uint8_t)memory, is_signed};
			const unsigned above = 64 - 8 * memory;
			uint8_t *out = malloc((count + UNPACK_MORE) * memory);
			bool fits = true;

			for (size_t i = 0; i < count && octets == 4; i++) {
				const uint64_t n = is_signed ? (uint64_t)(int32_t)in[i] : in[i];
				const uint64_t back = is_signed ? (uint64_t)((int64_t)(n << above) >> above)
								: n << above >> above;

				fits &= n == back || memory == 4;
			}
			assert_int_equal(delta_get(out, count, form, from, length), fits);
			for (size_t i = 0; fits && i < count; i++)
				assert_memory_equal(out + i * memory, &in[i], memory);
			if (length < 100 && memory == octets)
				for (size_t n = 0; n < length; n++)
					assert_false(delta_get(out, count, form, from, n));
			free(out);
		}
	free(from);
}

static void test_delta(void **state)
{
	static const size_t counts[] = {0,    1,    2,    3,    127,  128,  129,      130,
					1023, 1024, 1025, 1026, 1152, 2049, COUNT_MAX};
	static uint64_t in[COUNT_MAX], out[COUNT_MAX];
	uint64_t random = 1;

	(void)state;
	for (unsigned how = 0; how < 10; how++)
		for (unsigned octets = 4; octets <= 8; octets += 4)
			for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
				const uint64_t mask = octets == 4 ? UINT32_MAX : UINT64_MAX;
				const size_t count = counts[c], room = delta_room(count, octets);
				uint8_t *to = malloc(room);

				assert_non_null(to);
				for (size_t i = 0; i < count; i++)
					in[i] = make_number(how, i, &random) & mask;
				struct reader r = {to, delta_put(to, in, count, octets)};
				assert_true((size_t)(r.end - to) <= room);
				check_delta(in, count, octets, to, (size_t)(r.end - to));
				read_delta(&r, out, count, mask);
				assert_memory_equal(in, out, count * sizeof in[0]);
				free(to);
			}
}

/* The guess is what comes of it. */
static void test_delta_width(void **state)
{
	static uint64_t in[COUNT_MAX];
	static uint8_t octets[COUNT_MAX * 10];
	uint64_t random = 1;

	(void)state;
	for (unsigned how = 0; how < 10; how++) {
		for (size_t i = 0; i < COUNT_MAX; i++)
			in[i] = make_number(how, i, &random);
		const unsigned guess = delta_width(in, COUNT_MAX, 8);
		const size_t bits = 8 * (size_t)(delta_put(octets, in, COUNT_MAX, 8) - octets);
		assert_true(bits + COUNT_MAX >= (size_t)guess * COUNT_MAX * 9 / 10);
		assert_true(bits <= (size_t)(guess + 1) * COUNT_MAX * 12 / 10);
	}
}

/* Octets of a structure written by hand from the compact protocol: header of a field (difference of ids << 4
 * | type), zigzag varints, lists (size << 4 | type), a zero at the end. */
static void test_thrift(void **state)
{
	static const uint8_t expected[] = {
		0x15, 0x02,                         /* 1: i32 1 */
		0x26, 0xff, 0x01,                   /* 3: i64 -128 */
		0x18, 0x02, 'a',  'b',              /* 4: "ab" */
		0x19, 0x2c, 0x15, 0x00, 0x00, 0x15, /* 5: list of two structures {1: i32} */
		0x04, 0x00,                         /* the second: 2 */
		0x1c, 0xe1, 0x12, 0x00,             /* 6: structure {14: true, 15: false} */
		0x19, 0xf5, 0x0f, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
		0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, /* 7: list of fifteen times -1 */
		0x00};
	struct octets o = {0};
	struct thrift t = {.out = &o};

	(void)state;
	thrift_open(&t);
	thrift_number(&t, 1, THRIFT_I32, 1);
	thrift_number(&t, 3, THRIFT_I64, -128);
	thrift_binary(&t, 4, "ab", 2);
	thrift_list(&t, 5, THRIFT_STRUCT, 2);
	for (int32_t i = 0; i < 2; i++) {
		thrift_open(&t);
		thrift_number(&t, 1, THRIFT_I32, 2 * i);
		thrift_close(&t);
	}
	thrift_open_field(&t, 6);
	thrift_bool(&t, 14, true);
	thrift_bool(&t, 15, false);
	thrift_close(&t);
	thrift_list(&t, 7, THRIFT_I32, 15);
	for (unsigned i = 0; i < 15; i++)
		thrift_element_number(&t, -1);
	thrift_close(&t);
	assert_false(o.failed);
	assert_int_equal(o.used, sizeof expected);
	assert_memory_equal(o.data, expected, sizeof expected);
	octets_fini(&o);
}

/* A table whose hash is turned round: the k-th value that falls into slot 0. */
static uint64_t colliding(uint64_t k)
{
	uint64_t inverse = 1;

	for (unsigned i = 0; i < 6; i++) /* of the multiplier, modulo 2^64 */
		inverse *= 2 - UINT64_C(0x9e3779b97f4a7c15) * inverse;
	return k * inverse;
}

static void test_dictionary(void **state)
{
	static uint64_t values[20000];
	struct dictionary *d = calloc(1, sizeof *d);
	uint64_t random = 1;

	(void)state;
	assert_non_null(d);
	assert_int_equal(dictionary_reserve(d, 20000), OK);
	for (size_t i = 0; i < 20000; i++)
		values[i] = draw(&random) % DICTIONARY_MOST * UINT64_C(1000003);
	assert_true(dictionary_numbers(d, values, 20000, 0, UINT64_MAX));
	assert_true(d->count <= DICTIONARY_MOST);
	for (size_t i = 0; i < 20000; i++)
		assert_int_equal(d->numbers[d->index[i]], values[i]);

	/* As many, but all in one slot: looking each up would take thousands of steps. */
	for (size_t i = 0; i < 20000; i++)
		values[i] = colliding(i % DICTIONARY_MOST);
	assert_false(dictionary_numbers(d, values, 20000, 0, UINT64_MAX));

	for (size_t i = 0; i < 20000; i++)
		values[i] = draw(&random);
	assert_false(dictionary_numbers(d, values, 20000, 0, UINT64_MAX));
	free(d->index);
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hybrid), cmocka_unit_test(test_runs_are_short),
		cmocka_unit_test(test_delta),  cmocka_unit_test(test_delta_width),
		cmocka_unit_test(test_thrift), cmocka_unit_test(test_dictionary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
