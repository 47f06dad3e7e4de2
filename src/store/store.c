#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "store/duck.h"
#include "store/folder.h"
#include "store/hearing_view.h"
#include "store/loader.h"
#include "store/sql.h"
#include "store/store_parts.h"
#include "store/tail.h"
#include "store/view.h"

enum {
	TAIL_RECORDS = 4000000, /* decoded by a query at most, so that it stays within 300 MB */
	TAIL_OCTETS = 256 << 20,
	READ_TRIES = 5,
	SMALL_PART = 4, /* one of so many is worth a look of its own */
};

/* What one store_attach made; earlier ones stay, as views of the same database may still use them. */
struct attached {
	struct attached *before;
	struct loader *loader;
	struct view_source sources[2]; /* of flows, of options */
	struct rows *tails[2][2];      /* theirs */
	char names[2][2][48];
	bool given; /* the tails are functions of a database */
	uint32_t *chosen[2];
	uint32_t *newest;      /* chosen[0], that which ends last in front */
	struct schema columns; /* of flows */
};

struct store {
	char *path;
	struct attached *attached;
	uint32_t attachments;
	struct sql quarantine;
};

enum status store_open(struct store **out, const char *path, struct error *err)
{
	struct store *s = calloc(1, sizeof *s);
	struct manifest manifest;
	struct stat st;

	*out = NULL;
	if (!s || !(s->path = strdup(path))) {
		free(s);
		return error_set(err, ERR_MEMORY, "store %s: no memory", path);
	}

	enum status status = OK;
	if (stat(path, &st) != 0)
		status = error_errno(err, "store %s", path);
	else if (!S_ISDIR(st.st_mode))
		status = error_set(err, ERR_FORMAT, "store %s: this is no folder", path);
	else
		status = manifest_read(&manifest, path, err);
	if (status == OK)
		manifest_fini(&manifest);
	if (status != OK && status != END) {
		store_close(s);
		return status;
	}
	*out = s;
	return OK;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (struct attached *a = s->attached, *before; a; a = before) {
		before = a->before;
		loader_close(a->loader);
		schema_fini(&a->columns);
		free(a->chosen[0]);
		free(a->chosen[1]);
		free(a->newest);
		free(a);
	}
	sql_fini(&s->quarantine);
	free(s->path);
	free(s);
}

const char *store_quarantine_text(const struct store *s)
{
	return s->quarantine.text ? s->quarantine.text : "";
}

/* Which manifest there is: each is a file of its own. All zero: none. */
static struct stat manifest_seen(const struct store *s)
{
	char path[STORE_PATH_MAX];
	struct stat st = {0};

	if (path_format(path, "%s/manifest.json", s->path) != OK || stat(path, &st) != 0)
		st = (struct stat){0};
	return st;
}

/* A loader that only reads, fed with the journal's tail. */
static enum status read_once(struct store *s, struct attached *a, struct store_coverage *out,
			     struct error *err)
{
	const struct loader_options options = {.store = s->path,
					       .flush_records = TAIL_RECORDS,
					       .flush_octets = TAIL_OCTETS,
					       .read_only = true};
	enum status status = loader_open(&a->loader, &options, err);

	if (status == OK)
		status = tail_pull(a->loader, s->path, &out->tail_cut, err);
	return status;
}

/* While we read the tail, the loader may have written it and let its segments go: then what we have is
 * neither the store before nor after, and we begin anew. */
static enum status read_tail(struct store *s, struct attached *a, struct store_coverage *out,
			     struct error *err)
{
	enum status status = OK;

	for (unsigned tries = 0; tries < READ_TRIES; tries++) {
		const struct stat before = manifest_seen(s);

		loader_close(a->loader);
		a->loader = NULL;
		status = read_once(s, a, out, err);

		const struct stat after = manifest_seen(s);
		if (before.st_ino == after.st_ino && before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
		    before.st_mtim.tv_nsec == after.st_mtim.tv_nsec)
			return status;
	}
	return status == OK ? error_set(err, ERR_SYSTEM,
					"store %s: its writer was quicker than %d attempts to read it",
					s->path, READ_TRIES)
			    : status;
}

static void widen(int64_t *first, int64_t *last, int64_t first_ms, int64_t last_ms)
{
	if (first_ms > last_ms)
		return;
	if (!*first || first_ms < *first)
		*first = first_ms;
	if (!*last || last_ms > *last)
		*last = last_ms;
}

static void note_aside(struct store *s, struct store_coverage *out, const char *text)
{
	out->quarantined++;
	sql_put(&s->quarantine, text);
	sql_put(&s->quarantine, "\n");
}

