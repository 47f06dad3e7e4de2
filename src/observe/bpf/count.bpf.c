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

enum { NEXT_PROGRAM = -1 }; /* TCX_NEXT, which older headers do not have */

enum {
	IPV4_HEADER = 20,
	IPV6_HEADER = 40,
	UDP_HEADER = 8,
	TCP_FLAGS_END = 14,
	TCP_HEADER_LEAST = 20,
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
};

enum {
	NEXT_HOP_BY_HOP = 0,
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	DCCP = 33,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AUTHENTICATION = 51,
	ICMPV6 = 58,
	NEXT_DESTINATION = 60,
	SCTP = 132,
	UDP_LITE = 136
};

#define SPAN_MAX 0xf0000000ull

/* What a packet adds to its flow. */
struct seen {
	struct cached_flow flow;
	__u32 headers; /* octets in front of what a super-packet divides */
	_Bool divides; /* it is known how super-packets of this kind are divided */
};

static __always_inline __u32 get_be16(const __u8 *at)
{
	return (__u32)at[0] << 8 | at[1];
}

static __always_inline void take_ports(struct cached_flow *f, const __u8 *at)
{
	f->source_port = *(const __u16 *)at;
	f->destination_port = *(const __u16 *)(at + 2);
	f->kind |= FLOW_CACHE_PORTS;
}

/* `payload` octets are there by the IP length, from `at` on. False: for user space to read. */
static __always_inline _Bool read_transport(struct seen *s, const __u8 *at, const void *end, __u32 payload)
{
	struct cached_flow *f = &s->flow;

	switch (f->protocol) {
	case TCP:
		if (payload < TCP_FLAGS_END || at + TCP_FLAGS_END > (const __u8 *)end)
			return 0;
		take_ports(f, at);
		if (at[12] >= TCP_HEADER_LEAST / 4 << 4) {
			f->tcp_flags = get_be16(at + 12) & 0xfff;
			s->headers += (at[12] >> 4) * 4;
		} else {
			s->headers += TCP_HEADER_LEAST;
		}
		s->divides = 1;
		return 1;
	case UDP:
		if (payload < UDP_HEADER || at + UDP_HEADER > (const __u8 *)end)
			return 0;
		take_ports(f, at);
		s->headers += UDP_HEADER;
		s->divides = 1;
		return 1;
	case ICMP:
	case ICMPV6:
		if (payload < 2 || at + 2 > (const __u8 *)end)
			return 0;
		f->destination_port = *(const __u16 *)at;
		f->kind |= FLOW_CACHE_PORTS;
		return 1;
	case DCCP:
	case SCTP:
	case UDP_LITE:
		if (payload < 4 || at + 4 > (const __u8 *)end)
			return 0;
		take_ports(f, at);
		return 1;
	default: return 1;
	}
}

static __always_inline _Bool read_ipv4(struct seen *s, const __u8 *at, const void *end)
{
	struct cached_flow *f = &s->flow;

	if (at + IPV4_HEADER > (const __u8 *)end || at[0] != 0x45 || get_be16(at + 6) & 0x3fff)
		return 0;
	f->octets = get_be16(at + 2);
	if (f->octets < IPV4_HEADER)
		return 0;
	*(__u32 *)f->source = *(const __u32 *)(at + 12);
	*(__u32 *)f->destination = *(const __u32 *)(at + 16);
	f->protocol = at[9];
	f->class_of_service = at[1];
	s->headers = IPV4_HEADER;
	return read_transport(s, at + IPV4_HEADER, end, f->octets - IPV4_HEADER);
}

static __always_inline _Bool read_ipv6(struct seen *s, const __u8 *at, const void *end)
{
	struct cached_flow *f = &s->flow;

	if (at + IPV6_HEADER > (const __u8 *)end || at[0] >> 4 != 6)
		return 0;
	const __u32 payload = get_be16(at + 4);
	f->protocol = at[6];
	if (payload == 0 || f->protocol == NEXT_HOP_BY_HOP || f->protocol == NEXT_ROUTING ||
	    f->protocol == NEXT_FRAGMENT || f->protocol == NEXT_AUTHENTICATION ||
	    f->protocol == NEXT_DESTINATION)
		return 0;
	__builtin_memcpy(f->source, at + 8, 16);
	__builtin_memcpy(f->destination, at + 24, 16);
	f->octets = IPV6_HEADER + payload;
	f->kind |= FLOW_CACHE_IPV6;
	f->class_of_service = get_be16(at) >> 4;
	s->headers = IPV6_HEADER;
	return read_transport(s, at + IPV6_HEADER, end, payload);
}

/* A super-packet is the packets it stands for, with the headers that each of them repeats. */
static __always_inline _Bool count_segments(struct seen *s, __u32 gso_size)
{
	const __u32 octets = s->flow.octets, headers = s->headers;

	if (gso_size == 0 || octets <= headers)
		return 1;
	if (!s->divides)
		return 0;
	const __u32 segments = (octets - headers + gso_size - 1) / gso_size;
	s->flow.packets = segments;
	s->flow.octets = octets + (segments - 1) * headers;
	return 1;
}

/* False: user space is to read it. */
static __always_inline _Bool read_frame(struct __sk_buff *skb, struct seen *s)
{
	const __u8 *at = (const void *)(long)skb->data;
	const void *end = (const void *)(long)skb->data_end;
	_Bool known = 0;

	if (link_octets) {
		if (at + 14 > (const __u8 *)end)
			return 0;
		const __u32 type = get_be16(at + 12);
		if (type == 0x0800)
			known = read_ipv4(s, at + 14, end);
		else if (type == 0x86dd)
			known = read_ipv6(s, at + 14, end);
	} else {
		if (at + 1 > (const __u8 *)end)
			return 0;
		known = at[0] == 0x45 ? read_ipv4(s, at, end) : read_ipv6(s, at, end);
	}
	s->flow.packets = 1;
	if (dscp_is_key)
		s->flow.dscp = (__u16)(s->flow.class_of_service >> 2 << 10);
	return known && count_segments(s, skb->gso_size);
}

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
	if (read_frame(skb, &s)) {
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
