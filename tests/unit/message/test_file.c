#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "builder.h"
#include "message/file.h"

/* Four messages of different domains one behind the other; the caller frees it. */
static struct build *stream(size_t ends[4])
{
	struct build *b = malloc(sizeof *b), *all = malloc(sizeof *all);

	all->used = 0;
	for (uint32_t i = 0; i < 4; i++) {
		b_begin(b, 1, 0, i);
		b_set(b, 256);
		for (uint32_t j = 0; j < 5 * (i + 1); j++)
			b32(b, 0x000a0000 + j % 8); /* looks like a version */
		b_end(b);
		b_octets(all, b->data, b->used);
		ends[i] = all->used;
	}
	free(b);
	return all;
}

struct seen {
	uint32_t messages, damaged;
	uint32_t domains; /* a bit for each */
};

/* Read the stream with `step` more octets at a time. */
static struct seen read_all(const uint8_t *data, size_t length, size_t step)
{
	struct frame_reader r = {0};
	struct seen seen = {0};
	size_t begin = 0, have = 0;

	for (;;) {
		struct span part;
		enum frame_result result;

		have = have + step < length ? have + step : length;
		frame_more(&r, data + begin, have - begin, have == length);
		while ((result = frame_next(&r, &part)) == FRAME_MESSAGE || result == FRAME_DAMAGE) {
			if (result == FRAME_DAMAGE) {
				seen.damaged += (uint32_t)part.length;
				continue;
			}
			seen.messages++;
			if (part.length >= 16)
				seen.domains |= 1u << (get_be32(part.data + 12) & 31);
		}
		begin += r.at;
		if (result == FRAME_END)
			return seen;
		assert_true(have < length);
	}
}

static void conformance_A_80_framing(void **state)
{
	size_t ends[4];
	struct build *all = stream(ends);

	for (size_t step = 1; step <= all->used; step = 2 * step + 1) {
		const struct seen seen = read_all(all->data, all->used, step);

		assert_int_equal(seen.messages, 4);
		assert_int_equal(seen.damaged, 0);
		assert_int_equal(seen.domains, 15);
	}
	free(all);
}

/* RFC 5655 section 10.3: what lies around the damage is found. */
static void conformance_D_6_resync(void **state)
{
	size_t ends[4];
	const struct {
		const char *what;
		size_t at;
		uint16_t word;
		uint32_t domains;
	} rows[] = {
		{"version of the first", 0, 0x1234, 14},
		{"version of the second", 1, 0x1234, 13},
		{"length of the second, small", 1, 3, 13},
		{"length of the third, over the end", 2, 60000, 11},
		{"length of the second, over the third", 1, 70, 13},
		{"version of the last", 3, 0, 7},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct build *all = stream(ends);
		const size_t at = rows[i].at ? ends[rows[i].at - 1] : 0;
		const size_t size = ends[rows[i].at] - at;

		poke16(all, strstr(rows[i].what, "length") ? at + 2 : at, rows[i].word);
		for (size_t step = 7; step < 1000; step *= 10) {
			const struct seen seen = read_all(all->data, all->used, step);

			if (seen.domains != rows[i].domains || seen.damaged != size)
				fail_msg("%s: domains %x, %u octets damaged; expected %x, %zu", rows[i].what,
					 seen.domains, seen.damaged, rows[i].domains, size);
		}
		free(all);
	}
}

static void garbage_between_and_after(void **state)
{
	size_t ends[4];
	struct build *all = stream(ends), *b = malloc(sizeof *b);
	const uint8_t garbage[] = "\0\n\0\x20garbage\0\n";

	b->used = 0;
	b_octets(b, all->data, ends[0]);
	b_octets(b, garbage, sizeof garbage);
	b_octets(b, all->data + ends[0], all->used - ends[0]);
	b_octets(b, garbage, sizeof garbage);
	for (size_t step = 1; step < 1000; step *= 5) {
		const struct seen seen = read_all(b->data, b->used, step);

		/* The last message is whole, but something that is none follows. */
		assert_int_equal(seen.domains & 7, 7);
		assert_in_range(seen.damaged, 2 * sizeof garbage - 2, 2 * sizeof garbage);
	}
	free(all);
	free(b);
}

static void every_prefix_ends(void **state)
{
	size_t ends[4];
	struct build *all = stream(ends);

	for (size_t n = 0; n <= all->used; n++) {
		const struct seen seen = read_all(all->data, n, 64);
		uint32_t whole = 0;

		while (whole < 4 && ends[whole] <= n)
			whole++;
		assert_int_equal(seen.messages, whole);
		assert_int_equal(seen.damaged, n - (whole ? ends[whole - 1] : 0));
	}
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conformance_A_80_framing),
		cmocka_unit_test(conformance_D_6_resync),
		cmocka_unit_test(garbage_between_and_after),
		cmocka_unit_test(every_prefix_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
