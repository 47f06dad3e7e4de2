/* The loader: messages of the 14-element stream -> partitions. CPU s per million records, octets a record at
 * rest, peak memory above the input.
 *
 *   bench_store FOLDER RECORDS [FLUSH_RECORDS]      the store is made under FOLDER and removed
 *
 * The stream: 14 elements, 57 octets a record, 24 records a message of 1,388 octets, one exporter; 24 hours
 * of flows with a long tail of sizes, addresses and ports. Deterministic. */
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "ie/ie_ids.h"
#include "message/writer.h"
#include "store/loader.h"
#include "store/manifest.h"

enum { RECORD = 57, RECORDS_MESSAGE = 24, MESSAGE = 1388, HEADERS = 20, TEMPLATE_ID = 256 };

static const struct {
	uint16_t id, length;
} fields[] = {
	{IE_sourceIPv4Address, 4},        {IE_destinationIPv4Address, 4}, {IE_sourceTransportPort, 2},
	{IE_destinationTransportPort, 2}, {IE_protocolIdentifier, 1},     {IE_tcpControlBits, 2},
	{IE_ipClassOfService, 1},         {IE_octetDeltaCount, 8},        {IE_packetDeltaCount, 8},
	{IE_flowStartMilliseconds, 8},    {IE_flowEndMilliseconds, 8},    {IE_ingressInterface, 4},
	{IE_egressInterface, 4},          {IE_flowEndReason, 1},
};

struct stream {
	uint64_t random;
	uint64_t made, total;
	uint32_t sequence;
	uint8_t message[MESSAGE];
	uint64_t offset;
};

static uint32_t draw(struct stream *s)
{
	s->random = s->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(s->random >> 33);
}

/* Small values often, large ones seldom. */
static uint32_t skewed(struct stream *s, uint32_t limit)
{
	const uint64_t a = draw(s) & 0xffff, b = draw(s) & 0xffff;

	return (uint32_t)(a * b * limit >> 32);
}

static void make_record(struct stream *s, uint8_t *r)
{
	static const uint16_t ports[] = {443, 443, 443, 53, 53, 80, 22, 123, 8080, 3306};
	const uint64_t start = 1700000000000u + s->made * 86400000u / s->total;
	const uint32_t packets = 1 + skewed(s, 400), kind = draw(s) % 10;

	put_be32(r, 0x0a000000 + skewed(s, 60000));
	put_be32(r + 4, 0x0a010000 + skewed(s, 60000));
	put_be16(r + 8, (uint16_t)(1024 + draw(s) % 60000));
	put_be16(r + 10, ports[kind]);
	r[12] = kind == 3 || kind == 4 || kind == 7 ? 17 : 6;
	put_be16(r + 13, r[12] == 6 ? 0x1b : 0);
	r[15] = 0;
	put_be64(r + 16, (uint64_t)packets * (40 + draw(s) % 1400));
	put_be64(r + 24, packets);
	put_be64(r + 32, start);
	put_be64(r + 40, start + skewed(s, 60000));
	put_be32(r + 48, 1 + draw(s) % 4);
	put_be32(r + 52, 1 + draw(s) % 4);
	r[56] = (uint8_t)(1 + draw(s) % 3);
}

/* The header of a message with one set whose records end at `length`. */
static struct span finish(struct stream *s, size_t length, uint16_t set_id, uint32_t export_time)
{
	uint8_t *m = s->message;

	put_be16(m, IPFIX_VERSION);
	put_be16(m + 2, (uint16_t)length);
	put_be32(m + 4, export_time);
	put_be32(m + 8, s->sequence);
	put_be32(m + 12, 1);
	put_be16(m + 16, set_id);
	put_be16(m + 18, (uint16_t)(length - IPFIX_HEADER_LENGTH));
	return span_of(m, length);
}

static struct span make_template(struct stream *s)
{
	const size_t count = sizeof fields / sizeof fields[0];
	uint8_t *record = s->message + HEADERS;

