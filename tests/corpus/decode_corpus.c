/* Reads every capture of the corpus through observe/capture and decode/ and compares what each directional
 * key adds up to with the reference beside it (<capture>.flows.tsv, made by tshark): packets, IP octets,
 * first and last time, TCP flags. Captures that tshark itself could not read whole must only be survived.
 *
 * WEIR_CORPUS names the corpus; without one the test is skipped. With arguments only captures whose path
 * contains one of them are read and every difference is printed. */
#include <arpa/inet.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "decode/decode.h"
#include "observe/source.h"

enum { SKIPPED = 77, DIFFERENCES_SHOWN = 3 };

#include "excuses.h"

struct flow {
	struct flow_key key;
	uint64_t packets[2], octets[2]; /* [0] ours, [1] the reference's */
	int64_t first[2], last[2];      /* nanoseconds */
	uint16_t flags[2];
};

/* A table with open addressing that doubles at half load. */
struct flow_set {
	struct flow *slot;
	size_t room, count;
};

static struct flow *find(struct flow_set *set, const struct flow_key *key);

static void grow(struct flow_set *set)
{
	struct flow_set larger = {.room = set->room ? 2 * set->room : 1024};

	larger.slot = calloc(larger.room, sizeof *larger.slot);
	if (!larger.slot)
		abort();
	for (size_t i = 0; i < set->room; i++)
		if (set->slot[i].packets[0] || set->slot[i].packets[1])
			*find(&larger, &set->slot[i].key) = set->slot[i];
	free(set->slot);
	*set = larger;
}

/* The slot of that key. The caller makes a packet count of a new one positive. */
static struct flow *find(struct flow_set *set, const struct flow_key *key)
{
	uint64_t words[5], hash = 0;

	if (2 * set->count >= set->room)
		grow(set);
	memcpy(words, key, sizeof words);
	for (size_t i = 0; i < 5; i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15U, hash ^= hash >> 32;
	for (size_t i = hash & (set->room - 1);; i = (i + 1) & (set->room - 1)) {
		struct flow *flow = &set->slot[i];
		if (flow->packets[0] == 0 && flow->packets[1] == 0) {
			flow->key = *key;
			set->count++;
			return flow;
		}
		if (memcmp(&flow->key, key, sizeof *key) == 0)
			return flow;
	}
}

static void add(struct flow *flow, int side, uint64_t packets, uint64_t octets, int64_t first, int64_t last,
		uint16_t flags)
{
	if (flow->packets[side] == 0 || first < flow->first[side])
		flow->first[side] = first;
	if (flow->packets[side] == 0 || last > flow->last[side])
		flow->last[side] = last;
	flow->packets[side] += packets;
	flow->octets[side] += octets;
	flow->flags[side] |= flags;
}

/* "1234.567890123" as nanoseconds. */
static int64_t parse_time(const char *text)
{
	char *end;
	const int64_t seconds = strtoll(text, &end, 10);
	const int64_t most = INT64_MAX / NS_PER_S - 1;
	int64_t ns = 0;

	if (*end == '.')
		for (int i = 1; i <= 9; i++)
			ns = ns * 10 + (end[i] >= '0' && end[i] <= '9' ? end[i] - '0' : 0);
	return (seconds < most ? seconds : most) * NS_PER_S + ns;
}

static void read_row(char *line, struct flow_set *set)
{
	struct flow_key key = {0};
	char *field[15];
	int count = 0;

	for (char *at; count < 15 && (at = strsep(&line, "\t"));)
		field[count++] = at;
	if (count < 15)
		return;
	const bool ipv6 = field[0][0] == '6', ports = field[4][0] != '-' && field[5][0] != '-';
	const bool icmp = field[6][0] != '-' && field[7][0] != '-';
	if (inet_pton(ipv6 ? AF_INET6 : AF_INET, field[2], key.source) != 1 ||
	    inet_pton(ipv6 ? AF_INET6 : AF_INET, field[3], key.destination) != 1)
		return;
	key.protocol = (uint8_t)atoi(field[1]);
	key.kind = ipv6 ? KIND_IPV6 : 0;
	if (ports) {
		key.source_port = htons((uint16_t)atoi(field[4]));
		key.destination_port = htons((uint16_t)atoi(field[5]));
	} else if (icmp) {
		key.destination_port = htons((uint16_t)(atoi(field[6]) << 8 | atoi(field[7])));
	}
	if (ports || icmp)
		key.kind |= KIND_PORTS;
	add(find(set, &key), 1, strtoull(field[8], NULL, 10), strtoull(field[9], NULL, 10),
	    parse_time(field[10]), parse_time(field[11]), (uint16_t)strtoul(field[12], NULL, 16));
}

/* Answers tshark's exit status, -1 when there is no reference. */
static int read_reference(const char *path, struct flow_set *set)
{
	auto_file file = fopen(path, "r");
	auto_free char *line = NULL;
	size_t room = 0;
	int rc = -1;

	while (file && getline(&line, &room, file) > 0) {
		const char *at = line[0] == '#' ? strstr(line, "\trc=") : NULL;
		line[strcspn(line, "\n")] = 0;
		if (at)
			rc = atoi(at + 4);
		else if (line[0] != '#')
			read_row(line, set);
	}
	return rc;
}

static enum status read_capture(const char *path, struct flow_set *set, struct error *err)
{
	auto_free struct point_table *points = calloc(1, sizeof *points);
	auto_free struct packet_batch *batch = calloc(1, sizeof *batch);
	const struct source_options options = {.spec = path, .points = points};
	struct packet_source *source;

