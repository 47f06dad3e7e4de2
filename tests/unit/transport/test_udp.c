/* UDP over real loopback sockets: what a collector that goes away, comes back or moves does to the sender. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "transport/transport.h"

static const struct transport_options silent = {0};

/* A receiver on a loopback address; port 0: any. The port it got is stored in *port. */
static int receiver(int family, uint16_t *port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(*port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(*port)};
	const int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	socklen_t length = family == AF_INET ? sizeof v4 : sizeof v6;

	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v6.sin6_addr = in6addr_loopback;
	if (bind(fd, a, length) < 0) {
		close(fd);
		return -1;
	}
	getsockname(fd, a, &length);
	*port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
	return fd;
}

static struct transport *open_to(const char *host, uint16_t port, const struct transport_options *options)
{
	struct endpoint e = {.type = &udp_transport, .port = port};
	struct transport *t = NULL;
	struct error err = {""};

	snprintf(e.host, sizeof e.host, "%s", host);
	if (e.type->open(&t, &e, options, &err) != OK)
		fail_msg("open %s: %s", host, err.text);
	return t;
}

static enum status send_text(struct transport *t, const char *text)
{
	t->type->service(t);
	return t->type->send(t, span_of(text, strlen(text)), NULL);
}

static ssize_t receive(int fd, char *out, size_t size, uint16_t *from)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct sockaddr_in6 peer;
	socklen_t length = sizeof peer;

	if (poll(&p, 1, 2000) != 1)
		return -1;
	const ssize_t n = recvfrom(fd, out, size - 1, 0, (struct sockaddr *)&peer, &length);
	if (n >= 0)
		out[n] = 0;
	*from = ntohs(peer.sin6_port); /* at the same place in sockaddr_in */
	return n;
}

static void check_delivery(int family, const char *host, size_t headers)
{
	struct sockaddr_storage local, remote;
	uint16_t port = 0, from = 0;
	char got[64];
	auto_fd fd = receiver(family, &port);
	struct transport *t = open_to(host, port, &silent);

	assert_int_equal(send_text(t, "one"), OK);
	assert_int_equal(receive(fd, got, sizeof got, &from), 3);
	assert_string_equal(got, "one");
	assert_true(t->type->addresses(t, &local, &remote));
	assert_int_equal(remote.ss_family, family);
	assert_int_equal(ntohs(((struct sockaddr_in *)&local)->sin_port), from);
	assert_int_equal(ntohs(((struct sockaddr_in *)&remote)->sin_port), port);
	assert_true(t->type->poll_fd(t) >= 0);
	/* Loopback's MTU is 65536, an IP packet at most 65535. */
	assert_in_range(t->type->message_limit(t), 512 - headers, 65535 - headers);
	t->type->close(t);
}

static void test_ipv4(void **state)
{
	check_delivery(AF_INET, "127.0.0.1", 28);
}

static void test_ipv6(void **state)
{
	uint16_t port = 0;
	auto_fd fd = receiver(AF_INET6, &port);

	if (fd < 0)
		skip();
	check_delivery(AF_INET6, "::1", 48);
}

/* A name from the system's own table, so that no resolver is asked. */
static void test_name(void **state)
{
	struct sockaddr_storage local, remote;
	struct transport *t = open_to("localhost", 9, &silent);

	for (int i = 0; i < 50 && !t->type->addresses(t, &local, &remote); i++) {
		poll(NULL, 0, 20);
		t->type->service(t);
	}
	assert_true(t->type->addresses(t, &local, &remote));
	t->type->close(t);
}

/* No such name is no error at open: the message stays with the caller. RFC 6761: .invalid never resolves. */
static void test_name_unknown(void **state)
{
	struct sockaddr_storage local, remote;
	struct transport *t = open_to("collector.invalid", 4739, &silent);

	assert_int_equal(send_text(t, "x"), AGAIN);
	assert_false(t->type->addresses(t, &local, &remote));
	assert_int_equal(t->type->message_limit(t), 512 - 48);
	assert_int_equal(t->type->generation(t), 0);
	t->type->close(t);
}

static void test_options_cap(void **state)
{
	const struct transport_options capped = {.max_message = 600};
	struct transport *t = open_to("127.0.0.1", 9, &capped);
	static const uint8_t octets[601];
	struct error err = {""};

	assert_int_equal(t->type->message_limit(t), 600);
	assert_int_equal(t->type->send(t, span_of(octets, 601), &err), ERR_LIMIT);
	assert_non_null(strstr(err.text, "600"));
	assert_int_equal(t->type->send(t, span_of(octets, 600), &err), OK);
	t->type->close(t);
}

