/* flood IFACE MAC FRAMES RATE PORT: put TCP SYNs from all over onto a veth, so many a second, to 10.9.0.1.
 *
 * Prints the frames that the kernel took, and seconds. Two in flight are told apart by source address and
 * port. RATE 0: as fast as it goes. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"
#include "base/time.h"
#include "message/writer.h"

#define PRIME 2654435761U

enum { BURST = 64, FRAME = 54, IP_AT = 14, TCP_AT = 34 };

static uint16_t checksum(const uint8_t *at, size_t octets)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < octets; i += 2)
		sum += get_be16(at + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void make(uint8_t *f, uint32_t number, uint16_t port)
{
	const uint32_t mixed = number * PRIME;

	put_be32(f + IP_AT + 12, 0x0b000000 | (mixed >> 8));
	put_be16(f + IP_AT + 4, (uint16_t)number);
	put_be16(f + IP_AT + 10, 0);
	put_be16(f + IP_AT + 10, checksum(f + IP_AT, 20));
	put_be16(f + TCP_AT, (uint16_t)(1024 + number % 50000));
	put_be16(f + TCP_AT + 2, port);
	put_be32(f + TCP_AT + 4, number);
}

static void prepare(uint8_t *f, const uint8_t mac[6])
{
	static const uint8_t ip[20] = {0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 10, 9, 0, 1};

	memcpy(f, mac, 6);
	memcpy(f + 6, "\x02\0\0\0\0\x09", 6);
	put_be16(f + 12, ETH_P_IP);
	memcpy(f + IP_AT, ip, sizeof ip);
	put_be16(f + TCP_AT + 12, 5 << 12 | 2); /* SYN */
}

static void pause_until(int64_t ns)
{
	const struct timespec t = {ns / NS_PER_S, ns % NS_PER_S};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

int main(int argc, char **argv)
{
	static uint8_t frame[BURST][FRAME];
	static struct mmsghdr message[BURST];
	static struct iovec part[BURST];
	uint8_t mac[6];

	if (argc != 6 || sscanf(argv[2], "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2],
				&mac[3], &mac[4], &mac[5]) != 6) {
		fprintf(stderr, "flood IFACE MAC FRAMES RATE PORT\n");
		return 2;
	}
	const uint64_t frames = strtoull(argv[3], NULL, 10), rate = strtoull(argv[4], NULL, 10);
	const uint16_t port = (uint16_t)strtoul(argv[5], NULL, 10);
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP),
				 .sll_ifindex = (int)if_nametoindex(argv[1])};
	const int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		perror(argv[1]);
		return 1;
	}
	for (int i = 0; i < BURST; i++) {
		prepare(frame[i], mac);
		part[i] = (struct iovec){frame[i], FRAME};
		message[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
	}
	const int64_t began = mono_now().ns;
	uint64_t sent = 0;
	while (sent < frames) {
		const unsigned n = frames - sent < BURST ? (unsigned)(frames - sent) : BURST;

		for (unsigned i = 0; i < n; i++)
			make(frame[i], (uint32_t)(sent + i), port);
		if (rate)
			pause_until(began + (int64_t)((double)sent / (double)rate * 1e9));
		for (unsigned done = 0; done < n;) {
			const int r = sendmmsg(fd, message + done, n - done, 0);

			if (r < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR) {
				perror("sendmmsg");
				return 1;
			}
			done += r > 0 ? (unsigned)r : 0;
		}
		sent += n;
	}
	printf("%llu %.3f\n", (unsigned long long)sent, (double)(mono_now().ns - began) / 1e9);
	close(fd);
	return 0;
}
