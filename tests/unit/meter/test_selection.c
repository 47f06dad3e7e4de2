/* Selection of packets: each algorithm, the order of a chain, instances by point, filters by link, and what
 * is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "meter/selection.h"

/* A UDP packet over IPv4 to a port, with an Ethernet header in front of it where asked for. */
struct datagram {
	uint8_t octets[14 + 28];
	uint32_t length;
};

static struct datagram datagram(uint16_t port, bool ethernet)
{
	struct datagram d = {.length = ethernet ? 42 : 28};
	uint8_t *ip = d.octets + (ethernet ? 14 : 0);

	if (ethernet)
		memcpy(d.octets, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08", 13);
	ip[0] = 0x45;
	put_be16(ip + 2, 28);
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, "\x0a\1\0\1\x0a\1\0\2", 8);
	put_be16(ip + 20, 4000);
	put_be16(ip + 22, port);
	put_be16(ip + 24, 8);
	return d;
}

static struct packet packet_of(const struct datagram *d, uint16_t point, int64_t time_us)
{
	return (struct packet){.data = d->octets,
			       .captured = d->length,
			       .length = d->length,
			       .link = d->length == 42 ? LINK_ETHERNET : LINK_IP,
			       .point = point,
			       .time = {time_us * 1000}};
}

static struct selector_chain chain_of(const char *const *text)
{
	struct selector_chain chain = {0};

	for (; *text; text++)
		assert_int_equal(selector_parse(&chain.selector[chain.count++], *text), OK);
	return chain;
}

struct bench {
	struct point_table *points;
	struct selector_chain everywhere, own;
	struct selection *selection;
};

/* Points "a" and "b"; `own`, where it is not NULL, is the chain of "b". */
static void begin(struct bench *b, const char *const *everywhere, const char *const *own)
{
	struct selection_options options = {.count = own ? 2 : 1};
	struct error err = {""};

	b->points = calloc(1, sizeof *b->points);
	assert_non_null(b->points);
	assert_int_equal(point_table_add(b->points, "a", ""), 0);
	assert_int_equal(point_table_add(b->points, "b", ""), 1);
	b->everywhere = chain_of(everywhere);
	options.of[0].chain = &b->everywhere;
	if (own) {
		b->own = chain_of(own);
		options.of[1].point = "b";
		options.of[1].chain = &b->own;
	}
	assert_int_equal(selection_new(&b->selection, &options, b->points, 1, &err), OK);
}

static void end(struct bench *b)
{
	selection_free(b->selection);
	free(b->points);
}

/* How many of `count` packets, one each millisecond, are taken. */
static uint32_t run(struct bench *b, uint32_t count, uint16_t point, uint16_t port)
{
	const struct datagram d = datagram(port, false);
	uint32_t taken = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct packet p = packet_of(&d, point, 1000 * (int64_t)i);

		taken += selection_takes(b->selection, &p, 1);
	}
	return taken;
}

static void test_algorithms(void **state)
{
	const struct {
		const char *chain[CHAIN_MAX + 1];
		uint32_t least, most; /* of 10000 packets */
	} cases[] = {
		{{NULL}, 10000, 10000},
		{{"Count/3/10"}, 3000, 3000},
		{{"Time/20/100"}, 2000, 2000},
		{{"Random/3/10"}, 3000, 3000},
		{{"Probability/0.5"}, 4500, 5500},
		{{"Probability/1"}, 10000, 10000},
		{{"Filter/udp port 53"}, 10000, 10000},
		{{"Filter/tcp"}, 0, 0},
		{{"Filter/port 53", "Count/1/2", "Count/1/5", "Random/1/1"}, 1000, 1000},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct bench b;

		begin(&b, cases[i].chain, NULL);
		const uint32_t taken = run(&b, 10000, 0, 53);
		if (taken < cases[i].least || taken > cases[i].most)
			fail_msg("chain %zu: %u packets", i, taken);
		end(&b);
	}
}

