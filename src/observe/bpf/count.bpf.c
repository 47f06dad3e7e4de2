/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * count.bpf.c: counts the packets of one interface into flows, where they pass (tcx, ingress and egress).
 *
 * Only what most packets are is read here: IPv4 without options, IPv6 without extension headers, no fragment,
 * no tag in the frame. All else goes to user space as it is. A program runs to its end before another one
 * begins on its processor, and each processor has slots of its own: nothing here is atomic.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "observe/bpf/flow_cache.h"
#include "observe/bpf/read_flow.h"

const char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. */
const volatile __u32 link_octets = 0; /* 14: Ethernet; 0: packets begin with IP */
const volatile __u32 processors = 1;
const volatile __u32 slots_log2 = FLOW_CACHE_SLOTS_LOG2_MIN;
const volatile __u32 wake_octets = 0; /* of the ring: so full, the reader is woken */
const volatile __u64 idle_ns = 0;     /* no slot has packets that are further apart */
const volatile __u64 secret[FLOW_CACHE_WORDS + 1] = {0};
const volatile __u8 dscp_is_key = 0;

/* Written by user space: 0 or 1. */
__u32 generation = 0;
__u32 apart = 0; /* packets are handed over one by one */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32); /* (generation, processor, slot) */
	__type(value, struct cached_flow);
} slots SEC(".maps");

/* Of each generation and processor, the slots that are in use. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32); /* (generation, processor) */
	__type(value, struct cache_control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} events SEC(".maps");

#define SPAN_MAX 0xf0000000ull

/* ---- the way to user space ---- */

/* Now and then the reader is woken, when there is much. */
static __always_inline __u64 wake(struct cache_control *c)
{
	if ((c->events++ & 127) == 127 && bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > wake_octets)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline _Bool hand_over_flow(struct cache_control *c, const struct cached_flow *flow)
{
	struct cache_event_flow *e = bpf_ringbuf_reserve(&events, sizeof *e, 0);

	if (!e)
		return 0;
	e->event = CACHE_EVENT_FLOW;
	e->flow = *flow;
	bpf_ringbuf_submit(e, wake(c));
	return 1;
}

/* Where most packets are of different flows, a slot for each costs more than it saves. */
static __always_inline _Bool hand_over_packet(struct cache_control *c, struct cached_flow *f)
{
	f->first = bpf_ktime_get_ns();
	return hand_over_flow(c, f);
}

static __always_inline _Bool hand_over_frame(struct __sk_buff *skb, struct cache_control *c, _Bool egress)
{
	struct cache_event_frame *e = bpf_ringbuf_reserve(&events, sizeof *e, 0);
	__u64 n = skb->len;

	if (!e)
		return 0;
	if (n > FLOW_CACHE_SNAP)
		n = FLOW_CACHE_SNAP;
	e->event = CACHE_EVENT_FRAME;
	e->time = bpf_ktime_get_ns();
	e->length = skb->len;
	e->egress = egress;
	e->gso_size = (__u16)skb->gso_size;
	barrier_var(n); /* so that the verifier sees both bounds of one and the same value */
	if (n == 0 || n > FLOW_CACHE_SNAP || bpf_skb_load_bytes(skb, 0, e->data, (__u32)n) < 0)
		n = 0;
	e->captured = (__u16)n;
	bpf_ringbuf_submit(e, wake(c));
	return 1;
}

/* ---- slots ---- */

static __always_inline __u32 home(const struct cached_flow *f)
{
	__u64 h = secret[FLOW_CACHE_WORDS];

	for (int i = 0; i < FLOW_CACHE_WORDS; i++)
		h += (f->word[i] ^ (f->word[i] >> 32)) * secret[i];
	h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15ull;
	return (__u32)(h >> (64 - slots_log2));
}

static __always_inline _Bool same(const struct cached_flow *a, const struct cached_flow *b)
{
	return ((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2]) |
		(a->word[3] ^ b->word[3]) | (a->word[4] ^ b->word[4])) == 0;
}