/* The partitions of a kind that the views get. */
static uint32_t choose(struct store *s, const struct manifest *m, bool options, int64_t from_ms,
		       int64_t to_ms, uint32_t *chosen, struct store_coverage *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->partition_count; i++) {
		const struct partition *p = &m->partitions[i];
		struct error why = {0};

		if (p->options != options)
			continue;
		if ((from_ms && p->last_ms < from_ms) || (to_ms && p->first_ms > to_ms)) {
			out->left_out++;
			continue;
		}
		if (partition_check(s->path, p, &why) != OK) {
			note_aside(s, out, why.text);
			continue;
		}
		chosen[count++] = i;
		out->partitions++;
		out->records += p->records;
		widen(&out->first_ms, &out->last_ms, p->first_ms, p->last_ms);
		widen(&out->received_first_ms, &out->received_last_ms, p->received_first_ms,
		      p->received_last_ms);
	}
	return count;
}

/* Which partitions and which tails there are of a kind. */
static enum status find_parts(struct store *s, struct attached *a, bool options, int64_t from_ms,
			      int64_t to_ms, struct store_coverage *out, struct error *err)
{
	const struct manifest *m = loader_manifest(a->loader);
	struct view_source *source = &a->sources[options];
	struct rows *rows;

	a->chosen[options] = calloc(m->partition_count + 1, sizeof *a->chosen[0]);
	if (!a->chosen[options])
		return error_set(err, ERR_MEMORY, "store %s: no memory", s->path);
	*source = (struct view_source){.store = s->path, .manifest = m, .partitions = a->chosen[options]};
	source->partition_count = choose(s, m, options, from_ms, to_ms, a->chosen[options], out);
	for (uint32_t i = 0; (rows = loader_rows(a->loader, options, i)); i++) {
		const unsigned tail = source->tail_count;

		if (rows->records == 0 || tail == 2)
			continue;
		snprintf(a->names[options][tail], sizeof a->names[0][0], "tail_%p_%u_%s_%u", (void *)s,
			 s->attachments, options ? "options" : "flows", i);
		rows_seal(rows);
		a->tails[options][tail] = rows;
		source->tail[tail].function = a->names[options][tail];
		source->tail[tail].schema = &rows->schema;
		source->tail_count++;
		out->tail_records += rows->records;
		widen(&out->first_ms, &out->last_ms, rows->first_ms, rows->last_ms);
		widen(&out->received_first_ms, &out->received_last_ms, rows->received_first_ms,
		      rows->received_last_ms);
	}
	return OK;
}

/* The ledger as a table of counters that are not zero. */

struct ledger_table {
	duckdb_appender appender;
	bool failed;
};

