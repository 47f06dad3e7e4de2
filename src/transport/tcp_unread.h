/* tcp_unread.h: how much of what a peer's kernel acknowledged its program may not have read. TCP does not
 * say; the window that the peer offers bounds it. */
#pragma once

#include <stdint.h>

struct tcp_unread {
	uint64_t window, largest; /* octets that the peer had room for: last, ever on this connection */
	int64_t round_trip_ns;    /* the shortest of late */
};

/* Look at the window; as long as the connection is there. */
void tcp_unread_watch(struct tcp_unread *u, int fd);

/* Octets at the end of `confirmed` acknowledged ones. */
uint64_t tcp_unread_bound(const struct tcp_unread *u, uint64_t confirmed);