/* Can this packet be told together with those that are in the slot? */
static __always_inline _Bool fits(const struct cached_flow *slot, const struct cached_flow *f, __u64 now)
{
	const __u64 age = now - slot->first;

	return !(f->tcp_flags & TCP_SYN) && age < SPAN_MAX && age - slot->span < idle_ns &&
	       slot->octets + f->octets >= f->octets;
}

static __always_inline void add(struct cached_flow *slot, const struct cached_flow *f, __u64 now)
{
	slot->span = (__u32)(now - slot->first);
	slot->octets += f->octets;
	slot->packets += f->packets;
	slot->tcp_flags |= f->tcp_flags;
}

/* Begin a flow in a slot that is free or whose flow was handed over. */
static __always_inline _Bool begin(struct cached_flow *slot, const struct cached_flow *f, __u64 now,
				   struct cache_control *c, __u32 at, __u32 base)
{
	if (!slot->listed) {
		const __u32 place = base + (__u32)c->listed;
		__u64 *entry = bpf_map_lookup_elem(&lists, &place);

		if (!entry)
			return 0;
		*entry = at;
		c->listed++;
	}
	*slot = *f;
	slot->first = now;
	slot->listed = 1;
	return 1;
}

/* False: there was no room, and the packet is not counted. */
static __always_inline _Bool count_flow(const struct cached_flow *f, struct cache_control *c, __u32 table)
{
	const __u32 base = table << slots_log2;
	__u32 at = home(f), index = base + at;
	struct cached_flow *slot = bpf_map_lookup_elem(&slots, &index);
	__u64 now = bpf_ktime_get_ns();

	if (!slot)
		return 0;
	if (slot->packets && !same(slot, f)) {
		index = base + (at ^ 1);
		struct cached_flow *other = bpf_map_lookup_elem(&slots, &index);

		if (!other)
			return 0;
		if (!other->packets || same(other, f) ||
		    other->first + other->span < slot->first + slot->span) {
			slot = other;
			at ^= 1;
		}
	}
	if (slot->packets && same(slot, f)) {
		if (now < slot->first + slot->span) /* clocks of processors */
			now = slot->first + slot->span;
		if (fits(slot, f, now)) {
			add(slot, f, now);
			goto counted;
		}
	}
	if (slot->packets && !hand_over_flow(c, slot))
		return 0;
	slot->packets = 0;
	if (!begin(slot, f, now, c, at, base))
		return 0;
counted:
	if (f->tcp_flags & (TCP_FIN | TCP_RST) && hand_over_flow(c, slot))
		slot->packets = 0;
	return 1;
}

static __always_inline int count(struct __sk_buff *skb, _Bool egress)
{
	const __u32 processor = bpf_get_smp_processor_id();
	const __u32 table = (*(volatile __u32 *)&generation & 1) * processors + processor;
	struct cache_control *c = bpf_map_lookup_elem(&control, &table);
	struct seen s = {.flow.kind = egress ? FLOW_CACHE_EGRESS : 0};

	if (!c)
		return NEXT_PROGRAM;
	c->frames++;
	c->octets += skb->len;
	if (read_frame(skb, &s, link_octets)) {
		if (dscp_is_key)
			s.flow.dscp = (__u16)(s.flow.class_of_service >> 2 << 10);
		if (!(*(volatile __u32 *)&apart ? hand_over_packet(c, &s.flow)
						: count_flow(&s.flow, c, table)))
			c->lost += s.flow.packets;
	} else if (!hand_over_frame(skb, c, egress)) {
		c->lost++;
	}
	return NEXT_PROGRAM;
}

SEC("tc")
int count_ingress(struct __sk_buff *skb)
{
	return count(skb, 0);
}

SEC("tc")
int count_egress(struct __sk_buff *skb)
{
	return count(skb, 1);
}