static bool is_any(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

static void sum_up(struct store_coverage *out, const char *name, uint64_t count)
{
	static const char *const lost[] = {"sets_given_up", "sets_no_room", "sets_cut", NULL};
	static const char *const missed[] = {"exporter_ignored_packets", "exporter_not_sent_packets", NULL};

	if (strcmp(name, "sequence_lost") == 0)
		out->lost_sequence += count;
	else if (strcmp(name, "kernel_dropped") == 0)
		out->lost_kernel += count;
	else if (is_any(name, lost))
		out->undecodable += count;
	else if (strcmp(name, "sets_waiting") == 0)
		out->waiting += count;
	else if (strncmp(name, "malformed_", 10) == 0)
		out->malformed += count;
	else if (is_any(name, missed)) /* one unit, packets: flows and octets of the same loss stand in the
					  ledger */
		out->reported_by_exporters += count;
	else if (strncmp(name, "value_", 6) == 0)
		out->wrong_values += count;
}

static void sum_up_counter(void *arg, const struct peer *peer, const struct origin *origin, const char *name,
			   uint64_t count)
{
	(void)peer;
	(void)origin;
	sum_up(arg, name, count);
}

static void append_counter(void *arg, const struct peer *peer, const struct origin *origin, const char *name,
			   uint64_t count)
{
	static const char *const transports[] = {"",    "udp",  "tcp",  "sctp",
						 "tls", "dtls", "file", "dtls-sctp"};
	struct ledger_table *t = arg;
	duckdb_appender a = t->appender;
	bool good = true;

	if (count == 0)
		return;
	if (peer) {
		const struct origin *any = origin ? origin : peer->origin_count ? peer->origins[0] : NULL;
		const uint8_t transport = peer->key.transport;

		good &= any ? duckdb_append_varchar(a, any->address) == DuckDBSuccess
			    : duckdb_append_null(a) == DuckDBSuccess;
		good &= duckdb_append_uint16(a, peer->key.port) == DuckDBSuccess;
		good &= duckdb_append_varchar(a, transport < sizeof transports / sizeof *transports
							 ? transports[transport]
							 : "") == DuckDBSuccess;
		good &= duckdb_append_uint64(a, peer->key.number) == DuckDBSuccess;
	} else {
		for (unsigned i = 0; i < 4; i++)
			good &= duckdb_append_null(a) == DuckDBSuccess;
	}
	good &= (origin && peer ? duckdb_append_uint32(a, origin->domain) : duckdb_append_null(a)) ==
		DuckDBSuccess;
	good &= duckdb_append_varchar(a, name) == DuckDBSuccess;
	good &= duckdb_append_uint64(a, count) == DuckDBSuccess;
	good &= duckdb_appender_end_row(a) == DuckDBSuccess;
	t->failed |= !good;
}

static enum status make_ledger(struct attached *a, duckdb_connection connection, struct error *err)
{
	struct ledger_table t = {0};
	enum status status =
		duck_run(connection,
			 "CREATE OR REPLACE TEMP TABLE ledger_counters (exporterAddress VARCHAR, "
			 "exporterPort USMALLINT, transport VARCHAR, sessionNumber UBIGINT, "
			 "observationDomainId UINTEGER, counter VARCHAR, count UBIGINT);"
			 "CREATE OR REPLACE TEMP VIEW ledger AS SELECT * FROM ledger_counters",
			 "ledger of the store", err);

	if (status != OK)
		return status;
	if (duckdb_appender_create_ext(connection, "temp", "main", "ledger_counters", &t.appender) !=
	    DuckDBSuccess) {
		duckdb_appender_destroy(&t.appender);
		return error_set(err, ERR_SYSTEM, "ledger of the store: DuckDB takes no rows");
	}
	loader_visit_ledger(a->loader, append_counter, &t);
	t.failed |= duckdb_appender_destroy(&t.appender) != DuckDBSuccess;
	return t.failed ? error_set(err, ERR_SYSTEM, "ledger of the store: DuckDB takes no rows") : OK;
}

/* The newest part. */

/* A record's flowEnd is one of its times, its receiveTime one of those of receipt. */
static int64_t last_of(const struct partition *p)
{
	return p->last_ms > p->received_last_ms ? p->last_ms : p->received_last_ms;
}

static int64_t first_of(const struct partition *p)
{
	return p->first_ms < p->received_first_ms ? p->first_ms : p->received_first_ms;
}

static int later_first(const void *a, const void *b, void *arg)
{
	const struct manifest *m = arg;
	const uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
	const int64_t ends = last_of(&m->partitions[one]), other_ends = last_of(&m->partitions[other]);

	return ends != other_ends ? (ends < other_ends) - (ends > other_ends) : (one < other) - (one > other);
}

static enum status sort_newest(struct attached *a, struct error *err)
{
	const struct view_source *source = &a->sources[0];
	const size_t size = source->partition_count * sizeof *a->newest;

	a->newest = malloc(size + 1);
	if (!a->newest)
		return error_set(err, ERR_MEMORY, "no memory for a list of partitions");
	memcpy(a->newest, a->chosen[0], size);
	qsort_r(a->newest, source->partition_count, sizeof *a->newest, later_first,
		(void *)(uintptr_t)source->manifest);
	return OK;
}

enum status store_look(struct store *s, int64_t from_ms, int64_t to_ms, struct store_coverage *out,
		       struct error *err)
{
	struct attached *a = calloc(1, sizeof *a);

	*out = (struct store_coverage){0};
	if (!a)
		return error_set(err, ERR_MEMORY, "store %s: no memory", s->path);
	a->before = s->attached;
	s->attached = a;
	s->attachments++;
	sql_fini(&s->quarantine);

	enum status status = read_tail(s, a, out, err);
	for (unsigned options = 0; status == OK && options < 2; options++)
		status = find_parts(s, a, options, from_ms, to_ms, out, err);
	if (status == OK)
		status = sort_newest(a, err);
	if (status != OK)
		return status;
	view_columns(&a->sources[0], &a->columns);
	loader_visit_ledger(a->loader, sum_up_counter, out);
	const struct manifest *m = loader_manifest(a->loader);
	for (uint32_t i = 0; i < m->aside_count; i++)
		note_aside(s, out, m->aside[i].reason);
	return OK;
}

enum status store_give(struct store *s, duckdb_connection connection, struct error *err)
{
	struct attached *a = s->attached;
	enum status status = OK;

	if (a->given)
		return OK;
	if (s->attachments == 1 ||
	    duck_run(connection, "SELECT address_text(NULL, NULL)", "look whether it is there", NULL) != OK)
		status = view_address_function(connection, err);
	for (unsigned options = 0; options < 2; options++)
		for (unsigned i = 0; status == OK && i < a->sources[options].tail_count; i++)
			status = rows_register(a->tails[options][i], connection, a->names[options][i], err);
	a->given = status == OK;
	return status;
}

enum status store_attach_parts(struct store *s, duckdb_connection connection, int64_t from_ms, int64_t to_ms,
			       struct store_coverage *out, struct error *err)
{
	struct store_coverage none;
	const enum status status = store_look(s, from_ms, to_ms, out ? out : &none, err);

	return status == OK ? store_give(s, connection, err) : status;
}

void store_parts(const struct store *s, struct store_parts *out)
{
	const struct attached *a = s->attached;
	const struct view_source *source = &a->sources[0];

	*out = (struct store_parts){.store = s->path,
				    .manifest = source->manifest,
				    .partitions = a->newest,
				    .partition_count = source->partition_count,
				    .tails = {a->tails[0][0], a->tails[0][1]}};
}

enum status store_attach(struct store *s, duckdb_connection connection, int64_t from_ms, int64_t to_ms,
			 struct store_coverage *out, struct error *err)
{
	enum status status = store_attach_parts(s, connection, from_ms, to_ms, out, err);

	for (unsigned options = 0; status == OK && options < 2; options++)
		status = view_create(connection, options ? "options" : "flows",
				     &s->attached->sources[options], !options, err);
	return status == OK ? store_attach_ledger(s, connection, err) : status;
}

enum status store_attach_ledger(struct store *s, duckdb_connection connection, struct error *err)
{
	const enum status status = make_ledger(s->attached, connection, err);

	return status == OK ? hearing_view(loader_hearing(s->attached->loader), connection, err) : status;
}

const struct schema *store_columns(const struct store *s)
{
	return &s->attached->columns;
}

bool store_newest(const struct store *s, uint64_t records, struct store_newest *out)
{
	const struct attached *a = s->attached;
	const struct view_source *source = &a->sources[0];
	uint64_t have = 0, all = 0;

	for (uint32_t i = 0; i < source->partition_count; i++)
		all += source->manifest->partitions[a->newest[i]].records;
	*out = (struct store_newest){0};
	while (out->partitions < source->partition_count && have < records)
		have += source->manifest->partitions[a->newest[out->partitions++]].records;
	if (out->partitions == source->partition_count || have > all / SMALL_PART)
		return false;
	/* Times finer than a millisecond were cut off. */
	out->behind_ms = last_of(&source->manifest->partitions[a->newest[out->partitions]]) + 1;
	return true;
}

void store_flows_of(const struct store *s, const struct store_newest *part, struct sql *out,
		    const char *statement)
{
	struct view_source source = s->attached->sources[0];

	if (part) {
		source.partitions = s->attached->newest;
		source.partition_count = part->partitions;
	}
	sql_put(out, "WITH flows AS NOT MATERIALIZED ");
	view_inline(out, &source, statement);
	sql_put(out, " ");
}

void store_flows(const struct store *s, struct sql *out, const char *statement)
{
	store_flows_of(s, NULL, out, statement);
}

void store_flows_between(const struct store *s, struct sql *out, const char *statement, int64_t from_ms,
			 int64_t to_ms)
{
	struct view_source source = s->attached->sources[0];
	uint32_t *chosen = calloc(source.partition_count + 1, sizeof *chosen), count = 0;

	out->failed |= !chosen;
	for (uint32_t i = 0; chosen && i < source.partition_count; i++) {
		const struct partition *p = &source.manifest->partitions[source.partitions[i]];

		if ((!from_ms || last_of(p) >= from_ms) && (!to_ms || first_of(p) <= to_ms))
			chosen[count++] = source.partitions[i];
	}
	source.partitions = chosen;
	source.partition_count = count;
	sql_put(out, "WITH flows AS NOT MATERIALIZED ");
	if (chosen)
		view_inline(out, &source, statement);
	sql_put(out, " ");
	free(chosen);
}

int64_t store_begin(const struct store *s, uint64_t records, uint64_t *left_out)
{
	const struct attached *a = s->attached;
	const struct partition *all = a->sources[0].manifest->partitions;
	uint32_t i = 0;
	int64_t begin = 0;

	*left_out = 0;
	for (uint64_t have = 0; i < a->sources[0].partition_count; i++) {
		have += all[a->newest[i]].records;
		if (have > records)
			break;
	}
	if (i < a->sources[0].partition_count)
		begin = last_of(&all[a->newest[i]]) + 1;
	for (; i < a->sources[0].partition_count; i++)
		*left_out += all[a->newest[i]].records;
	return begin;
}
