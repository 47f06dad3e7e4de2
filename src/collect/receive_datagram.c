/* What listeners over UDP have in common: the socket, its buffer, its losses. The kernel's drops are asked of
 * the socket (SO_MEMINFO) and not taken from SO_RXQ_OVFL, which reads the same counter but needs a control
 * message per datagram and, after the last datagram, says nothing. */
#include <linux/sock_diag.h>

#include "collect/receive_worker.h"

enum status datagram_open(struct listener *l, const struct sockaddr_storage *address, socklen_t length,
			  struct error *err)
{
	const int on = 1, off = 0;

	l->fd = socket(address->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return error_errno(err, "UDP socket");
	if (address->ss_family == AF_INET6)
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
	    bind(l->fd, (const struct sockaddr *)address, length) < 0)
		return error_errno(err, "cannot bind");
	l->port = port_of(l->fd);
	return OK;
}

void datagram_count_drops(struct listener *l, uint32_t *told)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof memory;

	if (getsockopt(l->fd, SOL_SOCKET, SO_MEMINFO, memory, &length) < 0 ||
	    length <= SK_MEMINFO_DROPS * sizeof memory[0])
		return;
	listener_count(l, KERNEL_DROPS, (uint32_t)(memory[SK_MEMINFO_DROPS] - *told));
	*told = memory[SK_MEMINFO_DROPS];
}

/* SO_RCVBUFFORCE passes net.core.rmem_max where we have the right to. */
void datagram_enlarge_buffer(struct listener *l)
{
	const int wanted = (int)l->worker->options->receive_buffer;
	int granted = 0;
	socklen_t length = sizeof granted;

	if (setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof wanted) < 0)
		setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof wanted);
	getsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &granted, &length);
	atomic_store(&l->receive_buffer, (uint32_t)granted);
	/* At half a gigabyte a second, as the kernel counts, two nanoseconds an octet; a quarter of the room.
	 */
	if ((uint32_t)granted / 2 < l->worker->nap_ns)
		l->worker->nap_ns = (uint32_t)granted / 2;
	if (granted / 2 < wanted && l->worker->number == 0)
		log_warn(l->worker->options->log,
			 "%s/%u: the receive buffer is %d octets, %d were wanted: raise net.core.rmem_max",
			 l->type->scheme, l->port, granted / 2, wanted);
}
