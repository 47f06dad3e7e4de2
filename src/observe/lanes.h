/* lanes.h: packet rings that several threads read side by side.
 *
 * A source that was opened with several lanes has a ring for each of them on each interface, and shares
 * frames out between them (observe/share.h). Each lane is a packet source for one thread, with poll_fd, read
 * and release and nothing else; what it answers may be a frame of SHARE_WALK, which all lanes get. The source
 * itself, its events, exclusions and statistics, is of one thread, and that may call it only while no lane is
 * being read; but for poll_fd, which tells of interfaces then and of no packets. */
#pragma once

#include "observe/source.h"

/* Borrowed from a source of afpacket_source. */
struct packet_source *afpacket_lane(struct packet_source *source, uint32_t number);

/* Wait until the lane has something, or for so long. False: one of its sockets says that something is wrong,
 * which the source's next_event looks into: until then it goes on saying so. */
bool afpacket_lane_wait(const struct packet_source *lane, int milliseconds);
