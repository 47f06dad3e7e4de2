/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * kernel.h: of the kernel's types, the members that we read. Only their names and types count: where they lie
 * is put in when the program is loaded (CO-RE), from the BTF of the kernel that runs. */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum bpf_map_type_used { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_RINGBUF = 27 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct dst_entry {
	struct net_device *dev;
};

struct skb_shared_info {
	unsigned short gso_size;
};

struct sk_buff {
	struct net_device *dev;
	unsigned long _skb_refdst;
	int skb_iif;
	__be16 protocol;
	__u16 network_header;
	unsigned int tail, end; /* offsets from head, on 64-bit machines */
	unsigned char *head;
};

#pragma clang attribute pop
