/* column.h: the columns of a store: names, and the DuckDB type that each abstract data type gets.
 *
 *   unsigned8 … unsigned64        UTINYINT, USMALLINT, UINTEGER, UBIGINT (whatever size the exporter sent)
 *   signed8 … signed64            TINYINT, SMALLINT, INTEGER, BIGINT
 *   float32, float64, boolean     FLOAT, DOUBLE, BOOLEAN
 *   ipv4Address                   UINTEGER
 *   ipv6Address                   UUID: the 16 octets as they are
 *   dateTimeSeconds, …Milliseconds TIMESTAMP_MS, which Parquet gives back as TIMESTAMP
 *   dateTimeMicroseconds          TIMESTAMP
 *   dateTimeNanoseconds           TIMESTAMP_NS
 *   string                        VARCHAR; what is not UTF-8 as "0x…"
 *   macAddress, unsigned256       VARCHAR, as RFC 7373 writes them (so does `weir dump`)
 *   lists of RFC 6313             VARCHAR: JSON, as `weir dump` prints it
 *   octetArray, unknown elements  BLOB
 *
 * IANA's names are letters and digits alone. So no name of theirs can meet ours: what weir adds to a record
 * has a name that the registry has not (a test looks), and everything made from an element is the element's
 * name, an underscore and a word: octetDeltaCount_scaled, or interfaceName_2 for the second of its kind in a
 * template. An element that is not known is e<PEN>.<id>. observationDomainId and templateId are those of the
 * message; elements 149 and 145 inside a record are e0.149 and e0.145. */
#pragma once

#include <duckdb.h>
#include <stdbool.h>

#include "base/error.h"
#include "ie/ie.h"
#include "parquet/parquet.h"

enum {
	COLUMN_NAME_MAX = 96,
	COLUMNS_MAX = 1024, /* of one partition; a record's further columns are left out and counted */
};

enum column_kind {
	COLUMN_UNSIGNED8,
	COLUMN_UNSIGNED16,
	COLUMN_UNSIGNED32,
	COLUMN_UNSIGNED64,
	COLUMN_SIGNED8,
	COLUMN_SIGNED16,
	COLUMN_SIGNED32,
	COLUMN_SIGNED64,
	COLUMN_FLOAT32,
	COLUMN_FLOAT64,
	COLUMN_BOOLEAN,
	COLUMN_IPV4,
	COLUMN_IPV6,
	COLUMN_TIME_MS,
	COLUMN_TIME_US,
	COLUMN_TIME_NS,
	COLUMN_STRING,
	COLUMN_TEXT, /* VARCHAR made from a value that is not text */
	COLUMN_BLOB,
	COLUMN_KIND_COUNT
};

/* The kind of column for an abstract data type; an unknown type is octets. */
enum column_kind column_kind_of(enum ie_type type);

duckdb_type column_duckdb_type(enum column_kind kind);
enum parquet_type column_parquet_type(enum column_kind kind);

/* As SQL writes the type, and back: COLUMN_KIND_COUNT for a word that is none. TEXT is a STRING when read
 * back. */
const char *column_sql_type(enum column_kind kind);
enum column_kind column_kind_from_sql(const char *word);

/* What every record has beside its fields. */
enum base_column {
	BASE_EXPORT_TIME,
	BASE_RECEIVE_TIME,
	BASE_EXPORTER_ADDRESS,
	BASE_EXPORTER_PORT,
	BASE_SESSION_NUMBER,
	BASE_DOMAIN,
	BASE_TEMPLATE,
	BASE_COLUMN_COUNT
};

struct column {
	char name[COLUMN_NAME_MAX];
	uint8_t kind; /* enum column_kind */
};

extern const struct column base_columns[BASE_COLUMN_COUNT];

/* Columns by name, in the order they came. Names differ in more than case: to SQL they are the same. */
struct schema {
	struct column *columns;
	uint32_t count, room;
	uint32_t *slots; /* index + 1; 0: free */
	uint32_t slot_count;
};

void schema_fini(struct schema *schema);

/* Index of the column, put at the end when it is new. -1: there is one of this name with another type, or
 * there are `limit` columns, or no memory. */
int32_t schema_add(struct schema *schema, const char *name, enum column_kind kind, uint32_t limit);

/* -1: none. */
int32_t schema_find(const struct schema *schema, const char *name);
