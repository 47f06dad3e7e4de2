/* Nanoseconds of CPU a packet for decode_packet alone, and for reading a capture in memory and decoding it.
 * Built with the tests, run by hand: decode [million packets | FILE]. With the name of a capture file that is
 * read and decoded instead. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "decode/decode.h"
#include "observe/capture.h"

enum { FRAME_MAX = 128, FLOWS = 4096, FILE_PACKETS = 200000, ROUNDS = 10 };

struct frame {
	uint8_t octets[FRAME_MAX];
	uint32_t length;
};

static uint32_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005U + 1442695040888963407U;
	return (uint32_t)(*state >> 33);
}

/* A frame of 14 (Ethernet) and 40 or 60 octets of IP and TCP or UDP headers. */
static void build(struct frame *frame, bool ethernet, bool ipv6, bool vlan, uint64_t *seed)
{
	uint8_t *at = frame->octets;
	const bool tcp = random_next(seed) % 4 != 0;

	memset(frame, 0, sizeof *frame);
	if (ethernet) {
		at += 12;
		if (vlan) {
			put_be16(at, 0x8100);
			at += 4;
		}
		put_be16(at, ipv6 ? 0x86dd : 0x0800);
		at += 2;
	}
	if (ipv6) {
		at[0] = 0x60;
		put_be16(at + 4, 20);
		at[6] = tcp ? 6 : 17;
		put_be32(at + 20, random_next(seed));
		put_be32(at + 36, random_next(seed));
		at += 40;
	} else {
		at[0] = 0x45;
		put_be16(at + 2, 40);
		at[9] = tcp ? 6 : 17;
		put_be32(at + 12, random_next(seed));
		put_be32(at + 16, random_next(seed));
		at += 20;
	}
	put_be32(at, random_next(seed));
	put_be16(at + 12, 0x5010);
	frame->length = (uint32_t)(at + 20 - frame->octets);
}

static double cpu_seconds(void)
{
	return (double)clock_read(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
}

/* The best of ROUNDS: a shared machine only ever adds time. */
static void report(const char *what, double best, uint64_t check)
{
	printf("%-34s %6.2f ns a packet (%llu)\n", what, best, (unsigned long long)check);
}

static void bench_decode(const char *what, uint8_t link, bool ipv6, bool vlan, uint64_t packets)
{
	struct frame *frames = calloc(FLOWS, sizeof *frames);
	struct packet *packet = calloc(FLOWS, sizeof *packet);
	struct packet_facts facts[PACKET_BATCH_MAX];
	struct flow_key keys[PACKET_BATCH_MAX];
	uint64_t seed = 1, octets = 0;
	double best = 1e9;

	if (!frames || !packet)
		abort();
	for (uint32_t i = 0; i < FLOWS; i++) {
		build(&frames[i], link == LINK_ETHERNET, ipv6, vlan, &seed);
		packet[i] = (struct packet){.data = frames[i].octets,
					    .captured = frames[i].length,
					    .length = frames[i].length,
					    .link = link};
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		const double start = cpu_seconds();
		for (uint64_t done = 0; done < packets / ROUNDS; done += PACKET_BATCH_MAX) {
			const struct packet *batch = &packet[done % FLOWS];
			for (uint32_t i = 0; i < PACKET_BATCH_MAX; i++)
				if (decode_packet(&batch[i], &keys[i], &facts[i]) == DECODE_FLOW)
					octets += facts[i].octets;
		}
		const double spent = (cpu_seconds() - start) * 1e9 / ((double)packets / ROUNDS);
		best = spent < best ? spent : best;
	}
	report(what, best, octets);
	free(frames);
	free(packet);
}

/* A pcap of FILE_PACKETS frames in memory, read again and again. */
static void bench_capture(uint64_t packets, bool decode)
{
	const size_t record = 16 + FRAME_MAX;
	uint8_t *file = calloc(1, 24 + FILE_PACKETS * record);
	struct point_table *points = calloc(1, sizeof *points);
	struct packet_batch *batch = calloc(1, sizeof *batch);
	const uint32_t header[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};
	const struct source_options options = {.points = points};
	struct packet_facts facts[PACKET_BATCH_MAX];
	struct flow_key keys[PACKET_BATCH_MAX];
	uint64_t seed = 1, octets = 0;
	double best = 1e9;
	struct packet_source *source;
	struct error err;
	size_t used = sizeof header;

	if (!file || !points || !batch)
		abort();
	memcpy(file, header, sizeof header);
	for (uint32_t i = 0; i < FILE_PACKETS; i++) {
		struct frame frame;
		build(&frame, true, false, false, &seed);
		const uint32_t fields[4] = {1000 + i / 1000, i % 1000, frame.length, frame.length};
		memcpy(file + used, fields, sizeof fields);
		memcpy(file + used + sizeof fields, frame.octets, frame.length);
		used += sizeof fields + frame.length;
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		const double start = cpu_seconds();
		uint64_t done = 0;
		while (done < packets / ROUNDS) {
			if (capture_open_memory(&source, span_of(file, used), &options, &err) != OK)
				abort();
			while (capture_source.read(source, batch, &err) == OK) {
				for (uint32_t i = 0; i < batch->count; i++)
					if (decode && decode_packet(&batch->packet[i], &keys[i], &facts[i]) ==
							      DECODE_FLOW)
						octets += facts[i].octets;
				done += batch->count;
				capture_source.release(source, batch);
			}
			capture_source.close(source);
		}
		const double spent = (cpu_seconds() - start) * 1e9 / (double)done;
		best = spent < best ? spent : best;
	}
	report(decode ? "pcap in memory, read and decode" : "pcap in memory, read", best, octets);
	free(file);
	free(points);
	free(batch);
}

static int bench_file(const char *name)
{
	struct point_table *points = calloc(1, sizeof *points);
	struct packet_batch *batch = calloc(1, sizeof *batch);
	const struct source_options options = {.spec = name, .points = points};
	struct packet_facts facts[PACKET_BATCH_MAX];
	struct flow_key keys[PACKET_BATCH_MAX];
	struct packet_source *source;
	uint64_t done = 0, octets = 0;
	struct error err;

	if (!points || !batch)
		abort();
	const double start = cpu_seconds();
	enum status status = capture_source.open(&source, &options, &err);
	while (status == OK && (status = capture_source.read(source, batch, &err)) == OK) {
		for (uint32_t i = 0; i < batch->count; i++)
			if (decode_packet(&batch->packet[i], &keys[i], &facts[i]) == DECODE_FLOW)
				octets += facts[i].octets;
		done += batch->count;
		capture_source.release(source, batch);
	}
	if (status != END)
		fprintf(stderr, "%s\n", err.text);
	report(name, (cpu_seconds() - start) * 1e9 / (double)(done ? done : 1), octets);
	return status != END;
}

int main(int argc, char **argv)
{
	const uint64_t millions = argc > 1 ? strtoull(argv[1], NULL, 10) : 20;
	const uint64_t packets = millions * 1000000;

	if (millions == 0)
		return bench_file(argv[1]);
	bench_decode("raw IPv4", LINK_IP, false, false, packets);
	bench_decode("Ethernet, IPv4", LINK_ETHERNET, false, false, packets);
	bench_decode("Ethernet, VLAN, IPv4", LINK_ETHERNET, false, true, packets);
	bench_decode("raw IPv6", LINK_IP, true, false, packets);
	bench_decode("Ethernet, IPv6", LINK_ETHERNET, true, false, packets);
	bench_capture(packets, false);
	bench_capture(packets, true);
	return 0;
}
