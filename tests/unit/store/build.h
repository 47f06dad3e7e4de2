/* build.h: messages for the store's tests, a folder of one's own, and questions to what was stored. */
#pragma once

#include <fts.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ie/ie_ids.h"
#include "store/duck.h"
#include "store/loader.h"
#include "store/manifest.h"
#include "store/store.h"

#define RECEIVED_MS 1700000000000LL
#define EXPORTED    1700000000u

struct field {
	uint16_t id, length;
	uint32_t pen;
};

/* A message that grows by sets. */
struct build {
	uint8_t octets[65536];
	size_t length, set_at;
};

static inline void build_number(struct build *b, uint64_t v, unsigned size)
{
	for (unsigned i = size; i-- > 0;)
		b->octets[b->length++] = (uint8_t)(v >> 8 * i);
}

static inline void build_octets(struct build *b, const void *octets, size_t length)
{
	memcpy(b->octets + b->length, octets, length);
	b->length += length;
}

static inline void build_begin(struct build *b, uint32_t sequence, uint32_t domain)
{
	b->length = 0;
	b->set_at = 0;
	build_number(b, 10, 2);
	build_number(b, 0, 2);
	build_number(b, EXPORTED, 4);
	build_number(b, sequence, 4);
	build_number(b, domain, 4);
}

static inline void build_set(struct build *b, uint16_t id)
{
	if (b->set_at)
		put_be16(b->octets + b->set_at + 2, (uint16_t)(b->length - b->set_at));
	b->set_at = b->length;
	build_number(b, id, 2);
	build_number(b, 0, 2);
}

static inline void build_template(struct build *b, uint16_t id, uint16_t scope, const struct field *fields,
				  size_t count)
{
	build_set(b, scope ? SET_OPTIONS_TEMPLATE : SET_TEMPLATE);
	build_number(b, id, 2);
	build_number(b, count, 2);
	if (scope)
		build_number(b, scope, 2);
	for (size_t i = 0; i < count; i++) {
		build_number(b, fields[i].id | (fields[i].pen ? 0x8000u : 0u), 2);
		build_number(b, fields[i].length, 2);
		if (fields[i].pen)
			build_number(b, fields[i].pen, 4);
	}
}

static inline struct span build_end(struct build *b)
{
	if (b->set_at)
		put_be16(b->octets + b->set_at + 2, (uint16_t)(b->length - b->set_at));
	put_be16(b->octets + 2, (uint16_t)b->length);
	return span_of(b->octets, b->length);
}

/* The message as an exporter at 192.0.2.`host` sent it by UDP; positions count messages. */
static inline struct input_message from_host(struct span octets, uint8_t host, uint64_t number)
{
	return (struct input_message){
		.octets = octets,
		.received = {(RECEIVED_MS + (int64_t)number) * NS_PER_MS},
		.peer = {.address = {.s6_addr = {[10] = 0xff, 0xff, 192, 0, 2, host}},
			 .port = 2055,
			 .local_port = 4739,
			 .transport = INPUT_UDP},
		.next = {.segment = 1, .offset = number},
	};
}

static inline void take(struct loader *l, struct build *b, uint8_t host, uint64_t number)
{
	const struct input_message m = from_host(build_end(b), host, number);

	assert_int_equal(loader_take(l, &m), OK);
}

static inline char *folder_new(void)
{
	char name[] = "/tmp/weir-store-XXXXXX";

	assert_non_null(mkdtemp(name));
	return strdup(name);
}

static inline void folder_free(char *folder)
{
	char *const roots[] = {folder, NULL};
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

	for (FTSENT *e; tree && (e = fts_read(tree));)
		if (e->fts_info != FTS_D)
			remove(e->fts_accpath);
	fts_close(tree);
	free(folder);
}

static inline struct loader *open_loader(const char *folder)
{
	const struct loader_options options = {.store = folder};
	struct error err = {0};
	struct loader *l;

	if (loader_open(&l, &options, &err) != OK)
		fail_msg("%s", err.text);
	return l;
}

static inline void flush(struct loader *l)
{
	struct error err = {0};

	if (loader_flush(l, RECEIVED_MS, &err) != OK)
		fail_msg("%s", err.text);
}

/* Load is over: what a reader sees. */
struct asking {
	struct duck duck;
	struct store *store;
	struct store_coverage coverage;
};

static inline void ask_open(struct asking *a, const char *folder)
{
	struct error err = {0};

	if (duck_open(&a->duck, folder, &err) != OK || store_open(&a->store, folder, &err) != OK ||
	    store_attach(a->store, a->duck.connection, 0, 0, &a->coverage, &err) != OK)
		fail_msg("%s", err.text);
}

static inline void ask_close(struct asking *a)
{
	duck_close(&a->duck);
	store_close(a->store);
}

/* The first column of the first row as text; "NULL", or "no row". Caller frees it. */
static inline char *ask(struct asking *a, const char *sql)
{
	struct error err = {0};
	duckdb_result result;
	char *answer, text[32768];

	snprintf(text, sizeof text, "SELECT coalesce((%s)::VARCHAR, 'NULL')", sql);
	if (duck_ask(a->duck.connection, text, &result, "test", &err) != OK)
		fail_msg("%s: %s", sql, err.text);
	duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
	if (!chunk || duckdb_data_chunk_get_size(chunk) == 0) {
		answer = strdup("no row");
	} else {
		duckdb_string_t *s = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));

		answer = strndup(duckdb_string_t_data(s), duckdb_string_t_length(*s));
	}
	duckdb_destroy_data_chunk(&chunk);
	duckdb_destroy_result(&result);
	return answer;
}

#define assert_answer(asking, sql, expected)                                                                 \
	do {                                                                                                 \
		char *answer = ask(asking, sql);                                                             \
		if (strcmp(answer, expected) != 0)                                                           \
			fail_msg("%s: expected %s, got %s", sql, expected, answer);                          \
		free(answer);                                                                                \
	} while (0)

static inline char *counter(struct asking *a, const char *name)
{
	char sql[256];

	snprintf(sql, sizeof sql, "SELECT coalesce(sum(count), 0)::UBIGINT FROM ledger WHERE counter = '%s'",
		 name);
	return ask(a, sql);
}

#define assert_counter(asking, name, expected)                                                               \
	do {                                                                                                 \
		char *answer = counter(asking, name);                                                        \
		if (strcmp(answer, expected) != 0)                                                           \
			fail_msg("counter %s: expected %s, got %s", name, expected, answer);                 \
		free(answer);                                                                                \
	} while (0)
