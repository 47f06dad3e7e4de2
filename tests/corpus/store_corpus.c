/* Loads every IPFIX case of the corpus into a store of its own and compares each record's columns with what
 * `weir dump` prints of the same record: every field, by its name and as text.
 *
 * WEIR_CORPUS names the corpus; without one the test is skipped. With arguments only cases whose path
 * contains one of them are read. */
#include <arpa/inet.h>
#include <fts.h>
#include <jansson.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "collect/payload.h"
#include "message/json.h"
#include "store/duck.h"
#include "store/file_input.h"
#include "store/loader.h"
#include "store/manifest.h"
#include "store/sql.h"
#include "store/store.h"
#include "store/view_parts.h"

enum { SKIPPED = 77, OUTPUT = 64 << 20, FAULTS_SHOWN = 10 };

/* One case: the printer's side and the loader's. */
struct test {
	const char *path;
	struct loader *loader;
	struct session *sessions[64];
	struct input_peer peers[64];
	uint32_t session_count;
	struct text text;
	struct json_printer printer;
	struct session_sink sink;
	unsigned faults;
	uint64_t records, values;
};

static void fault(struct test *t, const char *what, const char *expected, const char *got)
{
	if (++t->faults <= FAULTS_SHOWN)
		printf("%s: %s: expected %.200s, got %.200s\n", t->path, what, expected, got);
}

static void on_data(void *arg, const struct message_header *header, const struct template *template,
		    const struct template_store *store, struct span records, uint32_t count)
{
	struct test *t = arg;

	json_print_set(&t->printer, header, template, store, records);
	t->records += count;
}

static struct session *session_of(struct test *t, const struct input_peer *peer)
{
	const struct session_limits limits = session_limits_default(0);

	for (uint32_t i = 0; i < t->session_count; i++)
		if (memcmp(&t->peers[i], peer, sizeof *peer) == 0)
			return t->sessions[i];
	if (t->session_count == 64 ||
	    session_new(&t->sessions[t->session_count], peer_rules(peer->transport), &limits) != OK)
		abort();
	t->peers[t->session_count] = *peer;
	return t->sessions[t->session_count++];
}

static void take(struct test *t, struct span octets, const struct input_peer *peer)
{
	struct input_message m = {.octets = octets,
				  .received = {1700000000 * NS_PER_S},
				  .peer = *peer,
				  .next = {.segment = 1, .offset = 1}};

	session_message(session_of(t, peer), octets, 0, &t->sink);
	if (loader_take(t->loader, &m) != OK)
		fault(t, "message", "taken", "not taken");
}

static void take_capture(struct test *t, pcap_t *capture)
{
	struct pcap_pkthdr *header;
	const uint8_t *octets;

	while (pcap_next_ex(capture, &header, &octets) == 1) {
		struct input_peer peer = {.transport = INPUT_UDP};
		struct payload p;

		if (payload_find(pcap_datalink(capture), span_of(octets, header->caplen), &p) !=
			    PAYLOAD_FOUND ||
		    p.flow.protocol != IPPROTO_UDP || p.octets.length < 2 || get_be16(p.octets.data) != 10)
			continue;
		memcpy(&peer.address, p.flow.source, 16);
		peer.port = p.flow.source_port;
		peer.local_port = p.flow.destination_port;
		take(t, p.octets, &peer);
	}
}

static void take_file(struct test *t)
{
	const struct input_peer peer = {.transport = INPUT_FILE};
	char why[PCAP_ERRBUF_SIZE];
	struct file_input file;
	struct input input;
	struct input_message m;
	enum status s;
	pcap_t *capture = pcap_open_offline(t->path, why);

	if (capture) {
		take_capture(t, capture);
		pcap_close(capture);
		return;
	}
	auto_file f = fopen(t->path, "rb");
	if (!f || file_input_init(&file, f, t->path, &peer, &input) != OK)
		abort();
	while ((s = input.next(input.arg, &m, NULL)) == OK || s == ERR_FORMAT)
		if (s == OK)
			take(t, m.octets, &peer);
	file_input_fini(&file);
}

