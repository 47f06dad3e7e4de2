/* Write a workload of workload.h as a capture file: nanosecond pcap, raw IP, headers only (the lengths are
 * the whole packets'). Usage: bench_generate A|B|C FILE [PACKETS [FLOWS]]. Prints packets, octets and flows.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/span.h"
#include "workload.h"

enum { SNAP = 64, LINKTYPE_RAW = 101, START_S = 1700000000 };

/* Headers of one packet of `octets` with this key; returns how many octets were written. */
static uint32_t put_packet(uint8_t *at, const struct flow_key *key, uint32_t octets)
{
	const bool v6 = key->kind & KIND_IPV6;
	const uint32_t ip = v6 ? 40 : 20;
	uint8_t *l4 = at + ip;

	memset(at, 0, SNAP);
	if (v6) {
		at[0] = 0x60;
		put_be16(at + 4, (uint16_t)(octets - ip));
		at[6] = key->protocol;
		at[7] = 64;
		memcpy(at + 8, key->source, 16);
		memcpy(at + 24, key->destination, 16);
	} else {
		at[0] = 0x45;
		put_be16(at + 2, (uint16_t)octets);
		at[8] = 64;
		at[9] = key->protocol;
		memcpy(at + 12, key->source, 4);
		memcpy(at + 16, key->destination, 4);
	}
	if (key->protocol == 1 || key->protocol == 58) {
		memcpy(l4, &key->destination_port, 2);
	} else {
		memcpy(l4, &key->source_port, 2);
		memcpy(l4 + 2, &key->destination_port, 2);
	}
	if (key->protocol == 6) {
		l4[12] = 5 << 4;
		l4[13] = 0x10; /* ACK */
	} else if (key->protocol == 17) {
		put_be16(l4 + 4, (uint16_t)(octets - ip));
	}
	const uint32_t kept = octets < SNAP ? octets : SNAP;
	const uint32_t headers = ip + (key->protocol == 6 ? 20u : 8u);
	return kept < headers ? kept : headers;
}

static uint32_t smallest(const struct flow_key *key)
{
	return (key->kind & KIND_IPV6 ? 40u : 20u) + (key->protocol == 6 ? 20u : 8u);
}

static int generate(struct workload *w, FILE *out)
{
	const uint32_t header[6] = {0xa1b23c4d, 2 | 4u << 16, 0, 0, SNAP, LINKTYPE_RAW};
	uint64_t octets = 0;

	if (fwrite(header, sizeof header, 1, out) != 1)
		return -1;
	for (uint64_t i = 0; i < w->packets; i++) {
		const struct workload_packet p = workload_next(w);
		const struct flow_key key = workload_key(p.flow);
		const uint32_t length = p.octets < smallest(&key) ? smallest(&key) : p.octets;
		uint8_t frame[16 + SNAP];
		const uint32_t kept = put_packet(frame + 16, &key, length);
		const uint32_t record[4] = {START_S + (uint32_t)(p.time / NS_PER_S),
					    (uint32_t)(p.time % NS_PER_S), kept, length};

		memcpy(frame, record, sizeof record);
		if (fwrite(frame, 16 + kept, 1, out) != 1)
			return -1;
		octets += length;
	}
	printf("%" PRIu64 " %" PRIu64 " %" PRIu32 "\n", w->packets, octets, w->flows);
	return fflush(out);
}

int main(int argc, char **argv)
{
	struct workload w;

	if (argc < 3 || !workload_init(&w, argv[1][0], argc > 3 ? strtoull(argv[3], NULL, 10) : 0,
				       argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0)) {
		fprintf(stderr, "usage: bench_generate A|B|C FILE [PACKETS [FLOWS]]\n");
		return 2;
	}
	auto_file out = fopen(argv[2], "wb");
	if (!out || generate(&w, out) < 0) {
		perror(argv[2]);
		return 1;
	}
	free(w.zipf);
	return 0;
}
