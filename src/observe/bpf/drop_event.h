/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * drop_event.h: what the kernel's side (drop.bpf.c) tells the other one (observe/kfree_skb.c) of a frame that
 * the kernel has dropped. Host byte order. The includer has the integer types: kernel.h or linux/types.h. */
#pragma once

enum {
	DROP_SNAP = 128,        /* octets kept of a frame: IPv6 with some extension headers, and TCP */
	DROP_REASONS_MAX = 256, /* the kernel's own reasons; those of its subsystems have greater numbers */
	DROP_INTERFACES_MAX = 1024,
	DROP_RING_OCTETS = 16 << 20, /* 100 000 frames */
};

struct drop_event {
	__u64 time;     /* ns, CLOCK_MONOTONIC */
	__u32 in, out;  /* ifindex; 0: none */
	__u16 reason;   /* number of the running kernel's enum skb_drop_reason */
	__u16 captured; /* octets in data */
	__u16 gso_size; /* payload octets of each segment of a super-packet; 0: an ordinary packet */
	__u16 reserved;
	__u8 data[DROP_SNAP]; /* from the network header on */
};
