/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * read_flow.h: the headers of ordinary packets: IPv4 without options, IPv6 without extension headers, no
 * fragment, no tag in the frame. What is none of these is somebody else's to read. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "observe/bpf/flow_cache.h"

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
static __always_inline _Bool read_frame(struct __sk_buff *skb, struct seen *s, __u32 link_octets)
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
	return known && count_segments(s, skb->gso_size);
}
