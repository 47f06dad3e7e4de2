/* Random records in memory, and the same as DuckDB's table `flows`: for tests that hold one against the
 * other.
 */
#pragma once

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/span.h"
#include "query/columns.h"
#include "store/duck.h"
#include "store/view.h"

enum { WORLD_ROWS = 1003, WORLD_ENTRIES = 40, WORLD_COLUMNS = 64, WORLD_TEXT = 32 };

struct world_column {
	struct column column;
	struct vector vector, entries;
	uint64_t valid[WORLD_ROWS / 64 + 1];
	uint16_t codes[WORLD_ROWS];
	union {
		uint8_t octets[WORLD_ROWS * 16];
		uint64_t numbers[2 * WORLD_ROWS];
		union parquet_text texts[WORLD_ROWS];
	} data;
	char kept[WORLD_ROWS][WORLD_TEXT];
	struct parquet_bounds bounds;
};

struct world {
	uint64_t seed;
	struct world_column *list;
	uint32_t count;
	struct schema schema;
	struct wanted wanted;
	struct columns columns;
	struct duck duck;
	bool reads; /* a column was read */
};

static uint32_t world_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Numbers that filters ask for, and extremes. */
static uint64_t world_number(uint64_t *seed, unsigned bits)
{
	static const uint64_t usual[] = {0, 1, 3, 6, 17, 53, 64, 80, 128, 132, 192, 255, 256, 443, 769, 1000};
	const uint64_t most = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

	switch (world_random(seed) % 8) {
	case 0: return most;
	case 1: return most / 2 + world_random(seed) % 3;
	case 2: return ((uint64_t)world_random(seed) << 32 | world_random(seed)) & most;
	case 3: return world_random(seed) % 3000 & most;
	default: return usual[world_random(seed) % (sizeof usual / sizeof usual[0])] & most;
	}
}

/* Some seconds around a time that filters know, or before 1970; in units of 1/`unit` ms. */
static int64_t world_time(uint64_t *seed, int64_t unit)
{
	static const int64_t bases[] = {1763805600000, 1763805600000, 1763805600000, 0};
	const int64_t ms = bases[world_random(seed) % 4] + (int64_t)(world_random(seed) % 20000) - 10000;

	return unit == 0 ? ms : ms * unit + (int64_t)(world_random(seed) % 3) * unit / 2 - unit / 4;
}

static void world_put_text(struct world_column *c, uint32_t at, uint64_t *seed)
{
	static const char *const usual[] = {"",          "a",        "wg0",          "10.0.0.1",
					    "eth0",      "fd00::1",  "block-telnet", "a rule of more octets",
					    "b\xc3\xa9", "10.0.0.11"};
	const char *text = usual[world_random(seed) % (sizeof usual / sizeof usual[0])];

	snprintf(c->kept[at], sizeof c->kept[at], "%s", text);
	c->data.texts[at] = parquet_text(c->kept[at], strlen(text));
}

