/* Sums by keys. Each thread has groups of its own; they are added up in the end, and the first so many of
 * them in the asked order are shown. */
#include "query/plain_private.h"

#include <stdlib.h>
#include <string.h>

#include "query/gather.h"

enum {
	USUAL_TOP = 20,
	OCTETS_ALL = 1 << 30, /* of memory for the groups of all threads, and half of it for their sum */
};

/* One thread's. */
struct sums {
	struct plain_keys keys;
	struct expression *octets, *packets; /* NULL: no record has any */
	struct groups *groups;
	struct gather *gather; /* octets, packets, then the keys */
};

static void sums_free(struct sums *s)
{
	if (!s)
		return;
	plain_keys_fini(&s->keys);
	expression_free(s->octets);
	expression_free(s->packets);
	groups_free(s->groups);
	gather_free(s->gather);
	free(s);
}

/* groups_add reads eight octets a value; the manifest says of what kind a column is. */
static bool can_be_summed(const struct expression *e)
{
	return !e || expression_type(e) == PARQUET_UNSIGNED64;
}

static enum status sums_new(struct sums **out, struct plain *p, uint32_t threads)
{
	struct sums *s = calloc(1, sizeof *s);
	struct groups_shape shape = {.octets_most = OCTETS_ALL / (threads > 2 ? threads : 2)};
	enum status status = s ? plain_keys_init(&s->keys, p->ask, &p->wanted) : ERR_MEMORY;

	*out = s;
	if (status == OK)
		status = plain_expression(&s->octets, "{octetDeltaCount}", &p->wanted);
	if (status == OK)
		status = plain_expression(&s->packets, "{packetDeltaCount}", &p->wanted);
	if (status != OK)
		return status;
	if (s->keys.count > GROUPS_KEYS_MAX || !can_be_summed(s->octets) || !can_be_summed(s->packets))
		return ERR_UNSUPPORTED;
	shape.key_count = s->keys.count;
	for (uint32_t i = 0; i < s->keys.count; i++)
		shape.keys[i].type = plain_type(expression_type(s->keys.all[i]));
	s->gather = gather_new(2 + s->keys.count);
	return s->gather ? groups_new(&s->groups, &shape) : ERR_MEMORY;
}

static enum status take(void *arg, const struct columns *columns, const uint64_t *bits, uint32_t passed,
			struct error *err)
{
	struct sums *s = arg;
	struct vector keys[GROUPS_KEYS_MAX], octets, packets;
	bool good = (!s->octets || expression_run(s->octets, columns, &octets)) &&
		    (!s->packets || expression_run(s->packets, columns, &packets));
	enum status status = OK;

	(void)passed;
	for (uint32_t i = 0; good && i < s->keys.count; i++)
		good = expression_run(s->keys.all[i], columns, &keys[i]);
	if (!good)
		return error_set(err, ERR_MEMORY, "no memory for columns");
	for (uint32_t first = 0; status == OK && first < columns->rows; first += GROUPS_STEP) {
		const uint32_t left = columns->rows - first, count = left < GROUPS_STEP ? left : GROUPS_STEP;
		struct groups_rows rows = {.count = gather_rows(s->gather, bits, first, count)};

		if (rows.count == 0)
			continue;
		rows.octets = s->octets ? gather_values(s->gather, 0, &octets) : gather_nothing();
		rows.packets = s->packets ? gather_values(s->gather, 1, &packets) : gather_nothing();
		for (uint32_t i = 0; i < s->keys.count; i++)
			rows.keys[i] = gather_values(s->gather, 2 + i, &keys[i]);
		status = groups_add(s->groups, &rows, NULL);
	}
	return status == OK ? OK : error_set(err, status, "the groups do not fit into memory");
}

/* The order: as ask.c says it to DuckDB. */

struct ranking {
	const struct plain *p;
	const struct plain_keys *keys;
	const struct groups *groups;
	enum ask_order order; /* ORDER_TIME: by keys alone, a time in front */
};

