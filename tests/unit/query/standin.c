#include "standin.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/engine.h"
#include "store/duck.h"
#include "store/reading.h"
#include "store/sql.h"
#include "store/store.h"

struct store {
	char path[512];
	char quarantined[256];
	bool attached;
	struct schema columns;
};

/* Prefixes 10.0/16 and fd00::/64; mixed protocols; every 10th record IPv6, every 50th denied, every 7th
 * without ports. One record a millisecond. */
static const char records[] =
	"COPY (SELECT "
	"CASE WHEN i %% 10 <> 0 THEN (167772160 + hash(i) %% 65536)::UINTEGER END AS sourceIPv4Address, "
	"CASE WHEN i %% 10 <> 0 THEN (167837696 + hash(i + 7) %% 256)::UINTEGER END AS "
	"destinationIPv4Address, "
	"CASE WHEN i %% 10 = 0 THEN ('fd000000-0000-0000-0000-00000000' || printf('%%04x', (i %% "
	"64)::INTEGER))::UUID END AS sourceIPv6Address, "
	"CASE WHEN i %% 10 = 0 THEN ('fd000000-0000-0000-0000-00000001' || printf('%%04x', (i %% "
	"16)::INTEGER))::UUID END AS destinationIPv6Address, "
	"CASE WHEN i %% 7 <> 0 THEN (1024 + hash(i + 1) %% 60000)::USMALLINT END AS sourceTransportPort, "
	"CASE WHEN i %% 7 <> 0 THEN [80, 443, 53, 22, 8080][(1 + hash(i + 2) %% 5)::BIGINT]::USMALLINT END "
	"AS destinationTransportPort, "
	"CASE WHEN i %% 7 = 0 THEN 1 WHEN i %% 3 = 0 THEN 17 ELSE 6 END::UTINYINT AS protocolIdentifier, "
	"CASE WHEN i %% 7 <> 0 AND i %% 3 <> 0 THEN hash(i + 3) %% 64 END::USMALLINT AS tcpControlBits, "
	"0::UTINYINT AS ipClassOfService, "
	"(40 + hash(i + 4) %% 1000000)::UBIGINT AS octetDeltaCount, "
	"(1 + hash(i + 5) %% 1000)::UBIGINT AS packetDeltaCount, "
	"make_timestamp(1763769600000000 + i * 1000)::TIMESTAMP_MS AS flowStartMilliseconds, "
	"make_timestamp(1763769600000000 + i * 1000 + (hash(i + 6) %% 20000)::BIGINT * 1000)::TIMESTAMP_MS "
	"AS flowEndMilliseconds, "
	"(i %% 2)::UTINYINT AS flowDirection, "
	"CASE WHEN i %% 50 = 0 THEN 3 END::UTINYINT AS firewallEvent, "
	"CASE WHEN i %% 2 = 0 THEN 3 END::UINTEGER AS ingressInterface, "
	"CASE WHEN i %% 2 = 0 THEN 'wg0' END AS ingressInterface_name, "
	"CASE WHEN i %% 2 = 1 THEN 4 END::UINTEGER AS egressInterface, "
	"make_timestamp(1763769600000000 + i * 1000 + 30000000)::TIMESTAMP_MS AS receiveTime, "
	"'192.0.2.' || (i %% 3) AS exporterAddress, 1::UINTEGER AS observationDomainId "
	"FROM range(%llu, %llu) t(i)) TO '%s/%04u.parquet' (FORMAT parquet, COMPRESSION zstd, "
	"COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 5000)";

static int run(duckdb_connection connection, const char *sql)
{
	struct error err;

	if (duck_run(connection, sql, "stand-in", &err) == OK)
		return 0;
	fprintf(stderr, "%s\n", err.text);
	return 1;
}

int standin_sql(const char *sql)
{
	duckdb_database database;
	duckdb_connection connection;

	if (duckdb_open(NULL, &database) != DuckDBSuccess ||
	    duckdb_connect(database, &connection) != DuckDBSuccess)
		return 1;
	const int failed = run(connection, sql);
	duckdb_disconnect(&connection);
	duckdb_close(&database);
	return failed;
}

int standin_make(const char *folder, uint64_t rows, unsigned files)
{
	for (unsigned i = 0; i < files; i++) {
		char sql[sizeof records + 1024];

		snprintf(sql, sizeof sql, records, (unsigned long long)(i * rows),
			 (unsigned long long)((i + 1) * rows), folder, i);
		if (standin_sql(sql))
			return 1;
	}
	return 0;
}

enum status store_open(struct store **out, const char *path, struct error *err)
{
	DIR *dir = opendir(path);

	*out = NULL;
	if (!dir)
		return error_errno(err, "store %s", path);
	closedir(dir);
	*out = calloc(1, sizeof **out);
	if (!*out)
		return error_set(err, ERR_MEMORY, "no memory");
	snprintf((*out)->path, sizeof(*out)->path, "%s", path);
	return OK;
}

void store_close(struct store *s)
{
	if (s)
		schema_fini(&s->columns);
	free(s);
}

const char *store_quarantine_text(const struct store *s)
{
	return s->quarantined;
}

