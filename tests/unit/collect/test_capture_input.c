/* Capture files made in memory: link types, UDP, TCP out of order, what is not IPFIX. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../message/builder.h"
#include "collect/capture_input.h"
#include "collect/payload.h"
#include "collect/stream.h"

enum { LINK_NULL = 0, LINK_ETHERNET = 1, LINK_RAW = 101, LINK_SLL = 113, LINK_SLL2 = 276, LINK_USB = 189 };

struct capture {
	uint8_t data[1 << 18];
	size_t used;
	uint32_t link;
};

static void le32(struct capture *c, uint32_t v)
{
	v = htole32(v);
	memcpy(c->data + c->used, &v, 4);
	c->used += 4;
}

static void capture_begin(struct capture *c, uint32_t link)
{
	c->used = 0;
	c->link = link;
	le32(c, 0xa1b2c3d4);
	le32(c, 4 << 16 | 2);
	le32(c, 0);
	le32(c, 0);
	le32(c, 65535);
	le32(c, link);
}

/* The link header in front of an IP packet of this version. */
static size_t link_header(uint32_t link, bool ipv6, uint8_t *to)
{
	const uint16_t type = ipv6 ? 0x86dd : 0x0800;

	memset(to, 0, 32);
	if (link == LINK_NULL) {
		to[0] = ipv6 ? 10 : 2;
		return 4;
	}
	if (link == LINK_ETHERNET) { /* with a VLAN tag */
		put_be16(to + 12, 0x8100);
		put_be16(to + 16, type);
		return 18;
	}
	if (link == LINK_SLL) {
		put_be16(to + 14, type);
		return 16;
	}
	if (link == LINK_SLL2) {
		put_be16(to, type);
		return 20;
	}
	return 0;
}

struct packet {
	bool ipv6;
	uint8_t protocol;
	uint16_t port; /* source */
	uint32_t sequence;
	uint8_t flags;
	uint16_t fragment;
	size_t snap; /* captured only so much less */
};

static void add(struct capture *c, struct packet p, const void *payload, size_t length)
{
	uint8_t frame[66000], *at = frame + link_header(c->link, p.ipv6, frame);
	const size_t transport = p.protocol == 17 ? 8 : 20;

	memset(at, 0, 60);
	if (p.ipv6) {
		at[0] = 0x60;
		put_be16(at + 4, (uint16_t)(transport + length));
		at[6] = p.protocol;
		at += 40;
	} else {
		at[0] = 0x45;
		put_be16(at + 2, (uint16_t)(20 + transport + length));
		put_be16(at + 6, p.fragment);
		at[9] = p.protocol;
		at += 20;
	}
	put_be16(at, p.port);
	put_be16(at + 2, 4739);
	if (p.protocol == 17) {
		put_be16(at + 4, (uint16_t)(8 + length));
	} else {
		put_be32(at + 4, p.sequence);
		at[12] = 5 << 4;
		at[13] = p.flags;
	}
	at += transport;
	memcpy(at, payload, length);
	at += length;

	const uint32_t size = (uint32_t)(at - frame);
	le32(c, 100);
	le32(c, 0);
	le32(c, size - (uint32_t)p.snap);
	le32(c, size);
	memcpy(c->data + c->used, frame, size - p.snap);
	c->used += size - p.snap;
}

/* Template 256 and one record of it. */
static struct span message(struct build *b, uint32_t sequence)
{
	b_begin(b, 100, sequence, 1);
	b_set(b, 2);
	b_template(b, 256, 1);
	b_field(b, 4, 1);
	b_set(b, 256);
	b8(b, 6);
	return b_end(b);
}

static enum status run(struct capture *c, struct capture_stats *stats, struct session_stats *sessions)
{
	const struct session_limits limits = session_limits_default(1);
	const struct session_sink sink = {0};
	struct capture_input *in;
	struct error err;
	enum status s = capture_input_open(&in, fmemopen(c->data, c->used, "rb"), "test", &limits, &err);

	if (s != OK)
		return s;
	s = capture_input_run(in, &sink, &err);
	*stats = *capture_input_stats(in);
	capture_input_sessions(in, sessions);
	capture_input_close(in);
	return s;
}

