/* frame.h: builds frames for tests, header by header, front to back. Every function appends to the frame. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "base/span.h"
#include "decode/decode.h"

struct frame {
	uint8_t octets[4096];
	uint32_t length;
};

static inline void add_octets(struct frame *f, const void *octets, size_t length)
{
	if (f->length + length > sizeof f->octets)
		__builtin_trap();
	memcpy(f->octets + f->length, octets, length);
	f->length += (uint32_t)length;
}

static inline void add_zeros(struct frame *f, size_t length)
{
	const uint8_t zero[4096] = {0};

	add_octets(f, zero, length);
}

static inline void add_u8(struct frame *f, unsigned v)
{
	add_octets(f, &(uint8_t){(uint8_t)v}, 1);
}

static inline void add_u16(struct frame *f, unsigned v)
{
	uint8_t octets[2];

	put_be16(octets, (uint16_t)v);
	add_octets(f, octets, sizeof octets);
}

static inline void add_u32(struct frame *f, uint32_t v)
{
	uint8_t octets[4];

	put_be32(octets, v);
	add_octets(f, octets, sizeof octets);
}

static inline void add_ethernet(struct frame *f, unsigned type)
{
	add_octets(f, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02", 12);
	add_u16(f, type);
}

static inline void add_vlan(struct frame *f, unsigned id, unsigned type)
{
	add_u16(f, id);
	add_u16(f, type);
}

static inline void add_label(struct frame *f, uint32_t label, bool bottom)
{
	add_u32(f, label << 12 | (bottom ? 0x100U : 0) | 64);
}

/* 10.0.0.1 -> 10.0.0.2, TOS 0xb8, `payload` octets to follow; `fragment` is the flags and offset field. */
static inline void add_ipv4(struct frame *f, unsigned protocol, unsigned payload, unsigned fragment)
{
	add_u16(f, 0x45b8);
	add_u16(f, 20 + payload);
	add_u16(f, 0x1234);
	add_u16(f, fragment);
	add_u8(f, 64);
	add_u8(f, protocol);
	add_u16(f, 0);
	add_u32(f, 0x0a000001);
	add_u32(f, 0x0a000002);
}

/* 2001:db8::1 -> 2001:db8::2, traffic class 0xb8. */
static inline void add_ipv6(struct frame *f, unsigned next, unsigned payload)
{
	add_u32(f, 0x6b800000);
	add_u16(f, payload);
	add_u8(f, next);
	add_u8(f, 64);
	add_octets(f, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	add_octets(f, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02", 16);
}

/* An extension header of 8 * (words + 1) octets. */
static inline void add_extension(struct frame *f, unsigned next, unsigned words)
{
	add_u8(f, next);
	add_u8(f, words);
	add_zeros(f, 6 + 8 * words);
}

static inline void add_fragment(struct frame *f, unsigned next, unsigned offset_and_more, uint32_t id)
{
	add_u8(f, next);
	add_u8(f, 0);
	add_u16(f, offset_and_more);
	add_u32(f, id);
}

/* Ports 1000 -> 2000, a header of `words` 32-bit words announced, 20 octets added. */
static inline void add_tcp(struct frame *f, unsigned words, unsigned flags)
{
	add_u16(f, 1000);
	add_u16(f, 2000);
	add_zeros(f, 8);
	add_u16(f, words << 12 | flags);
	add_zeros(f, 6);
}

static inline void add_udp(struct frame *f, unsigned payload)
{
	add_u16(f, 1000);
	add_u16(f, 2000);
	add_u16(f, 8 + payload);
	add_u16(f, 0);
}

static inline struct packet packet_of(const struct frame *f, enum link_layer link)
{
	return (struct packet){.data = f->octets,
			       .captured = f->length,
			       .length = f->length,
			       .time = {1234567},
			       .point = 7,
			       .link = (uint8_t)link,
			       .direction = DIRECTION_INGRESS};
}
