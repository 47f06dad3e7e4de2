/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * drop.bpf.c: frames that the kernel drops for one of the wanted reasons, on their way in or out of the
 * observed interfaces of one network namespace.
 *
 * A frame on its way out has no device yet when the packet filter drops it: then it is the one of its route.
 */
#include "observe/bpf/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "observe/bpf/drop_event.h"

const char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. */
const volatile __u32 netns = 0;                     /* inode number of the network namespace */
const volatile __u8 wanted[DROP_REASONS_MAX] = {0}; /* by number of the reason */

/* The ring was full. */
__u64 lost = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DROP_INTERFACES_MAX);
	__type(key, __u32); /* ifindex */
	__type(value, __u8);
} interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, DROP_RING_OCTETS);
} events SEC(".maps");

enum { DST_IS_BORROWED = 1 }; /* the lowest bit of a route's address */

struct place {
	__u32 in, out;
};

static __always_inline _Bool observed(__u32 ifindex)
{
	return ifindex != 0 && bpf_map_lookup_elem(&interfaces, &ifindex);
}

/* False: not in our namespace. */
static __always_inline _Bool find_place(struct sk_buff *skb, struct place *out)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);
	const __u32 came_in = (__u32)BPF_CORE_READ(skb, skb_iif);
	const unsigned long route = BPF_CORE_READ(skb, _skb_refdst) & ~(unsigned long)DST_IS_BORROWED;
	struct net_device *to = NULL;

	if (route) {
		const struct dst_entry *dst = (const void *)route;

		to = BPF_CORE_READ(dst, dev);
	}
	if (!dev)
		dev = to;
	if (!dev || BPF_CORE_READ(dev, nd_net.net, ns.inum) != netns)
		return 0;
	const __u32 here = (__u32)BPF_CORE_READ(dev, ifindex);
	out->in = came_in;
	out->out = here != came_in ? here : to ? (__u32)BPF_CORE_READ(to, ifindex) : 0;
	return 1;
}

static __always_inline void copy_frame(struct sk_buff *skb, struct drop_event *e)
{
	unsigned char *head = BPF_CORE_READ(skb, head);
	const __u32 from = BPF_CORE_READ(skb, network_header), tail = BPF_CORE_READ(skb, tail);
	const struct skb_shared_info *shared = (const void *)(head + BPF_CORE_READ(skb, end));
	__u32 n = tail > from ? tail - from : 0;

	if (n > DROP_SNAP)
		n = DROP_SNAP;
	if (n > 0 && bpf_probe_read_kernel(e->data, n, head + from) != 0)
		n = 0;
	e->captured = (__u16)n;
	e->gso_size = BPF_CORE_READ(shared, gso_size);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(dropped, struct sk_buff *skb, void *location, unsigned int reason)
{
	struct place place = {0};

	if (reason >= DROP_REASONS_MAX)
		return 0;
	barrier_var(reason); /* so that the mask stays, by which the verifier knows the bound */
	if (!wanted[reason & (DROP_REASONS_MAX - 1)])
		return 0;
	const __u16 protocol = BPF_CORE_READ(skb, protocol);
	if (protocol != bpf_htons(0x0800) && protocol != bpf_htons(0x86dd))
		return 0;
	if (!find_place(skb, &place) || (!observed(place.in) && !observed(place.out)))
		return 0;

	struct drop_event *e = bpf_ringbuf_reserve(&events, sizeof *e, 0);
	if (!e) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	e->time = bpf_ktime_get_ns();
	e->in = place.in;
	e->out = place.out;
	e->reason = (__u16)reason;
	e->reserved = 0;
	copy_frame(skb, e);
	bpf_ringbuf_submit(e, 0);
	return 0;
}
