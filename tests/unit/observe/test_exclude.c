#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "base/span.h"
#include "observe/exclude.h"

enum { SNAP = 256, FRAME_MAX = 128 };

/* Classic BPF as the kernel runs it, as far as our programs use it: a load beyond the end answers 0. */
static uint32_t run(const struct sock_filter *code, uint16_t count, uint16_t ethertype, const uint8_t *frame,
		    uint32_t length)
{
	uint32_t a = 0;

	for (uint16_t pc = 0; pc < count; pc++) {
		const struct sock_filter *f = &code[pc];
		const uint32_t octets = BPF_SIZE(f->code) == BPF_W ? 4 : BPF_SIZE(f->code) == BPF_H ? 2 : 1;

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_LEN: a = length; break;
		case BPF_LD | BPF_B | BPF_ABS:
		case BPF_LD | BPF_H | BPF_ABS:
		case BPF_LD | BPF_W | BPF_ABS:
			if (f->k == (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL)) {
				a = ethertype;
				break;
			}
			if (f->k + octets > length)
				return 0;
			a = (uint32_t)get_be(frame + f->k, octets);
			break;
		case BPF_JMP | BPF_JA: pc = (uint16_t)(pc + f->k); break;
		case BPF_JMP | BPF_JEQ | BPF_K: pc = (uint16_t)(pc + (a == f->k ? f->jt : f->jf)); break;
		case BPF_JMP | BPF_JGE | BPF_K: pc = (uint16_t)(pc + (a >= f->k ? f->jt : f->jf)); break;
		case BPF_JMP | BPF_JSET | BPF_K: pc = (uint16_t)(pc + (a & f->k ? f->jt : f->jf)); break;
		case BPF_RET | BPF_K: return f->k;
		default: fail_msg("instruction %#x", f->code);
		}
	}
	fail_msg("ran off the end");
	return 0;
}

static struct sockaddr *address(struct sockaddr_storage *out, const char *text, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
	}
	return (struct sockaddr *)out;
}

static enum status add(struct exclusions *list, const char *local, uint16_t local_port, const char *remote,
		       uint16_t remote_port)
{
	struct sockaddr_storage from, to;

	return exclusions_add(list, address(&from, local, local_port), address(&to, remote, remote_port));
}

struct probe {
	const char *what;
	const char *source, *destination;
	uint16_t source_port, destination_port;
	uint8_t protocol;
	uint8_t first;     /* first octet of the header; 0: the usual one */
	uint16_t fragment; /* IPv4: flags and offset */
	uint32_t cut;      /* octets kept of the packet; 0: all */
	bool kept;
};

static uint32_t build(const struct probe *p, uint8_t *out, uint16_t *ethertype)
{
	const bool v6 = strchr(p->source, ':');
	const uint32_t ports = v6 ? 40 : 20;

	memset(out, 0, FRAME_MAX);
	out[0] = p->first ? p->first : v6 ? 0x60 : 0x45;
	out[v6 ? 6 : 9] = p->protocol;
	if (!v6)
		put_be16(out + 6, p->fragment);
	inet_pton(v6 ? AF_INET6 : AF_INET, p->source, out + (v6 ? 8 : 12));
	inet_pton(v6 ? AF_INET6 : AF_INET, p->destination, out + (v6 ? 24 : 16));
	put_be16(out + ports, p->source_port);
	put_be16(out + ports + 2, p->destination_port);
	*ethertype = v6 ? ETH_P_IPV6 : ETH_P_IP;
	return p->cut ? p->cut : ports + 20;
}