static void link_types(void **state)
{
	const uint32_t links[] = {LINK_NULL, LINK_ETHERNET, LINK_RAW, LINK_SLL, LINK_SLL2};
	struct capture *c = malloc(sizeof *c);
	struct build *b = malloc(sizeof *b);
	struct capture_stats stats;
	struct session_stats sessions;

	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
		capture_begin(c, links[i]);
		for (uint32_t v6 = 0; v6 < 2; v6++) {
			const struct span m = message(b, 0);
			add(c, (struct packet){.protocol = 17, .ipv6 = v6, .port = 1}, m.data, m.length);
		}
		assert_int_equal(run(c, &stats, &sessions), OK);
		assert_int_equal(sessions.data_records, 2);
		assert_int_equal(stats.sessions, 2);
	}
	capture_begin(c, LINK_USB);
	assert_int_equal(run(c, &stats, &sessions), ERR_UNSUPPORTED);
	free(b);
	free(c);
}

static void what_is_not_ipfix(void **state)
{
	struct capture *c = malloc(sizeof *c);
	struct build *b = malloc(sizeof *b);
	struct capture_stats stats;
	struct session_stats sessions;
	const struct span m = message(b, 0);
	uint8_t other[72] = {0, 5, 0, 1};

	capture_begin(c, LINK_RAW);
	add(c, (struct packet){.protocol = 17}, other, 72);
	other[1] = 9;
	add(c, (struct packet){.protocol = 17}, other, 24);
	add(c, (struct packet){.protocol = 17}, "GET /", 5);
	add(c, (struct packet){.protocol = 17}, "", 0);
	add(c, (struct packet){.protocol = 1}, m.data, m.length);
	add(c, (struct packet){.protocol = 17, .fragment = 0x2000}, m.data, m.length);
	add(c, (struct packet){.protocol = 17, .snap = 3}, m.data, m.length);
	assert_int_equal(run(c, &stats, &sessions), OK);
	assert_int_equal(sessions.messages, 0);
	assert_int_equal(stats.netflow5, 1);
	assert_int_equal(stats.netflow9, 1);
	assert_int_equal(stats.not_ipfix, 5);
	assert_int_equal(stats.fragments, 1);
	assert_int_equal(stats.cut, 1);
	free(b);
	free(c);
}

static void conformance_A_59_ports_are_sessions(void **state)
{
	struct capture *c = malloc(sizeof *c);
	struct build *b = malloc(sizeof *b);
	struct capture_stats stats;
	struct session_stats sessions;

	capture_begin(c, LINK_RAW);
	for (uint16_t port = 1; port <= 2; port++) {
		b_begin(b, 100, 0, 1);
		b_set(b, 2);
		b_template(b, 256, 1);
		b_field(b, 4, port);
		const struct span m = b_end(b);
		add(c, (struct packet){.protocol = 17, .port = port}, m.data, m.length);
	}
	assert_int_equal(run(c, &stats, &sessions), OK);
	assert_int_equal(sessions.templates[TEMPLATE_NEW], 2);
	assert_int_equal(sessions.templates[TEMPLATE_REPLACED], 0);
	free(b);
	free(c);
}