	if (!points || !batch)
		abort();
	enum status status = capture_source.open(&source, &options, err);
	if (status != OK)
		return status;
	while ((status = capture_source.read(source, batch, err)) == OK) {
		for (uint32_t i = 0; i < batch->count; i++) {
			struct packet_facts facts;
			struct flow_key key;
			if (decode_packet(&batch->packet[i], &key, &facts) != DECODE_FLOW)
				continue;
			key.kind &= (uint8_t)~KIND_EGRESS;
			key.point = 0;
			add(find(set, &key), 0, facts.packets, facts.octets, facts.time.ns, facts.time.ns,
			    facts.tcp_flags);
		}
		capture_source.release(source, batch);
	}
	capture_source.close(source);
	return status;
}

static void show(const struct flow *flow)
{
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	const int family = flow->key.kind & KIND_IPV6 ? AF_INET6 : AF_INET;

	inet_ntop(family, flow->key.source, source, sizeof source);
	inet_ntop(family, flow->key.destination, destination, sizeof destination);
	printf("    %s -> %s protocol %u ports%s %u %u\n", source, destination, flow->key.protocol,
	       flow->key.kind & KIND_PORTS ? "" : " (none)", ntohs(flow->key.source_port),
	       ntohs(flow->key.destination_port));
	for (int side = 0; side < 2; side++)
		printf("      %-9s packets %" PRIu64 " octets %" PRIu64 " first %" PRId64 " last %" PRId64
		       " flags 0x%03x\n",
		       side ? "reference" : "weir", flow->packets[side], flow->octets[side],
		       flow->first[side], flow->last[side], flow->flags[side]);
}

static size_t differences(const struct flow_set *set, size_t shown)
{
	size_t count = 0;

	for (size_t i = 0; i < set->room; i++) {
		const struct flow *f = &set->slot[i];
		if (f->packets[0] == f->packets[1] &&
		    (f->packets[0] == 0 || (f->octets[0] == f->octets[1] && f->first[0] == f->first[1] &&
					    f->last[0] == f->last[1] && f->flags[0] == f->flags[1])))
			continue;
		if (count++ < shown)
			show(f);
	}
	return count;
}

struct tally {
	unsigned compared, agreed, survived, failed, excused[EXCUSE_COUNT];
	uint64_t flows;
};

static const struct excuse *find_excuse(const char *path, enum status status, const struct error *err)
{
	unsigned link_type;

	for (size_t i = 0; i < EXCUSE_COUNT; i++)
		if (excuses[i].path && strstr(path, excuses[i].path))
			return &excuses[i];
	const char *text = status == ERR_UNSUPPORTED ? strstr(err->text, "link type ") : NULL;
	if (text && sscanf(text, "link type %u", &link_type) == 1)
		for (size_t i = 0; i < EXCUSE_COUNT; i++)
			if (!excuses[i].path && excuses[i].link_type == link_type)
				return &excuses[i];
	return NULL;
}

static void check(const char *reference, struct tally *tally, size_t shown)
{
	auto_free char *path = strndup(reference, strlen(reference) - strlen(".flows.tsv"));
	struct flow_set set = {0};
	struct error err = {""};

	const int rc = read_reference(reference, &set);
	const enum status status = read_capture(path, &set, &err);
	const struct excuse *excuse = find_excuse(path, status, &err);
	if (rc != 0) {
		tally->survived++;
		free(set.slot);
		return;
	}
	tally->compared++;
	tally->flows += set.count;
	const size_t different = differences(&set, excuse && shown <= DIFFERENCES_SHOWN ? 0 : shown);
	if (different == 0 && status == END && !excuse) {
		tally->agreed++;
	} else if (excuse && (different > 0 || status != END)) {
		tally->excused[excuse - excuses]++;
	} else {
		tally->failed++;
		printf("  %s: %zu of %zu flows differ%s%s%s\n", path, different, set.count,
		       status == END ? "" : "; ", err.text, excuse ? "; its excuse is not needed" : "");
	}
	free(set.slot);
}

static bool wanted(const char *path, int count, char **patterns)
{
	for (int i = 0; i < count; i++)
		if (strstr(path, patterns[i]))
			return true;
	return count == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

int main(int argc, char **argv)
{
	const char *corpus = getenv("WEIR_CORPUS"), *suffix = ".flows.tsv";
	struct tally tally = {0};
	char root[4096];
	char *roots[] = {root, NULL};

	snprintf(root, sizeof root, "%s/pcap", corpus ? corpus : "");
	FTS *tree = corpus && access(root, R_OK) == 0 ? fts_open(roots, FTS_PHYSICAL, by_name) : NULL;
	if (!tree) {
		printf("skipped: no corpus (WEIR_CORPUS)\n");
		return SKIPPED;
	}
	for (FTSENT *entry; (entry = fts_read(tree));) {
		const size_t length = strlen(entry->fts_path);
		if (entry->fts_info == FTS_F && length > strlen(suffix) &&
		    strcmp(entry->fts_path + length - strlen(suffix), suffix) == 0 &&
		    wanted(entry->fts_path, argc - 1, argv + 1))
			check(entry->fts_path, &tally, argc > 1 ? SIZE_MAX : DIFFERENCES_SHOWN);
	}
	fts_close(tree);
	printf("%u captures compared (%" PRIu64 " flows), %u agree, %u differ; %u damaged ones survived\n",
	       tally.compared, tally.flows, tally.agreed, tally.failed, tally.survived);
	for (size_t i = 0; i < EXCUSE_COUNT; i++)
		if (tally.excused[i])
			printf("%u excused: %s\n", tally.excused[i], excuses[i].reason);
	return tally.failed ? 1 : 0;
}