	put_be16(record, TEMPLATE_ID);
	put_be16(record + 2, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		put_be16(record + 4 + 4 * i, fields[i].id);
		put_be16(record + 6 + 4 * i, fields[i].length);
	}
	return finish(s, HEADERS + 4 + 4 * count, SET_TEMPLATE, 1700000000);
}

static struct span make_message(struct stream *s)
{
	const uint32_t export_time = 1700000000 + (uint32_t)(s->made * 86400 / s->total);
	size_t length = HEADERS;
	unsigned n = 0;

	for (; n < RECORDS_MESSAGE && s->made < s->total; n++, s->made++, length += RECORD)
		make_record(s, s->message + length);

	const struct span message = finish(s, length, TEMPLATE_ID, export_time);
	s->sequence += n;
	return message;
}

static double cpu_now(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static long memory_now(const char *what)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, what, strlen(what)) == 0)
			kib = strtol(line + strlen(what), NULL, 10);
	if (f)
		fclose(f);
	return kib / 1024;
}

static int fail(const struct error *err)
{
	fprintf(stderr, "bench_store: %s\n", err->text);
	return 1;
}

static int run(struct loader *loader, struct stream *s, double *making)
{
	struct error err = {0};
	struct input_message m = {.received = {1700000000 * NS_PER_S},
				  .peer = {.port = 2055, .transport = INPUT_UDP}};

	m.octets = make_template(s);
	m.peer.address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}};
	while (m.octets.length) {
		s->offset += m.octets.length;
		m.next = (struct input_position){.segment = 1, .offset = s->offset};
		if (loader_due(loader, 0) && loader_flush(loader, 1700000000000, &err) != OK)
			return fail(&err);
		if (loader_take(loader, &m) != OK)
			return fail(&err);

		const double before = cpu_now();
		m.octets = s->made < s->total ? make_message(s) : span_of(NULL, 0);
		*making += cpu_now() - before;
	}
	return loader_flush(loader, 1700000000000, &err) == OK ? 0 : fail(&err);
}

static void remove_tree(char *folder)
{
	char *const roots[] = {folder, NULL};
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

	for (FTSENT *e; tree && (e = fts_read(tree));)
		if (e->fts_info != FTS_D)
			remove(e->fts_accpath);
	if (tree)
		fts_close(tree);
}

int main(int argc, char **argv)
{
	char folder[1024];
	struct stream s = {.random = 1};
	struct error err = {0};
	struct loader *loader;
	double making = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: bench_store FOLDER RECORDS [FLUSH_RECORDS]\n");
		return 2;
	}
	s.total = strtoull(argv[2], NULL, 10);
	snprintf(folder, sizeof folder, "%s/store-XXXXXX", argv[1]);
	if (!mkdtemp(folder)) {
		perror(folder);
		return 1;
	}
	const struct loader_options options = {.store = folder,
					       .flush_records = argc > 3 ? strtoull(argv[3], NULL, 10) : 0};
	if (s.total == 0 || loader_open(&loader, &options, &err) != OK)
		return fail(&err);

	const long memory = memory_now("VmRSS:");
	const double begun = cpu_now();
	const int status = run(loader, &s, &making);
	const double spent = cpu_now() - begun - making;
	const struct manifest *manifest = loader_manifest(loader);
	uint64_t octets = 0, records = 0;
	for (uint32_t i = 0; i < manifest->partition_count; i++) {
		octets += manifest->partitions[i].octets;
		records += manifest->partitions[i].records;
	}
	printf("records %" PRIu64 " in %u partitions\n", records, manifest->partition_count);
	printf("cpu %.3f s per million (making the stream, taken off: %.3f)\n", spent * 1e6 / (double)s.total,
	       making * 1e6 / (double)s.total);
	printf("at rest %.2f octets a record\n", (double)octets / (double)records);
	printf("memory %ld MiB at most, %ld before the first record\n", memory_now("VmHWM:"), memory);
	loader_close(loader);
	remove_tree(folder);
	return status || records != s.total;
}
