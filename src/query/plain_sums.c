/* Sums by keys. Each thread has groups of its own; they are added up in the end, and the first so many of
 * them in the asked order are shown. */
#include "query/plain_private.h"

#include <stdlib.h>
#include <string.h>

#include "query/group.h"

enum {
	USUAL_TOP = 20,
	VALUES = GROUPS_KEYS_MAX + 2,
	OCTETS_ALL = 1 << 30, /* of memory for the groups of all threads, and half of it for their sum */
};

/* One thread's. */
struct sums {
	struct plain_keys keys;
	struct expression *octets, *packets; /* NULL: no record has any */
	struct groups *groups;
	uint16_t picks[GROUPS_STEP]; /* rows of a step that passed */
	uint64_t valid[VALUES][GROUPS_STEP / 64];
	uint64_t data[VALUES][2 * GROUPS_STEP]; /* 16 octets a value at most */
};

static void sums_free(struct sums *s)
{
	if (!s)
		return;
	plain_keys_fini(&s->keys);
	expression_free(s->octets);
	expression_free(s->packets);
	groups_free(s->groups);
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
	return groups_new(&s->groups, NULL, &shape);
}

/* Rows `first` and on of a vector: as they are, or picked into memory of ours. */

static uint32_t pick_rows(uint16_t *picks, const uint64_t *bits, uint32_t count)
{
	uint32_t n = 0;
	uint64_t all = UINT64_MAX;

	for (uint32_t i = 0; i < count / 64; i++)
		all &= bits[i];
	if (all == UINT64_MAX && count % 64 == 0) { /* the usual case */
		for (; n < count; n++)
			picks[n] = (uint16_t)n;
		return n;
	}
	for (uint32_t i = 0; i * 64 < count; i++)
		for (uint64_t left = bits[i]; left; left &= left - 1)
			picks[n++] = (uint16_t)(64 * i + (uint32_t)__builtin_ctzll(left));
	return n;
}

#define PICK(type)                                                                                           \
	do {                                                                                                 \
		const type *from = v->data;                                                                  \
		type *out = to;                                                                              \
		if (v->codes)                                                                                \
			for (uint32_t i = 0; i < n; i++)                                                     \
				out[i] = from[v->codes[first + picks[i]]];                                   \
		else                                                                                         \
			for (uint32_t i = 0; i < n; i++)                                                     \
				out[i] = from[first + picks[i]];                                             \
	} while (0)

static void pick_values(void *to, const struct vector *v, uint32_t first, const uint16_t *picks, uint32_t n)
{
	switch (parquet_width(v->type)) {
	case 1: PICK(uint8_t); break;
	case 2: PICK(uint16_t); break;
	case 4: PICK(uint32_t); break;
	case 8: PICK(uint64_t); break;
	default:
		for (uint32_t i = 0; i < n; i++)
			memcpy((uint8_t *)to + 16 * (size_t)i,
			       (const uint8_t *)v->data + 16 * (size_t)vector_at(v, first + picks[i]), 16);
	}
}

/* Groups have UUIDs as DuckDB has them. */
static void turn_uuids(uint64_t *values, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const uint64_t high = get_be64((const uint8_t *)&values[2 * i]);

		values[2 * i] = get_be64((const uint8_t *)&values[2 * i + 1]);
		values[2 * i + 1] = high ^ UINT64_C(1) << 63;
	}
}

static struct groups_values take_values(struct sums *s, uint32_t slot, const struct vector *v, uint32_t first,
					uint32_t n, bool all)
{
	struct groups_values out = {.data = s->data[slot]};

	if (all && !v->codes && v->type != PARQUET_UUID) {
		out.data = (const uint8_t *)v->data + first * parquet_width(v->type);
		out.valid = v->valid ? v->valid + first / 64 : NULL;
		return out;
	}
	pick_values(s->data[slot], v, first, s->picks, n);
	if (v->type == PARQUET_UUID)
		turn_uuids(s->data[slot], n);
	if (v->valid) {
		memset(s->valid[slot], 0, sizeof s->valid[slot]);
		for (uint32_t i = 0; i < n; i++)
			s->valid[slot][i / 64] |= (uint64_t)vector_has(v, first + s->picks[i]) << i % 64;
		out.valid = s->valid[slot];
	}
	return out;
}

static enum status take(void *arg, const struct columns *columns, const uint64_t *bits, uint32_t passed,
			struct error *err)
{
	static const uint64_t zero[GROUPS_STEP];
	static const struct groups_values none = {zero, zero};
	struct sums *s = arg;
	struct vector keys[GROUPS_KEYS_MAX], octets, packets;
	bool good =
		expression_run(s->octets, columns, &octets) && expression_run(s->packets, columns, &packets);
	enum status status = OK;

	(void)passed;
	for (uint32_t i = 0; good && i < s->keys.count; i++)
		good = expression_run(s->keys.all[i], columns, &keys[i]);
	if (!good)
		return error_set(err, ERR_MEMORY, "no memory for columns");
	for (uint32_t first = 0; status == OK && first < columns->rows; first += GROUPS_STEP) {
		const uint32_t left = columns->rows - first, count = left < GROUPS_STEP ? left : GROUPS_STEP;
		struct groups_rows rows = {.count = pick_rows(s->picks, bits + first / 64, count)};
		const bool all = rows.count == count;

		if (rows.count == 0)
			continue;
		for (uint32_t i = 0; i < s->keys.count; i++)
			rows.keys[i] = take_values(s, i, &keys[i], first, rows.count, all);
		rows.octets = s->octets ? take_values(s, VALUES - 2, &octets, first, rows.count, all) : none;
		rows.packets =
			s->packets ? take_values(s, VALUES - 1, &packets, first, rows.count, all) : none;
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
