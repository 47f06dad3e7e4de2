/* What stands in front of IP: every link layer, every tag, cut at every octet, nested to every bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "decode/layers.h"
#include "frame.h"

static enum decode_outcome decode_cut(const struct frame *f, enum link_layer link, uint32_t captured,
				      struct flow_key *key, struct packet_facts *facts)
{
	struct packet packet = packet_of(f, link);
	uint8_t *copy = malloc(captured ? captured : 1);

	assert_non_null(copy);
	memcpy(copy, f->octets, captured);
	packet.data = copy;
	packet.captured = captured;
	const enum decode_outcome outcome = decode_packet(&packet, key, facts);
	free(copy);
	return outcome;
}

static enum decode_outcome decode_whole(const struct frame *f, enum link_layer link, struct flow_key *key)
{
	struct packet_facts facts;

	return decode_cut(f, link, f->length, key, &facts);
}

static void expect(const char *what, enum decode_outcome got, enum decode_outcome expected)
{
	if (got != expected)
		fail_msg("%s: got %s, expected %s", what, decode_outcome_names[got],
			 decode_outcome_names[expected]);
}

static void add_udp4(struct frame *f)
{
	add_ipv4(f, 17, 8, 0);
	add_udp(f, 0);
}

static void add_udp6(struct frame *f)
{
	add_ipv6(f, 17, 8);
	add_udp(f, 0);
}

/* Headers in front of IP, as octets, and what they lead to. */
static const struct {
	const char *what;
	enum link_layer link;
	const char *octets;
	uint32_t length;
	unsigned version; /* of the IP packet behind; 0: none is found */
} stacks[] = {
	{"raw IPv4", LINK_IP, "", 0, 4},
	{"raw IPv6", LINK_IP, "", 0, 6},
	{"Ethernet IPv4", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0", 14, 4},
	{"Ethernet IPv6", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x86\xdd", 14, 6},
	{"Ethernet ARP", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\x06", 14, 0},
	{"VLAN", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x81\0\0\5\x08\0", 18, 4},
	{"QinQ 88a8", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\xa8\0\5\x81\0\0\6\x86\xdd", 22, 6},
	{"QinQ 9100", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x91\0\0\5\x81\0\0\6\x08\0", 22, 4},
	{"QinQ 9200", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x92\0\0\5\x81\0\0\6\x08\0", 22, 4},
	{"MPLS", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\x47\0\1\0\x40\0\2\1\x40", 22, 4},
	{"MPLS multicast", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\x48\0\1\1\x40", 18, 6},
	{"MPLS IPv4 explicit null", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\x47\0\0\1\x40", 18, 4},
	{"MPLS IPv6 explicit null", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\x47\0\0\x21\x40", 18, 6},
	{"MPLS associated channel", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\x47\0\0\xd1\x40", 18, 0},
	{"MPLS pseudowire", LINK_ETHERNET,
	 "\2\0\0\0\0\1\2\0\0\0\0\2\x88\x47\0\1\1\x40\0\0\0\0\2\0\0\0\0\3\2\0\0\0\0\4\x08\0", 36, 4},
	{"PPPoE", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\x64\x11\0\0\1\0\x1e\0\x21", 22, 4},
	{"PPPoE IPv6", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\x64\x11\0\0\1\0\x32\0\x57", 22, 6},
	{"PPPoE LCP", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\x64\x11\0\0\1\0\x1e\xc0\x21", 22, 0},
	{"PPPoE that is not data", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\x64\x11\x9\0\1\0\x1e\0\x21",
	 22, 0},
	{"SNAP", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\0\x24\xaa\xaa\3\0\0\0\x08\0", 22, 4},
	{"SNAP of another organisation", LINK_ETHERNET,
	 "\2\0\0\0\0\1\2\0\0\0\0\2\0\x24\xaa\xaa\3\0\0\x0c\x08\0", 22, 0},
	{"SNAP with a length inside", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\0\x24\xaa\xaa\3\0\0\0\0\x24",
	 22, 0},
	{"LLC with the SAP of IP", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\0\x1f\6\6\3", 17, 4},
	{"LLC spanning tree", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\0\x1f\x42\x42\3", 17, 0},
	{"type between length and EtherType", LINK_ETHERNET, "\2\0\0\0\0\1\2\0\0\0\0\2\x05\xdd", 14, 0},
	{"NULL, little endian", LINK_NULL, "\2\0\0\0", 4, 4},
	{"LOOP, network order", LINK_NULL, "\0\0\0\2", 4, 4},
	{"NULL IPv6 Linux", LINK_NULL, "\x0a\0\0\0", 4, 6},
	{"NULL IPv6 NetBSD", LINK_NULL, "\x18\0\0\0", 4, 6},
	{"NULL IPv6 FreeBSD", LINK_NULL, "\x1c\0\0\0", 4, 6},
	{"NULL IPv6 macOS", LINK_NULL, "\0\0\0\x1e", 4, 6},
	{"NULL AppleTalk", LINK_NULL, "\x10\0\0\0", 4, 0},
	{"SLL", LINK_SLL, "\0\4\0\1\0\6\2\0\0\0\0\1\0\0\x08\0", 16, 4},
	{"SLL VLAN", LINK_SLL, "\0\4\0\1\0\6\2\0\0\0\0\1\0\0\x81\0\0\5\x08\0", 20, 4},
	{"SLL LLC", LINK_SLL, "\0\4\0\1\0\6\2\0\0\0\0\1\0\0\0\4\6\6\3", 19, 4},
	{"SLL with a small protocol", LINK_SLL, "\0\4\0\1\0\6\2\0\0\0\0\1\0\0\0\1", 16, 0},
	{"SLL2", LINK_SLL2, "\x86\xdd\0\0\0\0\0\2\0\1\4\6\2\0\0\0\0\1\0\0", 20, 6},
	{"PPP", LINK_PPP, "\0\x21", 2, 4},
	{"PPP in HDLC framing", LINK_PPP, "\xff\3\0\x57", 4, 6},
	{"PPP, protocol compressed", LINK_PPP, "\x21", 1, 4},
	{"PPP, HDLC, protocol compressed", LINK_PPP, "\xff\3\x57", 3, 6},
	{"PPP MPLS", LINK_PPP, "\xff\3\2\x81\0\1\1\x40", 8, 4},
	{"PPP LCP", LINK_PPP, "\xff\3\xc0\x21", 4, 0},
	{"Cisco HDLC", LINK_PPP, "\x0f\0\x08\0", 4, 4},
	{"Cisco HDLC multicast", LINK_PPP, "\x8f\0\x86\xdd", 4, 6},
	{"PPPoE as a link", LINK_PPPOE, "\x11\0\0\1\0\x1e\0\x21", 8, 4},
};

enum { STACKS = sizeof stacks / sizeof stacks[0] };

static struct frame stack_frame(size_t i)
{
	struct frame f = {.length = 0};

	add_octets(&f, stacks[i].octets, stacks[i].length);
	if (stacks[i].version == 6)
		add_udp6(&f);
	else
		add_udp4(&f);
	return f;
}

static void test_every_stack(void **state)
{
	for (size_t i = 0; i < STACKS; i++) {
		const struct frame f = stack_frame(i);
		struct flow_key key;
		expect(stacks[i].what, decode_whole(&f, stacks[i].link, &key),
		       stacks[i].version ? DECODE_FLOW : DECODE_NOT_IP);
		if (stacks[i].version == 0)
			continue;
		if (key.protocol != 17 || get_be16(&key.source_port) != 1000 || key.point != 7 ||
		    key.kind != (KIND_PORTS | (stacks[i].version == 6 ? KIND_IPV6 : 0)))
			fail_msg("%s: wrong key", stacks[i].what);
	}
}

/* An IP packet of the other version behind a header that announces one. */
static void test_announced_version(void **state)
{
	for (size_t i = 0; i < STACKS; i++) {
		struct frame f = {.length = 0};
		struct flow_key key;
		if (stacks[i].version == 0 || stacks[i].link == LINK_IP)
			continue;
		if (strncmp(stacks[i].what, "MPLS", 4) == 0 && !strstr(stacks[i].what, "null"))
			continue; /* the nibble is all there is */
		if (strstr(stacks[i].what, "pseudowire") || strcmp(stacks[i].what, "PPP MPLS") == 0)
			continue;
		add_octets(&f, stacks[i].octets, stacks[i].length);
		if (stacks[i].version == 6)
			add_udp4(&f);
		else
			add_udp6(&f);
		expect(stacks[i].what, decode_whole(&f, stacks[i].link, &key), DECODE_IP_VERSION);
	}
}

/* Class 2: cut after every octet. In the link header LINK_SHORT, in the IP header IP_SHORT, behind it a flow
 * without ports and with the length that the IP header gives. Never a read past what was captured. */
static void test_class_02_every_prefix(void **state)
{
	for (size_t i = 0; i < STACKS; i++) {
		const struct frame f = stack_frame(i);
		const uint32_t ip = stacks[i].length, header = stacks[i].version == 6 ? 40 : 20;
		if (stacks[i].version == 0)
			continue;
		for (uint32_t n = 0; n < f.length; n++) {
			struct packet_facts facts;
			struct flow_key key;
			const enum decode_outcome got = decode_cut(&f, stacks[i].link, n, &key, &facts);
			enum decode_outcome expected = n < ip            ? DECODE_LINK_SHORT
						       : n < ip + header ? DECODE_IP_SHORT
									 : DECODE_FLOW;
			/* With no octet of IP there is no nibble to tell what an MPLS label stands for. */
			if (n == ip && n > 0 && got == DECODE_LINK_SHORT && strstr(stacks[i].what, "MPLS"))
				expected = DECODE_LINK_SHORT;
			if (stacks[i].link == LINK_PPP && n == 1)
				expected =
					DECODE_LINK_SHORT; /* one octet does not tell framing from protocol */
			if (got != expected)
				fail_msg("%s cut at %u: got %s, expected %s", stacks[i].what, n,
					 decode_outcome_names[got], decode_outcome_names[expected]);
			if (got != DECODE_FLOW)
				continue;
			assert_int_equal(facts.octets, header + 8);
			assert_int_equal((key.kind & KIND_PORTS) != 0, n >= ip + header + 4);
			if (!(key.kind & KIND_PORTS))
				assert_int_equal(key.source_port | key.destination_port, 0);
		}
	}
}

static void test_class_08_vlan_tags(void **state)
{
	for (unsigned n = VLAN_TAGS_MAX - 1; n <= VLAN_TAGS_MAX + 1; n++) {
		struct frame f = {.length = 0};
		struct flow_key key;
		add_ethernet(&f, 0x8100);
		for (unsigned i = 1; i <= n; i++)
			add_vlan(&f, i, i < n ? 0x8100 : 0x0800);
		add_udp4(&f);
		expect("VLAN tags", decode_whole(&f, LINK_ETHERNET, &key),
		       n <= VLAN_TAGS_MAX ? DECODE_FLOW : DECODE_LINK_NESTED);
	}
}

static void test_class_08_mpls_labels(void **state)
{
	for (unsigned n = MPLS_LABELS_MAX - 1; n <= MPLS_LABELS_MAX + 1; n++) {
		struct frame f = {.length = 0};
		struct flow_key key;
		add_ethernet(&f, 0x8847);
		for (unsigned i = 1; i <= n; i++)
			add_label(&f, 100 + i, i == n);
		add_udp4(&f);
		expect("MPLS labels", decode_whole(&f, LINK_ETHERNET, &key),
		       n <= MPLS_LABELS_MAX ? DECODE_FLOW : DECODE_LINK_NESTED);
	}
}

static void test_class_08_tunnels(void **state)
{
	for (unsigned n = TUNNELS_MAX - 1; n <= TUNNELS_MAX + 1; n++) {
		struct frame f = {.length = 0};
		struct flow_key key;
		add_ethernet(&f, 0x8847);
		for (unsigned i = 1; i <= n; i++) {
			add_label(&f, 100, true);
			add_u32(&f, 0); /* control word */
			add_ethernet(&f, i < n ? 0x8847 : 0x0800);
		}
		add_udp4(&f);
		expect("pseudowires", decode_whole(&f, LINK_ETHERNET, &key),
		       n <= TUNNELS_MAX ? DECODE_FLOW : DECODE_LINK_NESTED);
	}
}

/* Class 10: a frame that is nothing but tags or labels ends after the bound, not after the frame. */
static void test_class_10_nothing_but_tags(void **state)
{
	const unsigned types[] = {0x8100, 0x8847, 0x8864};

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct frame f = {.length = 0};
		struct flow_key key;
		add_ethernet(&f, types[i]);
		while (f.length + 4 <= sizeof f.octets)
			add_vlan(&f, 0x1100, types[i] == 0x8847 ? 0 : types[i]);
		const enum decode_outcome outcome = decode_whole(&f, LINK_ETHERNET, &key);
		assert_true(outcome == DECODE_LINK_NESTED || outcome == DECODE_NOT_IP);
	}
}

static void test_unknown_link(void **state)
{
	struct frame f = {.length = 0};
	struct flow_key key;

	add_udp4(&f);
	expect("a link that is none", decode_whole(&f, LINK_COUNT, &key), DECODE_NOT_IP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_stack),
		cmocka_unit_test(test_announced_version),
		cmocka_unit_test(test_class_02_every_prefix),
		cmocka_unit_test(test_class_08_vlan_tags),
		cmocka_unit_test(test_class_08_mpls_labels),
		cmocka_unit_test(test_class_08_tunnels),
		cmocka_unit_test(test_class_10_nothing_but_tags),
		cmocka_unit_test(test_unknown_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