static const struct probe probes[] = {
	{"ours, UDP", "10.0.0.1", "10.0.0.2", 5001, 4739, 17, 0, 0, 0, false},
	{"ours, TCP", "10.0.0.1", "10.0.0.2", 5001, 4739, 6, 0, 0, 0, false},
	{"ours, SCTP", "10.0.0.1", "10.0.0.2", 5001, 4739, 132, 0, 0, 0, false},
	{"the answer", "10.0.0.2", "10.0.0.1", 4739, 5001, 6, 0, 0, 0, false},
	{"first fragment of ours", "10.0.0.1", "10.0.0.2", 5001, 4739, 17, 0, 0x2000, 0, false},
	{"later fragment has no ports", "10.0.0.1", "10.0.0.2", 5001, 4739, 17, 0, 0x2001, 0, true},
	{"with IP options", "10.0.0.1", "10.0.0.2", 5001, 4739, 17, 0x46, 0, 0, true},
	{"ICMP", "10.0.0.1", "10.0.0.2", 5001, 4739, 1, 0, 0, 0, true},
	{"another local port", "10.0.0.1", "10.0.0.2", 5002, 4739, 17, 0, 0, 0, true},
	{"another remote port", "10.0.0.1", "10.0.0.2", 5001, 4740, 17, 0, 0, 0, true},
	{"another source", "10.0.0.3", "10.0.0.2", 5001, 4739, 17, 0, 0, 0, true},
	{"another collector", "10.0.0.1", "10.0.0.4", 5001, 4739, 17, 0, 0, 0, true},
	{"ports the other way round", "10.0.0.1", "10.0.0.2", 4739, 5001, 17, 0, 0, 0, true},
	{"cut before the ports", "10.0.0.1", "10.0.0.2", 5001, 4739, 17, 0, 0, 20, true},
	{"cut inside the ports", "10.0.0.1", "10.0.0.2", 5001, 4739, 17, 0, 0, 23, true},
	{"cut after the ports", "10.0.0.1", "10.0.0.2", 5001, 4739, 17, 0, 0, 24, false},
	{"one octet", "10.0.0.1", "10.0.0.2", 5001, 4739, 17, 0, 0, 1, true},
	{"ours, IPv6", "fd00::1", "fd00::2", 5001, 4739, 17, 0, 0, 0, false},
	{"the answer, IPv6", "fd00::2", "fd00::1", 4739, 5001, 17, 0, 0, 0, false},
	{"IPv6 with an extension header", "fd00::1", "fd00::2", 5001, 4739, 0, 0, 0, 0, true},
	{"last word of the address differs", "fd00::1", "fd00::3", 5001, 4739, 17, 0, 0, 0, true},
	{"first word of the address differs", "fe00::1", "fd00::2", 5001, 4739, 17, 0, 0, 0, true},
	{"IPv6 cut inside the ports", "fd00::1", "fd00::2", 5001, 4739, 17, 0, 0, 43, true},
	{"any local address and port", "10.7.7.7", "192.0.2.9", 1234, 4739, 17, 0, 0, 0, false},
	{"any, the answer", "192.0.2.9", "10.7.7.7", 4739, 1234, 17, 0, 0, 0, false},
	{"any, another remote port", "10.7.7.7", "192.0.2.9", 1234, 53, 17, 0, 0, 0, true},
};

static void run_probes(const struct exclusions *list, uint32_t link_octets)
{
	static struct sock_filter code[EXCLUDE_PROGRAM_MAX];
	const uint16_t count = exclusions_program(list, link_octets, SNAP, code);

	for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
		uint8_t frame[14 + FRAME_MAX] = {0};
		uint16_t ethertype;
		const uint32_t length = link_octets + build(&probes[i], frame + link_octets, &ethertype);
		const uint32_t got = run(code, count, ethertype, frame, length);

		if (got != (probes[i].kept ? SNAP : 0))
			print_error("%s, link header of %u: got %u\n", probes[i].what, link_octets, got);
		assert_int_equal(got, probes[i].kept ? SNAP : 0);
	}
}

/* Of packets that are whole, exclusions_have says what the program does. */
static void test_without_program(void **state)
{
	struct exclusions list = {0};

	assert_int_equal(add(&list, "10.0.0.1", 5001, "10.0.0.2", 4739), OK);
	assert_int_equal(add(&list, "fd00::1", 5001, "fd00::2", 4739), OK);
	assert_int_equal(add(&list, "::", 0, "::ffff:192.0.2.9", 4739), OK);
	for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
		const struct probe *p = &probes[i];
		const int family = strchr(p->source, ':') ? AF_INET6 : AF_INET;
		uint8_t source[16] = {0}, destination[16] = {0};

		if (p->first || p->fragment || p->cut)
			continue;
		inet_pton(family, p->source, source);
		inet_pton(family, p->destination, destination);
		if (exclusions_have(&list, family, p->protocol, source, destination, htons(p->source_port),
				    htons(p->destination_port)) == p->kept)
			fail_msg("%s", p->what);
	}
}

static void test_program(void **state)
{
	struct exclusions list = {0};

	assert_int_equal(add(&list, "10.0.0.1", 5001, "10.0.0.2", 4739), OK);
	assert_int_equal(add(&list, "fd00::1", 5001, "fd00::2", 4739), OK);
	assert_int_equal(add(&list, "::", 0, "::ffff:192.0.2.9", 4739), OK);
	run_probes(&list, 0);
	run_probes(&list, ETH_HLEN);
}

