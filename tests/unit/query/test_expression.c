/* Every expression of the words and of the view, over random records: ours beside DuckDB's. */
#include "query/expression.h"

#include "world.h"

enum { WORLDS = 10 };

/* What DuckDB alone answers. */
static const char *const left_out[] = {
	"({octetDeltaCount} * 8000.0 / nullif((epoch_ms({flowEnd}) - epoch_ms({flowStart})), 0))",  /* bps */
	"({packetDeltaCount} * 1000.0 / nullif((epoch_ms({flowEnd}) - epoch_ms({flowStart})), 0))", /* pps */
	"({octetDeltaCount} / nullif({packetDeltaCount}, 0))",                                      /* bpp */
	"{sourceAddress}",
	"{destinationAddress}",
};

/* Beside what words and view have. */
static const char *const more[] = {
	"epoch_ms({flowStart}) // 300000 * 300000",
	"epoch_ms({flowStart}) // 1000 * 1000",
	"epoch_ms({flowEnd}) % 7",
	"coalesce({flowEnd}, {receiveTime})",
	"coalesce({flowStart}, {receiveTime})",
	"{observationTimeNanoseconds}::TIMESTAMP",
	"epoch_ms({observationTimeNanoseconds}::TIMESTAMP)",
	"epoch_ms(coalesce({observationTimeMicroseconds}, {observationTimeMilliseconds}))",
	"{octetDeltaCount} // 7",
	"{octetDeltaCount} % 1000003",
	"{octetDeltaCount} >> 13",
	"{octetTotalCount} & 65535",
	"{octetTotalCount} // 1",
	"nullif({protocolIdentifier}, 6)",
	"CASE WHEN {protocolIdentifier} = 6 THEN {sourceTransportPort} END",
	"CASE WHEN {flowDirection} = 1 THEN {sourceIPv6Address} ELSE {destinationIPv6Address} END",
	"CASE WHEN {denied} OR {protocolIdentifier} <= 6 THEN {interfaceName} ELSE {denialRuleName} END",
	"{denied} IS NULL",
	"coalesce({interfaceName}, {denialRuleName})",
	"({protocolIdentifier} = 6 OR {flowDirection} = 1) IS NULL",
	"({protocolIdentifier} = 6 AND {flowDirection} = 1) IS NOT NULL",
	"{protocolIdentifier} = 6 AND {flowDirection} = 1",
	"{protocolIdentifier} = 6 OR {flowDirection} = 1",
	"{octetDeltaCount} <= {octetTotalCount}",
	"{sourceTransportPort} <= 1000 AND coalesce({flowDirection} = 1, true)",
	"coalesce({dataRecordsReliability}, {denied})",
};

/* What is no SQL of ours, or what DuckDB refuses for some values. */
static const char *const unknown[] = {
	"",
	"{octetDeltaCount} * 2",
	"{octetDeltaCount} - {packetDeltaCount}",
	"{protocolIdentifier} * 2",
	"{protocolIdentifier} & 300",
	"{protocolIdentifier} >> 8",
	"{protocolIdentifier} // 0",
	"coalesce({protocolIdentifier}, {sourceTransportPort})",
	"{octetDeltaCount} + 1",
	"{octetDeltaCount} = 'a'",
	"sum({octetDeltaCount})",
	"({octetDeltaCount}",
	"{octetDeltaCount})",
	"{octetDeltaCount",
	"CASE {flowDirection} WHEN 1 THEN {sourceIPv4Address} WHEN 0 THEN {sourceIPv6Address} END",
	"1",
	"1 // {octetDeltaCount}",
	"{octetDeltaCount} AND true",
	"epoch_ms({octetDeltaCount})",
	"{flowStart}::TIMESTAMP_NS",
	"99999999999999999999 = {octetDeltaCount}",
};

static bool is_left_out(const char *sql)
{
	for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
		if (strcmp(left_out[i], sql) == 0)
			return true;
	return false;
}

/* As text, so that nothing of it can differ unseen. */
static void ask(struct world *w, const char *sql, enum parquet_type type, duckdb_result *out)
{
	struct sql text;
	struct error err;

	sql_init(&text);
	sql_put(&text, "SELECT ");
	sql_put(&text, type == PARQUET_TIME_US   ? "epoch_us("
		       : type == PARQUET_TIME_NS ? "epoch_ns("
		       : type == PARQUET_OCTETS  ? "lower(hex("
						 : "((");
	word_sql(&text, sql, &w->schema);
	sql_put(&text, type == PARQUET_TIME_US || type == PARQUET_TIME_NS ? ")" : "))");
	sql_put(&text, "::VARCHAR FROM flows ORDER BY row_number");
	if (duck_ask(w->duck.connection, text.text, out, "expression", &err) != OK)
		fail_msg("%s\n%s", err.text, text.text);
	sql_fini(&text);
}

