/* SCTP (RFC 7011 section 10.2): one-to-one associations of the kernel's, each a Transport Session. A message
 * of SCTP's is an IPFIX Message; one that comes in parts is put together by the framing that TCP has too.
 * Messages of all streams are taken as they come; the journal does not keep which stream that was.
 *
 * One socket, the first worker's: associations are few. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/sctp.h>

#include "collect/connection.h"
#include "collect/receive_sctp.h"

enum {
	STREAMS = 64,
	/* As STREAM_BUFFER of connection.c; of what the kernel makes of it half is the window. */
	BUFFER = 128 << 10,
};

struct sctp_part {
	bool inside; /* a message came in part only */
	bool ends;   /* … and so it is after the part that the kernel still holds */
	size_t held; /* by the kernel, of what was read */
};

static bool is_whole(const uint8_t *octets, size_t length)
{
	return length < 4 || get_be16(octets) != 10 || get_be16(octets + 2) == length;
}

/* One message, or a part of one. It stays in the kernel's queue until it is in the journal, so that an
 * exporter can see by the window that it is not read. */
static ssize_t sctp_read(struct connection *c, uint8_t *out, size_t room)
{
	struct sctp_part *part = connection_extra(c);
	struct iovec v = {.iov_base = out, .iov_len = CONNECTION_READ_MIN};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	const ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_PEEK);

	part->held = 0;
	if (n <= 0)
		return n;
	part->ends = m.msg_flags & MSG_EOR;
	if (!part->inside && part->ends && !is_whole(out, (size_t)n)) {
		errno = EBADMSG; /* Length is not that of the message */
		return -1;
	}
	part->held = (size_t)n;
	return n;
}

bool sctp_let_go(int fd, uint8_t *room, size_t length)
{
	ssize_t n;

	do
		n = recv(fd, room, length, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)length;
}

static bool sctp_done(struct connection *c)
{
	struct sctp_part *part = connection_extra(c);

	/* To the room behind what is kept, which is less than a message: CONNECTION_READ_MIN at least. */
	if (part->held && !sctp_let_go(c->fd, c->buffer + c->filled, part->held))
		return false;
	if (part->held)
		part->inside = !part->ends;
	part->held = 0;
	return true;
}

/* An exporter must not take for read what was not: each packet is answered at once and not after a while,
 * before anybody can read what is in it; and an association whose collector dies is aborted, also when its
 * queue is empty, for a kernel that shuts it down in order acknowledges what comes and throws it away. */
void sctp_prepare_listener(int fd, uint16_t most)
{
	const struct sctp_initmsg streams = {.sinit_num_ostreams = 1, .sinit_max_instreams = most};
	const struct sctp_sack_info at_once = {.sack_assoc_id = SCTP_FUTURE_ASSOC, .sack_freq = 1};
	const struct linger none = {.l_onoff = 1};
	const int buffer = BUFFER;

	setsockopt(fd, IPPROTO_SCTP, SCTP_INITMSG, &streams, sizeof streams);
	setsockopt(fd, IPPROTO_SCTP, SCTP_DELAYED_SACK, &at_once, sizeof at_once);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
}

static void sctp_prepare(int fd)
{
	sctp_prepare_listener(fd, STREAMS);
}

static void sctp_leave(struct connection *c)
{
	shutdown(c->fd, SHUT_WR);
}

static const struct channel_type sctp_channel = {
	.transport = JOURNAL_SCTP,
	.protocol = IPPROTO_SCTP,
	.extra = sizeof(struct sctp_part),
	.single = true,
	.prepare = sctp_prepare,
	.read = sctp_read,
	.done = sctp_done,
	.leave = sctp_leave,
};

static enum status sctp_open(struct listener **out, struct worker *w, const struct sockaddr_storage *address,
			     socklen_t length, struct error *err)
{
	return w->number ? connections_none(out, &sctp_listener, &sctp_channel, w, err)
			 : connections_open(out, &sctp_listener, &sctp_channel, w, address, length, err);
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
