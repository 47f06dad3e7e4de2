#include "query/pass.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/cube.h"
#include "query/plain_private.h"

enum { TALLIES_OCTETS = 768 << 20 }; /* all of them together */

enum status pass_new(struct pass **out, struct engine *engine, const struct store *store,
		     const struct ask *window, uint64_t records, struct error *err)
{
	struct pass *p = calloc(1, sizeof *p);

	*out = p;
	if (!p)
		return error_set(err, ERR_MEMORY, "no memory");
	p->engine = engine;
	p->store = store;
	p->schema = store_columns(store);
	p->window = *window;
	p->records = records;
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
	for (unsigned i = 0; i < p->column_count; i++) {
		free(p->columns[i].sql);
		free(p->columns[i].plain);
	}
	free(p);
}

/* What is wanted. */

/* The texts are borrowed. */
static int add_column(struct pass *p, const struct sql *sql, const struct sql *plain, duckdb_type type,
		      duckdb_type null)
{
	struct pass_column *c = &p->columns[p->column_count];

	if (sql->failed || plain->failed)
		return -1;
	for (unsigned i = 0; i < p->column_count; i++)
		if (strcmp(p->columns[i].plain, plain->text) == 0 && p->columns[i].type == type)
			return (int)i;
	if (p->column_count == PASS_COLUMNS)
		return -1;
	*c = (struct pass_column){.sql = strdup(sql->text),
				  .plain = strdup(plain->text),
				  .type = type,
				  .null = null,
				  .needed = true};
	p->column_count++;
	return c->sql && c->plain ? (int)p->column_count - 1 : -1;
}

int pass_column(struct pass *p, const char *text, duckdb_type type)
{
	struct sql sql, plain;
	int column;

	sql_init(&sql);
	sql_init(&plain);
	word_sql(&sql, text, p->schema);
	word_sql(&plain, text, NULL);
	column = add_column(p, &sql, &plain, type, type);
	sql_fini(&sql);
	sql_fini(&plain);
	return column;
}

/* Half of a key. False: no room, no memory. */
static bool half_column(struct pass *p, const struct ask_key *k, unsigned half, int *out)
{
	struct sql sql, plain;

	sql_init(&sql);
	sql_init(&plain);
	ask_key_sql(&sql, k, half, p->schema);
	ask_key_sql(&plain, k, half, NULL);
	const bool none = !sql.failed && strncmp(sql.text, "CAST(NULL AS ", 13) == 0;
	*out = none ? -1 : add_column(p, &sql, &plain, DUCKDB_TYPE_INVALID, plain_type_of_null(k, half));
	sql_fini(&sql);
	sql_fini(&plain);
	return none || *out >= 0;
}