static void check_many(int family, const char *host)
{
	static const char text[] = "aaaabbbbccccdd";
	uint16_t port = 0, from = 0;
	char got[64];
	auto_fd fd = receiver(family, &port);
	struct transport *t = open_to(host, port, &silent);

	assert_true(fd >= 0);
	if (t->type->many(t) > 1) {
		assert_int_equal(t->type->send_many(t, span_of(text, 14), 4, NULL), OK);
		for (const char *const *one = (const char *const[]){"aaaa", "bbbb", "cccc", "dd", NULL}; *one;
		     one++) {
			assert_int_equal(receive(fd, got, sizeof got, &from), strlen(*one));
			assert_string_equal(got, *one);
		}
	}
	t->type->close(t);
}

/* What one call sends arrives as datagrams of its own. */
static void test_many(void **state)
{
	check_many(AF_INET, "127.0.0.1");
}

/* The refusal of an earlier datagram is no reason to go on one by one. */
static void test_many_refused(void **state)
{
	uint16_t port = 0, from = 0;
	char got[64];
	int fd = receiver(AF_INET, &port);
	struct transport *t = open_to("127.0.0.1", port, &silent);
	const uint32_t many = t->type->many(t);

	close(fd);
	for (int i = 0; i < 100 && many > 1; i++) {
		const enum status st = t->type->send_many(t, span_of("aabbc", 5), 2, NULL);

		assert_true(st == OK || st == AGAIN);
	}
	assert_int_equal(t->type->many(t), many);
	assert_true(t->errors > 0 || many == 1);
	t->type->service(t);
	fd = receiver(AF_INET, &port);
	assert_true(fd >= 0);
	assert_int_equal(send_text(t, "back"), OK);
	assert_int_equal(receive(fd, got, sizeof got, &from), 4);
	close(fd);
	t->type->close(t);
}

/* RELIABILITY 2 class 17: the peer goes away. Refusals are counted, the socket and its port stay, and the
 * first message after the collector's return arrives. */
static void test_class17_collector_down_up_down(void **state)
{
	uint16_t port = 0, from = 0, first = 0;
	char got[64];
	int fd = receiver(AF_INET, &port);
	struct transport *t = open_to("127.0.0.1", port, &silent);

	assert_int_equal(send_text(t, "up"), OK);
	assert_int_equal(receive(fd, got, sizeof got, &first), 2);
	for (int round = 0; round < 20; round++) {
		const uint32_t generation = t->type->generation(t);
		const uint64_t errors = t->errors;

		close(fd);
		for (int i = 0; i < 10; i++)
			assert_int_equal(send_text(t, "refused"), OK);
		t->type->service(t);
		assert_true(t->type->generation(t) > generation);
		assert_true(t->errors > errors);
		fd = receiver(AF_INET, &port);
		assert_true(fd >= 0);
		assert_int_equal(send_text(t, "back"), OK);
		assert_int_equal(receive(fd, got, sizeof got, &from), 4);
		assert_string_equal(got, "back");
		assert_int_equal(from, first);
	}
	close(fd);
	t->type->close(t);
}

/* Without the housekeeping call in between, send itself meets the refusal of the datagram before. */
static void test_refusal_met_by_send(void **state)
{
	uint16_t port = 0;
	int fd = receiver(AF_INET, &port);
	struct transport *t = open_to("127.0.0.1", port, &silent);

	close(fd);
	for (int i = 0; i < 100; i++)
		assert_int_equal(t->type->send(t, span_of("x", 1), NULL), OK);
	assert_true(t->errors >= 99);
	t->type->close(t);
}

/* An address the kernel refuses to connect to (broadcast): the message is kept, errors are counted. */
static void test_no_route(void **state)
{
	struct transport *t = open_to("255.255.255.255", 4739, &silent);

	assert_int_equal(send_text(t, "x"), AGAIN);
	assert_int_equal(send_text(t, "x"), AGAIN);
	assert_true(t->errors >= 1);
	t->type->close(t);
}

/* 76: checksums are on, for IPv4 too; 77: and no datagram is ever cut into fragments. */
static void test_76_77_socket_options(void **state)
{
	struct transport *t = open_to("127.0.0.1", 9, &silent);
	int no_check = -1, discover = -1;
	socklen_t length = sizeof(int);

	assert_int_equal(getsockopt(t->type->poll_fd(t), SOL_SOCKET, SO_NO_CHECK, &no_check, &length), 0);
	assert_int_equal(no_check, 0);
	assert_int_equal(getsockopt(t->type->poll_fd(t), IPPROTO_IP, IP_MTU_DISCOVER, &discover, &length), 0);
	assert_int_equal(discover, IP_PMTUDISC_DO);
	t->type->close(t);
}