/* A super-packet of several packets moves the count on by all of them, and goes by its first. */
static void test_super_packets(void **state)
{
	const struct datagram d = datagram(53, false);
	const struct packet p = packet_of(&d, 0, 0);
	struct bench b;
	uint64_t observed, selected;

	begin(&b, (const char *[]){"Count/1/10", NULL}, NULL);
	assert_true(selection_takes(b.selection, &p, 7));  /* packets 0 to 6 */
	assert_false(selection_takes(b.selection, &p, 7)); /* 7 to 13 */
	assert_false(selection_takes(b.selection, &p, 6)); /* 14 to 19 */
	assert_true(selection_takes(b.selection, &p, 1));  /* 20 */
	selection_sums(b.selection, &observed, &selected);
	assert_int_equal(observed, 21);
	assert_int_equal(selected, 8);
	end(&b);
}

static void test_points_have_their_own(void **state)
{
	struct bench b;

	begin(&b, (const char *[]){"Count/1/10", NULL}, (const char *[]){"Count/1/2", NULL});
	assert_int_equal(run(&b, 100, 0, 53), 10);
	assert_int_equal(run(&b, 100, 1, 53), 50);
	assert_int_equal(selection_selector_of(b.selection, 0), 1);
	assert_int_equal(selection_selector_of(b.selection, 1), 2);
	end(&b);
}

static void test_filter_and_link(void **state)
{
	const struct datagram plain = datagram(53, false), framed = datagram(53, true);
	const struct packet a = packet_of(&plain, 0, 0), e = packet_of(&framed, 0, 0);
	struct bench b;

	begin(&b, (const char *[]){"Filter/ether src 02:00:00:00:00:01", NULL}, NULL);
	assert_true(selection_takes(b.selection, &e, 1));
	assert_false(selection_takes(b.selection, &a, 1));
	end(&b);
	begin(&b, (const char *[]){"Filter/udp dst port 53", NULL}, NULL);
	assert_true(selection_takes(b.selection, &e, 1));
	assert_true(selection_takes(b.selection, &a, 1));
	struct packet cut = a;
	cut.captured = 22; /* the port is not there */
	assert_false(selection_takes(b.selection, &cut, 1));
	cut.captured = 0;
	assert_false(selection_takes(b.selection, &cut, 1));
	end(&b);
}

/* Selectors, then sequences, then statistics; a number for the chain where several of it sample. */
static void test_what_is_told(void **state)
{
	struct selection_item item;
	struct bench b;

	begin(&b, (const char *[]){"Filter/udp", "Count/1/2", "Count/1/5", NULL}, NULL);
	assert_int_equal(run(&b, 100, 1, 53), 10);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(selection_item(b.selection, i, &item));
		assert_int_equal(item.report, REPORT_SELECTOR);
		assert_int_equal(item.id, i + 1);
	}
	assert_true(selection_item(b.selection, 3, &item));
	assert_int_equal(item.id, 4);
	assert_int_equal(item.selector.algorithm, SELECTOR_PROBABILITY);
	assert_true(item.selector.probability > 0.0999 && item.selector.probability < 0.1001);
	assert_int_equal(selection_selector_of(b.selection, 0), 4);
	for (uint32_t i = 0; i < 2; i++) {
		assert_true(selection_item(b.selection, 4 + i, &item));
		assert_int_equal(item.report, REPORT_SEQUENCE);
		assert_int_equal(item.point, i);
		assert_int_equal(item.id_count, 3);
		assert_int_equal(item.ids[2], 3);
	}
	const uint64_t expected[] = {100, 100, 100, 50, 50, 10};
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(selection_item(b.selection, 6 + 3 + i, &item)); /* those of point "b" */
		assert_int_equal(item.report, REPORT_STATISTICS);
		assert_int_equal(item.point, 1);
		assert_int_equal(item.observed, expected[2 * i]);
		assert_int_equal(item.selected, expected[2 * i + 1]);
	}
	assert_false(selection_item(b.selection, 12, &item));
	end(&b);
}

static void test_bad_filter(void **state)
{
	const struct selector_chain chain = chain_of((const char *[]){"Filter/udp and", NULL});
	const struct selection_options options = {.count = 1, .of[0].chain = &chain};
	struct point_table *points = calloc(1, sizeof *points);
	struct selection *selection = NULL;
	struct error err = {""};

	assert_non_null(points);
	assert_int_equal(selection_new(&selection, &options, points, 1, &err), ERR_USAGE);
	assert_non_null(strstr(err.text, "udp and"));
	assert_null(selection);
	free(points);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_super_packets),
		cmocka_unit_test(test_points_have_their_own),
		cmocka_unit_test(test_filter_and_link),
		cmocka_unit_test(test_what_is_told),
		cmocka_unit_test(test_bad_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
