/* peer_check.h: frames that WireGuard cannot send (cryptokey routing): no peer is allowed the address, or the
 * peer has no endpoint, or no session. The packet ring sees such a frame before WireGuard drops it; here it
 * becomes a refused one. That nobody is there is no evidence of a Trust Requirement.
 *
 * What is known of the peers is a second old at most. Before a frame is called refused the peers are read
 * again, unless that was done within the last 50 ms, or ever has cost more than a twentieth of the time.
 *
 * No session is told only when the peer was asked for (by a frame to it) and has not answered for
 * PEER_PATIENCE_NS: WireGuard keeps the first frames until it does, so those are counted as sent, and of
 * later ones some may still go out. Multicast is for nobody's address and never told. One thread. */
#pragma once

#include "base/log.h"
#include "observe/packet.h"
#include "observe/point.h"
#include "overlay/peers.h"

/* As WireGuard's own constants, after which it tries again, gives up, and forgets a session. */
#define PEER_PATIENCE_NS (5 * NS_PER_S)
#define PEER_GIVE_UP_NS  (90 * NS_PER_S)
enum { PEER_SESSION_S = 180 };

struct peer_check;

struct peer_check_statistics {
	uint64_t no_peer, no_endpoint, no_session; /* frames */
	uint64_t reads, failed_reads;
	uint32_t peers; /* gauge: of all interfaces */
};

/* The point table is read and outlives the check; its denials grow. ERR_MEMORY. */
MUST_CHECK enum status peer_check_new(struct peer_check **out, struct point_table *points,
				      const struct logger *log, struct error *err);
void peer_check_free(struct peer_check *check);

/* Several times a second: read what is due. */
void peer_check_tick(struct peer_check *check);

/* Set the denial of frames in the batch that cannot have been sent. */
void peer_check_batch(struct peer_check *check, struct packet_batch *batch);

void peer_check_statistics(const struct peer_check *check, struct peer_check_statistics *out);

/* What is wrong with a frame to this address at `time`, given a table read at `read_ns` (both monotonic,
 * to_wall as in struct packet_batch): REASON_UNKNOWN when nothing is. */
enum denial_reason peer_judge(struct peer_table *table, int64_t read_ns, uint8_t version,
			      const uint8_t *address, int64_t time, int64_t to_wall);