/* NULL last. */
static int compare_cells(const struct cell *a, const struct cell *b)
{
	if (a->kind == CELL_NULL || b->kind == CELL_NULL)
		return (a->kind == CELL_NULL) - (b->kind == CELL_NULL);
	switch ((enum cell_kind)a->kind) {
	case CELL_UNSIGNED: return (a->u > b->u) - (a->u < b->u);
	case CELL_SIGNED:
	case CELL_WALL: return (a->i > b->i) - (a->i < b->i);
	case CELL_BOOLEAN: return a->yes - b->yes;
	case CELL_UUID: return memcmp(a->address, b->address, sizeof a->address);
	default: break;
	}
	const size_t shorter = a->text.length < b->text.length ? a->text.length : b->text.length;
	const int order = shorter ? memcmp(a->text.data, b->text.data, shorter) : 0;
	return order ? order : (a->text.length > b->text.length) - (a->text.length < b->text.length);
}

static int compare_keys(const struct ranking *r, uint32_t a, uint32_t b)
{
	const struct ask *ask = r->p->ask;
	int order = 0;

	for (unsigned pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; order == 0 && i < ask->key_count; i++) {
			if ((ask->keys[i].type == WORD_BUCKET) != (pass == 0))
				continue;
			for (unsigned half = 0; order == 0 && half < 2; half++) {
				const int32_t at = r->keys->of[i].half[half];

				if (at < 0)
					continue;
				const struct cell one = groups_key(r->groups, a, (uint32_t)at);
				const struct cell two = groups_key(r->groups, b, (uint32_t)at);
				order = compare_cells(&one, &two);
			}
		}
	return order;
}

static int compare_wide(const uint64_t a[2], const uint64_t b[2])
{
	return a[1] != b[1] ? (a[1] > b[1]) - (a[1] < b[1]) : (a[0] > b[0]) - (a[0] < b[0]);
}

/* Below 0: `a` stands in front. */
static int compare_groups(const struct ranking *r, uint32_t a, uint32_t b)
{
	int order = 0;

	if (r->order != ORDER_TIME) {
		const struct groups_sums one = groups_sums_of(r->groups, a),
					 two = groups_sums_of(r->groups, b);

		if (r->order == ORDER_FLOWS)
			order = (one.flows < two.flows) - (one.flows > two.flows);
		else if (r->order == ORDER_PACKETS)
			order = one.has_packets != two.has_packets ? two.has_packets - one.has_packets
								   : compare_wide(two.packets, one.packets);
		else
			order = one.has_octets != two.has_octets ? two.has_octets - one.has_octets
								 : compare_wide(two.octets, one.octets);
	}
	return order ? order : compare_keys(r, a, b);
}

static int compare(const void *a, const void *b, void *arg)
{
	return compare_groups(arg, *(const uint32_t *)a, *(const uint32_t *)b);
}

/* A heap with what stands last in front. */
static void sift_down(const struct ranking *r, uint32_t *heap, uint32_t count)
{
	for (uint32_t at = 0, child; (child = 2 * at + 1) < count; at = child) {
		const uint32_t moved = heap[at];

		if (child + 1 < count && compare_groups(r, heap[child + 1], heap[child]) > 0)
			child++;
		if (compare_groups(r, heap[child], moved) <= 0)
			return;
		heap[at] = heap[child];
		heap[child] = moved;
	}
}

/* The first `most` groups, in order. How many there are. */
static uint32_t rank(const struct ranking *r, uint32_t *out, uint32_t most)
{
	const uint32_t all = groups_count(r->groups), count = most < all ? most : all;

	for (uint32_t i = 0; i < count; i++)
		out[i] = i;
	qsort_r(out, count, sizeof *out, compare, (void *)(uintptr_t)r);
	if (count == all || count == 0)
		return count;
	for (uint32_t i = 0; i < count / 2; i++) { /* sorted the other way it is a heap */
		const uint32_t moved = out[i];

		out[i] = out[count - 1 - i];
		out[count - 1 - i] = moved;
	}
	for (uint32_t i = count; i < all; i++)
		if (compare_groups(r, i, out[0]) < 0) {
			out[0] = i;
			sift_down(r, out, count);
		}
	qsort_r(out, count, sizeof *out, compare, (void *)(uintptr_t)r);
	return count;
}

/* Showing. */