static void tcp_out_of_order(void **state)
{
	struct capture *c = malloc(sizeof *c);
	struct build *b = malloc(sizeof *b), *all = malloc(sizeof *all);
	struct capture_stats stats;
	struct session_stats sessions;
	const uint32_t isn = 0xfffffff0; /* the numbers wrap */

	all->used = 0;
	for (uint32_t i = 0; i < 10; i++) {
		const struct span m = message(b, i);
		b_octets(all, m.data, m.length);
	}
	capture_begin(c, LINK_ETHERNET);
	add(c, (struct packet){.protocol = 6, .sequence = isn, .flags = TCP_SYN}, "", 0);
	for (size_t at = 0; at < all->used;
	     at += 14) {                             /* pairs of 7 octets, each pair the wrong way round, */
		for (size_t half = 2; half-- > 0;) { /* and one copy too many */
			const size_t from = at + 7 * half, left = all->used > from ? all->used - from : 0;
			const struct packet p = {.protocol = 6, .sequence = isn + 1 + (uint32_t)from};

			add(c, p, all->data + from, left < 7 ? left : 7);
			add(c, p, all->data + from, left < 7 ? left : 7);
		}
	}
	assert_int_equal(run(c, &stats, &sessions), OK);
	assert_int_equal(sessions.messages, 10);
	assert_int_equal(sessions.sequence.events[SEQUENCE_NEXT], 9);
	assert_int_equal(stats.stream_lost, 0);
	assert_int_equal(stats.stream_damage, 0);

	/* A new connection between the same ports is a new session. */
	add(c, (struct packet){.protocol = 6, .sequence = 5, .flags = TCP_SYN}, "", 0);
	add(c, (struct packet){.protocol = 6, .sequence = 6}, all->data, 25);
	add(c, (struct packet){.protocol = 6, .sequence = 31}, all->data + 25, 8);
	assert_int_equal(run(c, &stats, &sessions), OK);
	assert_int_equal(sessions.messages, 11);
	assert_int_equal(sessions.sequence.events[SEQUENCE_FIRST], 2);

	/* Another protocol is passed over. */
	capture_begin(c, LINK_ETHERNET);
	add(c, (struct packet){.protocol = 6, .sequence = 1, .flags = TCP_SYN}, "", 0);
	add(c, (struct packet){.protocol = 6, .sequence = 2}, "\xff\xff\xff\xff\0\n\0\x10", 8);
	assert_int_equal(run(c, &stats, &sessions), OK);
	assert_int_equal(sessions.messages, 0);
	assert_int_equal(stats.stream_damage, 0);
	free(all);
	free(b);
	free(c);
}

struct heard {
	int messages;
};

static void hear(void *arg, struct span m)
{
	struct heard *h = arg;

	h->messages++;
}

/* A segment that never comes is given up when the window is full; what follows is read. */
static void tcp_hole(void **state)
{
	struct build *b = malloc(sizeof *b), *all = malloc(sizeof *all);
	struct stream s;
	struct stream_stats stats = {0};
	struct heard heard = {0};
	uint32_t sequence = 1000;

	all->used = 0;
	for (uint32_t i = 0; i < 100; i++) {
		const struct span m = message(b, i);
		b_octets(all, m.data, m.length);
	}
	stream_begin(&s, sequence, false);
	for (int i = 0; i < 200; i++, sequence += (uint32_t)all->used)
		if (i != 3)
			assert_int_equal(stream_segment(&s, sequence, span_of(all->data, all->used), &stats,
							hear, &heard),
					 OK);
	assert_int_equal(heard.messages, 199 * 100);
	assert_int_equal(stats.lost, all->used);
	assert_int_equal(stats.damaged, 0);

	/* Many small pieces with holes between them stay bounded. */
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(
			stream_segment(&s, sequence + 7 * i + 1, span_of(all->data, 3), &stats, hear, &heard),
			OK);
	assert_true(s.piece_count <= STREAM_PIECES_MAX);
	stream_fini(&s);
	free(all);
	free(b);
}

static void cut_capture(void **state)
{
	struct capture *c = malloc(sizeof *c);
	struct build *b = malloc(sizeof *b);
	struct capture_stats stats;
	struct session_stats sessions;
	const struct span m = message(b, 0);

	capture_begin(c, LINK_RAW);
	add(c, (struct packet){.protocol = 17}, m.data, m.length);
	const size_t one = c->used;
	add(c, (struct packet){.protocol = 17}, m.data, m.length);
	for (c->used--; c->used > one; c->used--) {
		assert_int_equal(run(c, &stats, &sessions), ERR_FORMAT);
		assert_int_equal(sessions.messages, 1);
	}
	c->used = 10;
	assert_int_equal(run(c, &stats, &sessions), ERR_FORMAT);
	free(b);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_types),
		cmocka_unit_test(what_is_not_ipfix),
		cmocka_unit_test(conformance_A_59_ports_are_sessions),
		cmocka_unit_test(tcp_out_of_order),
		cmocka_unit_test(tcp_hole),
		cmocka_unit_test(cut_capture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