/* A value of JSON as the store's query below gives it. */
static char *flat(const json_t *value)
{
	char number[64];

	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (json_is_real(value)) {
		snprintf(number, sizeof number, "%.9g", json_real_value(value));
		return strdup(number);
	}
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* The type of what a column is made from. */
static enum ie_type type_of(const struct column *c)
{
	char name[COLUMN_NAME_MAX];
	const struct information_element *ie;

	if (strcmp(c->name, "exportTime") == 0)
		return IE_DATE_TIME_SECONDS;
	snprintf(name, sizeof name, "%s", c->name);
	name[strcspn(name, "_")] = '\0';
	ie = ie_find_name(name);
	if (!ie && strncmp(name, "reverse", 7) == 0) {
		name[7] = (char)(name[7] | 0x20);
		ie = ie_find_name(name + 7);
	}
	return ie ? (enum ie_type)ie->type : IE_STRING;
}

/* SQL that gives a column as `weir dump` prints it. */
static void put_column(struct sql *sql, const struct column *c)
{
	static const struct {
		const char *before, *after;
	} of[IE_TYPE_COUNT] = {
		[IE_IPV4_ADDRESS] = {"address_text(", ", NULL)"},
		[IE_IPV6_ADDRESS] = {"address_text(NULL, ", ")"},
		[IE_DATE_TIME_SECONDS] = {"strftime(", ", '%Y-%m-%dT%H:%M:%SZ')"},
		[IE_DATE_TIME_MILLISECONDS] = {"strftime(", ", '%Y-%m-%dT%H:%M:%S.%gZ')"},
		[IE_DATE_TIME_MICROSECONDS] = {"strftime(", ", '%Y-%m-%dT%H:%M:%S.%fZ')"},
		[IE_DATE_TIME_NANOSECONDS] = {"strftime(", ", '%Y-%m-%dT%H:%M:%S.%nZ')"},
		[IE_FLOAT32] = {"printf('%.9g', ", "::DOUBLE)"},
		[IE_FLOAT64] = {"printf('%.9g', ", "::DOUBLE)"},
	};
	const enum ie_type type = type_of(c);
	const bool blob = c->kind == COLUMN_BLOB, plain = !of[type].before;

	sql_put(sql, blob ? "rtrim('0x' || lower(hex(" : plain ? "" : of[type].before);
	sql_name(sql, c->name);
	sql_put(sql, blob ? ")), 'x')" : plain ? "::VARCHAR" : of[type].after);
}

/* One member of a record against its column; lists of values against the columns of that name. */
static void compare_value(struct test *t, const struct schema *s, duckdb_data_chunk chunk, idx_t row,
			  const char *name, const json_t *value)
{
	const int32_t column = schema_find(s, name);
	auto_free char *expected = flat(value);

	if (column < 0) {
		fault(t, name, "a column", "none");
		return;
	}

	duckdb_vector v = duckdb_data_chunk_get_vector(chunk, (idx_t)column);
	duckdb_string_t *strings = duckdb_vector_get_data(v);
	t->values++;
	if (!duckdb_validity_row_is_valid(duckdb_vector_get_validity(v), row)) {
		/* What is no value of its type is NULL; `weir dump` has its octets. */
		if (strncmp(expected, "0x", 2) != 0 && strcmp(expected, "undefined") != 0 &&
		    json_string_length(value) != 0)
			fault(t, name, expected, "NULL");
		return;
	}
	auto_free char *got =
		strndup(duckdb_string_t_data(&strings[row]), duckdb_string_t_length(strings[row]));
	if (strcmp(got, expected) != 0 &&
	    (*expected || strcmp(got, "0") != 0)) { /* no octets: "0x" less its x */
		json_t *parsed = json_loads(got, JSON_DECODE_ANY, NULL);
		const bool same = json_equal(parsed, value);

		json_decref(parsed);
		if (!same)
			fault(t, name, expected, got);
	}
}

static void compare_members(struct test *t, const struct schema *s, duckdb_data_chunk chunk, idx_t row,
			    json_t *object, json_t *scope)
{
	const char *member;
	json_t *value;

	json_object_foreach(object, member, value)
	{
		const char *key = member;
		char name[COLUMN_NAME_MAX];
		size_t i, first = 1;
		json_t *one;

		if (strcmp(key, "scope") == 0)
			continue;
		const bool header = strcmp(key, "observationDomainId") == 0 || strcmp(key, "templateId") == 0;
		const json_t *before = object != scope && !header ? json_object_get(scope, key) : NULL;
		if (object == scope && header)
			key = strcmp(key, "templateId") == 0 ? "e0.145" : "e0.149";
		else if (before)
			first = 1 + (json_is_array(before) ? json_array_size(before) : 1);
		if (!json_is_array(value)) {
			snprintf(name, sizeof name, first > 1 ? "%s_%zu" : "%s", key, first);
			compare_value(t, s, chunk, row, name, value);
			continue;
		}
		json_array_foreach(value, i, one)
		{
			snprintf(name, sizeof name, i + first > 1 ? "%s_%zu" : "%s", key, i + first);
			compare_value(t, s, chunk, row, name, one);
		}
	}
}

/* The next printed record with a scope, or without. */
static json_t *next_record(struct test *t, size_t *at, bool options)
{
	while (*at < t->text.used) {
		const char *line = t->text.data + *at;
		const char *end = memchr(line, '\n', t->text.used - *at);
		const size_t length = end ? (size_t)(end - line) : t->text.used - *at;
		json_t *json = json_loadb(line, length, JSON_ALLOW_NUL, NULL);

		*at += length + 1;
		if (json && (json_object_get(json, "scope") != NULL) == options)
			return json;
		if (!json)
			fault(t, "line", "JSON", "something else");
		json_decref(json);
	}
	return NULL;
}

static void compare_kind(struct test *t, duckdb_connection connection, const char *store,
			 const struct manifest *m, const struct partition *p, size_t *at)
{
	const struct schema *s = &m->layouts[p->layout];
	struct error err = {0};
	struct sql sql;
	duckdb_result result;
	duckdb_data_chunk chunk;
	uint64_t rows = 0;

	sql_init(&sql);
	const uint32_t number = (uint32_t)(p - m->partitions);
	const struct view_source source = {
		.store = store, .manifest = m, .partitions = &number, .partition_count = 1};

	sql_put(&sql, "SELECT ");
	for (uint32_t i = 0; i < s->count; i++) {
		sql_put(&sql, i ? "," : "");
		put_column(&sql, &s->columns[i]);
	}
	sql_put(&sql, " FROM (");
	view_select_rows(&sql, &source, s);
	sql_put(&sql, ")");
	if (duck_ask(connection, sql.text, &result, "compare", &err) != OK) {
		fault(t, "query", "rows", err.text);
		sql_fini(&sql);
		return;
	}
	while ((chunk = duckdb_fetch_chunk(result))) {
		for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk); row++, rows++) {
			json_t *json = next_record(t, at, p->options);

			if (!json) {
				fault(t, "record", "no more", "one more");
				break;
			}
			json_t *scope = json_object_get(json, "scope");
			if (scope)
				compare_members(t, s, chunk, row, scope, scope);
			compare_members(t, s, chunk, row, json, scope);
			json_decref(json);
		}
		duckdb_destroy_data_chunk(&chunk);
	}
	duckdb_destroy_result(&result);
	sql_fini(&sql);
	if (rows != p->records)
		fault(t, "records", "as the manifest says", "others");
}

