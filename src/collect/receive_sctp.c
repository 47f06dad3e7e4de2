/* SCTP (RFC 7011 section 10.2): one-to-one associations of the kernel's, each a Transport Session. A message
 * of SCTP's is an IPFIX Message; one that comes in parts is put together by the framing that TCP has too.
 * Messages of all streams are taken as they come; the journal does not keep which stream that was.
 *
 * One socket, the first worker's: associations are few. There is no DTLS over SCTP: OpenSSL is built without.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/sctp.h>

#include "collect/connection.h"

enum { STREAMS = 64 };

struct sctp_part {
	bool inside; /* a message came in part only */
};

static bool is_whole(const uint8_t *octets, size_t length)
{
	return length < 4 || get_be16(octets) != 10 || get_be16(octets + 2) == length;
}

static ssize_t sctp_read(struct connection *c, uint8_t *out, size_t room)
{
	struct sctp_part *part = connection_extra(c);
	size_t filled = 0;
	ssize_t n = 0;

	while (room - filled >= CONNECTION_READ_MIN) {
		struct iovec v = {.iov_base = out + filled, .iov_len = room - filled};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

		n = recvmsg(c->fd, &m, MSG_DONTWAIT);
		if (n <= 0)
			break;
		const bool ends = m.msg_flags & MSG_EOR;
		if (!part->inside && ends && !is_whole(v.iov_base, (size_t)n)) {
			errno = EBADMSG; /* Length is not that of the message */
			return -1;
		}
		part->inside = !ends;
		filled += (size_t)n;
	}
	return filled > 0 ? (ssize_t)filled : n;
}

static void sctp_leave(struct connection *c)
{
	shutdown(c->fd, SHUT_WR);
}

static const struct channel_type sctp_channel = {
	.transport = JOURNAL_SCTP,
	.protocol = IPPROTO_SCTP,
	.extra = sizeof(struct sctp_part),
	.read = sctp_read,
	.leave = sctp_leave,
};

static enum status sctp_open(struct listener **out, struct worker *w, const struct sockaddr_storage *address,
			     socklen_t length, struct error *err)
{
	const struct sctp_initmsg streams = {.sinit_num_ostreams = 1, .sinit_max_instreams = STREAMS};
	const enum status st =
		w->number ? connections_none(out, &sctp_listener, &sctp_channel, w, err)
			  : connections_open(out, &sctp_listener, &sctp_channel, w, address, length, err);

	if (st == OK && (*out)->fd >= 0)
		setsockopt((*out)->fd, IPPROTO_SCTP, SCTP_INITMSG, &streams, sizeof streams);
	return st;
}

const struct listener_type sctp_listener = {
	.scheme = "Sctp",
	.usage = "Sctp/HOST[:PORT]",
	.default_port = 4739,
	.open = sctp_open,
	.tick = connections_tick,
	.drain = connections_drain,
	.close = connections_close,
	.free = connections_free,
};
