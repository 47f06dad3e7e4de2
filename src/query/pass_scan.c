/* A pass over the columns themselves: several threads read and gather, one at a time adds up. */
#include <pthread.h>
#include <stdlib.h>

#include "query/gather.h"
#include "query/pass.h"
#include "query/plain_private.h"

/* Behind the pass's columns. */
enum { OCTETS, PACKETS, DENIED, MORE, COLUMNS = PASS_COLUMNS + MORE };

struct joint {
	struct pass *pass;
	pass_take *take;
	pthread_mutex_t lock; /* of both */
	struct wanted wanted;
};

/* One thread's. */
struct reader {
	struct joint *joint;
	struct expression *columns[COLUMNS]; /* NULL: not needed, or no record has it */
	unsigned count;
	struct gather *gather;
	struct pass_rows rows;
};

static void reader_free(struct reader *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < r->count; i++)
		expression_free(r->columns[i]);
	gather_free(r->gather);
	free(r);
}

static duckdb_type type_of(const struct expression *e, duckdb_type otherwise)
{
	return e ? plain_type(expression_type(e)) : otherwise;
}

/* `type` DUCKDB_TYPE_INVALID: any. */
static enum status add(struct reader *r, const char *sql, bool needed, duckdb_type type)
{
	struct expression **e = &r->columns[r->count++];
	const enum status s = needed ? plain_expression(e, sql, &r->joint->wanted) : OK;

	if (s != OK)
		return s;
	return type == DUCKDB_TYPE_INVALID || type_of(*e, type) == type ? OK : ERR_UNSUPPORTED;
}

static enum status reader_new(struct reader **out, struct joint *j)
{
	const struct pass *p = j->pass;
	struct reader *r = calloc(1, sizeof *r);
	enum status s = OK;

	*out = r;
	if (!r)
		return ERR_MEMORY;
	r->joint = j;
	for (unsigned i = 0; s == OK && i < p->column_count; i++)
		s = add(r, p->columns[i].plain, p->columns[i].needed, p->columns[i].type);
	if (s == OK)
		s = add(r, "{octetDeltaCount}", true, DUCKDB_TYPE_UBIGINT);
	if (s == OK)
		s = add(r, "{packetDeltaCount}", true, DUCKDB_TYPE_UBIGINT);
	if (s == OK)
		s = add(r, "{denied}", true, DUCKDB_TYPE_BOOLEAN);
	if (s != OK)
		return s;
	r->gather = gather_new(r->count);
	return r->gather ? OK : ERR_MEMORY;
}

/* Where the values of a column go. */
static struct groups_values *place_of(struct reader *r, unsigned column)
{
	const unsigned own = r->count - MORE;

	if (column < own)
		return &r->rows.columns[column];
	return column == own + OCTETS    ? &r->rows.octets
	       : column == own + PACKETS ? &r->rows.packets
					 : &r->rows.denied;
}

static enum status take(void *arg, const struct columns *columns, const uint64_t *bits, uint32_t passed,
			struct error *err)
{
	struct vector vectors[COLUMNS];
	struct reader *r = arg;

	(void)passed;
	for (unsigned i = 0; i < r->count; i++)
		if (r->columns[i] && !expression_run(r->columns[i], columns, &vectors[i]))
			return error_set(err, ERR_MEMORY, "no memory for columns");
	for (uint32_t first = 0; first < columns->rows; first += GROUPS_STEP) {
		const uint32_t left = columns->rows - first;

		r->rows.count = gather_rows(r->gather, bits, first, left < GROUPS_STEP ? left : GROUPS_STEP);
		if (r->rows.count == 0)
			continue;
		for (unsigned i = 0; i < r->count; i++)
			*place_of(r, i) =
				r->columns[i] ? gather_values(r->gather, i, &vectors[i]) : gather_nothing();
		pthread_mutex_lock(&r->joint->lock);
		r->joint->take(r->joint->pass, &r->rows);
		pthread_mutex_unlock(&r->joint->lock);
	}
	return OK;
}

static void open_tallies(struct pass *p, const struct reader *r)
{
	duckdb_type types[PASS_COLUMNS];

	for (unsigned i = 0; i < p->column_count; i++)
		types[i] = type_of(r->columns[i], p->columns[i].null);
	pass_open(p, types);
}

enum status pass_scan(struct pass *p, pass_take *to, bool first, struct error *err)
{
	struct joint *j = calloc(1, sizeof *j);
	struct scan_taker takers[SCAN_THREADS_MAX];
	struct reader *readers[SCAN_THREADS_MAX] = {NULL};
	enum status s = j ? OK : ERR_MEMORY;

	if (!j)
		return error_set(err, s, "no memory");
	*j = (struct joint){
		.pass = p, .take = to, .lock = PTHREAD_MUTEX_INITIALIZER, .wanted = {.schema = p->schema}};
	const struct scan scan = {
		.store = p->store, .ask = &p->window, .wanted = &j->wanted, .records = p->records};
	const uint32_t count = scan_threads(&scan);
	for (uint32_t i = 0; s == OK && i < count; i++) {
		s = reader_new(&readers[i], j);
		takers[i] = (struct scan_taker){.arg = readers[i], .take = take};
	}
	if (s != OK)
		(void)error_set(err, s, "these columns are for DuckDB");
	if (s == OK && first)
		open_tallies(p, readers[0]);
	if (s == OK)
		s = scan_run(&scan, takers, count, err);
	for (uint32_t i = 0; i < count; i++)
		reader_free(readers[i]);
	free(j);
	return s;
}
