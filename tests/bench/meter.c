/* What the meter alone costs a packet: keys that are made before the clock starts, no packets, no export.
 * Usage: bench_meter [A|B|C [PACKETS [FLOWS]]]…; without arguments A, B and C. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "meter/state.h"
#include "workload.h"

enum { CHUNK = 16 * 1024 };

struct totals {
	uint64_t packets, octets, records;
};

static void add(void *arg, const struct flow_record *record)
{
	struct totals *t = arg;

	t->packets += record->packets;
	t->octets += record->octets;
	t->records++;
}

static double resident_mib(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%*d %ld", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static double seconds(clockid_t clock)
{
	return (double)clock_read(clock) / 1e9;
}

static int run(char name, uint64_t packets, uint32_t flows)
{
	static const struct point_table points = {.count = 1, .point = {{.id = 1, .ifindex = 1}}};
	const struct meter_options options = {
		.max_flows = 1 << 23,
		.idle_ns = 15 * NS_PER_S,
		.linger_ns = NS_PER_S,
		.hash_key = "not a secret: a benchmark",
	};
	struct workload w;
	struct meter *m;
	struct totals got = {0};
	struct meter_statistics s;
	double cpu = 0, wall = 0;
	uint32_t most = 0;

	if (!workload_init(&w, name, packets, flows) ||
	    meter_new(&m, &options, &points, add, &got, NULL) != OK)
		return 1;
	if (getenv("WEIR_HASH"))
		meter_use_hash(m, FLOW_HASH_XXH3);

	struct flow_key *keys = calloc(w.flows, sizeof *keys);
	struct flow_key *key = calloc(CHUNK, sizeof *key);
	struct packet_facts *facts = calloc(CHUNK, sizeof *facts);

	if (!keys || !key || !facts)
		return 1;
	for (uint32_t i = 0; i < w.flows; i++)
		keys[i] = workload_key(i);

	const double before = resident_mib();

	for (uint64_t done = 0; done < w.packets;) {
		const uint32_t n = w.packets - done < CHUNK ? (uint32_t)(w.packets - done) : CHUNK;

		for (uint32_t i = 0; i < n; i++) {
			const struct workload_packet p = workload_next(&w);

			key[i] = keys[p.flow];
			facts[i] = (struct packet_facts){.time = {p.time}, .octets = p.octets, .packets = 1};
			facts[i].tcp_flags = key[i].protocol == 6 ? 0x10 : 0;
		}
		const double cpu_then = seconds(CLOCK_PROCESS_CPUTIME_ID),
			     wall_then = seconds(CLOCK_MONOTONIC);

		for (uint32_t i = 0; i < n; i += PACKET_BATCH_MAX)
			meter_count(m, key + i, facts + i,
				    n - i < PACKET_BATCH_MAX ? n - i : PACKET_BATCH_MAX, 0);
		cpu += seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_then;
		wall += seconds(CLOCK_MONOTONIC) - wall_then;
		done += n;
		meter_statistics(m, &s);
		most = s.active_flows > most ? s.active_flows : most;
	}
	const double grown = resident_mib() - before;

	meter_flush(m);
	meter_statistics(m, &s);
	printf("%c: %" PRIu64 " packets, %u flows at most, %" PRIu64
	       " records: %.1f ns of CPU a packet (%.1f wall), "
	       "%.1f million packets a CPU second, %.0f octets a flow\n",
	       name, s.packets, most, got.records, cpu / (double)s.packets * 1e9,
	       wall / (double)s.packets * 1e9, (double)s.packets / cpu / 1e6, grown * (1 << 20) / most);
	if (got.packets != s.packets || got.octets != s.octets || s.packets != w.packets) {
		fprintf(stderr, "records hold %" PRIu64 " packets of %" PRIu64 "\n", got.packets, w.packets);
		return 1;
	}
	meter_free(m);
	free(w.zipf);
	free(keys);
	free(key);
	free(facts);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return run(argv[1][0], argc > 2 ? strtoull(argv[2], NULL, 10) : 0,
			   argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0);
	return run('A', 0, 0) || run('B', 0, 0) || run('C', 0, 0);
}