static void world_put(struct world_column *c, uint32_t at, uint64_t *seed)
{
	static const double reals[] = {0, -0.0, 0.5, -0.5, 1e300, -1e300, 0.1, 3};
	const uint64_t n = world_number(seed, 64);
	double real = reals[world_random(seed) % 8];
	float narrow;

	if (world_random(seed) % 16 == 0)
		real = __builtin_nan("");
	else if (world_random(seed) % 16 == 0)
		real = __builtin_inf();
	narrow = (float)real;
	switch ((enum column_kind)c->column.kind) {
	case COLUMN_BOOLEAN: c->data.octets[at] = n % 2; break;
	case COLUMN_FLOAT32: memcpy(c->data.octets + 4 * (size_t)at, &narrow, 4); break;
	case COLUMN_FLOAT64: memcpy(c->data.octets + 8 * (size_t)at, &real, 8); break;
	case COLUMN_TIME_MS: c->data.numbers[at] = (uint64_t)world_time(seed, 0); break;
	case COLUMN_TIME_US: c->data.numbers[at] = (uint64_t)world_time(seed, 1000); break;
	case COLUMN_TIME_NS: c->data.numbers[at] = (uint64_t)world_time(seed, 1000000); break;
	case COLUMN_IPV4:
		put_be32(c->data.octets + 4 * (size_t)at, 0);
		((uint32_t *)c->data.numbers)[at] =
			world_random(seed) % 8
				? 0x0a000000 + (world_random(seed) % 8 << 14) + world_random(seed) % 4
				: world_random(seed) << 1;
		break;
	case COLUMN_IPV6:
		put_be64(c->data.octets + 16 * (size_t)at, world_random(seed) % 8 ? UINT64_C(0xfd) << 56 : n);
		put_be64(c->data.octets + 16 * (size_t)at + 8, world_random(seed) % 8);
		break;
	case COLUMN_STRING:
	case COLUMN_TEXT:
	case COLUMN_BLOB: world_put_text(c, at, seed); break;
	default:
		switch (parquet_width(column_parquet_type((enum column_kind)c->column.kind))) {
		case 1: c->data.octets[at] = (uint8_t)n; break;
		case 2: ((uint16_t *)c->data.numbers)[at] = (uint16_t)n; break;
		case 4: ((uint32_t *)c->data.numbers)[at] = (uint32_t)n; break;
		default: c->data.numbers[at] = n; break;
		}
	}
}

static int64_t world_signed(const struct world_column *c, uint32_t at)
{
	switch (parquet_width(c->vector.type)) {
	case 1: return (int8_t)c->data.octets[at];
	case 2: return ((const int16_t *)c->data.numbers)[at];
	case 4: return ((const int32_t *)c->data.numbers)[at];
	default: return (int64_t)c->data.numbers[at];
	}
}

static uint64_t world_unsigned(const struct world_column *c, uint32_t at)
{
	const size_t width = parquet_width(c->vector.type);

	return width == 8 ? c->data.numbers[at]
			  : (uint64_t)world_signed(c, at) & ((UINT64_C(1) << 8 * width) - 1);
}

static void world_note_bounds(struct world_column *c)
{
	const enum parquet_type t = c->vector.type;
	const bool is_unsigned = t >= PARQUET_UNSIGNED8 && t <= PARQUET_UNSIGNED64;
	bool any = false;

	for (uint32_t row = 0; row < WORLD_ROWS; row++) {
		const uint32_t at = vector_at(&c->vector, row);

		if (!vector_has(&c->vector, row)) {
			c->bounds.nulls++;
		} else if (is_unsigned) {
			const uint64_t u = world_unsigned(c, at);

			c->bounds.least.u = !any || u < c->bounds.least.u ? u : c->bounds.least.u;
			c->bounds.greatest.u = !any || u > c->bounds.greatest.u ? u : c->bounds.greatest.u;
			any = true;
		} else if ((t >= PARQUET_SIGNED8 && t <= PARQUET_SIGNED64) ||
			   (t >= PARQUET_TIME_MS && t <= PARQUET_TIME_NS)) {
			const int64_t i = world_signed(c, at);

			c->bounds.least.i = !any || i < c->bounds.least.i ? i : c->bounds.least.i;
			c->bounds.greatest.i = !any || i > c->bounds.greatest.i ? i : c->bounds.greatest.i;
			any = true;
		}
	}
	c->bounds.bounded = any;
}

