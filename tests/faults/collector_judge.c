/* The witness and the judge. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "collect/journal_reader.h"
#include "collect/journal_watermark.h"
#include "collector_fault.h"
#include "collector_message.h"
#include "store/duck.h"
#include "store/folder.h"
#include "store/manifest.h"
#include "store/store.h"

enum { END_MS = 30000 };

/* The witness. */

static bool is_as_sent(const struct journal_entry *entry)
{
	uint8_t expected[256];
	const uint8_t *data = entry->octets.data;
	const size_t length = entry->octets.length;

	if (length < HEADER_OCTETS + 4 + RECORDS * RECORD_OCTETS)
		return false;
	return length == make_message(expected, number_of(entry->octets), get_be32(data + 8),
				      data[HEADER_OCTETS + 1] == 2) &&
	       memcmp(expected, data, length) == 0;
}

bool witness(const char *store, struct book *book)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct error err = {""};
	enum status st;

	if (journal_reader_open(&reader, store, book->read_to, true, &err) != OK) {
		say("# the journal cannot be read: %s", err.text);
		return false;
	}
	while ((st = journal_read(reader, &entry, &err)) == OK) {
		const uint32_t number = is_as_sent(&entry) ? number_of(entry.octets) : MESSAGES;

		if (number >= atomic_load(&book->next)) {
			say("# the journal has a message at %u/%llu that was never sent",
			    entry.position.segment, (unsigned long long)entry.position.offset);
			break;
		}
		book->accepted[number] = 1;
	}
	book->read_to = journal_reader_position(reader);
	journal_reader_close(reader);
	if (st != END)
		say("# reading what is accepted: %s", err.text);
	return st == END;
}

/* What a store holds, from a process of its own: DuckDB is opened there and nowhere else. */

struct view {
	uint64_t rows, tail, quarantined, wrong, strange;
	uint64_t fingerprint; /* of all columns of all rows, whatever their order */
	char text[400];       /* what went wrong on the way; "": nothing */
	uint8_t count[MESSAGES * RECORDS];
};

static bool read_rows(struct view *v, duckdb_connection connection, struct error *err)
{
	duckdb_result result;
	duckdb_data_chunk chunk;

	if (duck_ask(connection, "SELECT sourceIPv4Address, octetDeltaCount FROM flows", &result, "rows",
		     err) != OK)
		return false;
	while ((chunk = duckdb_fetch_chunk(result))) {
		const idx_t rows = duckdb_data_chunk_get_size(chunk);
		const uint32_t *record = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
		const uint64_t *octets = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));

		for (idx_t i = 0; i < rows; i++, v->rows++) {
			if (record[i] >= MESSAGES * RECORDS) {
				v->strange++;
				continue;
			}
			v->wrong += octets[i] != octets_of(record[i]);
			if (v->count[record[i]] < UINT8_MAX)
				v->count[record[i]]++;
		}
		duckdb_destroy_data_chunk(&chunk);
	}
	duckdb_destroy_result(&result);
	return true;
}

