/* The loader: messages of the 14-element stream -> partitions. CPU s per million records, octets a record at
 * rest, peak memory above the input.
 *
 *   bench_store FOLDER RECORDS [FLUSH_RECORDS [keep]]      the store is made under FOLDER and removed, or
 * kept
 *
 * The stream: 14 elements, 57 octets a record, 24 records a message of 1,388 octets, one exporter; 24 hours
 * of flows with a long tail of sizes, addresses and ports. Deterministic. */
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "store/loader.h"
#include "store/manifest.h"
#include "stream.h"

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

/* So many messages are made at a time that asking for the time costs nothing beside them. */
enum { BATCH = 512 };

struct batch {
	uint8_t octets[BATCH][MESSAGE];
	size_t lengths[BATCH];
	unsigned count;
};

static void make_batch(struct batch *b, struct stream *s, double *making)
{
	const double before = cpu_now();

	for (b->count = 0; b->count < BATCH && s->made < s->total; b->count++) {
		b->lengths[b->count] = make_message(s).length;
		memcpy(b->octets[b->count], s->message, b->lengths[b->count]);
	}
	*making += cpu_now() - before;
}

static enum status take(struct loader *loader, struct stream *s, struct input_message *m, struct error *err)
{
	s->offset += m->octets.length;
	m->next = (struct input_position){.segment = 1, .offset = s->offset};
	if (loader_due(loader, 0) && loader_flush(loader, 1700000000000, err) != OK)
		return ERR_SYSTEM;
	return loader_take(loader, m);
}

static int run(struct loader *loader, struct stream *s, double *making)
{
	struct error err = {0};
	struct input_message m = {.received = {1700000000 * NS_PER_S},
				  .peer = {.port = 2055, .transport = INPUT_UDP}};
	struct batch *b = malloc(sizeof *b);
	enum status status = b ? OK : ERR_MEMORY;

	m.octets = make_template(s);
	m.peer.address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}};
	if (status == OK)
		status = take(loader, s, &m, &err);
	while (status == OK && s->made < s->total) {
		make_batch(b, s, making);
		for (unsigned i = 0; status == OK && i < b->count; i++) {
			m.octets = span_of(b->octets[i], b->lengths[i]);
			status = take(loader, s, &m, &err);
		}
	}
	if (status == OK)
		status = loader_flush(loader, 1700000000000, &err);
	free(b);
	return status == OK ? 0 : fail(&err);
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
		fprintf(stderr, "usage: bench_store FOLDER RECORDS [FLUSH_RECORDS [keep]]\n");
		return 2;
	}
	loader_keep_memory();
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
	if (argc > 4)
		printf("store %s\n", folder);
	else
		remove_tree(folder);
	return status || records != s.total;
}