/* Run `ip` in this network namespace. */
static bool ip(const char *arguments)
{
	char copy[128], *words[16] = {"ip"};
	uint32_t n = 1;

	snprintf(copy, sizeof copy, "%s", arguments);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		words[n++] = w;
	const pid_t pid = fork();
	if (pid == 0) {
		execvp("ip", words);
		_exit(127);
	}
	int result = -1;
	return waitpid(pid, &result, 0) == pid && result == 0;
}

/* A namespace of this process's own: the test's file descriptors and other processes stay where they are. */
static bool own_network(void)
{
	return unshare(CLONE_NEWNET) == 0 && ip("link set lo up") &&
	       ip("link add weir0 type veth peer name weir1") && ip("link set weir1 up") &&
	       ip("addr add 192.0.2.1/24 dev weir0") && ip("-6 addr add 2001:db8::1/64 dev weir0 nodad") &&
	       ip("link set weir0 mtu 1400 up") &&
	       ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev weir0") &&
	       ip("neigh add 2001:db8::2 lladdr 02:00:00:00:00:02 dev weir0");
}

/* 77: the limit follows the path: the interface's MTU falls, and the message that no longer fits is refused
 * whole instead of being sent in fragments. */
static void check_mtu_falls(const char *host, size_t headers)
{
	static const uint8_t octets[1400];

	assert_true(ip("link set weir0 mtu 1400"));
	struct transport *t = open_to(host, 4739, &silent);
	t->type->service(t);
	assert_int_equal(t->type->message_limit(t), 1400 - headers);
	assert_int_equal(t->type->send(t, span_of(octets, 1400 - headers), NULL), OK);
	assert_int_equal(t->type->send(t, span_of(octets, 1401 - headers), NULL), ERR_LIMIT);
	for (size_t mtu = 1399; mtu >= 1280; mtu -= 17) {
		char command[64];

		snprintf(command, sizeof command, "link set weir0 mtu %zu", mtu);
		assert_true(ip(command));
		const size_t before = t->type->message_limit(t);
		const enum status st = t->type->send(t, span_of(octets, before), NULL);
		assert_int_equal(st, ERR_LIMIT);
		assert_int_equal(t->type->message_limit(t), mtu - headers);
		assert_int_equal(t->type->send(t, span_of(octets, mtu - headers), NULL), OK);
	}
	t->type->close(t);
}

/* Several messages in one call: the path takes less than it did, and nothing is sent; shorter ones go. */
static void check_mtu_falls_for_many(const char *host, size_t headers)
{
	static const uint8_t octets[3 * 1400];

	assert_true(ip("link set weir0 mtu 1400"));
	struct transport *t = open_to(host, 4739, &silent);
	const size_t each = 1400 - headers, less = 1300 - headers;

	if (t->type->many(t) > 1) {
		assert_int_equal(t->type->send_many(t, span_of(octets, 2 * each + 100), each, NULL), OK);
		assert_true(ip("link set weir0 mtu 1300"));
		assert_int_equal(t->type->send_many(t, span_of(octets, 2 * each + 100), each, NULL),
				 ERR_LIMIT);
		assert_int_equal(t->type->message_limit(t), less);
		assert_int_equal(t->type->send_many(t, span_of(octets, 3 * less), less, NULL), OK);
		assert_true(t->type->many(t) > 1);
	}
	t->type->close(t);
}

