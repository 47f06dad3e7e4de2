/* Compressed IPFIX Files: what was packed comes out again, in any pieces, and a damaged file ends where it is
 * damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "transport/packed.h"

enum { ROOM = 1 << 20, OCTETS = 300000 };

struct pile {
	uint8_t octets[ROOM];
	size_t length, at;
	size_t piece; /* the most that is read at once */
};

static enum status keep(void *arg, struct span octets, struct error *err)
{
	struct pile *p = arg;

	assert_true(p->length + octets.length <= ROOM);
	memcpy(p->octets + p->length, octets.data, octets.length);
	p->length += octets.length;
	return OK;
}

static enum status refuse(void *arg, struct span octets, struct error *err)
{
	return error_set(err, ERR_SYSTEM, "the disk is full");
}

static ssize_t give(void *arg, void *to, size_t size)
{
	struct pile *p = arg;
	size_t n = p->length - p->at;

	n = n < size ? n : size;
	n = n < p->piece ? n : p->piece;
	memcpy(to, p->octets + p->at, n);
	p->at += n;
	return (ssize_t)n;
}

/* Half of it compresses well, half of it not at all. */
static uint8_t *content(void)
{
	uint8_t *c = malloc(OCTETS);
	uint32_t x = 1;

	for (size_t i = 0; i < OCTETS; i++) {
		x = x * 1664525 + 1013904223;
		c[i] = i < OCTETS / 2 ? (uint8_t)(i / 1000) : (uint8_t)(x >> 24);
	}
	return c;
}

static void pack_all(struct pile *to, enum packing packing, const uint8_t *octets, size_t length)
{
	struct packer *p = NULL;
	struct error err = {""};

	assert_int_equal(packer_new(&p, packing, keep, to), OK);
	for (size_t at = 0; at < length; at += 1400)
		assert_int_equal(
			packer_put(p, span_of(octets + at, length - at < 1400 ? length - at : 1400), &err),
			OK);
	assert_int_equal(packer_finish(p, &err), OK);
	assert_int_equal(packer_finish(p, &err), OK); /* nothing is left */
	packer_free(p);
}

/* How many octets come out; -1 behind them when *damaged. */
static size_t unpack_all(struct pile *from, size_t piece, uint8_t *out, bool *damaged)
{
	struct unpacker *u = NULL;
	size_t length = 0;
	ssize_t n;

	from->at = 0;
	from->piece = piece;
	assert_int_equal(unpacker_new(&u, give, from), OK);
	while ((n = unpacker_read(u, out + length, piece < ROOM - length ? piece : ROOM - length)) > 0)
		length += (size_t)n;
	*damaged = n < 0;
	if (n < 0)
		assert_int_equal(errno, EBADMSG);
	else
		assert_int_equal(unpacker_read(u, out, 1), 0); /* and stays there */
	unpacker_free(u);
	return length;
}

static void test_there_and_back(void **state)
{
	uint8_t *c = content(), *out = malloc(ROOM);
	struct pile *p = calloc(1, sizeof *p);
	bool damaged;

	for (enum packing packing = PACKED_BZIP2; packing <= PACKED_GZIP; packing++) {
		for (size_t members = 1; members < 4; members++) {
			p->length = 0;
			for (size_t i = 0; i < members; i++)
				pack_all(p, packing, c, OCTETS);
			assert_int_equal(packing_of_magic(p->octets, PACKED_MAGIC), packing);
			assert_true(p->length < members * OCTETS);
			for (size_t piece = 65536; piece > 100; piece /= 7) {
				assert_int_equal(unpack_all(p, piece, out, &damaged), members * OCTETS);
				assert_false(damaged);
				for (size_t i = 0; i < members; i++)
					assert_memory_equal(out + i * OCTETS, c, OCTETS);
			}
		}
	}
	free(p);
	free(out);
	free(c);
}

static void test_what_is_not_packed(void **state)
{
	uint8_t *c = content(), *out = malloc(ROOM);
	struct pile *p = calloc(1, sizeof *p);
	bool damaged;

	for (size_t length = 0; length < 5; length++) {
		memcpy(p->octets, "\0\x0a\0\x10", p->length = length);
		assert_int_equal(unpack_all(p, 1, out, &damaged), length);
		assert_false(damaged);
		assert_memory_equal(out, p->octets, length);
	}
	memcpy(p->octets, c, p->length = OCTETS);
	assert_int_equal(unpack_all(p, 1000, out, &damaged), OCTETS);
	assert_false(damaged);
	assert_memory_equal(out, c, OCTETS);
	free(p);
	free(out);
	free(c);
}

/* Cut off, changed in the middle, or followed by something else: what lies before is there. */
static void test_damage(void **state)
{
	uint8_t *c = content(), *out = malloc(ROOM);
	struct pile *p = calloc(1, sizeof *p);
	bool damaged;

	for (enum packing packing = PACKED_BZIP2; packing <= PACKED_GZIP; packing++) {
		p->length = 0;
		pack_all(p, packing, c, OCTETS);
		const size_t whole = p->length;

		p->length = whole - 1;
		assert_in_range(unpack_all(p, 1000, out, &damaged), packing == PACKED_GZIP ? OCTETS : 0,
				OCTETS);
		assert_true(damaged);
		p->length = whole;
		memcpy(p->octets + p->length, "more", 4);
		p->length += 4;
		assert_int_equal(unpack_all(p, 1000, out, &damaged), OCTETS);
		assert_true(damaged);
		p->length = whole;
		p->octets[whole - 1000] ^= 0x40;
		unpack_all(p, 1000, out, &damaged);
		assert_true(damaged);
	}
	free(p);
	free(out);
	free(c);
}

static void test_sink_that_fails(void **state)
{
	uint8_t *c = content();

	for (enum packing packing = PACKED_BZIP2; packing <= PACKED_GZIP; packing++) {
		struct packer *p = NULL;
		struct error err = {""};

		assert_int_equal(packer_new(&p, packing, refuse, NULL), OK);
		enum status st = packer_put(p, span_of(c, 10), &err);
		if (st == OK)
			st = packer_finish(p, &err);
		assert_int_equal(st, ERR_SYSTEM);
		assert_string_equal(err.text, "the disk is full");
		packer_free(p);
	}
	free(c);
}

static void test_names(void **state)
{
	assert_int_equal(packing_of_name("a.bz2"), PACKED_BZIP2);
	assert_int_equal(packing_of_name("a.ipfix.gz"), PACKED_GZIP);
	assert_int_equal(packing_of_name("a.ipfix"), PACKED_NOT);
	assert_int_equal(packing_of_name(".gz"), PACKED_NOT);
	assert_int_equal(packing_of_name(""), PACKED_NOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_what_is_not_packed),
		cmocka_unit_test(test_damage),         cmocka_unit_test(test_sink_that_fails),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