static void render(const struct vector *v, uint32_t row, char *out, size_t size)
{
	const uint32_t at = vector_at(v, row);
	const uint8_t *octets = (const uint8_t *)v->data + at * parquet_width(v->type);
	uint64_t number = 0;
	double real;
	float narrow;

	if (parquet_width(v->type) <= 8)
		memcpy(&number, octets, parquet_width(v->type));
	switch (v->type) {
	case PARQUET_BOOLEAN: snprintf(out, size, "%s", number ? "true" : "false"); break;
	case PARQUET_SIGNED8: snprintf(out, size, "%d", (int8_t)number); break;
	case PARQUET_SIGNED16: snprintf(out, size, "%d", (int16_t)number); break;
	case PARQUET_SIGNED32: snprintf(out, size, "%d", (int32_t)number); break;
	case PARQUET_UNSIGNED8:
	case PARQUET_UNSIGNED16:
	case PARQUET_UNSIGNED32:
	case PARQUET_UNSIGNED64: snprintf(out, size, "%" PRIu64, number); break;
	case PARQUET_FLOAT:
		memcpy(&narrow, octets, 4);
		snprintf(out, size, "%a", (double)narrow);
		break;
	case PARQUET_DOUBLE:
		memcpy(&real, octets, 8);
		snprintf(out, size, "%a", real);
		break;
	case PARQUET_UUID:
		for (unsigned i = 0, used = 0; i < 16; i++)
			used += (unsigned)snprintf(out + used, size - used, "%s%02x",
						   i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
						   octets[i]);
		break;
	case PARQUET_TEXT:
	case PARQUET_OCTETS: {
		const union parquet_text *text = (const union parquet_text *)v->data + at;

		out[0] = '\0';
		if (v->type == PARQUET_TEXT)
			snprintf(out, size, "%.*s", (int)text->near.length,
				 (const char *)parquet_text_octets(text));
		else
			for (unsigned i = 0; i < text->near.length; i++)
				snprintf(out + 2 * i, size - 2 * i, "%02x", parquet_text_octets(text)[i]);
		break;
	}
	default: snprintf(out, size, "%" PRId64, (int64_t)number); break;
	}
}

static void check_row(struct world *w, const char *sql, const struct vector *v, uint32_t row,
		      const char *theirs)
{
	char ours[128] = "NULL", again[128];

	if (vector_has(v, row))
		render(v, row, ours, sizeof ours);
	if (strcmp(theirs, "NULL") != 0 && (v->type == PARQUET_FLOAT || v->type == PARQUET_DOUBLE)) {
		snprintf(again, sizeof again, "%a",
			 v->type == PARQUET_FLOAT ? (double)strtof(theirs, NULL) : strtod(theirs, NULL));
		theirs = again;
	}
	if (strcmp(ours, theirs) != 0)
		fail_msg("%s, seed %" PRIu64 ", row %u: %s here, %s by DuckDB", sql, w->seed, row, ours,
			 theirs);
}

/* Nothing lies outside of what was said without reading. */
static void check_bounds(struct world *w, const struct expression *e, const struct vector *v, const char *sql)
{
	const bool is_unsigned = v->type >= PARQUET_UNSIGNED8 && v->type <= PARQUET_UNSIGNED64;
	struct parquet_bounds b;

	expression_bounds(e, &w->columns, &b);
	for (uint32_t row = 0; row < v->rows; row++) {
		uint64_t number = 0;

		if (!vector_has(v, row))
			continue;
		assert_int_not_equal(b.nulls, v->rows);
		if (!b.bounded)
			return;
		memcpy(&number, (const uint8_t *)v->data + vector_at(v, row) * parquet_width(v->type),
		       parquet_width(v->type));
		if (is_unsigned ? number < b.least.u || number > b.greatest.u
				: parquet_width(v->type) == 8 &&
					  ((int64_t)number < b.least.i || (int64_t)number > b.greatest.i))
			fail_msg("%s: %" PRIu64 " is outside of its bounds", sql, number);
	}
}

