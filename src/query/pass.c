#include "query/pass.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/conveyor.h"
#include "query/cube.h"

enum { TALLIES_OCTETS = 768 << 20 }; /* all of them together */

enum status pass_new(struct pass **out, struct engine *engine, const struct store *store,
		     const struct ask *window, struct error *err)
{
	struct pass *p = calloc(1, sizeof *p);

	*out = p;
	if (!p)
		return error_set(err, ERR_MEMORY, "no memory");
	p->engine = engine;
	p->store = store;
	p->schema = store_columns(store);
	p->window = *window;
	return OK;
}

void pass_free(struct pass *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->cube_count; i++)
		cube_free(p->cubes[i]);
	for (unsigned i = 0; i < p->tally_count; i++) {
		free(p->tallies[i].rows);
		if (!p->tallies[i].registered)
			groups_free(p->tallies[i].groups);
	}
	for (unsigned i = 0; i < p->pick_count; i++) {
		groups_free(p->picks[i].groups);
		free(p->picks[i].rows);
	}
	for (unsigned i = 0; i < p->edge_count; i++)
		free(p->edges[i].heap);
	for (unsigned i = 0; i < p->column_count; i++)
		free(p->columns[i]);
	free(p);
}

/* What is wanted. */

int pass_column(struct pass *p, const char *sql)
{
	for (unsigned i = 0; i < p->column_count; i++)
		if (strcmp(p->columns[i], sql) == 0)
			return (int)i;
	if (p->column_count == PASS_COLUMNS || !(p->columns[p->column_count] = strdup(sql)))
		return -1;
	p->needed[p->column_count] = true;
	return (int)p->column_count++;
}

static bool key_columns(struct pass *p, const struct ask_key *k, int out[2])
{
	const bool pair = ask_key_format(k) == CELL_ADDRESS;
	bool good = true;

	out[0] = out[1] = -1;
	for (unsigned half = 0; good && half < (pair ? 2 : 1); half++) {
		struct sql sql;

		sql_init(&sql);
		ask_key_sql(&sql, k, half, p->schema);
		good = !sql.failed;
		if (good && strncmp(sql.text, "CAST(NULL AS ", 13) != 0) {
			out[half] = pass_column(p, sql.text);
			good = out[half] >= 0;
		}
		sql_fini(&sql);
	}
	return good;
}

int pass_tally(struct pass *p, const struct ask_key *keys, uint32_t count, bool rows)
{
	struct tally *t = &p->tallies[p->tally_count];
	unsigned at = 0;

	if (p->tally_count == PASS_TALLIES || count > ASK_KEYS_MAX / 2)
		return -1;
	*t = (struct tally){.key_count = count};
	for (uint32_t i = 0; i < count; i++)
		if (!key_columns(p, &keys[i], t->columns[i]))
			return -1;
	while (at < p->tally_count && (p->tallies[at].key_count != count ||
				       memcmp(p->tallies[at].columns, t->columns, sizeof t->columns) != 0))
		at++;
	if (rows && !p->tallies[at].rows &&
	    !(p->tallies[at].rows = malloc(duckdb_vector_size() * sizeof *t->rows)))
		return -1;
	p->tally_count += at == p->tally_count;
	return (int)at;
}

int pass_cube(struct pass *p, const struct chart *chart)
{
	if (p->cube_count == PASS_CUBES || cube_new(&p->cubes[p->cube_count], p, chart) != OK)
		return -1;
	return (int)p->cube_count++;
}

int pass_edge(struct pass *p, enum ask_order order, bool upwards, int64_t most)
{
	struct edge *e = &p->edges[p->edge_count];
	const bool number = order == ORDER_OCTETS || order == ORDER_PACKETS;
	struct sql sql;

	if (p->edge_count == PASS_EDGES || most <= 0 || most > PASS_EDGE_MOST)
		return -1;
	*e = (struct edge){.upwards = upwards, .most = (uint32_t)most, .column = -1};
	sql_init(&sql);
	sql_put(&sql, number ? "least(" : "");
	word_sql(&sql, ask_order_sql(order), p->schema);
	sql_put(&sql, number ? ", 9223372036854775807)::BIGINT" : "");
	if (!sql.failed)
		e->column = pass_column(p, sql.text);
	sql_fini(&sql);
	e->heap = e->column >= 0 ? malloc((size_t)most * sizeof *e->heap) : NULL;
	return e->heap ? (int)p->edge_count++ : -1;
}