static void test_nothing_excluded(void **state)
{
	const struct exclusions list = {0};
	struct sock_filter code[EXCLUDE_PROGRAM_MAX];

	assert_int_equal(exclusions_program(&list, 0, SNAP, code), 1);
	assert_int_equal(run(code, 1, ETH_P_IP, NULL, 0), SNAP);
}

/* A full list of the longest rows fits the program, and its last row works. */
static void test_full(void **state)
{
	static struct sock_filter code[EXCLUDE_PROGRAM_MAX];
	const struct probe last = {"the last", "fd00::1", "fd00::2", 5001, (uint16_t)(4000 + EXCLUDE_MAX - 1),
				   17,         0,         0,         0,    false};
	struct exclusions list = {0};
	uint8_t frame[FRAME_MAX];
	uint16_t count, ethertype;
	uint32_t length;

	for (uint16_t i = 0; i < EXCLUDE_MAX; i++)
		assert_int_equal(add(&list, "fd00::1", 5001, "fd00::2", (uint16_t)(4000 + i)), OK);
	assert_int_equal(add(&list, "fd00::1", 5001, "fd00::2", 9), ERR_LIMIT);
	count = exclusions_program(&list, ETH_HLEN, SNAP, code);
	assert_in_range(count, 1000, EXCLUDE_PROGRAM_MAX);
	count = exclusions_program(&list, 0, SNAP, code);
	length = build(&last, frame, &ethertype);
	assert_int_equal(run(code, count, ethertype, frame, length), 0);
}

static bool is_excluded(const struct exclusions *list, uint16_t local_port)
{
	static struct sock_filter code[EXCLUDE_PROGRAM_MAX];
	const struct probe probe = {"", "10.0.0.1", "10.0.0.2", local_port, 4739, 17, 0, 0, 0, false};
	const uint16_t count = exclusions_program(list, 0, SNAP, code);
	uint8_t frame[FRAME_MAX];
	uint16_t ethertype;
	const uint32_t length = build(&probe, frame, &ethertype);

	return run(code, count, ethertype, frame, length) == 0;
}

/* A session that comes back with another local port again and again pushes out its own old rows alone. */
static void test_newest_of_a_collector_count(void **state)
{
	struct exclusions list = {0};

	assert_int_equal(add(&list, "10.0.0.1", 7, "10.0.0.9", 4739), OK);
	for (uint16_t port = 1000; port < 2000; port++)
		assert_int_equal(add(&list, "10.0.0.1", port, "10.0.0.2", 4739), OK);
	assert_int_equal(list.count, 1 + EXCLUDE_PER_COLLECTOR);
	for (uint16_t port = 1990; port < 2000; port++)
		assert_int_equal(is_excluded(&list, port), port >= 2000 - EXCLUDE_PER_COLLECTOR);
	/* Told once more, the oldest is the newest. */
	assert_int_equal(add(&list, "10.0.0.1", 1996, "10.0.0.2", 4739), OK);
	assert_int_equal(add(&list, "10.0.0.1", 3000, "10.0.0.2", 4739), OK);
	assert_true(is_excluded(&list, 1996));
	assert_false(is_excluded(&list, 1997));
	assert_int_equal(list.count, 1 + EXCLUDE_PER_COLLECTOR);
}

static void test_refused(void **state)
{
	struct exclusions list = {0};
	struct sockaddr_storage to;
	const struct sockaddr other = {.sa_family = AF_UNIX};

	assert_int_equal(add(&list, "10.0.0.1", 1, "10.0.0.2", 0), ERR_USAGE);
	assert_int_equal(add(&list, "10.0.0.1", 1, "0.0.0.0", 4739), ERR_USAGE);
	assert_int_equal(add(&list, "10.0.0.1", 1, "fd00::2", 4739), ERR_USAGE);
	assert_int_equal(add(&list, "fd00::1", 1, "10.0.0.2", 4739), ERR_USAGE);
	assert_int_equal(exclusions_add(&list, &other, address(&to, "10.0.0.2", 4739)), ERR_USAGE);
	assert_int_equal(exclusions_add(&list, address(&to, "10.0.0.2", 4739), &other), ERR_USAGE);
	assert_int_equal(list.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program), cmocka_unit_test(test_nothing_excluded),
		cmocka_unit_test(test_full),    cmocka_unit_test(test_newest_of_a_collector_count),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_without_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
