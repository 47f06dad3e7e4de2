/* Send the stream of stream.h over UDP on loopback, and print messages and seconds. Messages of one length go
 * to the kernel many at a time (UDP segmentation offload), so that the sender takes less of the machine than
 * who receives.
 *
 *   bench_send PORT RECORDS_PER_SECOND SECONDS           made before the clock starts, sent round and round
 * with right sequence numbers bench_send PORT RECORDS_PER_SECOND records RECORDS   so many records, none like
 * another */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "stream.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* A send has at most 64 KiB, so 46 messages. */
enum { POOL = 16384, SEGMENTS = 32, SENDS = 4, BURST = SEGMENTS * SENDS, TEMPLATE_EVERY = 32000 };

static int connect_to(uint16_t port)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_DGRAM, 0), octets = 8 << 20;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
	return fd;
}

static uint8_t (*make_pool(void))[MESSAGE]
{
	uint8_t(*pool)[MESSAGE] = malloc((size_t)POOL * MESSAGE);
	struct stream s = {.random = 42, .total = (uint64_t)POOL * RECORDS_MESSAGE};

	for (uint32_t i = 0; pool && i < POOL; i++)
		memcpy(pool[i], make_message(&s).data, MESSAGE);
	return pool;
}

/* Sends are cut into messages of so many octets; 0: they are not. */
static void segments(int fd, int octets)
{
	if (setsockopt(fd, SOL_UDP, UDP_SEGMENT, &octets, sizeof octets) != 0)
		perror("UDP_SEGMENT");
}

/* The next BURST messages of the pool, numbered on, as sends of so many segments. */
static void prepare(uint8_t (*pool)[MESSAGE], uint64_t first, struct mmsghdr headers[SENDS],
		    struct iovec iov[SENDS])
{
	for (uint32_t i = 0; i < BURST; i++)
		put_be32(pool[(first + i) % POOL] + 8, (uint32_t)((first + i) * RECORDS_MESSAGE));
	for (uint32_t i = 0; i < SENDS; i++) { /* POOL is a multiple of SEGMENTS: none wraps */
		iov[i] = (struct iovec){pool[(first + (uint64_t)i * SEGMENTS) % POOL],
					(size_t)SEGMENTS * MESSAGE};
		headers[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
}

/* Answers how many messages went out. */
static uint64_t send_all(int fd, uint8_t (*pool)[MESSAGE], double rate, double seconds)
{
	struct stream s = {.total = 1};
	struct iovec iov[SENDS];
	struct mmsghdr headers[SENDS] = {0};
	uint64_t sent = 0, next_template = 0;
	const int64_t begin = mono_now().ns, end = begin + (int64_t)(seconds * 1e9);

	for (int64_t now = begin; now < end; now = mono_now().ns) {
		if (rate > 0 && (double)sent * RECORDS_MESSAGE > rate * (double)(now - begin) / 1e9) {
			usleep(50);
			continue;
		}
		if (sent >= next_template) {
			s.sequence = (uint32_t)(sent * RECORDS_MESSAGE);
			const struct span t = make_template(&s);
			next_template = sent + TEMPLATE_EVERY;
			if (send(fd, t.data, t.length, 0) < 0 && errno != ECONNREFUSED)
				break;
		}
		prepare(pool, sent, headers, iov);
		segments(fd, MESSAGE);
		const int n = sendmmsg(fd, headers, SENDS, 0);
		segments(fd, 0); /* a template goes alone */
		sent += n > 0 ? (uint64_t)n * SEGMENTS : 0;
	}
	return sent;
}

/* The stream of `records` from its first to its last. */
static uint64_t send_stream(int fd, double rate, uint64_t records)
{
	struct stream s = {.random = 1, .total = records};
	uint64_t sent = 0;
	const int64_t begin = mono_now().ns;

	for (struct span m = make_template(&s); m.length;
	     m = s.made < s.total ? make_message(&s) : span_of(NULL, 0)) {
		while (rate > 0 && (double)s.made > rate * (double)(mono_now().ns - begin) / 1e9)
			usleep(100);
		if (send(fd, m.data, m.length, 0) < 0 && errno != ECONNREFUSED)
			break;
		sent++;
	}
	return sent;
}

int main(int argc, char **argv)
{
	const bool stream = argc == 5 && strcmp(argv[3], "records") == 0;

	if (argc != 4 && !stream)
		return 2;
	uint8_t(*pool)[MESSAGE] = stream ? NULL : make_pool();
	const int fd = connect_to((uint16_t)strtoul(argv[1], NULL, 10));
	if ((!pool && !stream) || fd < 0)
		return 1;

	const int64_t begin = mono_now().ns;
	const uint64_t sent = stream ? send_stream(fd, atof(argv[2]), strtoull(argv[4], NULL, 10))
				     : send_all(fd, pool, atof(argv[2]), atof(argv[3]));
	printf("%llu %.6f\n", (unsigned long long)sent, (double)(mono_now().ns - begin) / 1e9);
	close(fd);
	free(pool);
	return 0;
}
