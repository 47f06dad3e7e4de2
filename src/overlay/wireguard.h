/* wireguard.h: WireGuard's peers, read only: of the kernel by generic netlink, of wireguard-go and its
 * relatives by their configuration socket.
 *
 * Both tell private keys as well: what was received is wiped. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "overlay/peers.h"

struct nlmsghdr;
struct wireguard_netlink;

/* ERR_UNSUPPORTED: this kernel has no WireGuard, or it is not loaded. ERR_SYSTEM, ERR_MEMORY. */
MUST_CHECK enum status wireguard_netlink_open(struct wireguard_netlink **out, struct error *err);
void wireguard_netlink_close(struct wireguard_netlink *netlink);

/* Fill the table (cleared before) with the peers of one interface, and complete it. ERR_PERMISSION
 * (CAP_NET_ADMIN), ERR_UNSUPPORTED (it is none of WireGuard's), ERR_SYSTEM, ERR_MEMORY. */
MUST_CHECK enum status wireguard_netlink_read(struct wireguard_netlink *netlink, uint32_t ifindex,
					      struct peer_table *table, struct error *err);

/* One message of the answer. Codec: what is malformed leaves the table incomplete. */
void wireguard_take_message(const struct nlmsghdr *message, struct peer_table *table);

/* The same over /var/run/wireguard/NAME.sock ("get=1"). END: there is no such socket, or it belongs to a
 * process in another network namespace. Waits for WIREGUARD_SOCKET_MS at most. ERR_SYSTEM, ERR_FORMAT. */
enum { WIREGUARD_SOCKET_MS = 200 };
MUST_CHECK enum status wireguard_socket_read(const char *name, struct peer_table *table, struct error *err);

/* The answer on that socket, in pieces. Codec. */
enum { WIREGUARD_LINE_MAX = 256 };
struct wireguard_text {
	struct peer_table *table;
	size_t used; /* of the line that has begun */
	bool has_peer, ended, failed;
	char line[WIREGUARD_LINE_MAX];
};

/* True: more is to come. What is malformed leaves the table incomplete. Wipe the struct afterwards. */
bool wireguard_take_text(struct wireguard_text *text, const char *octets, size_t length);
