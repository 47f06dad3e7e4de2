/* source.h: a packet source feeds one or more observation points. One file a kind, one row in packet_sources.
 */
#pragma once

#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "observe/nflog.h"
#include "observe/packet.h"
#include "observe/point.h"

struct packet_source;

/* What every kind of source is told. The point table outlives the source and grows as the source finds
 * interfaces. */
struct source_options {
	const char *spec; /* what to open: a file name, "-" for standard input; an interface name, NULL = all
			     overlay interfaces; NFLOG groups */
	struct point_table *points;
	const struct logger *log;
	uint32_t ring_octets;                   /* af_packet: size of one ring; 0 = the default */
	uint32_t snap_octets;                   /* octets kept of a frame; 0 = the default */
	const struct denial_prefixes *prefixes; /* nflog: what means a refusal; NULL = the usual ones.
						   Outlives the source */
	bool deaf;             /* af_packet: sockets that see interfaces come and go, and no packets */
	uint32_t lanes;        /* af_packet: threads that read side by side (observe/lanes.h); 0 or 1: one */
	uint32_t share_factor; /* … between which packets are shared out by this rule (observe/share.h) */
	bool dscp_key;         /* ebpf: packets with another DSCP are another flow */
	int64_t idle_ns; /* ebpf: packets that are further apart are not told together; 0: as it likes */
};

/* Counters since the source was opened; they only grow. */
struct source_statistics {
	uint64_t packets;          /* handed over in batches */
	uint64_t dropped_packets;  /* lost in the kernel before we could read them (PACKET_STATISTICS) */
	uint64_t excluded_packets; /* our own export traffic, left out on purpose; 0 where the kernel leaves
				      it out before anyone counts (af_packet) */
	uint64_t octets;           /* frame octets handed over */
	int64_t first_drop_wall_ms, last_drop_wall_ms; /* when drops were noticed; 0 = never */
};

/* What happened to an observation point. A POINT_DOWN comes after the last packet of the point and before the
 * point table is changed: open flows are ended and exported with the ifindex that they were seen on. A
 * POINT_UP comes when the table has the new ifindex, before the first packet from it. What stands in the
 * table as up when open returns gets no POINT_UP. */
enum point_change {
	POINT_UP,      /* the interface is there: a new point, or an old one again */
	POINT_DOWN,    /* set down, deleted, renamed: end the flows of this point */
	POINT_CHANGED, /* name or description in the table are new; flows go on */
};

struct point_event {
	uint32_t point; /* index in the point table */
	enum point_change change;
};

struct packet_source_type {
	const char *name;        /* "capture", "afpacket" */
	const char *description; /* one line for --help */

	/* ERR_PERMISSION, ERR_SYSTEM, ERR_FORMAT (not a capture file), ERR_UNSUPPORTED (link type) with text.
	 */
	enum status (*open)(struct packet_source **out, const struct source_options *options,
			    struct error *err);

	/* A descriptor that polls readable when read() has something; -1: always readable (a file). */
	int (*poll_fd)(const struct packet_source *);

	/* Fill `batch` with at least one packet. AGAIN: nothing now (live). END: the file is read to its end.
	 * ERR_FORMAT: damaged or cut short here; all packets before it were already handed over; the text
	 * says where. A batch must be released before the next read. */
	enum status (*read)(struct packet_source *, struct packet_batch *batch, struct error *err);
	void (*release)(struct packet_source *, struct packet_batch *batch);

	/* 1: *event is filled; 0: nothing more now. Call it until it answers 0 before every read, with no
	 * batch held: this is where a live source looks after its interfaces. NULL: points never change. */
	int (*next_event)(struct packet_source *, struct point_event *event);

	/* Frames of this UDP/TCP conversation with a collector, both directions, are our own: never hand them
	 * over. NULL: not needed. Addresses as in struct sockaddr, both of one family; a local address or
	 * port of zero means any. May be called again when a session's local port changes: of one collector's
	 * conversations the newest four count. ERR_USAGE, ERR_LIMIT (too many collectors), ERR_SYSTEM. */
	enum status (*exclude)(struct packet_source *, const struct sockaddr *local,
			       const struct sockaddr *remote);

	/* Every packet before this time was handed over. NULL: all that came until now, or nearly. */
	struct mono_ns (*read_until)(const struct packet_source *);

	/* What was seen is wanted at the next reads, however soon. NULL: it always comes at once. */
	void (*hurry)(struct packet_source *);

	void (*statistics)(struct packet_source *, struct source_statistics *out);
	void (*close)(struct packet_source *);
};

/* First member of every kind of source. */
struct packet_source {
	const struct packet_source_type *type;
};

extern const struct packet_source_type capture_source;   /* pcap and pcapng files */
extern const struct packet_source_type afpacket_source;  /* TPACKET_V3 rings on live interfaces */
extern const struct packet_source_type ebpf_source;      /* live interfaces, counted by the kernel */
extern const struct packet_source_type nflog_source;     /* NFLOG groups: refused frames only */
extern const struct packet_source_type nft_trace_source; /* some refused frames, and which rule it was */
extern const struct packet_source_type kfree_skb_source; /* all refused frames, without the rule */