static void world_fill(struct world_column *c, uint64_t *seed)
{
	const bool dictionary = world_random(seed) % 2 && c->column.kind != COLUMN_BOOLEAN;
	const uint32_t entries = 1 + world_random(seed) % WORLD_ENTRIES, nulls = world_random(seed) % 4;
	const uint32_t values = dictionary ? entries : WORLD_ROWS;

	c->vector = (struct vector){.type = column_parquet_type((enum column_kind)c->column.kind),
				    .rows = WORLD_ROWS,
				    .data = &c->data,
				    .valid = nulls ? c->valid : NULL,
				    .codes = dictionary ? c->codes : NULL,
				    .entries = dictionary ? entries : 0};
	for (uint32_t i = 0; i < values; i++)
		world_put(c, i, seed);
	for (uint32_t row = 0; row < WORLD_ROWS; row++) {
		c->codes[row] = (uint16_t)(world_random(seed) % entries);
		if (nulls == 1 ? world_random(seed) % 5 != 0 : nulls == 2 && world_random(seed) % 5 == 0)
			c->valid[row / 64] |= UINT64_C(1) << row % 64;
	}
	world_note_bounds(c);
}

static const struct vector *world_get(void *arg, uint32_t column)
{
	struct world *w = arg;

	assert_true(column < w->wanted.count);
	w->reads = true;
	for (uint32_t i = 0; i < w->count; i++)
		if (strcmp(w->list[i].column.name, w->wanted.columns[column].name) == 0)
			return &w->list[i].vector;
	fail_msg("a column that is nowhere");
	return NULL;
}

static const struct vector *world_entries(void *arg, uint32_t column)
{
	struct world *w = arg;

	for (uint32_t i = 0; i < w->count; i++) {
		struct world_column *c = &w->list[i];

		if (!c->vector.codes || strcmp(c->column.name, w->wanted.columns[column].name) != 0)
			continue;
		c->entries = (struct vector){
			.type = c->vector.type, .rows = c->vector.entries, .data = c->vector.data};
		return &c->entries;
	}
	return NULL;
}

static void world_bounds(void *arg, uint32_t column, struct parquet_bounds *out)
{
	struct world *w = arg;

	for (uint32_t i = 0; i < w->count; i++)
		if (strcmp(w->list[i].column.name, w->wanted.columns[column].name) == 0)
			*out = w->list[i].bounds;
}

static const char *world_raw_type(enum column_kind kind)
{
	return kind == COLUMN_TIME_MS || kind == COLUMN_TIME_US || kind == COLUMN_TIME_NS
		       ? "BIGINT"
		       : column_sql_type(kind);
}

static duckdb_state world_append(duckdb_appender to, const struct world_column *c, uint32_t row)
{
	const uint32_t at = vector_at(&c->vector, row);
	char text[40];
	float narrow;
	double real;

	if (!vector_has(&c->vector, row))
		return duckdb_append_null(to);
	switch (c->vector.type) {
	case PARQUET_BOOLEAN: return duckdb_append_bool(to, c->data.octets[at]);
	case PARQUET_UNSIGNED8: return duckdb_append_uint8(to, (uint8_t)world_unsigned(c, at));
	case PARQUET_UNSIGNED16: return duckdb_append_uint16(to, (uint16_t)world_unsigned(c, at));
	case PARQUET_UNSIGNED32: return duckdb_append_uint32(to, (uint32_t)world_unsigned(c, at));
	case PARQUET_UNSIGNED64: return duckdb_append_uint64(to, world_unsigned(c, at));
	case PARQUET_SIGNED8: return duckdb_append_int8(to, (int8_t)world_signed(c, at));
	case PARQUET_SIGNED16: return duckdb_append_int16(to, (int16_t)world_signed(c, at));
	case PARQUET_SIGNED32: return duckdb_append_int32(to, (int32_t)world_signed(c, at));
	case PARQUET_FLOAT:
		memcpy(&narrow, c->data.octets + 4 * (size_t)at, 4);
		return duckdb_append_float(to, narrow);
	case PARQUET_DOUBLE:
		memcpy(&real, c->data.octets + 8 * (size_t)at, 8);
		return duckdb_append_double(to, real);
	case PARQUET_UUID:
		for (unsigned i = 0; i < 16; i++)
			snprintf(text + 2 * i, 3, "%02x", c->data.octets[16 * (size_t)at + i]);
		return duckdb_append_varchar(to, text);
	case PARQUET_TEXT: return duckdb_append_varchar(to, c->kept[at]);
	case PARQUET_OCTETS: return duckdb_append_blob(to, c->kept[at], strlen(c->kept[at]));
	default: return duckdb_append_int64(to, world_signed(c, at));
	}
}