static const char view_columns[] = ", flowStartMilliseconds AS flowStart, flowEndMilliseconds AS flowEnd, "
				   "coalesce(firewallEvent = 3, false) AS denied FROM ";

/* Without a file: the columns, no rows. */
static const char empty[] =
	"(SELECT NULL::TIMESTAMP_MS AS flowStartMilliseconds, NULL::TIMESTAMP_MS AS flowEndMilliseconds, "
	"NULL::UTINYINT AS "
	"firewallEvent, NULL::UINTEGER AS sourceIPv4Address, NULL::UUID AS sourceIPv6Address, "
	"NULL::TIMESTAMP_MS AS "
	"receiveTime, NULL::UBIGINT AS octetDeltaCount, NULL::UBIGINT AS packetDeltaCount WHERE false)";

enum status store_attach(struct store *s, duckdb_connection connection, int64_t from_ms, int64_t to_ms,
			 struct store_coverage *out, struct error *err)
{
	struct sql sql;
	DIR *dir = opendir(s->path);

	(void)from_ms;
	(void)to_ms;
	*out = (struct store_coverage){0};
	if (!dir)
		return error_errno(err, "store %s", s->path);
	sql_init(&sql);
	sql_put(&sql, "CREATE VIEW flows AS SELECT *");
	sql_put(&sql, view_columns);
	for (struct dirent *e; (e = readdir(dir));) {
		const size_t n = strlen(e->d_name);

		if (n < 8 || strcmp(e->d_name + n - 8, ".parquet") != 0 || e->d_name[0] == '.')
			continue;
		sql_put(&sql, out->partitions++ ? ", " : "read_parquet([");
		sql_format(&sql, "'%s/%s'", s->path, e->d_name);
	}
	closedir(dir);
	sql_put(&sql, out->partitions ? "], union_by_name=true)" : empty);
	out->records = out->partitions * 1000000;
	enum status status = sql.failed ? ERR_MEMORY : duck_run(connection, sql.text, "view flows", err);
	sql_fini(&sql);
	if (status == OK)
		status = duck_run(connection,
				  "CREATE VIEW ledger AS SELECT '192.0.2.1' AS exporter, 1 AS domain, 5 AS "
				  "lost_sequence;"
				  "CREATE VIEW options AS SELECT 1 AS templateId",
				  "views", err);
	out->lost_sequence = 5;
	return status;
}

/* The view is there already: it is what a statement means by flows. */

enum status store_look(struct store *s, int64_t from_ms, int64_t to_ms, struct store_coverage *out,
		       struct error *err)
{
	DIR *dir = opendir(s->path);

	(void)from_ms;
	(void)to_ms;
	*out = (struct store_coverage){.lost_sequence = 5};
	if (!dir)
		return error_errno(err, "store %s", s->path);
	for (struct dirent *e; (e = readdir(dir));) {
		const size_t n = strlen(e->d_name);

		out->partitions += n >= 8 && strcmp(e->d_name + n - 8, ".parquet") == 0;
	}
	closedir(dir);
	out->records = out->partitions * 1000000;
	return OK;
}

enum status store_give(struct store *s, duckdb_connection connection, struct error *err)
{
	struct engine engine = {.connection = connection};
	struct store_coverage ignored;
	const enum status status = store_attach(s, connection, 0, 0, &ignored, err);

	s->attached = true;
	return status == OK ? engine_columns(&engine, "flows", &s->columns, err) : status;
}

enum status store_attach_parts(struct store *s, duckdb_connection connection, int64_t from_ms, int64_t to_ms,
			       struct store_coverage *out, struct error *err)
{
	const enum status status = store_look(s, from_ms, to_ms, out, err);

	return status == OK ? store_give(s, connection, err) : status;
}

const struct schema *store_columns(const struct store *s)
{
	return s->attached && !s->columns.count ? NULL : &s->columns;
}

/* No partition of weir's own: DuckDB reads all there is. */

enum status reading_open(struct reading **out, const struct store *s, const struct column *columns,
			 uint32_t count, struct error *err)
{
	*out = NULL;
	return ERR_UNSUPPORTED;
}

void reading_close(struct reading *r)
{
}

struct slice *slice_new(struct reading *r)
{
	return NULL;
}

void slice_free(struct slice *s)
{
}

enum status slice_next(struct slice *s, struct error *err)
{
	return END;
}

uint32_t slice_rows(const struct slice *s)
{
	return 0;
}

uint64_t slice_number(const struct slice *s)
{
	return 0;
}

const struct vector *slice_column(struct slice *s, uint32_t column)
{
	return NULL;
}

const struct vector *slice_entries(struct slice *s, uint32_t column)
{
	return NULL;
}

enum status slice_failed(const struct slice *s, struct error *err)
{
	return OK;
}

void slice_bounds(const struct slice *s, uint32_t column, struct parquet_bounds *out)
{
}

bool store_newest(const struct store *s, uint64_t many, struct store_newest *out)
{
	return false;
}

void store_flows_of(const struct store *s, const struct store_newest *part, struct sql *out,
		    const char *statement)
{
	store_flows(s, out, statement);
}

void store_flows(const struct store *s, struct sql *out, const char *statement)
{
	(void)s;
	(void)out;
	(void)statement;
}
