#include "store/column.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
	duckdb_type type;
	enum parquet_type parquet;
	const char *sql;
} kinds[COLUMN_KIND_COUNT] = {
	[COLUMN_UNSIGNED8] = {DUCKDB_TYPE_UTINYINT, PARQUET_UNSIGNED8, "UTINYINT"},
	[COLUMN_UNSIGNED16] = {DUCKDB_TYPE_USMALLINT, PARQUET_UNSIGNED16, "USMALLINT"},
	[COLUMN_UNSIGNED32] = {DUCKDB_TYPE_UINTEGER, PARQUET_UNSIGNED32, "UINTEGER"},
	[COLUMN_UNSIGNED64] = {DUCKDB_TYPE_UBIGINT, PARQUET_UNSIGNED64, "UBIGINT"},
	[COLUMN_SIGNED8] = {DUCKDB_TYPE_TINYINT, PARQUET_SIGNED8, "TINYINT"},
	[COLUMN_SIGNED16] = {DUCKDB_TYPE_SMALLINT, PARQUET_SIGNED16, "SMALLINT"},
	[COLUMN_SIGNED32] = {DUCKDB_TYPE_INTEGER, PARQUET_SIGNED32, "INTEGER"},
	[COLUMN_SIGNED64] = {DUCKDB_TYPE_BIGINT, PARQUET_SIGNED64, "BIGINT"},
	[COLUMN_FLOAT32] = {DUCKDB_TYPE_FLOAT, PARQUET_FLOAT, "FLOAT"},
	[COLUMN_FLOAT64] = {DUCKDB_TYPE_DOUBLE, PARQUET_DOUBLE, "DOUBLE"},
	[COLUMN_BOOLEAN] = {DUCKDB_TYPE_BOOLEAN, PARQUET_BOOLEAN, "BOOLEAN"},
	[COLUMN_IPV4] = {DUCKDB_TYPE_UINTEGER, PARQUET_UNSIGNED32, "UINTEGER"},
	[COLUMN_IPV6] = {DUCKDB_TYPE_UUID, PARQUET_UUID, "UUID"},
	[COLUMN_TIME_MS] = {DUCKDB_TYPE_TIMESTAMP_MS, PARQUET_TIME_MS, "TIMESTAMP_MS"},
	[COLUMN_TIME_US] = {DUCKDB_TYPE_TIMESTAMP, PARQUET_TIME_US, "TIMESTAMP"},
	[COLUMN_TIME_NS] = {DUCKDB_TYPE_TIMESTAMP_NS, PARQUET_TIME_NS, "TIMESTAMP_NS"},
	[COLUMN_STRING] = {DUCKDB_TYPE_VARCHAR, PARQUET_TEXT, "VARCHAR"},
	[COLUMN_TEXT] = {DUCKDB_TYPE_VARCHAR, PARQUET_TEXT, "VARCHAR"},
	[COLUMN_BLOB] = {DUCKDB_TYPE_BLOB, PARQUET_OCTETS, "BLOB"},
};

const struct column base_columns[BASE_COLUMN_COUNT] = {
	[BASE_EXPORT_TIME] = {"exportTime", COLUMN_TIME_MS},
	[BASE_RECEIVE_TIME] = {"receiveTime", COLUMN_TIME_MS},
	[BASE_EXPORTER_ADDRESS] = {"exporterAddress", COLUMN_STRING},
	[BASE_EXPORTER_PORT] = {"exporterPort", COLUMN_UNSIGNED16},
	[BASE_SESSION_NUMBER] = {"sessionNumber", COLUMN_UNSIGNED64},
	[BASE_DOMAIN] = {"observationDomainId", COLUMN_UNSIGNED32},
	[BASE_TEMPLATE] = {"templateId", COLUMN_UNSIGNED16},
};

