/* A store of several partitions, row groups, templates and a tail, with all kinds of records in it: for tests
 * that ask it one question in two ways. */
#pragma once

#include "../store/build.h"
#include "collect/journal.h"
#include "store/journal_source.h"

enum { A_MESSAGE = 500 };

static const struct field four[] = {
	{IE_sourceIPv4Address, 4, 0},     {IE_destinationIPv4Address, 4, 0},
	{IE_sourceTransportPort, 2, 0},   {IE_destinationTransportPort, 2, 0},
	{IE_protocolIdentifier, 1, 0},    {IE_tcpControlBits, 2, 0},
	{IE_octetDeltaCount, 8, 0},       {IE_packetDeltaCount, 4, 0},
	{IE_flowStartMilliseconds, 8, 0}, {IE_flowEndMilliseconds, 8, 0},
	{IE_ingressInterface, 4, 0},      {IE_flowDirection, 1, 0},
	{IE_firewallEvent, 1, 0},         {IE_ipClassOfService, 1, 0},
};
static const struct field six[] = {
	{IE_sourceIPv6Address, 16, 0}, {IE_destinationIPv6Address, 16, 0},
	{IE_protocolIdentifier, 1, 0}, {IE_destinationTransportPort, 2, 0},
	{IE_octetDeltaCount, 4, 0},    {IE_flowStartSeconds, 4, 0},
	{IE_flowEndSeconds, 4, 0},     {IE_forwardingStatus, 1, 0},
	{IE_egressInterface, 4, 0},    {IE_icmpTypeCodeIPv6, 2, 0},
};
static const struct field poor[] = {
	{IE_sourceIPv4Address, 4, 0},
	{IE_interfaceName, 8, 0},
	{IE_vlanId, 2, 0},
	{IE_packetDeltaCount, 8, 0},
};

static uint32_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Ends differ from record to record, so that lists have one order. */
static void put_four(struct build *b, uint64_t *seed, uint64_t number)
{
	const uint64_t end = (uint64_t)RECEIVED_MS + 10000 + number * 3 % 1000003;

	build_number(b, 0x0a000000 + next(seed) % 5000, 4);
	build_number(b, 0x0a010000 + next(seed) % 90000, 4);
	build_number(b, next(seed) % 60000, 2);
	build_number(b, (uint64_t[]){80, 443, 53, 22, 8080}[next(seed) % 5], 2);
	build_number(b, (uint64_t[]){6, 6, 17, 1}[next(seed) % 4], 1);
	build_number(b, next(seed) % 64, 2);
	build_number(b, (uint64_t)next(seed) << 9 ^ number, 8);
	build_number(b, 1 + next(seed) % 400, 4);
	build_number(b, end - next(seed) % 40000, 8);
	build_number(b, end, 8);
	build_number(b, next(seed) % 3, 4);
	build_number(b, next(seed) % 2, 1);
	build_number(b, next(seed) % 50 == 0 ? 3 : 0, 1);
	build_number(b, 0x48, 1);
}

static void put_six(struct build *b, uint64_t *seed)
{
	for (unsigned i = 0; i < 2; i++) {
		build_number(b, 0xfd00000000000000u, 8);
		build_number(b, next(seed) % 200, 8);
	}
	build_number(b, (uint64_t[]){6, 17, 58}[next(seed) % 3], 1);
	build_number(b, next(seed) % 4 ? 443 : 53, 2);
	build_number(b, next(seed), 4);
	build_number(b, EXPORTED + next(seed) % 1000, 4);
	build_number(b, EXPORTED + 1000 + next(seed) % 1000, 4);
	build_number(b, next(seed) % 9 == 0 ? 0x83 : 0x40, 1);
	build_number(b, 7, 4);
	build_number(b, next(seed) % 4 << 8, 2);
}

static void put_poor(struct build *b, uint64_t *seed)
{
	char name[9];

	build_number(b, 0xc0000200 + next(seed) % 20, 4);
	snprintf(name, sizeof name, "port-%03u", next(seed) % 12);
	build_octets(b, name, 8);
	build_number(b, next(seed) % 6, 2);
	build_number(b, next(seed), 8);
}

struct bench {
	char *folder;
	struct journal *journal;
	struct journal_peer peers[2];
	struct build *b;
	uint64_t seed, records;
	uint32_t sequence;
};

static void append(struct bench *t, unsigned count)
{
	const unsigned kind = (unsigned)(t->records / A_MESSAGE % 5);

	build_begin(t->b, t->sequence, 1);
	build_template(t->b, 256, 0, four, sizeof four / sizeof *four);
	build_template(t->b, 257, 0, six, sizeof six / sizeof *six);
	build_template(t->b, 258, 0, poor, sizeof poor / sizeof *poor);
	build_set(t->b, kind == 3 ? 257 : kind == 4 ? 258 : 256);
	for (unsigned i = 0; i < count; i++, t->records++)
		if (kind == 3)
			put_six(t->b, &t->seed);
		else if (kind == 4)
			put_poor(t->b, &t->seed);
		else
			put_four(t->b, &t->seed, t->records);
	t->sequence += count;
	const struct journal_message m = {.octets = build_end(t->b),
					  .received = {(RECEIVED_MS + (int64_t)t->sequence) * NS_PER_MS},
					  .peer = &t->peers[kind == 2]};
	assert_int_equal(journal_append(journal_writer_of(t->journal, 0), &m, 1, mono_now()), 1);
}

static void append_many(struct bench *t, unsigned records)
{
	for (unsigned done = 0; done < records; done += A_MESSAGE)
		append(t, records - done < A_MESSAGE ? records - done : A_MESSAGE);
	assert_int_equal(journal_sync(journal_writer_of(t->journal, 0), mono_now(), true), OK);
}

static void load(struct bench *t)
{
	struct input_position positions[INPUT_WORKERS_MAX];
	struct loader *l = open_loader(t->folder);
	struct journal_source *source;
	struct error err = {0};
	struct input input;

	for (uint32_t i = 0; i < INPUT_WORKERS_MAX; i++)
		positions[i] = loader_position(l, i);
	if (journal_source_open(&source, &input, t->folder, positions, true, &err) != OK)
		fail_msg("%s", err.text);
	assert_int_equal(loader_pull(l, &input, UINT64_MAX, &err), END);
	flush(l);
	assert_int_equal(input.release(input.arg, loader_position(l, 0), &err), OK);
	journal_source_close(source);
	loader_close(l);
}

static void bench_begin(struct bench *t)
{
	struct error err = {0};

	*t = (struct bench){.folder = folder_new(), .b = malloc(sizeof *t->b), .seed = 20261122};
	const struct journal_options options = {.store = t->folder, .workers = 1, .segment_octets = 4 << 20};
	if (journal_open(&t->journal, &options, NULL, &err) != OK)
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < 2; i++)
		t->peers[i].session = (struct journal_session){
			.address = {.s6_addr = {[10] = 0xff, 0xff, 192, 0, 2, (uint8_t)(i + 1)}},
			.port = 2055,
			.transport = JOURNAL_UDP};
}

static void bench_end(struct bench *t)
{
	journal_close(t->journal);
	folder_free(t->folder);
	free(t->b);
}

/* Each number of records ends in a partition of its own. */
static void append_and_load(struct bench *t, unsigned records)
{
	append_many(t, records);
	load(t);
}