static void world_run(struct world *w, const char *sql)
{
	struct error err;

	if (duck_run(w->duck.connection, sql, "world", &err) != OK)
		fail_msg("%s\n%s", err.text, sql);
}

static void world_rows(struct world *w)
{
	duckdb_appender to;

	assert_int_equal(duckdb_appender_create(w->duck.connection, NULL, "raw", &to), DuckDBSuccess);
	for (uint32_t row = 0; row < WORLD_ROWS; row++) {
		duckdb_append_int64(to, row);
		for (uint32_t i = 0; i < w->count; i++)
			if (world_append(to, &w->list[i], row) != DuckDBSuccess)
				fail_msg("%s: %s", w->list[i].column.name, duckdb_appender_error(to));
		assert_int_equal(duckdb_appender_end_row(to), DuckDBSuccess);
	}
	assert_int_equal(duckdb_appender_close(to), DuckDBSuccess);
	duckdb_appender_destroy(&to);
}

/* The names that `sql` has in quotes, as NULL where no record has them. */
static void world_put_absent(struct world *w, struct sql *out, const char *sql)
{
	for (const char *at = strchr(sql, '"'); at; at = strchr(at + 1, '"')) {
		const size_t length = strcspn(++at, "\"");
		char name[COLUMN_NAME_MAX];
		struct column column;
		enum word_type type;

		snprintf(name, sizeof name, "%.*s", (int)length, at);
		at += length;
		if (schema_find(&w->schema, name) >= 0 ||
		    (out->text && strstr(out->text, name))) /* the text has them in quotes */
			continue;
		assert_true(word_element(&column, &type, name, strlen(name)));
		sql_format(out, ", NULL::%s AS \"%s\"",
			   column.kind == COLUMN_TIME_MS ? "TIMESTAMP"
							 : column_sql_type((enum column_kind)column.kind),
			   name);
	}
}

static const char *const world_derived[] = {"flowStart", "flowEnd", "denied", "sourceAddress",
					    "destinationAddress"};

static void world_table(struct world *w)
{
	struct sql sql, absent;
	struct error err;

	assert_int_equal(duck_open(&w->duck, "/nonexistent", &err), OK);
	assert_int_equal(view_address_function(w->duck.connection, &err), OK);
	sql_init(&sql);
	sql_put(&sql, "CREATE TABLE raw(row_number BIGINT");
	for (uint32_t i = 0; i < w->count; i++)
		sql_format(&sql, ", \"%s\" %s", w->list[i].column.name,
			   world_raw_type((enum column_kind)w->list[i].column.kind));
	sql_put(&sql, ")");
	world_run(w, sql.text);
	world_rows(w);
	sql_fini(&sql);

	sql_init(&sql);
	sql_init(&absent);
	sql_put(&sql, "CREATE TABLE flows AS SELECT *");
	for (size_t i = 0; i < sizeof world_derived / sizeof world_derived[0]; i++) {
		sql_format(&sql, ", %s AS \"%s\"", view_derived_sql(world_derived[i]), world_derived[i]);
		world_put_absent(w, &absent, view_derived_sql(world_derived[i]));
	}
	sql_put(&sql, " FROM (SELECT row_number");
	for (uint32_t i = 0; i < w->count; i++) {
		const char *name = w->list[i].column.name;

		switch ((enum column_kind)w->list[i].column.kind) {
		case COLUMN_TIME_MS:
			sql_format(&sql, ", make_timestamp(\"%s\" * 1000) AS \"%s\"", name, name);
			break;
		case COLUMN_TIME_US:
			sql_format(&sql, ", make_timestamp(\"%s\") AS \"%s\"", name, name);
			break;
		case COLUMN_TIME_NS:
			sql_format(&sql, ", make_timestamp_ns(\"%s\") AS \"%s\"", name, name);
			break;
		default: sql_format(&sql, ", \"%s\"", name); break;
		}
	}
	sql_put(&sql, absent.text ? absent.text : "");
	sql_put(&sql, " FROM raw)");
	assert_false(sql.failed);
	world_run(w, sql.text);
	sql_fini(&sql);
	sql_fini(&absent);
}

