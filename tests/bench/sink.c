/* A collector that only adds up: IPFIX, or NetFlow 5, over UDP on loopback until standard input ends, then
 * one line: messages, data records, packets, octets, records missing by sequence. Prints its port first. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "collect/session.h"

enum { BATCH = 64, OCTETS = 65536, ROOM = 1 << 30, QUIET_MS = 500, FIELDS = 64 };

struct sink {
	struct session *session;
	uint64_t packets, octets, flows, other_messages;
	struct mmsghdr header[BATCH];
	struct iovec iov[BATCH];
	/* The kernel's word on datagrams that it hands over side by side (UDP_GRO): how long each is. */
	_Alignas(struct cmsghdr) uint8_t control[BATCH][CMSG_SPACE(sizeof(int))];
	uint8_t buffer[BATCH][OCTETS];
};

static void on_data(void *arg, const struct message_header *header, const struct template *template,
		    const struct template_store *store, struct span records, uint32_t count)
{
	struct sink *sink = arg;
	struct record_reader reader = record_reader_over(template, records);
	struct field_place places[FIELDS];
	struct span record;

	if (template->scope_count || template->field_count > FIELDS)
		return;
	while (record_next(&reader, &record, places) == OK) {
		sink->flows++;
		for (uint16_t i = 0; i < template->field_count; i++) {
			const struct template_field *f = &template->fields[i];
			const struct span value = record_field(template, record, places, i);

			if (f->pen == 0 && f->id == IE_packetDeltaCount)
				sink->packets += get_be(value.data, value.length);
			else if (f->pen == 0 && f->id == IE_octetDeltaCount)
				sink->octets += get_be(value.data, value.length);
		}
	}
}

/* NetFlow 5, which an older peer speaks: a header, then records of fixed length. */
static bool count_netflow5(struct sink *sink, const uint8_t *at, size_t length)
{
	enum { HEADER = 24, RECORD = 48, PACKETS_AT = 16, OCTETS_AT = 20 };

	if (length < HEADER || get_be16(at) != 5)
		return false;
	const size_t count = get_be16(at + 2);
	for (size_t i = 0; i < count && HEADER + (i + 1) * RECORD <= length; i++) {
		sink->packets += get_be32(at + HEADER + i * RECORD + PACKETS_AT);
		sink->octets += get_be32(at + HEADER + i * RECORD + OCTETS_AT);
		sink->flows++;
	}
	sink->other_messages++;
	return true;
}

static void count_message(struct sink *sink, const uint8_t *at, size_t length)
{
	const struct session_sink to = {.arg = sink, .data = on_data};

	if (!count_netflow5(sink, at, length) &&
	    session_message(sink->session, span_of(at, length), mono_now().ns, &to) != MESSAGE_FAULT_NONE)
		fprintf(stderr, "sink: a malformed message\n");
}

/* Octets of each of the datagrams that came as one; the last may be shorter. */
static size_t length_of_each(struct mmsghdr *m)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(&m->msg_hdr);
	int each = 0;

	if (c && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
		memcpy(&each, CMSG_DATA(c), sizeof each);
	return each > 0 ? (size_t)each : m->msg_len;
}

static int receive(struct sink *sink, int fd)
{
	for (int i = 0; i < BATCH; i++)
		sink->header[i].msg_hdr.msg_controllen = sizeof sink->control[i];

	const int n = recvmmsg(fd, sink->header, BATCH, MSG_DONTWAIT, NULL);

	for (int i = 0; i < n; i++) {
		const size_t length = sink->header[i].msg_len, each = length_of_each(&sink->header[i]);

		for (size_t at = 0; at < length; at += each)
			count_message(sink, sink->buffer[i] + at, length - at < each ? length - at : each);
	}
	return n;
}

static int open_socket(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof at;
	const int fd = socket(AF_INET, SOCK_DGRAM, 0), room = ROOM, yes = 1;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	(void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &yes,
			 sizeof yes); /* as a network card would, at no cost here */
	getsockname(fd, (struct sockaddr *)&at, &length);
	printf("%u\n", ntohs(at.sin_port));
	fflush(stdout);
	return fd;
}

int main(void)
{
	const struct session_limits limits = session_limits_default(0);
	struct sink *sink = calloc(1, sizeof *sink);
	const int fd = open_socket();
	struct pollfd watched[2] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	bool told = false; /* standard input ended: nothing more is sent, what is queued is read */

	if (!sink || fd < 0 || session_new(&sink->session, TEMPLATE_RULES_DATAGRAM, &limits) != OK) {
		perror("sink");
		return 1;
	}
	for (int i = 0; i < BATCH; i++) {
		sink->iov[i] = (struct iovec){sink->buffer[i], OCTETS};
		sink->header[i].msg_hdr = (struct msghdr){
			.msg_iov = &sink->iov[i], .msg_iovlen = 1, .msg_control = sink->control[i]};
	}
	while (poll(watched, told ? 1 : 2, told ? QUIET_MS : -1) > 0) {
		if (watched[0].revents)
			while (receive(sink, fd) > 0)
				;
		told = told || watched[1].revents;
	}
	const struct session_stats *s = session_stats(sink->session);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
	       s->messages + sink->other_messages, sink->flows, sink->packets, sink->octets,
	       s->sequence.lost);
	session_free(sink->session);
	free(sink);
	close(fd);
	return 0;
}
