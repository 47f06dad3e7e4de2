/* peers.h: who is behind an overlay interface: its peers, the prefixes that each is allowed, and whether it
 * can be reached. Filled by a reader of WireGuard's configuration (wireguard.h), then only read. One thread.
 */
#pragma once

#include <stdbool.h>

#include "overlay/prefix_map.h"

enum { PEER_KEY_SIZE = 32, PEERS_MAX = 1 << 16 };

struct peer {
	uint8_t key[PEER_KEY_SIZE]; /* public */
	bool has_endpoint;          /* it is known where to send to */
	int64_t handshake_s;        /* the latest one, seconds since 1970; 0: never */
	int64_t asked_ns, last_ns;  /* first and last frame to it while it had no session, monotonic; 0: none.
				       Kept by peer_check.c */
};

struct peer_table {
	uint32_t count, room;
	struct peer *peer; /* owned */
	uint32_t prefix_count, prefix_room;
	struct prefix *prefix; /* owned; in the order of the peers until the table is complete */
	struct prefix_map map;
	bool incomplete; /* some peers or prefixes found no room, or could not be read: that an address is not
			    there proves nothing */
};

/* A zeroed table is an empty one. */
void peer_table_clear(struct peer_table *table); /* empty; keeps its memory */
void peer_table_fini(struct peer_table *table);

/* The peer with this key, the last one or a new one: a long list of prefixes comes in pieces. NULL: no room,
 * and the table is incomplete. Good until the next call. */
struct peer *peer_table_add(struct peer_table *table, const uint8_t key[static PEER_KEY_SIZE]);

/* Allow the last added peer a prefix; address as on the wire, 4 or 16 octets. One that makes no sense leaves
 * the table incomplete. */
void peer_table_allow(struct peer_table *table, uint8_t version, const uint8_t *address, uint8_t length);

/* All is added: make the map. ERR_MEMORY. */
MUST_CHECK enum status peer_table_complete(struct peer_table *table);

/* The peer that is allowed this address; NULL: none is. */
struct peer *peer_table_find(const struct peer_table *table, uint8_t version, const uint8_t *address);