static struct cell sum_cell(const uint64_t sum[2], bool has)
{
	const int128 big = (int128)sum[1] << 64 | (int128)sum[0];

	return has ? (struct cell){.kind = CELL_BIG, .big = big} : (struct cell){.kind = CELL_NULL};
}

static void show_group(struct show *show, const struct ranking *r, uint32_t group)
{
	static const struct cell none = {.kind = CELL_NULL};
	const struct groups_sums sums = groups_sums_of(r->groups, group);
	struct cell cells[ASK_COLUMNS_MAX];
	uint32_t n = 0;

	for (; n < r->p->ask->key_count; n++) {
		const int32_t *half = r->keys->of[n].half;
		const struct cell first =
			half[0] < 0 ? none : groups_key(r->groups, group, (uint32_t)half[0]);
		const struct cell second =
			half[1] < 0 ? none : groups_key(r->groups, group, (uint32_t)half[1]);

		cells[n] = cell_join((enum cell_format)r->p->columns[n].format, &first, &second);
	}
	cells[n++] = sum_cell(sums.octets, sums.has_octets);
	cells[n++] = sum_cell(sums.packets, sums.has_packets);
	cells[n++] = (struct cell){.kind = CELL_SIGNED, .i = (int64_t)sums.flows};
	show_row(show, cells);
}

static enum ask_order order_of(const struct ask *ask)
{
	if (ask->order == ORDER_DEFAULT)
		for (uint32_t i = 0; i < ask->key_count; i++)
			if (ask->keys[i].type == WORD_BUCKET)
				return ORDER_TIME;
	return (enum ask_order)ask->order;
}

static enum status show_groups(struct plain *p, const struct sums *s, struct error *err)
{
	const struct ranking r = {.p = p, .keys = &s->keys, .groups = s->groups, .order = order_of(p->ask)};
	const uint32_t all = groups_count(s->groups);
	const int64_t usual = r.order == ORDER_TIME ? -1 : USUAL_TOP,
		      asked = p->ask->limit ? p->ask->limit : usual;
	const uint32_t most = asked < 0 || asked > all ? all : (uint32_t)asked;
	uint32_t *ranked = malloc((most + 1) * sizeof *ranked);
	struct show *show = calloc(1, sizeof *show);
	enum status status = OK;

	if (ranked && show) {
		const uint32_t count = rank(&r, ranked, most);

		plain_name_keys(p, &s->keys);
		plain_name(p, "octets", CELL_OCTETS, DUCKDB_TYPE_HUGEINT);
		plain_name(p, "packets", CELL_COUNT, DUCKDB_TYPE_HUGEINT);
		plain_name(p, "flows", CELL_COUNT, DUCKDB_TYPE_BIGINT);
		result_begin(p->sink, show, p->columns, p->column_count);
		for (uint32_t i = 0; i < count && !show->failed; i++)
			show_group(show, &r, ranked[i]);
		status = result_end(p->sink, show, err);
	} else {
		status = error_set(err, ERR_MEMORY, "no memory");
	}
	free(ranked);
	free(show);
	return status;
}

enum status plain_sums(struct plain *p, struct error *err)
{
	struct sums *all[SCAN_THREADS_MAX] = {NULL};
	struct scan_taker takers[SCAN_THREADS_MAX];
	const uint32_t count = scan_threads(&p->scan);
	enum status status = OK;

	for (uint32_t i = 0; status == OK && i < count; i++) {
		status = sums_new(&all[i], p, count);
		takers[i] = (struct scan_taker){.arg = all[i], .take = take};
	}
	if (status != OK)
		(void)error_set(err, status, "these keys are for DuckDB");
	if (status == OK)
		status = scan_run(&p->scan, takers, count, err);
	for (uint32_t i = 1; status == OK && i < count; i++) {
		status = groups_merge(all[0]->groups, all[i]->groups, OCTETS_ALL / 2);
		sums_free(all[i]);
		all[i] = NULL;
		if (status != OK)
			(void)error_set(err, status, "the groups do not fit into memory");
	}
	if (status == OK)
		status = show_groups(p, all[0], err);
	for (uint32_t i = 0; i < count; i++)
		sums_free(all[i]);
	return status;
}