/* Columns of `names`, some of which are left out; `full`: none is. */
static void world_make(struct world *w, uint64_t seed, const char *const *names, bool full)
{
	*w = (struct world){.seed = seed};
	w->list = calloc(WORLD_COLUMNS, sizeof *w->list);
	assert_non_null(w->list);
	for (; *names; names++) {
		struct world_column *c = &w->list[w->count];
		enum word_type type;

		if (!full && world_random(&w->seed) % 4 == 0)
			continue;
		assert_true(w->count < WORLD_COLUMNS);
		assert_true(word_element(&c->column, &type, *names, strlen(*names)));
		world_fill(c, &w->seed);
		assert_true(schema_add(&w->schema, c->column.name, (enum column_kind)c->column.kind,
				       UINT32_MAX) >= 0);
		w->count++;
	}
	world_table(w);
	for (size_t i = 0; i < sizeof world_derived / sizeof world_derived[0]; i++) {
		struct column column;
		enum word_type type;

		assert_true(word_element(&column, &type, world_derived[i], strlen(world_derived[i])));
		(void)schema_add(&w->schema, column.name, (enum column_kind)column.kind, UINT32_MAX);
	}
	w->wanted.schema = &w->schema;
	w->columns = (struct columns){.arg = w,
				      .rows = WORLD_ROWS,
				      .get = world_get,
				      .bounds = world_bounds,
				      .entries = world_entries};
}

static void world_end(struct world *w)
{
	duck_close(&w->duck);
	schema_fini(&w->schema);
	free(w->list);
}

/* The columns of all words, and one of each kind beside. */
static const char *const world_names[] = {"receiveTime",
					  "exporterAddress",
					  "observationDomainId",
					  "sourceIPv4Address",
					  "destinationIPv4Address",
					  "sourceIPv6Address",
					  "destinationIPv6Address",
					  "sourceTransportPort",
					  "destinationTransportPort",
					  "protocolIdentifier",
					  "tcpControlBits",
					  "icmpTypeCodeIPv4",
					  "icmpTypeCodeIPv6",
					  "ipClassOfService",
					  "octetDeltaCount",
					  "packetDeltaCount",
					  "flowStartMilliseconds",
					  "flowEndMilliseconds",
					  "flowStartMicroseconds",
					  "flowEndMicroseconds",
					  "flowStartNanoseconds",
					  "flowEndNanoseconds",
					  "flowStartSeconds",
					  "flowEndSeconds",
					  "flowStartSysUpTime_time",
					  "flowEndSysUpTime_time",
					  "flowDirection",
					  "denialRuleName",
					  "denialReason",
					  "flowEndReason",
					  "ingressInterface",
					  "egressInterface",
					  "ingressInterface_name",
					  "egressInterface_name",
					  "bgpSourceAsNumber",
					  "bgpDestinationAsNumber",
					  "vlanId",
					  "firewallEvent",
					  "forwardingStatus",
					  "samplingProbability",
					  "dataRecordsReliability",
					  "mibObjectValueInteger",
					  "octetTotalCount",
					  "octetDeltaCount_scaled",
					  "paddingOctets",
					  "interfaceName",
					  "observationTimeMilliseconds",
					  "observationTimeMicroseconds",
					  "observationTimeNanoseconds",
					  "absoluteError",
					  "e29305.1",
					  NULL};
