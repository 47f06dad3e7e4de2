/* file.h: builds pcap and pcapng files for tests in either byte order, and reads them back whole. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe/capture.h"

struct file {
	uint8_t *octets;
	size_t length, room;
	bool swapped;
};

static inline void file_add(struct file *f, const void *octets, size_t length)
{
	if (f->length + length > f->room) {
		f->room = 2 * (f->length + length) + 1024;
		f->octets = realloc(f->octets, f->room);
		if (!f->octets)
			abort();
	}
	if (length)
		memcpy(f->octets + f->length, octets, length);
	f->length += length;
}

static inline void file_u16(struct file *f, uint32_t v)
{
	const uint16_t value = f->swapped ? __builtin_bswap16((uint16_t)v) : (uint16_t)v;

	file_add(f, &value, sizeof value);
}

static inline void file_u32(struct file *f, uint32_t v)
{
	v = f->swapped ? __builtin_bswap32(v) : v;
	file_add(f, &v, sizeof v);
}

static inline void file_zeros(struct file *f, size_t length)
{
	while (length--)
		file_add(f, "", 1);
}

static inline void file_pcap(struct file *f, uint32_t magic, uint32_t link_type)
{
	file_u32(f, magic);
	file_u16(f, 2);
	file_u16(f, 4);
	file_zeros(f, 8);
	file_u32(f, 65535);
	file_u32(f, link_type);
}

/* A record of `captured` octets, each `fill`. */
static inline void file_record(struct file *f, uint32_t s, uint32_t fraction, uint32_t captured,
			       uint32_t length, uint8_t fill)
{
	file_u32(f, s);
	file_u32(f, fraction);
	file_u32(f, captured);
	file_u32(f, length);
	for (uint32_t i = 0; i < captured; i++)
		file_add(f, &fill, 1);
}

/* A pcapng block begins; answers where, for file_end_block. */
static inline size_t file_block(struct file *f, uint32_t type)
{
	const size_t at = f->length;

	file_u32(f, type);
	file_u32(f, 0);
	return at;
}

static inline void file_end_block(struct file *f, size_t at)
{
	struct file length = {.swapped = f->swapped};

	file_zeros(f, (4 - f->length % 4) % 4);
	file_u32(&length, (uint32_t)(f->length + 4 - at));
	memcpy(f->octets + at + 4, length.octets, 4);
	file_add(f, length.octets, 4);
	free(length.octets);
}

static inline void file_option(struct file *f, uint32_t code, const void *value, uint32_t length)
{
	file_u16(f, code);
	file_u16(f, length);
	file_add(f, value, length);
	file_zeros(f, (4 - length % 4) % 4);
}

static inline void file_section(struct file *f)
{
	const size_t at = file_block(f, 0x0a0d0d0a);

	file_u32(f, 0x1a2b3c4d);
	file_u16(f, 1);
	file_u16(f, 0);
	file_u32(f, 0xffffffff);
	file_u32(f, 0xffffffff);
	file_end_block(f, at);
}

/* An interface; `name` NULL: none; `resolution` 0: no option. */
static inline void file_interface(struct file *f, uint32_t link_type, const char *name, uint8_t resolution)
{
	const size_t at = file_block(f, 1);

	file_u16(f, link_type);
	file_u16(f, 0);
	file_u32(f, 0);
	if (name)
		file_option(f, 2, name, (uint32_t)strlen(name));
	if (resolution)
		file_option(f, 9, &resolution, 1);
	file_end_block(f, at);
}

/* An enhanced packet of `captured` octets; `flags` UINT32_MAX: no options. */
static inline void file_packet(struct file *f, uint32_t interface, uint64_t stamp, uint32_t captured,
			       uint32_t length, uint32_t flags)
{
	const size_t at = file_block(f, 6);

	file_u32(f, interface);
	file_u32(f, (uint32_t)(stamp >> 32));
	file_u32(f, (uint32_t)stamp);
	file_u32(f, captured);
	file_u32(f, length);
	file_zeros(f, captured + (4 - captured % 4) % 4);
	if (flags != UINT32_MAX) {
		file_option(f, 1, "comment", 7);
		file_u16(f, 2);
		file_u16(f, 4);
		file_u32(f, flags);
		file_u32(f, 0);
	}
	file_end_block(f, at);
}

/* What was read, the octets of a packet as their sum. */
struct seen {
	struct packet packet;
	uint64_t sum;
};

struct reading {
	enum status status; /* of open, or the one that ended the file */
	struct error error;
	size_t count;
	struct seen *packets;
	struct point_table *points;
	struct source_statistics statistics;
	uint64_t done, total;
};

static inline void reading_drain(struct reading *r, struct packet_source *source)
{
	struct packet_batch *batch = calloc(1, sizeof *batch);

	if (!batch)
		abort();
	while ((r->status = capture_source.read(source, batch, &r->error)) == OK) {
		r->packets = realloc(r->packets, (r->count + batch->count) * sizeof *r->packets);
		if (!r->packets || batch->count == 0)
			abort();
		for (uint32_t i = 0; i < batch->count; i++) {
			struct seen *seen = &r->packets[r->count++];
			*seen = (struct seen){.packet = batch->packet[i]};
			for (uint32_t j = 0; j < seen->packet.captured; j++)
				seen->sum += (uint64_t)seen->packet.data[j] * (j + 1);
		}
		capture_source.release(source, batch);
	}
	capture_source.statistics(source, &r->statistics);
	capture_progress(source, &r->done, &r->total);
	capture_source.close(source);
	free(batch);
}

static inline struct reading read_octets(const struct file *f, size_t length)
{
	struct reading r = {.points = calloc(1, sizeof(struct point_table))};
	const struct source_options options = {.spec = "dir/test.pcap", .points = r.points};
	uint8_t *copy = malloc(length ? length : 1); /* exact, for the address sanitizer */
	struct packet_source *source;

	if (!r.points || !copy)
		abort();
	if (length)
		memcpy(copy, f->octets, length);
	r.status = capture_open_memory(&source, span_of(copy, length), &options, &r.error);
	if (r.status == OK)
		reading_drain(&r, source);
	free(copy);
	return r;
}

static inline struct reading read_whole(const struct file *f)
{
	return read_octets(f, f->length);
}

static inline struct reading read_named(const char *spec)
{
	struct reading r = {.points = calloc(1, sizeof(struct point_table))};
	const struct source_options options = {.spec = spec, .points = r.points};
	struct packet_source *source;

	if (!r.points)
		abort();
	r.status = capture_source.open(&source, &options, &r.error);
	if (r.status == OK)
		reading_drain(&r, source);
	return r;
}

static inline void reading_free(struct reading *r)
{
	free(r->packets);
	free(r->points);
}
