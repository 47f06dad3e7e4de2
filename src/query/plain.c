#include "query/plain_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

duckdb_type plain_type(enum parquet_type type)
{
	switch (type) {
	case PARQUET_BOOLEAN: return DUCKDB_TYPE_BOOLEAN;
	case PARQUET_UNSIGNED8: return DUCKDB_TYPE_UTINYINT;
	case PARQUET_UNSIGNED16: return DUCKDB_TYPE_USMALLINT;
	case PARQUET_UNSIGNED32: return DUCKDB_TYPE_UINTEGER;
	case PARQUET_UNSIGNED64: return DUCKDB_TYPE_UBIGINT;
	case PARQUET_SIGNED8: return DUCKDB_TYPE_TINYINT;
	case PARQUET_SIGNED16: return DUCKDB_TYPE_SMALLINT;
	case PARQUET_SIGNED32: return DUCKDB_TYPE_INTEGER;
	case PARQUET_SIGNED64: return DUCKDB_TYPE_BIGINT;
	case PARQUET_FLOAT: return DUCKDB_TYPE_FLOAT;
	case PARQUET_DOUBLE: return DUCKDB_TYPE_DOUBLE;
	case PARQUET_TIME_MS: return DUCKDB_TYPE_TIMESTAMP_MS;
	case PARQUET_TIME_US: return DUCKDB_TYPE_TIMESTAMP;
	case PARQUET_TIME_NS: return DUCKDB_TYPE_TIMESTAMP_NS;
	case PARQUET_UUID: return DUCKDB_TYPE_UUID;
	case PARQUET_TEXT: return DUCKDB_TYPE_VARCHAR;
	case PARQUET_OCTETS: return DUCKDB_TYPE_BLOB;
	default: return DUCKDB_TYPE_INVALID;
	}
}

struct cell plain_cell(const struct vector *v, uint32_t row)
{
	struct cell cell = {.kind = CELL_NULL};

	if (!vector_has(v, row))
		return cell;
	const void *at = (const uint8_t *)v->data + vector_at(v, row) * parquet_width(v->type);
	if (v->type != PARQUET_UUID)
		return cell_of(at, plain_type(v->type));
	cell.kind = CELL_UUID; /* DuckDB's stand the other way round */
	memcpy(cell.address, at, sizeof cell.address);
	return cell;
}

enum status plain_expression(struct expression **out, const char *sql, struct wanted *wanted)
{
	enum status s = expression_new(out, sql, wanted);

	if (s != OK)
		return s;
	if (!expression_is_null(*out)) {
		if (plain_type(expression_type(*out)) != DUCKDB_TYPE_INVALID)
			return OK;
		s = ERR_UNSUPPORTED;
	}
	expression_free(*out);
	*out = NULL;
	return s;
}

/* Keys. */

static enum status add_half(struct plain_keys *k, const struct ask_key *key, unsigned second, int32_t *at,
			    struct wanted *wanted)
{
	struct expression **e = &k->all[k->count];
	struct sql sql;
	enum status s;

	sql_init(&sql);
	ask_key_sql(&sql, key, second, NULL);
	s = sql.failed ? ERR_MEMORY : plain_expression(e, sql.text, wanted);
	sql_fini(&sql);
	if (s == OK && *e)
		*at = (int32_t)k->count++;
	return s;
}

enum status plain_keys_init(struct plain_keys *k, const struct ask *ask, struct wanted *wanted)
{
	enum status s = OK;

	*k = (struct plain_keys){.count = 0};
	for (uint32_t i = 0; s == OK && i < ask->key_count; i++) {
		const unsigned halves = ask_key_format(&ask->keys[i]) == CELL_ADDRESS ? 2 : 1;

		k->of[i].half[0] = k->of[i].half[1] = -1;
		for (unsigned second = 0; s == OK && second < halves; second++)
			s = add_half(k, &ask->keys[i], second, &k->of[i].half[second], wanted);
	}
	return s;
}

void plain_keys_fini(struct plain_keys *k)
{
	for (uint32_t i = 0; i < k->count; i++)
		expression_free(k->all[i]);
	k->count = 0;
}

/* Columns of the answer. */

void plain_name(struct plain *p, const char *name, enum cell_format format, duckdb_type type)
{
	struct show_column *c = &p->columns[p->column_count++];

	snprintf(c->name, sizeof c->name, "%s", name);
	c->format = (uint8_t)format;
	c->right = result_is_right(type, format);
}

duckdb_type plain_type_of_null(const struct ask_key *k, unsigned second)
{
	static const unsigned char of[WORD_TYPE_COUNT] = {
		[WORD_ADDRESS] = DUCKDB_TYPE_UINTEGER,   [WORD_IPV4] = DUCKDB_TYPE_UINTEGER,
		[WORD_NUMBER] = DUCKDB_TYPE_UBIGINT,     [WORD_SIGNED] = DUCKDB_TYPE_BIGINT,
		[WORD_REAL] = DUCKDB_TYPE_DOUBLE,        [WORD_PROTOCOL] = DUCKDB_TYPE_UTINYINT,
		[WORD_FLAGS] = DUCKDB_TYPE_USMALLINT,    [WORD_DURATION] = DUCKDB_TYPE_BIGINT,
		[WORD_BUCKET] = DUCKDB_TYPE_BIGINT,      [WORD_DIRECTION] = DUCKDB_TYPE_UTINYINT,
		[WORD_INTERFACE] = DUCKDB_TYPE_UINTEGER,
	};

	if (second)
		return DUCKDB_TYPE_UUID;
	return of[k->type] ? (duckdb_type)of[k->type] : DUCKDB_TYPE_VARCHAR;
}

void plain_name_keys(struct plain *p, const struct plain_keys *keys)
{
	for (uint32_t i = 0; i < p->ask->key_count; i++) {
		const struct ask_key *k = &p->ask->keys[i];
		const int32_t first = keys->of[i].half[0];

		plain_name(p, k->name, ask_key_format(k),
			   first < 0 ? plain_type_of_null(k, 0)
				     : plain_type(expression_type(keys->all[first])));
	}
}

enum status plain_answer(const struct store *store, const struct ask *ask, uint64_t records,
			 struct result_sink *sink, struct error *err)
{
	struct plain *p = calloc(1, sizeof *p);
	enum status s;

	if (!p)
		return error_set(err, ERR_MEMORY, "no memory");
	p->ask = ask;
	p->sink = sink;
	p->wanted.schema = store_columns(store);
	p->scan = (struct scan){
		.store = store, .ask = ask, .wanted = &p->wanted, .records = records, .stop = sink->stop};
	s = ask->grouped ? plain_sums(p, err) : plain_list(p, err);
	free(p);
	return s;
}