static void compare(struct test *t, const char *store)
{
	const struct manifest *m = loader_manifest(t->loader);
	struct error err = {0};
	struct store_coverage coverage;
	struct store *reader = NULL;
	struct duck duck;
	size_t at[2] = {0, 0};
	uint64_t stored = 0;

	if (duck_open(&duck, store, &err) != OK || store_open(&reader, store, &err) != OK ||
	    store_attach(reader, duck.connection, 0, 0, &coverage, &err) != OK) {
		fault(t, "store", "readable", err.text);
		return;
	}
	for (uint32_t i = 0; i < m->partition_count; i++) {
		const struct partition *p = &m->partitions[i];

		compare_kind(t, duck.connection, store, m, p, &at[p->options]);
		stored += p->records;
	}
	if (stored != t->records || coverage.records != t->records) {
		char expected[32], got[32];

		snprintf(expected, sizeof expected, "%llu", (unsigned long long)t->records);
		snprintf(got, sizeof got, "%llu", (unsigned long long)stored);
		fault(t, "records in the store", expected, got);
	}
	duck_close(&duck);
	store_close(reader);
}

/* Columns of one value are in the manifest, in however small a partition. */
static bool run_case(const char *path, char *output, uint64_t *records, uint64_t *values)
{
	char folder[] = "/tmp/weir-store-corpus-XXXXXX";
	struct test t = {.path = path};
	struct error err = {0};
	char command[64];

	if (!mkdtemp(folder))
		abort();
	/* Data before its template is not decoded, as in `weir dump`: no room to wait in. */
	const struct loader_options options = {.store = folder, .lift_records = 1, .waiting = {.share = 1}};
	t.text = (struct text){.data = output, .capacity = OUTPUT};
	t.sink = (struct session_sink){.arg = &t, .data = on_data};
	if (json_printer_init(&t.printer, &t.text) != OK || loader_open(&t.loader, &options, &err) != OK) {
		fault(&t, "loader", "open", err.text);
	} else {
		take_file(&t);
		if (loader_flush(t.loader, 1700000000000, &err) != OK)
			fault(&t, "flush", "done", err.text);
		else if (!t.text.full)
			compare(&t, folder);
	}
	loader_close(t.loader);
	json_printer_fini(&t.printer);
	for (uint32_t i = 0; i < t.session_count; i++)
		session_free(t.sessions[i]);
	*records += t.records;
	*values += t.values;
	snprintf(command, sizeof command, "%s", folder);
	char *const roots[] = {command, NULL};
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	for (FTSENT *e; tree && (e = fts_read(tree));)
		if (e->fts_info != FTS_D)
			remove(e->fts_accpath);
	fts_close(tree);
	return t.faults == 0;
}

