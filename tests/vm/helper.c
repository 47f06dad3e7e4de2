/* helper: what a shell cannot do, for the scripts that run inside a virtual machine (guest/). One job a call:
 *   exit STATUS                              end the machine through isa-debug-exit (the device of run.py)
 *   udp-send HOST PORT COUNT SIZE [SEGMENT]  COUNT datagrams, or super-packets cut into SEGMENT octets each
 *   tcp-send HOST PORT OCTETS                a connection, all octets, to its orderly end
 *   sctp-send HOST PORT COUNT SIZE           an association, COUNT messages
 *   udp-sink PORT FILE, sctp-sink PORT FILE  write what comes, message behind message, until SIGTERM
 *   tcp-sink PORT                            one connection to its end; prints "octets N"
 *   sctp-watch IFACE                         the chunks of SCTP that pass there, until SIGTERM; prints counts
 *   capture FILE COUNT [WHILE]               a capture file of COUNT packets, each a flow of its own; slowly,
 * as long as there is a file WHILE
 *
 * A sink prints "ready" once it can be sent to, as does a watch. Addresses are numbers, IPv4 or IPv6. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { DEBUG_EXIT_PORT = 0x501, CHUNK = 65536 };

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "helper: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned long number(const char *text)
{
	char *end;
	const unsigned long n = strtoul(text, &end, 10);

	if (!*text || *end) {
		fprintf(stderr, "helper: '%s' is not a number\n", text);
		exit(2);
	}
	return n;
}

static int connected(const char *host, const char *port, int type, int protocol)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				       .ai_socktype = SOCK_STREAM,
				       .ai_protocol = IPPROTO_TCP};
	struct addrinfo *found;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		fail(host);
	const int fd = socket(found->ai_family, type, protocol);
	if (fd < 0)
		fail("socket");
	if (connect(fd, found->ai_addr, found->ai_addrlen) != 0)
		fail("connect");
	freeaddrinfo(found);
	return fd;
}

/* On every address of both families. */
static int bound(const char *port, int type, int protocol)
{
	const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number(port))};
	const int fd = socket(AF_INET6, type, protocol), off = 0;

	if (fd < 0)
		fail("socket");
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
	    bind(fd, (const struct sockaddr *)&any, sizeof any) != 0)
		fail("bind");
	if (type != SOCK_DGRAM && listen(fd, 8) != 0)
		fail("listen");
	puts("ready");
	fflush(stdout);
	return fd;
}

static void send_messages(int fd, unsigned long count, unsigned long size)
{
	uint8_t message[CHUNK] = {0};

	if (size > sizeof message)
		exit(2);
	for (unsigned long i = 0; i < count; i++)
		if (send(fd, message, size, 0) != (ssize_t)size)
			fail("send");
}

static void udp_send(char **argument)
{
	const int fd = connected(argument[0], argument[1], SOCK_DGRAM, IPPROTO_UDP);
	const int segment = argument[4] ? (int)number(argument[4]) : 0;

	if (segment && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) != 0)
		fail("UDP_SEGMENT");
	send_messages(fd, number(argument[2]), number(argument[3]));
}

static void sctp_send(char **argument)
{
	const int fd = connected(argument[0], argument[1], SOCK_STREAM, IPPROTO_SCTP);

	send_messages(fd, number(argument[2]), number(argument[3]));
	close(fd);
}

static void tcp_send(char **argument)
{
	static const uint8_t zeros[CHUNK];
	const int fd = connected(argument[0], argument[1], SOCK_STREAM, IPPROTO_TCP);
	uint8_t rest;

	for (unsigned long left = number(argument[2]); left > 0;) {
		const ssize_t n = write(fd, zeros, left < sizeof zeros ? left : sizeof zeros);

		if (n <= 0)
			fail("write");
		left -= (unsigned long)n;
	}
	/* Wait for the other side's end, so that the connection is over when we are. */
	if (shutdown(fd, SHUT_WR) != 0 || read(fd, &rest, 1) != 0)
		fail("end of the connection");
}

static void tcp_sink(char **argument)
{
	static uint8_t chunk[CHUNK];
	const int fd = accept(bound(argument[0], SOCK_STREAM, IPPROTO_TCP), NULL, NULL);
	unsigned long octets = 0;
	ssize_t n;

	if (fd < 0)
		fail("accept");
	while ((n = read(fd, chunk, sizeof chunk)) > 0)
		octets += (unsigned long)n;
	if (n < 0)
		fail("read");
	printf("octets %lu\n", octets);
}

static void take_messages(int fd, int file)
{
	static uint8_t message[CHUNK];
	ssize_t n;

	while ((n = recv(fd, message, sizeof message, 0)) > 0)
		if (write(file, message, (size_t)n) != n)
			fail("write");
}