enum column_kind column_kind_of(enum ie_type type)
{
	static const uint8_t of[IE_TYPE_COUNT] = {
		[IE_OCTET_ARRAY] = COLUMN_BLOB,
		[IE_UNSIGNED8] = COLUMN_UNSIGNED8,
		[IE_UNSIGNED16] = COLUMN_UNSIGNED16,
		[IE_UNSIGNED32] = COLUMN_UNSIGNED32,
		[IE_UNSIGNED64] = COLUMN_UNSIGNED64,
		[IE_SIGNED8] = COLUMN_SIGNED8,
		[IE_SIGNED16] = COLUMN_SIGNED16,
		[IE_SIGNED32] = COLUMN_SIGNED32,
		[IE_SIGNED64] = COLUMN_SIGNED64,
		[IE_FLOAT32] = COLUMN_FLOAT32,
		[IE_FLOAT64] = COLUMN_FLOAT64,
		[IE_BOOLEAN] = COLUMN_BOOLEAN,
		[IE_MAC_ADDRESS] = COLUMN_TEXT,
		[IE_STRING] = COLUMN_STRING,
		[IE_DATE_TIME_SECONDS] = COLUMN_TIME_MS,
		[IE_DATE_TIME_MILLISECONDS] = COLUMN_TIME_MS,
		[IE_DATE_TIME_MICROSECONDS] = COLUMN_TIME_US,
		[IE_DATE_TIME_NANOSECONDS] = COLUMN_TIME_NS,
		[IE_IPV4_ADDRESS] = COLUMN_IPV4,
		[IE_IPV6_ADDRESS] = COLUMN_IPV6,
		[IE_BASIC_LIST] = COLUMN_TEXT,
		[IE_SUB_TEMPLATE_LIST] = COLUMN_TEXT,
		[IE_SUB_TEMPLATE_MULTI_LIST] = COLUMN_TEXT,
		[IE_UNSIGNED256] = COLUMN_TEXT,
	};

	return type < IE_TYPE_COUNT ? (enum column_kind)of[type] : COLUMN_BLOB;
}

duckdb_type column_duckdb_type(enum column_kind kind)
{
	return kinds[kind].type;
}

enum parquet_type column_parquet_type(enum column_kind kind)
{
	return kinds[kind].parquet;
}

const char *column_sql_type(enum column_kind kind)
{
	return kinds[kind].sql;
}

enum column_kind column_kind_from_sql(const char *word)
{
	for (unsigned i = 0; i < COLUMN_KIND_COUNT; i++)
		if (strcmp(kinds[i].sql, word) == 0)
			return (enum column_kind)i;
	return COLUMN_KIND_COUNT;
}

void schema_fini(struct schema *s)
{
	free(s->columns);
	free(s->slots);
	*s = (struct schema){0};
}

static uint32_t hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint32_t)tolower((unsigned char)*name)) * 16777619u;
	return h ^ h >> 15;
}

/* The slot of the name, or the free one where it would stand. */
static uint32_t *slot_of(const struct schema *s, const char *name)
{
	for (uint32_t i = hash(name);; i++) {
		uint32_t *slot = &s->slots[i & (s->slot_count - 1)];

		if (*slot == 0 || strcasecmp(s->columns[*slot - 1].name, name) == 0)
			return slot;
	}
}

static bool grow(struct schema *s)
{
	const uint32_t room = s->room ? 2 * s->room : 64;
	struct column *columns = realloc(s->columns, room * sizeof *columns);
	if (!columns)
		return false;
	s->columns = columns;

	uint32_t *slots = calloc(2 * (size_t)room, sizeof *slots);
	if (!slots)
		return false;
	free(s->slots);
	s->slots = slots;
	s->slot_count = 2 * room;
	s->room = room;
	for (uint32_t i = 0; i < s->count; i++)
		*slot_of(s, s->columns[i].name) = i + 1;
	return true;
}

int32_t schema_find(const struct schema *s, const char *name)
{
	return s->slot_count ? (int32_t)*slot_of(s, name) - 1 : -1;
}

static bool same_type(enum column_kind a, enum column_kind b)
{
	return kinds[a].type == kinds[b].type;
}

int32_t schema_add(struct schema *s, const char *name, enum column_kind kind, uint32_t limit)
{
	const int32_t there = schema_find(s, name);

	if (there >= 0)
		return same_type((enum column_kind)s->columns[there].kind, kind) ? there : -1;
	if (s->count >= limit || strlen(name) >= COLUMN_NAME_MAX || (s->count == s->room && !grow(s)))
		return -1;

	struct column *c = &s->columns[s->count];
	memcpy(c->name, name, strlen(name) + 1);
	c->kind = (uint8_t)kind;
	*slot_of(s, name) = ++s->count;
	return (int32_t)s->count - 1;
}