/* `result` has texts. */
static void check_rows(struct world *w, const char *sql, const struct vector *v, duckdb_result *result)
{
	duckdb_data_chunk chunk;
	uint32_t row = 0;

	while ((chunk = duckdb_fetch_chunk(*result))) {
		duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, 0);
		duckdb_string_t *texts = duckdb_vector_get_data(vector);
		uint64_t *valid = duckdb_vector_get_validity(vector);

		for (idx_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++, row++) {
			char theirs[128];

			if (!valid || duckdb_validity_row_is_valid(valid, i))
				snprintf(theirs, sizeof theirs, "%.*s", (int)duckdb_string_t_length(texts[i]),
					 duckdb_string_t_data(&texts[i]));
			else
				snprintf(theirs, sizeof theirs, "NULL");
			check_row(w, sql, v, row, theirs);
		}
		duckdb_destroy_data_chunk(&chunk);
	}
	assert_int_equal(row, WORLD_ROWS);
}

static void check(struct world *w, const char *sql)
{
	struct expression *e;
	struct vector v;
	duckdb_result result;
	const enum status s = expression_new(&e, sql, &w->wanted);

	if (s == ERR_UNSUPPORTED && is_left_out(sql))
		return;
	if (s != OK)
		fail_msg("not understood: %s", sql);
	if (expression_is_null(e))
		assert_int_equal(expression_type(e), PARQUET_NOTHING);
	for (unsigned twice = 0; twice < 2; twice++)
		assert_true(expression_run(e, &w->columns, &v));
	assert_int_equal(v.rows, WORLD_ROWS);
	assert_int_equal(v.type, expression_type(e));
	ask(w, sql, expression_type(e), &result);
	check_rows(w, sql, &v, &result);
	if (!expression_is_null(e))
		check_bounds(w, e, &v, sql);
	duckdb_destroy_result(&result);
	expression_free(e);
}

static void test_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WORLDS; i++) {
		struct world w;

		world_make(&w, i, world_names, i % 4 == 0);
		for (size_t k = 0; k < word_count; k++)
			for (unsigned side = 0; side < 2; side++)
				for (unsigned half = 0; half < 2; half++)
					if (words[k].sql[side][half])
						check(&w, words[k].sql[side][half]);
		for (size_t k = 0; k < word_count; k++)
			for (unsigned half = 0; half < 2; half++)
				if (words[k].group[half])
					check(&w, words[k].group[half]);
		for (size_t k = 0; k < sizeof more / sizeof more[0]; k++)
			check(&w, more[k]);
		for (uint32_t k = 0; k < w.schema.count; k++) {
			char name[COLUMN_NAME_MAX + 2];

			snprintf(name, sizeof name, "{%s}", w.schema.columns[k].name);
			check(&w, name);
		}
		world_end(&w);
	}
}

static void test_left_out(void **state)
{
	struct world w;
	struct expression *e;

	(void)state;
	world_make(&w, 1, world_names, true);
	for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
		assert_int_equal(expression_new(&e, left_out[i], &w.wanted), ERR_UNSUPPORTED);
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
		if (expression_new(&e, unknown[i], &w.wanted) != ERR_UNSUPPORTED)
			fail_msg("understood: %s", unknown[i]);
	world_end(&w);
}

/* One column is handed through; what the schema has not is nothing. */
static void test_columns(void **state)
{
	static const char *const names[] = {"receiveTime", "protocolIdentifier", "flowStartMilliseconds",
					    NULL};
	struct world w;
	struct expression *e;
	struct vector v;

	(void)state;
	world_make(&w, 3, names, true);
	assert_int_equal(expression_column(&e, "protocolidentifier", &w.wanted), OK);
	assert_true(expression_run(e, &w.columns, &v));
	assert_ptr_equal(v.data,
			 world_get(&w, (uint32_t)wanted_column(&w.wanted, "protocolIdentifier"))->data);
	expression_free(e);

	assert_int_equal(
		expression_new(&e, "coalesce({flowStartMicroseconds}, {flowStartSeconds})", &w.wanted), OK);
	assert_true(expression_is_null(e));
	expression_free(e);

	assert_int_equal(expression_new(&e, "{flowStart}", &w.wanted), OK);
	assert_int_equal(expression_type(e), PARQUET_TIME_US);
	expression_free(e);
	assert_int_equal(w.wanted.count, 2);
	assert_int_equal(wanted_column(&w.wanted, "vlanId"), -1);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