static void sink(char **argument, int type, int protocol)
{
	const int file = open(argument[1], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	const int fd = bound(argument[0], type, protocol);

	if (file < 0)
		fail(argument[1]);
	for (;;) {
		const int from = type == SOCK_DGRAM ? fd : accept(fd, NULL, NULL);

		if (from < 0)
			fail("accept");
		take_messages(from, file);
		if (from != fd)
			close(from);
	}
}

static void udp_sink(char **argument)
{
	sink(argument, SOCK_DGRAM, IPPROTO_UDP);
}

static void sctp_sink(char **argument)
{
	sink(argument, SOCK_STREAM, IPPROTO_SCTP);
}

/* Of all associations together, both ways. */
struct chunks {
	unsigned long data, bare, unordered, other_stream; /* DATA; bare: without AUTH in front */
	unsigned long first_key, later_key,
		open_records;            /* open: DTLS's application data under the first key */
	unsigned long skips, bare_skips; /* FORWARD-TSN */
};

enum { CHUNK_DATA = 0, CHUNK_AUTH = 15, CHUNK_SKIP = 192, NO_KEY = -1 };

static void count_data(struct chunks *c, const uint8_t *at, size_t length, int key)
{
	const bool begins = at[1] & 2;

	c->data++;
	c->bare += key == NO_KEY;
	c->first_key += key == 0;
	c->later_key += key > 0;
	c->unordered += (at[1] & 4) != 0;
	c->other_stream += (at[8] | at[9]) != 0;
	c->open_records += begins && length > 16 && at[16] == 23 && key == 0;
}

/* One packet from its IPv4 header on. */
static void count_chunks(struct chunks *c, const uint8_t *packet, size_t length)
{
	size_t at = length < 20 || packet[0] >> 4 != 4 || packet[9] != IPPROTO_SCTP
			    ? length
			    : (packet[0] & 15U) * 4 + 12;
	int key = NO_KEY;

	while (at + 16 <= length) {
		const uint8_t *chunk = packet + at;
		const size_t octets = (size_t)chunk[2] << 8 | chunk[3];

		if (octets < 4)
			break;
		if (chunk[0] == CHUNK_AUTH)
			key = chunk[4] << 8 | chunk[5];
		else if (chunk[0] == CHUNK_DATA)
			count_data(c, chunk, octets, key);
		c->skips += chunk[0] == CHUNK_SKIP;
		c->bare_skips += chunk[0] == CHUNK_SKIP && key == NO_KEY;
		at += (octets + 3) / 4 * 4;
	}
}

static int watched(const char *interface)
{
	const struct sockaddr_ll at = {.sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = (int)if_nametoindex(interface)};
	const int fd = socket(AF_PACKET, SOCK_DGRAM, 0), room = 64 << 20;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof at) != 0)
		fail(interface);
	return fd;
}

static void print_chunks(const struct chunks *c, int fd)
{
	struct tpacket_stats seen = {0};
	socklen_t length = sizeof seen;

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &seen, &length) != 0)
		fail("PACKET_STATISTICS");
	printf("packets unseen %u\ndata %lu\ndata not authenticated %lu\ndata unordered %lu\n"
	       "data on other streams %lu\ndata under the first key %lu\ndata under a later key %lu\n"
	       "records under the first key %lu\nskips %lu\nskips not authenticated %lu\n",
	       seen.tp_drops, c->data, c->bare, c->unordered, c->other_stream, c->first_key, c->later_key,
	       c->open_records, c->skips, c->bare_skips);
}

static void sctp_watch(char **argument)
{
	static uint8_t packet[CHUNK];
	struct chunks counted = {0};
	sigset_t terminate;

	sigemptyset(&terminate);
	sigaddset(&terminate, SIGTERM);
	sigprocmask(SIG_BLOCK, &terminate, NULL);
	struct pollfd p[] = {{.fd = watched(argument[0]), .events = POLLIN},
			     {.fd = signalfd(-1, &terminate, 0), .events = POLLIN}};
	puts("ready");
	fflush(stdout);
	do {
		ssize_t n;

		if (poll(p, 2, -1) < 0)
			fail("poll");
		while ((n = recv(p[0].fd, packet, sizeof packet, MSG_DONTWAIT)) > 0)
			count_chunks(&counted, packet, (size_t)n);
	} while (!(p[1].revents & POLLIN));
	print_chunks(&counted, p[0].fd);
}

/* A capture file of packets without data, each a flow of its own: 10.0.0.0 and what follows are the sources.
 */
static void write_capture(char **argument)
{
	static const uint32_t file[] = {0xa1b2c3d4, 4 << 16 | 2, 0, 0, 65535, 101};
	uint8_t packet[28] = {0x45, 0, 0, 28,  0, 0, 0, 0,  64,  17, 0,  0, 10,
			      0,    0, 0, 192, 0, 2, 1, 15, 160, 0,  53, 0, 8};
	const unsigned long count = number(argument[1]);
	FILE *out = fopen(argument[0], "w");

	if (!out || fwrite(file, sizeof file, 1, out) != 1)
		fail(argument[0]);
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t head[] = {1700000000, i % 1000000, sizeof packet, sizeof packet};
		const uint32_t source = htonl(0x0a000000 + i);

		memcpy(packet + 12, &source, sizeof source);
		if (fwrite(head, sizeof head, 1, out) != 1 || fwrite(packet, sizeof packet, 1, out) != 1)
			fail(argument[0]);
		if (argument[2] && access(argument[2], F_OK) == 0 && fflush(out) == 0)
			usleep(20000);
	}
	if (fclose(out) != 0)
		fail(argument[0]);
}

static void end_machine(char **argument)
{
	if (iopl(3) != 0)
		fail("iopl");
	outb((unsigned char)number(argument[0]), DEBUG_EXIT_PORT);
}

static const struct {
	const char *name;
	int least, most; /* arguments */
	void (*run)(char **argument);
} jobs[] = {
	{"exit", 1, 1, end_machine},    {"udp-send", 4, 5, udp_send},     {"tcp-send", 3, 3, tcp_send},
	{"sctp-send", 4, 4, sctp_send}, {"udp-sink", 2, 2, udp_sink},     {"sctp-sink", 2, 2, sctp_sink},
	{"tcp-sink", 1, 1, tcp_sink},   {"capture", 2, 3, write_capture}, {"sctp-watch", 1, 1, sctp_watch},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof jobs / sizeof jobs[0]; i++) {
		if (strcmp(argv[1], jobs[i].name) != 0 || argc - 2 < jobs[i].least || argc - 2 > jobs[i].most)
			continue;
		jobs[i].run(argv + 2);
		return 0;
	}
	fputs("helper: no such job\n", stderr);
	return 2;
}