static bool key_columns(struct pass *p, const struct ask_key *k, int out[2])
{
	const bool pair = ask_key_format(k) == CELL_ADDRESS;

	out[1] = -1;
	return half_column(p, k, 0, &out[0]) && (!pair || half_column(p, k, 1, &out[1]));
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
	if (rows && !p->tallies[at].rows && !(p->tallies[at].rows = malloc(GROUPS_STEP * sizeof *t->rows)))
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

	if (p->edge_count == PASS_EDGES || most <= 0 || most > PASS_EDGE_MOST)
		return -1;
	*e = (struct edge){.number = number, .upwards = upwards, .most = (uint32_t)most};
	e->column =
		pass_column(p, ask_order_sql(order), number ? DUCKDB_TYPE_UBIGINT : DUCKDB_TYPE_TIMESTAMP);
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

static void edge_take(struct edge *e, const struct pass_rows *rows)
{
	const struct groups_values *v = &rows->columns[e->column];

	for (uint32_t i = 0; i < rows->count; i++) {
		const uint64_t value = ((const uint64_t *)v->data)[i];

		if (groups_have(v, i))
			edge_put(e, e->number && value > INT64_MAX ? INT64_MAX : (int64_t)value);
	}
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
		k->rows = malloc(GROUPS_STEP * sizeof *k->rows);
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
			p->columns[t->columns[0][half]].needed = true;
	return (int)at;
}

/* What is done with rows. */

void pass_open(struct pass *p, const duckdb_type types[PASS_COLUMNS])
{
	for (unsigned k = 0; k < p->tally_count; k++) {
		struct tally *t = &p->tallies[k];
		struct groups_shape shape = {.denied = true, .octets_most = TALLIES_OCTETS / p->tally_count};

		for (uint32_t i = 0; i < t->key_count; i++)
			for (unsigned half = 0; half < 2; half++)
				if (t->columns[i][half] >= 0) {
					shape.keys[shape.key_count].type = types[t->columns[i][half]];
					snprintf(shape.keys[shape.key_count++].name, GROUPS_NAME_MAX, "%c%u",
						 half ? 'w' : 'k', i);
				}
		t->status = groups_new(&t->groups, &shape);
	}
}

static void keys_of(const struct tally *t, const struct pass_rows *from, struct groups_rows *out)
{
	uint32_t n = 0;

	out->count = from->count;
	for (uint32_t i = 0; i < t->key_count; i++)
		for (unsigned half = 0; half < 2; half++)
			if (t->columns[i][half] >= 0)
				out->keys[n++] = from->columns[t->columns[i][half]];
}

static void tally_take(struct tally *t, const struct pass_rows *from)
{
	struct groups_rows rows = {.octets = from->octets, .packets = from->packets, .denied = from->denied};

	if (t->status != OK)
		return;
	keys_of(t, from, &rows);
	t->status = groups_add(t->groups, &rows, t->rows);
	if (t->status != OK) {
		groups_free(t->groups);
		t->groups = NULL;
	}
}

static void add_wide(uint64_t to[2], const struct groups_values *v, uint32_t rows)
{
	const uint64_t *values = v->data;

	for (uint32_t i = 0; i < rows; i++)
		if (groups_have(v, i)) {
			to[0] += values[i];
			to[1] += to[0] < values[i];
		}
}

static void add_totals(struct groups_sums *t, const struct pass_rows *rows)
{
	add_wide(t->octets, &rows->octets, rows->count);
	add_wide(t->packets, &rows->packets, rows->count);
	for (uint32_t i = 0; i < rows->count; i++)
		t->denied += ((const bool *)rows->denied.data)[i];
	t->flows += rows->count;
}

static void take(struct pass *p, const struct pass_rows *rows)
{
	add_totals(&p->totals, rows);
	for (unsigned i = 0; i < p->tally_count; i++)
		tally_take(&p->tallies[i], rows);
	for (unsigned i = 0; i < p->cube_count; i++)
		cube_take(p->cubes[i], p, rows);
	for (unsigned i = 0; i < p->edge_count; i++)
		edge_take(&p->edges[i], rows);
}

static void take_again(struct pass *p, const struct pass_rows *from)
{
	for (unsigned i = 0; i < p->pick_count; i++) {
		struct groups_rows rows;

		if (!p->picks[i].groups)
			continue;
		keys_of(&p->tallies[p->picks[i].tally], from, &rows);
		groups_find(p->picks[i].groups, &rows, p->picks[i].rows);
	}
	for (unsigned i = 0; i < p->cube_count; i++)
		if (p->cubes[i]->state == CUBE_AGAIN)
			cube_take_again(p->cubes[i], p, from);
}

/* Reading. */

static void begin_anew(struct pass *p, bool first)
{
	for (unsigned i = 0; i < p->cube_count; i++)
		if (first || p->cubes[i]->state == CUBE_AGAIN)
			cube_begin_anew(p->cubes[i], first);
	if (!first)
		return;
	p->totals = (struct groups_sums){0};
	for (unsigned i = 0; i < p->tally_count; i++) {
		groups_free(p->tallies[i].groups);
		p->tallies[i].groups = NULL;
	}
	for (unsigned i = 0; i < p->edge_count; i++)
		p->edges[i].count = 0;
}

static enum status read_all(struct pass *p, bool first, struct error *err)
{
	pass_take *to = first ? take : take_again;
	enum status s = p->by_database ? ERR_UNSUPPORTED : pass_scan(p, to, first, err);

	if (s != ERR_UNSUPPORTED)
		return s;
	p->by_database = true;
	begin_anew(p, first);
	return pass_statement(p, to, first, err);
}

enum status pass_run(struct pass *p, struct error *err)
{
	enum status s = read_all(p, true, err);
	bool again = false;

	for (unsigned i = 0; i < p->column_count; i++)
		p->columns[i].needed = false;
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
