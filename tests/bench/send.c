/* Send the stream of stream.h over UDP on loopback, and print messages and seconds.
 *
 *   bench_send PORT RECORDS_PER_SECOND SECONDS           made before the clock starts, sent round and round
 * with right sequence numbers bench_send PORT RECORDS_PER_SECOND records RECORDS   so many records, none like
 * another */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "stream.h"

enum { POOL = 16384, BURST = 16, TEMPLATE_EVERY = 32000 };

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

/* Answers how many messages went out. */
static uint64_t send_all(int fd, uint8_t (*pool)[MESSAGE], double rate, double seconds)
{
	struct stream s = {.total = 1};
	struct iovec iov[BURST];
	struct mmsghdr headers[BURST] = {0};
	uint64_t sent = 0, next_template = 0;
	const int64_t begin = mono_now().ns, end = begin + (int64_t)(seconds * 1e9);

	for (int64_t now = begin; now < end; now = mono_now().ns) {
		if (rate > 0 && (double)sent * RECORDS_MESSAGE > rate * (double)(now - begin) / 1e9) {
			usleep(100);
			continue;
		}
		if (sent >= next_template) {
			s.sequence = (uint32_t)(sent * RECORDS_MESSAGE);
			const struct span t = make_template(&s);
			next_template = sent + TEMPLATE_EVERY;
			if (send(fd, t.data, t.length, 0) < 0 && errno != ECONNREFUSED)
				break;
		}
		for (uint32_t i = 0; i < BURST; i++) {
			uint8_t *m = pool[(sent + i) % POOL];

			put_be32(m + 8, (uint32_t)((sent + i) * RECORDS_MESSAGE));
			iov[i] = (struct iovec){m, MESSAGE};
			headers[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
		}
		const int n = sendmmsg(fd, headers, BURST, 0);
		sent += n > 0 ? (uint64_t)n : 0;
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
