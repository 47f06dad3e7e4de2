/* What the meter alone costs a packet: keys that are made before the clock starts, no packets, no export.
 * Usage: bench_meter [A|B|C [PACKETS [FLOWS]]]; without arguments A, B and C.
 *        bench_meter open PACKETS FLOWS…: what a packet of a flow that is open costs, by the number of flows:
 * all are opened first, none ends, and only then the clock starts. */
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

/* One workload on its way through a meter. */
struct run {
	struct workload workload;
	struct meter *meter;
	struct flow_key *flows; /* the key of each flow */
	struct flow_key *key;   /* the next packets */
	struct packet_facts *facts;
	struct totals told;
	double cpu, wall, before, after; /* s; MiB */
	uint32_t most;                   /* flows at once */
	uint32_t opened;                 /* by `next_packet`, before they come by chance */
};

static bool prepare(struct run *r, char name, uint64_t packets, uint32_t flows, int64_t idle_ns)
{
	static const struct point_table points = {.count = 1, .point = {{.id = 1, .ifindex = 1}}};
	const struct meter_options options = {
		.max_flows = 1 << 24,
		.idle_ns = idle_ns,
		.linger_ns = NS_PER_S,
		.hash_key = "not a secret: a benchmark",
	};

	if (!workload_init(&r->workload, name, packets, flows) ||
	    meter_new(&r->meter, &options, &points, add, &r->told, NULL) != OK)
		return false;
	if (getenv("WEIR_HASH"))
		meter_use_hash(r->meter, FLOW_HASH_XXH3);
	r->flows = calloc(r->workload.flows, sizeof *r->flows);
	r->key = calloc(CHUNK, sizeof *r->key);
	r->facts = calloc(CHUNK, sizeof *r->facts);
	if (!r->flows || !r->key || !r->facts)
		return false;
	for (uint32_t i = 0; i < r->workload.flows; i++)
		r->flows[i] = workload_key(i);
	memset(r->key, 1, CHUNK * sizeof *r->key); /* its pages are not the meter's */
	memset(r->facts, 1, CHUNK * sizeof *r->facts);
	r->before = resident_mib();
	return true;
}

static void release(struct run *r)
{
	meter_free(r->meter);
	free(r->workload.zipf);
	free(r->flows);
	free(r->key);
	free(r->facts);
}

/* A packet of the workload; of each flow one before, while `opening`. */
static struct workload_packet next_packet(struct run *r, bool opening)
{
	return opening ? (struct workload_packet){.flow = r->opened++, .octets = 60}
		       : workload_next(&r->workload);
}

/* Only the meter's part is timed. */
static void count_chunk(struct run *r, uint32_t n, bool opening)
{
	struct meter_statistics s;

	for (uint32_t i = 0; i < n; i++) {
		const struct workload_packet p = next_packet(r, opening);

		r->key[i] = r->flows[p.flow];
		r->facts[i] = (struct packet_facts){.time = {p.time}, .octets = p.octets, .packets = 1};
		r->facts[i].tcp_flags = r->key[i].protocol == 6 ? 0x10 : 0;
	}
	r->cpu -= seconds(CLOCK_PROCESS_CPUTIME_ID);
	r->wall -= seconds(CLOCK_MONOTONIC);
	for (uint32_t i = 0; i < n; i += PACKET_BATCH_MAX)
		meter_count(r->meter, r->key + i, r->facts + i,
			    n - i < PACKET_BATCH_MAX ? n - i : PACKET_BATCH_MAX, 0);
	r->cpu += seconds(CLOCK_PROCESS_CPUTIME_ID);
	r->wall += seconds(CLOCK_MONOTONIC);
	meter_statistics(r->meter, &s);
	r->most = s.active_flows > r->most ? s.active_flows : r->most;
}

/* 1: the records do not hold what was counted. */
static int report(const struct run *r)
{
	const double packets = (double)r->workload.packets;

	printf("%c: %" PRIu64 " packets, %u flows at most, %" PRIu64
	       " records: %.1f ns of CPU a packet (%.1f wall), "
	       "%.1f million packets a CPU second, %.0f octets a flow\n",
	       r->workload.name, r->told.packets, r->most, r->told.records, r->cpu / packets * 1e9,
	       r->wall / packets * 1e9, packets / r->cpu / 1e6, (r->after - r->before) * (1 << 20) / r->most);
	if (r->told.packets == r->workload.packets)
		return 0;
	fprintf(stderr, "records hold %" PRIu64 " packets of %" PRIu64 "\n", r->told.packets,
		r->workload.packets);
	return 1;
}

static void count(struct run *r, uint64_t packets, bool opening)
{
	for (uint64_t left = packets; left > 0;) {
		const uint32_t n = left < CHUNK ? (uint32_t)left : CHUNK;

		count_chunk(r, n, opening);
		left -= n;
	}
}

/* How the cost of a packet grows with the flows that are open. */
static int grow(uint64_t packets, char **flows, int count_of_flows)
{
	double least = 0;

	for (int i = 0; i < count_of_flows; i++) {
		struct run r = {0};

		if (!prepare(&r, 'B', packets, (uint32_t)strtoul(flows[i], NULL, 10), 3600 * NS_PER_S))
			return 1;
		count(&r, r.workload.flows, true);
		const double opening = r.cpu / r.workload.flows * 1e9;
		r.cpu = 0;
		count(&r, packets, false);
		const double each = r.cpu / (double)packets * 1e9;
		least = i ? least : each;
		printf("open: %9u flows: %5.1f ns of CPU a packet of a flow that is open (%.2f times the "
		       "first), %5.1f ns for "
		       "the first packet of each\n",
		       r.most, each, each / least, opening);
		fflush(stdout);
		meter_flush(r.meter);
		if (r.told.packets != packets + r.workload.flows || r.told.records != r.workload.flows)
			return 1;
		release(&r);
	}
	return 0;
}

static int run(char name, uint64_t packets, uint32_t flows)
{
	struct run r = {0};
	int result = 1;

	if (prepare(&r, name, packets, flows, 15 * NS_PER_S)) {
		count(&r, r.workload.packets, false);
		r.after = resident_mib();
		meter_flush(r.meter);
		result = report(&r);
	}
	release(&r);
	return result;
}

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "open") == 0)
		return grow(strtoull(argv[2], NULL, 10), argv + 3, argc - 3);
	if (argc > 1)
		return run(argv[1][0], argc > 2 ? strtoull(argv[2], NULL, 10) : 0,
			   argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0);
	return run('A', 0, 0) || run('B', 0, 0) || run('C', 0, 0);
}