bool pass_edge_at(const struct pass *p, int edge, int64_t *out)
{
	if (edge < 0 || p->edges[edge].count < p->edges[edge].most)
		return false;
	*out = p->edges[edge].heap[0];
	return true;
}

/* Whether `a` is further back in the list. */
static bool is_behind(const struct edge *e, int64_t a, int64_t b)
{
	return e->upwards ? a > b : a < b;
}

static void edge_put(struct edge *e, int64_t value)
{
	uint32_t at;

	if (e->count < e->most) {
		for (at = e->count++; at > 0 && is_behind(e, value, e->heap[(at - 1) / 2]); at = (at - 1) / 2)
			e->heap[at] = e->heap[(at - 1) / 2];
		e->heap[at] = value;
		return;
	}
	if (!is_behind(e, e->heap[0], value))
		return;
	for (at = 0;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < e->count && is_behind(e, e->heap[child + 1], e->heap[child]))
			child++;
		if (child >= e->count || !is_behind(e, e->heap[child], value))
			break;
		e->heap[at] = e->heap[child];
		at = child;
	}
	e->heap[at] = value;
}

static void edge_take(struct edge *e, duckdb_data_chunk chunk)
{
	duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, (idx_t)e->column);
	const int64_t *values = duckdb_vector_get_data(vector);
	uint64_t *validity = duckdb_vector_get_validity(vector);
	const idx_t rows = duckdb_data_chunk_get_size(chunk);

	for (idx_t i = 0; i < rows; i++)
		if (!validity || duckdb_validity_row_is_valid(validity, i))
			edge_put(e, values[i]);
}

int pass_pick(struct pass *p, int tally, enum ask_order order, const uint32_t *ranked, uint32_t count)
{
	const struct tally *t = &p->tallies[tally];
	unsigned at = 0;

	while (at < p->pick_count && (p->picks[at].tally != tally || p->picks[at].order != order))
		at++;
	struct pick *k = &p->picks[at];
	if (at == p->pick_count) {
		*k = (struct pick){.tally = tally, .order = (uint8_t)order};
		p->pick_count++;
		k->rows = malloc(duckdb_vector_size() * sizeof *k->rows);
	}
	if (!k->rows)
		return -1;
	if (!k->groups || count > k->count) {
		groups_free(k->groups);
		k->count = count;
		if (groups_pick(&k->groups, t->groups, ranked, count) != OK)
			return -1;
	}
	for (unsigned half = 0; half < 2; half++)
		if (t->columns[0][half] >= 0)
			p->needed[t->columns[0][half]] = true;
	return (int)at;
}

/* Reading. */

/* Columns that are not needed keep their places. */
static enum status open_records(struct pass *p, duckdb_result *out, struct error *err)
{
	struct sql body, sql;
	enum status s;

	sql_init(&body);
	sql_init(&sql);
	sql_put(&body, "SELECT ");
	for (unsigned i = 0; i < p->column_count; i++) {
		sql_put(&body, p->needed[i] ? p->columns[i] : "NULL::TINYINT");
		sql_format(&body, " AS c%u, ", i);
	}
	word_sql(&body, "{octetDeltaCount}, {packetDeltaCount}, {denied} FROM flows", p->schema);
	ask_where(&p->window, p->schema, &body);
	if (!body.failed) {
		store_flows(p->store, &sql, body.text);
		sql_put(&sql, body.text);
	}
	s = body.failed || sql.failed ? error_set(err, ERR_MEMORY, "no memory")
				      : engine_select(p->engine, sql.text, out, err);
	sql_fini(&sql);
	sql_fini(&body);
	return s;
}

