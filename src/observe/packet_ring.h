/* packet_ring.h: one AF_PACKET ring (TPACKET_V3) bound to one interface.
 *
 * The kernel writes packets into blocks of memory that we share with it; we read whole blocks and give them
 * back, without a system call per packet.
 *
 * Frames start at the link header on devices that have one, at the IP header on those that do not (SOCK_RAW:
 * PACKET_VNET_HDR goes with nothing else). A VLAN tag that the kernel took off stays off: it is no part of
 * the flow key, and the frame without it is a well-formed one.
 *
 * A GSO/GRO super-packet comes as one packet with gso_size set, from the virtio_net_hdr in front of the
 * frame. A super-packet of a kind for which the kernel has no virtio code (UDP before Linux 6.2, SCTP) does
 * not get through: the kernel counts it as dropped, and so do we.
 *
 * Time: the kernel stamps packets with the wall clock; timers run on CLOCK_MONOTONIC. A stamp is moved by the
 * distance of the two clocks when the batch is read. When the wall clock was stepped between stamp and
 * reading, that distance is wrong by the step, so the result is kept between the packet before it on the same
 * ring and now. Time on one ring thus never goes back and never runs ahead, and the error of a step is at
 * most the age of the packets waiting in the ring. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "observe/packet.h"

enum {
	RING_OCTETS_DEFAULT = 16 * 1024 * 1024, /* 45 000 packets of 256 octets: over a second of what user
						   space WireGuard can do, 60 ms of 700 000 a second */
	RING_OCTETS_MIN = 16 * 1024,
	RING_OCTETS_MAX = 1024 * 1024 * 1024,
	RING_SNAP_DEFAULT = 256, /* Ethernet, tags, IPv6 with extension headers, TCP with options */
	RING_SNAP_MAX = 2048,
	RING_RETIRE_MS = 20, /* a block that has packets is handed to us after at most twice this time */
};

struct packet_ring {
	int fd;       /* -1: closed */
	uint8_t *map; /* block_count blocks of block_octets each */
	uint32_t block_octets, block_count;
	uint32_t block;       /* where we read */
	uint32_t left;        /* packets of that block not yet handed out; 0: not begun */
	uint32_t offset;      /* of the next of them */
	uint32_t finished;    /* blocks before `block` that are handed out whole and not given back */
	uint64_t read;        /* packets taken out of the ring */
	uint64_t written;     /* packets the kernel put in, as of the last packet_ring_count */
	uint64_t dropped;     /* packets the kernel had no room for, likewise */
	struct mono_ns floor; /* time of the last packet */
	uint8_t link;         /* enum link_layer */
	bool losing;          /* the kernel has told of drops since the last packet_ring_count */
	bool segments;        /* gso_size is known */
};

struct packet_ring_options {
	uint32_t ifindex;
	uint32_t octets; /* size; rounded to whole blocks */
	uint8_t link;    /* enum link_layer: LINK_ETHERNET or LINK_IP */
	bool deaf;       /* it gets no packets, and costs them nothing */
	const struct sock_fprog *filter;
};

/* May we open packet sockets at all? ERR_PERMISSION (CAP_NET_RAW is missing), ERR_SYSTEM. */
MUST_CHECK enum status packet_ring_check_right(struct error *err);

/* Open and bind; the interface may be down. Nothing is received before the filter is in place.
 * ERR_PERMISSION, ERR_SYSTEM, ERR_MEMORY. *ring is closed on failure. */
MUST_CHECK enum status packet_ring_open(struct packet_ring *ring, const struct packet_ring_options *options,
					struct error *err);
void packet_ring_close(struct packet_ring *ring);

/* Replace the filter while packets flow. */
MUST_CHECK enum status packet_ring_filter(const struct packet_ring *ring, const struct sock_fprog *filter,
					  struct error *err);

/* Take out at most `max` packets. They are good until packet_ring_release. */
uint32_t packet_ring_read(struct packet_ring *ring, uint16_t point, int64_t to_wall, struct mono_ns now,
			  struct packet *out, uint32_t max);
void packet_ring_release(struct packet_ring *ring);

/* There are packets to read, or blocks to give back. */
bool packet_ring_is_ready(const struct packet_ring *ring);

/* Fetch the kernel's counters; answers the packets dropped since the last call. */
uint64_t packet_ring_count(struct packet_ring *ring);

/* Everything that the kernel had put in at the last packet_ring_count was taken out and given back. */
static inline bool packet_ring_is_drained(const struct packet_ring *ring)
{
	return ring->left == 0 && ring->finished == 0 && ring->read == ring->written;
}

/* Clear the socket's error (ENETDOWN), which else would keep it readable. True: its interface no longer
 * exists, and this ring will never see a packet again. */
bool packet_ring_lost_device(const struct packet_ring *ring);

/* The time of a packet on CLOCK_MONOTONIC, as said above; all in nanoseconds. */
static inline struct mono_ns packet_ring_time(int64_t stamp, int64_t to_wall, struct mono_ns floor,
					      struct mono_ns now)
{
	const int64_t time = stamp - to_wall;

	return (struct mono_ns){time > now.ns ? now.ns : time < floor.ns ? floor.ns : time};
}
