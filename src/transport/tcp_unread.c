#include "transport/tcp_unread.h"

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include <linux/tcp.h>

enum {
	USUAL_BUFFER = 1 << 17,   /* octets: what weir collect has */
	UNREAD_SLACK = 1 << 12,   /* the window is told in steps, and not for each segment */
	UNKNOWN_WINDOW = 1 << 20, /* Linux before 5.4 does not say */
};

void tcp_unread_watch(struct tcp_unread *u, int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
	    length < offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd) {
		u->largest = UNKNOWN_WINDOW; /* and u->window 0 */
		return;
	}
	u->round_trip_ns = info.tcpi_min_rtt == UINT32_MAX ? 0 : (int64_t)info.tcpi_min_rtt * 1000;
	u->window = info.tcpi_snd_wnd;
	if (u->window > u->largest)
		u->largest = u->window;
}

/* What its buffer holds, less the window that it offers. How large the buffer is it does not say. Who reads
 * fast shows all of it as a window; of one that is always behind, or of a larger buffer, which kernels offer
 * by and by, the largest window may have shown no more than half. */
uint64_t tcp_unread_bound(const struct tcp_unread *u, uint64_t confirmed)
{
	const uint64_t buffer = (u->largest <= USUAL_BUFFER ? USUAL_BUFFER : 2 * u->largest) + UNREAD_SLACK;
	const uint64_t bound = buffer - u->window;

	return confirmed < bound ? confirmed : bound;
}