static bool read_fingerprint(struct view *v, duckdb_connection connection, struct error *err)
{
	duckdb_result result;

	if (duck_ask(connection, "SELECT coalesce(bit_xor(hash(f)), 0)::UBIGINT FROM flows f", &result,
		     "fingerprint", err) != OK)
		return false;
	duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
	v->fingerprint = *(uint64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
	duckdb_destroy_data_chunk(&chunk);
	duckdb_destroy_result(&result);
	return true;
}

static bool verify_partitions(const char *store, struct view *v, struct error *err)
{
	struct manifest m;
	enum status st = manifest_read(&m, store, err);

	if (st == END)
		return true;
	for (uint32_t i = 0; st == OK && i < m.partition_count; i++)
		st = partition_verify(store, &m.partitions[i], err);
	if (st == OK)
		v->quarantined += m.aside_count;
	manifest_fini(&m);
	return st == OK;
}

static bool look(const char *path, struct view *v, struct error *err)
{
	struct store *store;
	struct store_coverage coverage;
	struct duck duck;

	if (store_open(&store, path, err) != OK || duck_open(&duck, path, err) != OK ||
	    store_attach(store, duck.connection, 0, 0, &coverage, err) != OK)
		return false;
	v->tail = coverage.tail_records;
	v->quarantined = coverage.quarantined;
	if (coverage.quarantined > 0)
		snprintf(v->text, sizeof v->text, "%s", store_quarantine_text(store));
	return read_rows(v, duck.connection, err) && read_fingerprint(v, duck.connection, err) &&
	       verify_partitions(path, v, err);
}

static struct view *view_new(void)
{
	struct view *v = mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (v == MAP_FAILED)
		_exit(2);
	return v;
}

static void view_free(struct view *v)
{
	munmap(v, sizeof *v);
}

static bool view_take(const char *store, struct view *v)
{
	struct error err = {""};
	const pid_t pid = fork();

	if (pid == 0) {
		const bool seen = look(store, v, &err);

		if (!seen)
			snprintf(v->text, sizeof v->text, "%s", err.text);
		_exit(seen ? 0 : 1);
	}
	if (wait_for_worker(pid, END_MS) == 0)
		return true;
	say("# the store cannot be read: %s", v->text);
	return false;
}

/* The judge. */

static bool is_there(const struct view *v, uint32_t message)
{
	for (uint32_t i = 0; i < RECORDS; i++)
		if (v->count[message * RECORDS + i] != 1)
			return false;
	return true;
}

static bool each_once(const struct view *v, const struct book *book)
{
	const uint32_t sent = atomic_load(&book->next);

	if (v->wrong + v->strange > 0 || v->quarantined > 0) {
		say("# %llu records are wrong, %llu strange, %llu partitions damaged: %s",
		    (unsigned long long)v->wrong, (unsigned long long)v->strange,
		    (unsigned long long)v->quarantined, v->text);
		return false;
	}
	for (uint32_t i = 0; i < MESSAGES * RECORDS; i++) {
		const uint32_t message = i / RECORDS;

		if (v->count[i] > 1 || (v->count[i] == 1 && message >= sent)) {
			say("# record %u is there %u times; %u were sent", i, v->count[i], sent * RECORDS);
			return false;
		}
		if (book->accepted[message] && v->count[i] == 0) {
			say("# record %u is gone: its message was accepted", i);
			return false;
		}
		if (v->count[i] == 1 && !is_there(v, message)) {
			say("# of message %u only a part is there", message);
			return false;
		}
	}
	return true;
}

/* Of each sender's messages one unbroken row: what came in order over one connection is cut only at its ends.
 */
static bool no_gaps(const struct view *v, const struct book *book)
{
	for (uint32_t r = 0; r < book->runs; r++) {
		const uint32_t end = r + 1 < book->runs ? book->first[r + 1] : atomic_load(&book->next);
		uint32_t at = book->first[r];

		while (at < end && !is_there(v, at))
			at++;
		while (at < end && is_there(v, at))
			at++;
		for (const uint32_t gap = at; at < end; at++) {
			if (is_there(v, at)) {
				say("# messages %u to %u are gone, from the middle of what a sender sent",
				    gap, at - 1);
				return false;
			}
		}
	}
	return true;
}

bool glance(const char *store, const struct book *book, bool ordered)
{
	struct view *v = view_new();
	const bool good = view_take(store, v) && each_once(v, book) && (!ordered || no_gaps(v, book));

	view_free(v);
	return good;
}

/* As the collector does: new segments are above all that the loader remembers. */
static uint32_t first_segment(const char *store)
{
	struct manifest m;
	struct error err;
	uint32_t first = 0;

	if (manifest_read(&m, store, &err) != OK)
		return 0;
	for (uint32_t i = 0; i < INPUT_WORKERS_MAX; i++)
		first = m.positions[i].segment >= first ? m.positions[i].segment + 1 : first;
	manifest_fini(&m);
	return first;
}

/* The journal's recovery, then the loader. */
static bool restart(const char *store, struct book *book)
{
	const struct victim v = {.store = store, .book = book, .seed = 1};
	const struct journal_options options = {
		.store = store, .workers = 1, .first_segment = first_segment(store)};
	struct journal *journal;
	struct error err = {""};
	int status;

	mkdir(store, 0750); /* killed before it could */
	if (journal_open(&journal, &options, NULL, &err) != OK) {
		say("# recovery: %s", err.text);
		return false;
	}
	journal_close(journal);
	status = wait_for_worker(loader_begin(&v), END_MS);
	if (status != 0)
		say("# the loader does not start again: status %d; its log is at %s.log", status, store);
	return status == 0;
}

/* Nothing is left lying about: hidden files, partitions and templates without a name in the manifest. */
static bool is_swept(const char *store)
{
	const int left = unfinished(store);

	if (left != 0)
		say("# a file of an unfinished step stays after a restart");
	return left == 0;
}

bool judge(const char *store, struct book *book, bool ordered, bool again)
{
	struct view *first = view_new(), *second = view_new();
	bool good = restart(store, book) && view_take(store, first) && each_once(first, book) &&
		    (!ordered || no_gaps(first, book)) && is_swept(store);

	if (good && first->tail > 0) {
		say("# %llu records stay outside partitions", (unsigned long long)first->tail);
		good = false;
	}
	if (good && again)
		good = restart(store, book) && view_take(store, second) && each_once(second, book);
	if (good && again && (first->rows != second->rows || first->fingerprint != second->fingerprint)) {
		say("# a second restart changes what is there: %llu, then %llu records",
		    (unsigned long long)first->rows, (unsigned long long)second->rows);
		good = false;
	}
	view_free(first);
	view_free(second);
	return good;
}

/* Half-done steps. */

static int hidden_in(const char *path, const char *const names[])
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int found = 0;

	while (dir && !found && (entry = readdir(dir)))
		for (int i = 0; names[i]; i++)
			found |= strncmp(entry->d_name, names[i], strlen(names[i])) == 0;
	if (dir)
		closedir(dir);
	return found;
}

int unfinished(const char *store)
{
	static const char *const of_partitions[] = {".flows-", ".options-", NULL};
	static const char *const of_manifest[] = {".manifest.json", ".templates-", NULL};
	char path[PATH_LONG];
	const struct dirent *entry;
	int found = hidden_in(store, of_manifest) ? 2 : 0;

	snprintf(path, sizeof path, "%s/parts", store);
	DIR *dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof path, "%s/parts/%s", store, entry->d_name);
		if (entry->d_name[0] != '.' && hidden_in(path, of_partitions))
			found |= 1;
	}
	if (dir)
		closedir(dir);
	return found;
}
