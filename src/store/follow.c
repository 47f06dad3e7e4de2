#include "store/follow.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/duck.h"
#include "store/loader_state.h"
#include "store/tail.h"
#include "store/view.h"

enum { ONCE_RECORDS = 200000, ONCE_OCTETS = 64 << 20 };

struct follow {
	const char *store;
	duckdb_connection connection;
	struct loader *loader;
	char names[BATCHES][64];
};

/* Names stay with the database, so each loader has its own. */
static enum status register_rows(struct follow *f, struct error *err)
{
	enum status s = OK;

	for (unsigned i = 0; s == OK && i < BATCHES; i++) {
		snprintf(f->names[i], sizeof f->names[i], "follow_%p_%u", (void *)f->loader, i);
		s = rows_register(loader_rows(f->loader, false, i), f->connection, f->names[i], err);
	}
	return s;
}

/* The journal's end, in portions. */
static enum status skip(struct follow *f, struct error *err)
{
	bool more = true;
	enum status s = OK;

	while (s == OK && more) {
		s = tail_pull(f->loader, f->store, &more, err);
		loader_drop(f->loader);
	}
	return s;
}

enum status follow_open(struct follow **out, const char *store, duckdb_connection connection,
			struct error *err)
{
	const struct loader_options options = {.store = store,
					       .flush_records = ONCE_RECORDS,
					       .flush_octets = ONCE_OCTETS,
					       .read_only = true};
	struct follow *f = calloc(1, sizeof *f);
	enum status s;

	*out = NULL;
	if (!f)
		return error_set(err, ERR_MEMORY, "store %s: no memory", store);
	f->store = store;
	f->connection = connection;
	s = loader_open(&f->loader, &options, err);
	if (s == OK)
		s = register_rows(f, err);
	if (s == OK)
		s = skip(f, err);
	if (s == OK &&
	    duck_run(connection, "SELECT address_text(NULL, NULL)", "look whether it is there", NULL) != OK)
		s = view_address_function(connection, err);
	if (s != OK) {
		follow_close(f);
		return s;
	}
	*out = f;
	return OK;
}

void follow_close(struct follow *f)
{
	if (!f)
		return;
	loader_close(f->loader);
	free(f);
}

enum status follow_next(struct follow *f, uint64_t *records, struct error *err)
{
	struct view_source source = {.store = f->store, .manifest = loader_manifest(f->loader)};
	bool cut;

	loader_drop(f->loader);
	*records = 0;
	enum status s = tail_pull(f->loader, f->store, &cut, err);
	for (unsigned i = 0; s == OK && i < BATCHES; i++) {
		struct rows *rows = loader_rows(f->loader, false, i);

		if (rows->records == 0)
			continue;
		rows_seal(rows);
		source.tail[source.tail_count].function = f->names[i];
		source.tail[source.tail_count++].schema = &rows->schema;
		*records += rows->records;
	}
	if (s == OK && *records)
		s = view_create(f->connection, "flows", &source, true, err);
	return s;
}
