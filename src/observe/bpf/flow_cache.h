/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * flow_cache.h: what the kernel's side (count.bpf.c) keeps for the other one (observe/kernel_cache.c).
 *
 * Each processor has a table of slots of its own, twice: it writes to that of the current generation, and the
 * reader takes the other one when nobody can be writing to it. A slot that is needed for another flow, and
 * what a program cannot count by itself, goes through a ring. Host byte order but for the key.
 * The includer has the integer types: linux/bpf.h or linux/types.h. */
#pragma once

enum {
	FLOW_CACHE_SNAP = 256, /* octets kept of a frame that is handed over */
	FLOW_CACHE_WORDS = 5,  /* a flow key, as in decode/decode.h */
	FLOW_CACHE_SLOTS_LOG2_MIN = 8,
	FLOW_CACHE_SLOTS_LOG2_MAX = 16,
};

/* Bits of the key's kind, as in decode/decode.h. */
enum { FLOW_CACHE_IPV6 = 1, FLOW_CACHE_EGRESS = 2, FLOW_CACHE_PORTS = 4 };

/* Packets of one flow between two times. SYN is only on the first of them, FIN and RST only on the last. */
struct cached_flow {
	union {
		__u64 word[FLOW_CACHE_WORDS];
		struct {
			__u8 source[16], destination[16];
			__u16 source_port, destination_port;
			__u8 protocol, kind;
			__u16 dscp; /* where it is a key: DSCP << 10; else 0 */
		};
	};
	__u64 first;   /* ns, CLOCK_MONOTONIC */
	__u32 span;    /* ns from the first packet to the last */
	__u32 octets;  /* of IP, of all packets that super-packets stand for */
	__u32 packets; /* 0: the slot is free */
	__u16 tcp_flags;
	__u8 class_of_service; /* of the first packet */
	__u8 listed;           /* the slot is in the list of this generation */
};

/* For each generation and processor. Counters only grow; `listed` begins anew with the generation. */
struct cache_control {
	__u64 listed;         /* slots in the list */
	__u64 frames, octets; /* counted here or handed over; octets of frames */
	__u64 events;
	__u64 lost; /* packets for which there was no room in the ring */
	__u64 reserved[3];
};

enum cache_event { CACHE_EVENT_FLOW = 1, CACHE_EVENT_FRAME = 2 };

struct cache_event_flow {
	__u32 event; /* enum cache_event */
	__u32 reserved;
	struct cached_flow flow;
};

struct cache_event_frame {
	__u32 event;
	__u16 captured; /* octets in data */
	__u16 gso_size;
	__u64 time;
	__u32 length; /* octets of the frame */
	__u32 egress;
	__u8 data[FLOW_CACHE_SNAP]; /* from the link header on, where there is one */
};