static uint16_t internet_checksum(const uint8_t *octets, size_t length)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i += 2)
		sum += (uint32_t)(octets[i] << 8 | octets[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Say to this host, as a router would, that its datagram of this session needs a smaller packet (RFC 1191),
 * or another ICMP error with that code. */
static void icmp_unreachable(const struct transport *t, uint8_t code, uint16_t mtu)
{
	uint8_t m[36] = {3, code, 0, 0, 0, 0, (uint8_t)(mtu >> 8), (uint8_t)mtu, 0x45};
	struct sockaddr_storage local, remote;
	const struct sockaddr_in *from = (const struct sockaddr_in *)&local,
				 *to = (const struct sockaddr_in *)&remote;
	auto_fd raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	assert_true(raw >= 0);
	assert_true(t->type->addresses(t, &local, &remote));
	m[8 + 2] = 1400 >> 8; /* the datagram's header: length, do not fragment, UDP, addresses, ports */
	m[8 + 3] = 1400 & 0xff;
	m[8 + 6] = 0x40;
	m[8 + 8] = 64;
	m[8 + 9] = IPPROTO_UDP;
	memcpy(m + 8 + 12, &from->sin_addr, 4);
	memcpy(m + 8 + 16, &to->sin_addr, 4);
	memcpy(m + 8 + 20, &from->sin_port, 2);
	memcpy(m + 8 + 22, &to->sin_port, 2);
	m[8 + 24] = 1380 >> 8;
	m[8 + 25] = 1380 & 0xff;
	const uint16_t sum = internet_checksum(m, sizeof m);
	m[2] = (uint8_t)(sum >> 8);
	m[3] = (uint8_t)sum;
	assert_int_equal(sendto(raw, m, sizeof m, 0, (const struct sockaddr *)from, sizeof *from), sizeof m);
}

/* 77: a router on the way says that packets are too big: the next message is within what it takes. */
static void check_icmp_too_big(void)
{
	static const uint8_t octets[1400];

	assert_true(ip("link set weir0 mtu 1400"));
	struct transport *t = open_to("192.0.2.2", 4739, &silent);
	assert_int_equal(t->type->send(t, span_of(octets, 1372), NULL), OK);
	const uint32_t generation = t->type->generation(t);
	icmp_unreachable(t, 4, 900);
	assert_int_equal(t->type->send(t, span_of(octets, 1372), NULL), ERR_LIMIT);
	assert_int_equal(t->type->message_limit(t), 900 - 28);
	assert_int_equal(t->type->send(t, span_of(octets, 900 - 28), NULL), OK);
	assert_true(t->type->generation(t) > generation); /* what was lost may have been templates */
	icmp_unreachable(t, 4, 700); /* taken in by the housekeeping, before any send fails */
	t->type->service(t);
	assert_int_equal(t->type->message_limit(t), 700 - 28);
	t->type->close(t);
}

/* Whatever ICMP says of a datagram before, this one goes out. */
static void check_icmp_errors(void)
{
	struct transport *t = open_to("192.0.2.2", 4739, &silent);

	for (uint8_t code = 0; code < 16; code++) {
		if (code == 4)
			continue;
		icmp_unreachable(t, code, 0);
		assert_int_equal(t->type->send(t, span_of("x", 1), NULL), OK);
	}
	assert_true(t->errors >= 15);
	t->type->close(t);
}

/* The route goes and comes back: the message is kept, the socket and its port stay, templates are due again.
 */
static void check_route_returns(void)
{
	struct sockaddr_storage local, remote, before;
	struct transport *t = open_to("192.0.2.2", 4739, &silent);

	assert_true(t->type->addresses(t, &before, &remote));
	assert_int_equal(send_text(t, "x"), OK);
	const uint32_t generation = t->type->generation(t);
	assert_true(ip("link set weir0 down"));
	assert_int_equal(send_text(t, "x"), AGAIN);
	assert_int_equal(send_text(t, "x"), AGAIN);
	assert_true(t->errors > 0);
	/* Another address meanwhile: the source address of before must not stick to the socket. */
	assert_true(ip("addr del 192.0.2.1/24 dev weir0"));
	assert_true(ip("addr add 192.0.2.9/24 dev weir0"));
	assert_true(ip("link set weir0 up"));
	enum status st = AGAIN;
	for (int i = 0; i < 60 && st == AGAIN; i++) {
		poll(NULL, 0, 50);
		st = send_text(t, "x");
	}
	assert_int_equal(st, OK);
	assert_true(t->type->generation(t) > generation);
	assert_true(t->type->addresses(t, &local, &remote));
	assert_int_equal(((struct sockaddr_in *)&local)->sin_port, ((struct sockaddr_in *)&before)->sin_port);
	assert_int_equal(((struct sockaddr_in *)&local)->sin_addr.s_addr, inet_addr("192.0.2.9"));
	t->type->close(t);
}

/* Last of all tests: the process stays in its namespace. */
static void test_77_class17_path_changes(void **state)
{
	if (!own_network())
		skip();
	check_mtu_falls("192.0.2.2", 28);
	check_mtu_falls("2001:db8::2", 48);
	check_mtu_falls_for_many("192.0.2.2", 28);
	check_mtu_falls_for_many("2001:db8::2", 48);
	check_icmp_errors();
	check_icmp_too_big();
	check_route_returns();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_name_unknown),
		cmocka_unit_test(test_options_cap),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_many_refused),
		cmocka_unit_test(test_class17_collector_down_up_down),
		cmocka_unit_test(test_refusal_met_by_send),
		cmocka_unit_test(test_no_route),
		cmocka_unit_test(test_76_77_socket_options),
		cmocka_unit_test(test_77_class17_path_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
