/* Write one of the workloads (workload.h) as a capture file: pcap, Ethernet, 80 octets of each frame.
 * Usage: generate A|B|C FILE [PACKETS [FLOWS [SECONDS]]]; FILE may be "-". What is truly in it goes to
 * standard error as one line of JSON, so that whoever counts can be checked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/span.h"
#include "base/time.h"
#include "workload.h"

enum { SNAP = 80, ETHERNET = 14, FRAME_MAX = ETHERNET + 40 + 20 };

static const int64_t begin_s = 1700000000;

struct pcap_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, snap, link;
};

struct pcap_record {
	uint32_t seconds, microseconds, captured, length;
};

static uint16_t internet_checksum(const uint8_t *octets, size_t length)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i += 2)
		sum += get_be16(octets + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t put_ip(uint8_t *at, const struct flow_key *key, uint32_t octets, uint64_t number)
{
	if (key->kind & KIND_IPV6) {
		put_be32(at, 6u << 28);
		put_be16(at + 4, (uint16_t)(octets - 40));
		at[6] = key->protocol;
		at[7] = 64;
		memcpy(at + 8, key->source, 16);
		memcpy(at + 24, key->destination, 16);
		return 40;
	}
	memset(at, 0, 20);
	at[0] = 0x45;
	put_be16(at + 2, (uint16_t)octets);
	put_be16(at + 4, (uint16_t)number);
	at[6] = 0x40; /* do not fragment */
	at[8] = 64;
	at[9] = key->protocol;
	memcpy(at + 12, key->source, 4);
	memcpy(at + 16, key->destination, 4);
	put_be16(at + 10, internet_checksum(at, 20));
	return 20;
}

static size_t put_transport(uint8_t *at, const struct flow_key *key, uint32_t payload)
{
	memset(at, 0, 20);
	memcpy(at, &key->source_port, 2);
	memcpy(at + 2, &key->destination_port, 2);
	if (key->protocol == 6) {
		at[12] = 5 << 4;
		at[13] = 0x10; /* ACK */
		put_be16(at + 14, 65535);
		return 20;
	}
	if (key->protocol == 17)
		put_be16(at + 4, (uint16_t)payload);
	else
		memcpy(at, &key->destination_port, 2); /* type, code */
	return 8;
}

/* The frame that is on the wire, as far as its headers. Answers how many octets are there. */
static size_t put_frame(uint8_t frame[FRAME_MAX], const struct flow_key *key, uint32_t octets,
			uint64_t number)
{
	static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
	size_t n = ETHERNET;

	memcpy(frame, addresses, sizeof addresses);
	put_be16(frame + 12, key->kind & KIND_IPV6 ? 0x86dd : 0x0800);
	n += put_ip(frame + n, key, octets, number);
	n += put_transport(frame + n, key, octets - (uint32_t)(n - ETHERNET));
	return n;
}

static bool put_packet(FILE *out, const struct flow_key *key, const struct workload_packet *p,
		       uint64_t number)
{
	static const uint8_t nothing[SNAP];
	uint8_t frame[FRAME_MAX];
	const size_t headers = put_frame(frame, key, p->octets, number);
	const uint32_t length = ETHERNET + p->octets, captured = length < SNAP ? length : SNAP;
	const struct pcap_record record = {
		.seconds = (uint32_t)(begin_s + p->time / NS_PER_S),
		.microseconds = (uint32_t)(p->time % NS_PER_S / 1000),
		.captured = captured,
		.length = length,
	};

	return fwrite(&record, sizeof record, 1, out) == 1 && fwrite(frame, headers, 1, out) == 1 &&
	       (captured == headers || fwrite(nothing, captured - headers, 1, out) == 1);
}

static int write_workload(struct workload *w, FILE *out)
{
	const struct pcap_header header = {
		.magic = 0xa1b2c3d4, .major = 2, .minor = 4, .snap = SNAP, .link = 1 /* Ethernet */};
	uint8_t *seen = calloc(w->flows, 1);
	uint64_t octets = 0, flows = 0, ipv4_packets = 0, ipv4_octets = 0;

	if (!seen || fwrite(&header, sizeof header, 1, out) != 1)
		return 1;
	for (uint64_t i = 0; i < w->packets; i++) {
		const struct workload_packet p = workload_next(w);
		const struct flow_key key = workload_key(p.flow);

		if (!put_packet(out, &key, &p, i))
			return 1;
		octets += p.octets;
		if (!(key.kind & KIND_IPV6)) {
			ipv4_packets++;
			ipv4_octets += p.octets;
		}
		flows += !seen[p.flow];
		seen[p.flow] = 1;
	}
	free(seen);
	fprintf(stderr,
		"{\"workload\": \"%c\", \"packets\": %" PRIu64 ", \"octets\": %" PRIu64
		", \"flows\": %" PRIu64 ", \"ipv4_packets\": %" PRIu64 ", \"ipv4_octets\": %" PRIu64 "}\n",
		w->name, w->packets, octets, flows, ipv4_packets, ipv4_octets);
	return 0;
}

int main(int argc, char **argv)
{
	struct workload w;

	if (argc < 3 || argc > 6 ||
	    !workload_init(&w, argv[1][0], argc > 3 ? strtoull(argv[3], NULL, 10) : 0,
			   argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0)) {
		fprintf(stderr, "usage: generate A|B|C FILE [PACKETS [FLOWS [SECONDS]]]\n");
		return 2;
	}

	if (argc > 5)
		w.span_ns = (int64_t)strtoul(argv[5], NULL, 10) * NS_PER_S;

	FILE *out = strcmp(argv[2], "-") == 0 ? stdout : fopen(argv[2], "wb");

	if (!out) {
		perror(argv[2]);
		return 1;
	}

	const int result = write_workload(&w, out);

	if (result != 0 || fclose(out) != 0) {
		fprintf(stderr, "%s: cannot be written\n", argv[2]);
		return 1;
	}
	free(w.zipf);
	return 0;
}