static void open_tally(struct pass *p, struct tally *t, duckdb_result *result)
{
	struct groups_shape shape = {
		.sums = p->column_count, .denied = true, .octets_most = TALLIES_OCTETS / p->tally_count};

	for (uint32_t i = 0; i < t->key_count; i++)
		for (unsigned half = 0; half < 2; half++)
			if (t->columns[i][half] >= 0) {
				shape.keys[shape.key_count].column = (uint32_t)t->columns[i][half];
				snprintf(shape.keys[shape.key_count++].name, GROUPS_NAME_MAX, "%c%u",
					 half ? 'w' : 'k', i);
			}
	t->status = groups_new(&t->groups, result, &shape);
}

static void add_totals(struct pass *p, duckdb_data_chunk chunk)
{
	const idx_t rows = duckdb_data_chunk_get_size(chunk);
	struct groups_sums *t = &p->totals;

	for (unsigned which = 0; which < 2; which++) {
		duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, p->column_count + which);
		const uint64_t *values = duckdb_vector_get_data(vector);
		uint64_t *validity = duckdb_vector_get_validity(vector);
		uint64_t *to = which ? t->packets : t->octets;

		for (idx_t i = 0; i < rows; i++)
			if (!validity || duckdb_validity_row_is_valid(validity, i)) {
				to[0] += values[i];
				to[1] += to[0] < values[i];
			}
	}
	const bool *denied = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, p->column_count + 2));
	for (idx_t i = 0; i < rows; i++)
		t->denied += denied[i];
	t->flows += rows;
}

static enum status take(void *arg, duckdb_data_chunk chunk)
{
	struct pass *p = arg;

	add_totals(p, chunk);
	for (unsigned i = 0; i < p->tally_count; i++) {
		struct tally *t = &p->tallies[i];

		if (t->status == OK && (t->status = groups_take(t->groups, chunk, t->rows)) != OK) {
			groups_free(t->groups);
			t->groups = NULL;
		}
	}
	for (unsigned i = 0; i < p->cube_count; i++)
		cube_take(p->cubes[i], p, chunk, p->column_count);
	for (unsigned i = 0; i < p->edge_count; i++)
		edge_take(&p->edges[i], chunk);
	return OK;
}

static enum status take_again(void *arg, duckdb_data_chunk chunk)
{
	struct pass *p = arg;

	for (unsigned i = 0; i < p->pick_count; i++)
		if (p->picks[i].groups)
			groups_find(p->picks[i].groups, chunk, p->picks[i].rows);
	for (unsigned i = 0; i < p->cube_count; i++)
		if (p->cubes[i]->state == CUBE_AGAIN)
			cube_take_again(p->cubes[i], p, chunk, p->column_count);
	return OK;
}

static enum status read_all(struct pass *p, bool first, struct error *err)
{
	duckdb_result result;
	enum status s = open_records(p, &result, err);

	if (s != OK)
		return s;
	for (unsigned i = 0; first && i < p->tally_count; i++)
		open_tally(p, &p->tallies[i], &result);
	s = conveyor_run(&result, first ? take : take_again, p, NULL, err);
	duckdb_destroy_result(&result);
	return s;
}

enum status pass_run(struct pass *p, struct error *err)
{
	enum status s = read_all(p, true, err);
	bool again = false;

	memset(p->needed, 0, sizeof p->needed);
	for (unsigned i = 0; s == OK && i < p->cube_count; i++) {
		cube_rank(p->cubes[i], p);
		again |= p->cubes[i]->state == CUBE_AGAIN;
	}
	if (s == OK && again)
		s = read_all(p, false, err);
	for (unsigned i = 0; s == OK && i < p->cube_count; i++)
		if (p->cubes[i]->state == CUBE_AGAIN)
			p->cubes[i]->state = CUBE_DONE;
	return s;
}

enum status pass_register(struct pass *p, int tally, struct error *err)
{
	struct tally *t = &p->tallies[tally];
	char name[24];

	if (t->registered)
		return OK;
	t->registered = true; /* the database has them, whatever it says */
	snprintf(name, sizeof name, "tally_%d", tally);
	return groups_register(t->groups, p->engine->connection, name, err);
}
