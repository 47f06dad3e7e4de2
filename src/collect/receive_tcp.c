/* TCP: octets as they come. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "collect/connection.h"

struct tcp_part {
	size_t held; /* by the kernel, of what was read */
};

static ssize_t tcp_read(struct connection *c, uint8_t *out, size_t room)
{
	struct tcp_part *part = connection_extra(c);
	const ssize_t n = stream_peek(c, out, room);

	part->held = n > 0 ? (size_t)n : 0;
	return n;
}

static bool tcp_done(struct connection *c)
{
	const struct tcp_part *part = connection_extra(c);

	return stream_let_go(c, part->held);
}

static void tcp_leave(struct connection *c)
{
	shutdown(c->fd, SHUT_WR);
}

static const struct channel_type tcp_channel = {
	.transport = JOURNAL_TCP,
	.extra = sizeof(struct tcp_part),
	.read = tcp_read,
	.done = tcp_done,
	.leave = tcp_leave,
};

static enum status tcp_open(struct listener **out, struct worker *w, const struct sockaddr_storage *address,
			    socklen_t length, struct error *err)
{
	return connections_open(out, &tcp_listener, &tcp_channel, w, address, length, err);
}

const struct listener_type tcp_listener = {
	.scheme = "Tcp",
	.usage = "Tcp/HOST[:PORT]",
	.default_port = 4739,
	.open = tcp_open,
	.tick = connections_tick,
	.drain = connections_drain,
	.close = connections_close,
	.free = connections_free,
};
