/* How much a received record costs on the way into the journal, and how many go in per second without loss.
 *
 * receive STORE [RECORDS_PER_SECOND [SECONDS [WORKERS]]]
 *
 * The stream is that of the field's comparison: messages of 1388 octets, 24 records of 57 octets each, over
 * UDP on loopback from a process of its own. The cost is the user and system time of this process (the kernel
 * books most of the delivery to the sender). A rate of 0 is as fast as the sender can. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collect/receive.h"

enum { MESSAGE = 1388, RECORDS = 24, BURST = 16 };

static void make_message(uint8_t *out)
{
	uint32_t random = 12345;

	put_be16(out, 10);
	put_be16(out + 2, MESSAGE);
	put_be32(out + 4, 1700000000);
	put_be32(out + 8, 0);
	put_be32(out + 12, 1);
	put_be16(out + 16, 256);
	put_be16(out + 18, MESSAGE - 16);
	for (int i = 20; i < MESSAGE; i++) {
		random = random * 1103515245 + 12345;
		out[i] = (uint8_t)(random >> 16);
	}
}

/* Answers how many messages went out. */
static uint64_t send_stream(uint16_t port, double records_per_second, double seconds)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static uint8_t octets[BURST][MESSAGE];
	struct iovec iov[BURST];
	struct mmsghdr headers[BURST] = {0};
	uint64_t sent = 0;
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) < 0)
		return 0;
	for (int i = 0; i < BURST; i++) {
		make_message(octets[i]);
		iov[i] = (struct iovec){octets[i], MESSAGE};
		headers[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	const int64_t begin = mono_now().ns, end = begin + (int64_t)(seconds * NS_PER_S);
	for (int64_t now = begin; now < end; now = mono_now().ns) {
		const double due = records_per_second / RECORDS * (double)(now - begin) / NS_PER_S;
		if (records_per_second > 0 && (double)sent > due) {
			usleep(200);
			continue;
		}
		for (uint32_t i = 0; i < BURST; i++)
			put_be32(octets[i] + 8, (uint32_t)(sent + i) * RECORDS);
		const int n = sendmmsg(fd, headers, BURST, 0);
		if (n > 0)
			sent += (uint64_t)n;
	}
	close(fd);
	return sent;
}

/* A process of its own; what it sent comes back by a pipe. */
static uint64_t run_sender(uint16_t port, double rate, double seconds, double *took)
{
	int ends[2];
	uint64_t sent = 0;

	if (pipe(ends) < 0)
		return 0;
	const int64_t begin = mono_now().ns;
	const pid_t child = fork();
	if (child == 0) {
		sent = send_stream(port, rate, seconds);
		_exit(write(ends[1], &sent, sizeof sent) == sizeof sent ? 0 : 1);
	}
	if (read(ends[0], &sent, sizeof sent) != sizeof sent)
		sent = 0;
	*took = (double)(mono_now().ns - begin) / NS_PER_S;
	waitpid(child, NULL, 0);
	close(ends[0]);
	close(ends[1]);
	return sent;
}

static double seconds_of(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int report(struct receiver *receiver, struct journal *journal, uint64_t sent, double took)
{
	struct receiver_statistics s;
	struct rusage use;
	uint64_t stored = 0;

	const enum status st = receiver_stop(receiver);
	getrusage(RUSAGE_SELF, &use);
	receiver_statistics_read(receiver, 0, &s);
	for (uint32_t i = 0; i < journal_workers(journal); i++) {
		struct journal_statistics j;
		journal_statistics_read(journal_writer_of(journal, i), &j);
		stored += j.messages;
	}
	const double user = seconds_of(use.ru_utime), system = seconds_of(use.ru_stime);
	const double millions = (double)stored * RECORDS / 1e6;
	printf("sent %.3f M records in %.2f s (%.3f M/s), journalled %.3f M, lost %.3f %% (kernel drops %llu "
	       "messages), synced: %s\n",
	       (double)sent * RECORDS / 1e6, took, (double)sent * RECORDS / 1e6 / took, millions,
	       sent ? 100.0 * (double)(sent - stored) / (double)sent : 0.0,
	       (unsigned long long)s.count[KERNEL_DROPS], st == OK ? "yes" : "no");
	printf("CPU s per million records: %.4f (user %.4f, system %.4f), max RSS %ld KiB\n",
	       (user + system) / millions, user / millions, system / millions, use.ru_maxrss);
	return sent == stored ? 0 : 1;
}

int main(int argc, char **argv)
{
	const double rate = argc > 2 ? atof(argv[2]) : 1e6, seconds = argc > 3 ? atof(argv[3]) : 2;
	const struct logger log = {stderr, LOG_WARN};
	const struct journal_options journal_options = {
		.store = argc > 1 ? argv[1] : "bench-store",
		.workers = argc > 4 ? (uint32_t)atoi(argv[4]) : 1,
		.log = &log,
	};
	const struct receiver_options options = {
		.listen = {{listener_find("Udp"), "127.0.0.1", 0}}, .listens = 1, .log = &log};
	struct receiver *receiver = NULL;
	struct journal *journal = NULL;
	struct error err = {""};
	double took = 0;

	if (journal_open(&journal, &journal_options, NULL, &err) != OK ||
	    receiver_start(&receiver, journal, &options, &err) != OK) {
		fprintf(stderr, "%s\n", err.text);
		journal_close(journal);
		return 2;
	}
	const uint64_t sent = run_sender(receiver_port(receiver, 0), rate, seconds, &took);
	const int lost = report(receiver, journal, sent, took);
	receiver_free(receiver);
	journal_close(journal);
	return lost;
}