static bool is_input(const char *path)
{
	static const char *const endings[] = {".dat", ".bin", ".ipfix", ".pcap", ".pcapng"};
	const size_t length = strlen(path);

	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
		if (length > strlen(endings[i]) &&
		    strcmp(path + length - strlen(endings[i]), endings[i]) == 0)
			return true;
	return false;
}

static bool asked_for(const char *path, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(path, argv[i]))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	const char *corpus = getenv("WEIR_CORPUS");
	char root[1024];
	uint64_t records = 0, values = 0;
	unsigned cases = 0, failed = 0;
	auto_free char *output = malloc(OUTPUT);

	snprintf(root, sizeof root, "%s/ipfix", corpus ? corpus : "");
	char *const roots[] = {root, NULL};
	FTS *tree = corpus && output ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
	for (FTSENT *entry; tree && (entry = fts_read(tree));) {
		if (entry->fts_info != FTS_F || !is_input(entry->fts_path) ||
		    !asked_for(entry->fts_path, argc, argv))
			continue;
		cases++;
		failed += !run_case(entry->fts_path, output, &records, &values);
	}
	if (tree)
		fts_close(tree);
	if (cases == 0) {
		printf("SKIP: no corpus (WEIR_CORPUS)\n");
		return SKIPPED;
	}
	printf("%u inputs, %u failed; %llu records, %llu values compared\n", cases, failed,
	       (unsigned long long)records, (unsigned long long)values);
	return failed != 0;
}
