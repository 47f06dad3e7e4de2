/* The first so many records by time, octets or packets. Each thread keeps the best it has seen, whole, in a
 * heap; a slice whose bounds are behind the worst of them is not read. */
#include "query/plain_private.h"

#include <stdlib.h>
#include <string.h>

enum { USUAL_LIST = 50, LIST_MOST = 4096 };

/* A record that may be shown. */
struct entry {
	bool has;   /* a value to be ordered by; those without come last */
	bool fresh; /* its cells are not there yet */
	uint32_t row;
	uint64_t rank;      /* the greater, the better */
	uint64_t slice;     /* of equals the first: threads do not show in the answer */
	struct cell *cells; /* one for each expression of the keys */
	char *texts;        /* of cells */
};

/* One thread's. */
struct best {
	struct plain_keys keys;
	struct expression *order; /* NULL: no record has a value */
	bool upwards;
	struct entry *heap; /* the worst in front */
	uint32_t count, most;
};

static void best_free(struct best *b)
{
	if (!b)
		return;
	for (uint32_t i = 0; b->heap && i < b->most; i++) {
		free(b->heap[i].cells);
		free(b->heap[i].texts);
	}
	free(b->heap);
	expression_free(b->order);
	plain_keys_fini(&b->keys);
	free(b);
}

static bool is_ordered(enum parquet_type type)
{
	return (type >= PARQUET_UNSIGNED8 && type <= PARQUET_SIGNED64) || type == PARQUET_TIME_MS ||
	       type == PARQUET_TIME_US || type == PARQUET_TIME_NS;
}

static enum status best_new(struct best **out, struct plain *p, uint32_t most)
{
	struct best *b = calloc(1, sizeof *b);
	enum status s = b ? plain_keys_init(&b->keys, p->ask, &p->wanted) : ERR_MEMORY;

	*out = b;
	if (s == OK)
		s = plain_expression(&b->order, ask_order_sql((enum ask_order)p->ask->order), &p->wanted);
	if (s != OK)
		return s;
	if (b->order && !is_ordered(expression_type(b->order)))
		return ERR_UNSUPPORTED;
	b->upwards = p->ask->upwards;
	b->most = most;
	b->heap = calloc(most, sizeof *b->heap);
	for (uint32_t i = 0; b->heap && i < most; i++)
		if (!(b->heap[i].cells = calloc(b->keys.count + 1, sizeof *b->heap[i].cells)))
			return ERR_MEMORY;
	return b->heap ? OK : ERR_MEMORY;
}

/* Numbers of any width and sign in one order. */
static uint64_t number_at(const struct vector *v, uint32_t row)
{
	const uint64_t sign = UINT64_C(1) << 63;
	const uint32_t at = vector_at(v, row);

	switch (v->type) {
	case PARQUET_UNSIGNED8: return ((const uint8_t *)v->data)[at];
	case PARQUET_UNSIGNED16: return ((const uint16_t *)v->data)[at];
	case PARQUET_UNSIGNED32: return ((const uint32_t *)v->data)[at];
	case PARQUET_UNSIGNED64: return ((const uint64_t *)v->data)[at];
	case PARQUET_SIGNED8: return (uint64_t)((const int8_t *)v->data)[at] ^ sign;
	case PARQUET_SIGNED16: return (uint64_t)((const int16_t *)v->data)[at] ^ sign;
	case PARQUET_SIGNED32: return (uint64_t)((const int32_t *)v->data)[at] ^ sign;
	default: return (uint64_t)((const int64_t *)v->data)[at] ^ sign;
	}
}

static int compare_entries(const struct entry *a, const struct entry *b)
{
	if (a->has != b->has)
		return a->has - b->has;
	if (a->rank != b->rank)
		return a->rank > b->rank ? 1 : -1;
	if (a->slice != b->slice)
		return a->slice < b->slice ? 1 : -1;
	return (a->row < b->row) - (a->row > b->row);
}

static void sift_down(struct entry *heap, uint32_t count)
{
	for (uint32_t at = 0, child; (child = 2 * at + 1) < count; at = child) {
		const struct entry moved = heap[at];

		if (child + 1 < count && compare_entries(&heap[child + 1], &heap[child]) < 0)
			child++;
		if (compare_entries(&heap[child], &moved) >= 0)
			return;
		heap[at] = heap[child];
		heap[child] = moved;
	}
}

static void sift_up(struct entry *heap, uint32_t at)
{
	while (at) {
		const uint32_t parent = (at - 1) / 2;
		const struct entry moved = heap[at];

		if (compare_entries(&heap[parent], &moved) <= 0)
			return;
		heap[at] = heap[parent];
		heap[parent] = moved;
		at = parent;
	}
}

static void offer(struct best *b, const struct entry *offered)
{
	const bool full = b->count == b->most;
	struct entry *e = full ? b->heap : &b->heap[b->count];

	if (full && compare_entries(offered, e) <= 0)
		return;
	e->has = offered->has;
	e->rank = offered->rank;
	e->slice = offered->slice;
	e->row = offered->row;
	e->fresh = true;
	if (full)
		sift_down(b->heap, b->count);
	else
		sift_up(b->heap, b->count++);
}

/* The cells of an entry are its own: the slice goes. */
static bool keep_texts(struct entry *e, uint32_t count)
{
	size_t used = 0;

	for (uint32_t i = 0; i < count; i++)
		if (e->cells[i].kind == CELL_TEXT || e->cells[i].kind == CELL_BYTES)
			used += e->cells[i].text.length;
	free(e->texts);
	e->texts = used ? malloc(used) : NULL;
	if (used && !e->texts)
		return false;
	used = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct cell *c = &e->cells[i];

		if ((c->kind != CELL_TEXT && c->kind != CELL_BYTES) || c->text.length == 0)
			continue;
		memcpy(e->texts + used, c->text.data, c->text.length);
		c->text = span_of(e->texts + used, c->text.length);
		used += c->text.length;
	}
	return true;
}

static bool fill_fresh(struct best *b, const struct columns *columns)
{
	bool good = true, any = false;

	for (uint32_t i = 0; i < b->count; i++)
		any |= b->heap[i].fresh;
	for (uint32_t k = 0; any && good && k < b->keys.count; k++) {
		struct vector v;

		good = expression_run(b->keys.all[k], columns, &v);
		for (uint32_t i = 0; good && i < b->count; i++)
			if (b->heap[i].fresh)
				b->heap[i].cells[k] = plain_cell(&v, b->heap[i].row);
	}
	for (uint32_t i = 0; any && i < b->count; i++)
		if (b->heap[i].fresh) {
			good = good && keep_texts(&b->heap[i], b->keys.count);
			b->heap[i].fresh = false;
		}
	return good;
}

static enum status take(void *arg, const struct columns *columns, const uint64_t *bits, uint32_t passed,
			struct error *err)
{
	struct best *b = arg;
	struct vector order;

	(void)passed;
	if (b->order && !expression_run(b->order, columns, &order))
		return error_set(err, ERR_MEMORY, "no memory for columns");
	for (uint32_t word = 0; word * 64 < columns->rows; word++)
		for (uint64_t left = bits[word]; left; left &= left - 1) {
			const uint32_t row = 64 * word + (uint32_t)__builtin_ctzll(left);
			const bool has = b->order && vector_has(&order, row);
			const uint64_t number = has ? number_at(&order, row) : 0;

			offer(b, &(struct entry){.has = has,
						 .row = row,
						 .rank = b->upwards ? ~number : number,
						 .slice = columns->number});
		}
	return fill_fresh(b, columns) ? OK : error_set(err, ERR_MEMORY, "no memory for records");
}

/* All of them are behind the worst that is kept. */
static bool skip(void *arg, const struct columns *columns)
{
	const struct best *b = arg;
	struct parquet_bounds bounds;

	if (b->count < b->most || !b->heap[0].has)
		return false;
	const bool is_unsigned = expression_type(b->order) <= PARQUET_UNSIGNED64;
	const uint64_t turn = is_unsigned ? 0 : UINT64_C(1) << 63;
	expression_bounds(b->order, columns, &bounds);
	if (!bounds.bounded)
		return false;
	const uint64_t nearest = (b->upwards ? bounds.least.u : bounds.greatest.u) ^ turn;
	return (b->upwards ? ~nearest : nearest) <= b->heap[0].rank;
}

/* Showing. */

static int better_first(const void *a, const void *b)
{
	return compare_entries(*(struct entry *const *)b, *(struct entry *const *)a);
}

static void show_entry(struct show *show, const struct plain *p, const struct plain_keys *keys,
		       const struct entry *e)
{
	static const struct cell none = {.kind = CELL_NULL};
	struct cell cells[ASK_COLUMNS_MAX];

	for (uint32_t i = 0; i < p->ask->key_count; i++) {
		const int32_t *half = keys->of[i].half;
		const struct cell first = half[0] < 0 ? none : e->cells[half[0]];
		const struct cell second = half[1] < 0 ? none : e->cells[half[1]];

		cells[i] = cell_join((enum cell_format)p->columns[i].format, &first, &second);
	}
	show_row(show, cells);
}

static enum status show_best(struct plain *p, struct best **all, uint32_t count, struct error *err)
{
	const uint32_t most = all[0]->most, from = (uint32_t)p->ask->offset;
	struct entry **sorted = malloc(((size_t)count * most + 1) * sizeof *sorted);
	struct show *show = calloc(1, sizeof *show);
	enum status s = error_set(err, ERR_MEMORY, "no memory");
	uint32_t n = 0;

	if (sorted && show) {
		for (uint32_t i = 0; i < count; i++)
			for (uint32_t k = 0; k < all[i]->count; k++)
				sorted[n++] = &all[i]->heap[k];
		qsort(sorted, n, sizeof(struct entry *), better_first);
		plain_name_keys(p, &all[0]->keys);
		result_begin(p->sink, show, p->columns, p->column_count);
		for (uint32_t i = from; i < n && i < most && !show->failed; i++)
			show_entry(show, p, &all[0]->keys, sorted[i]);
		s = result_end(p->sink, show, err);
	}
	free(sorted);
	free(show);
	return s;
}

/* How many records the heaps have to hold; 0: too many. */
static uint32_t most_of(const struct ask *ask)
{
	const int64_t rows = ask->limit ? ask->limit : USUAL_LIST;

	return rows < 0 || rows > LIST_MOST || ask->offset < 0 || ask->offset > LIST_MOST
		       ? 0
		       : (uint32_t)(rows + ask->offset);
}

enum status plain_list(struct plain *p, struct error *err)
{
	struct best *all[SCAN_THREADS_MAX] = {NULL};
	struct scan_taker takers[SCAN_THREADS_MAX];
	const uint32_t count = scan_threads(&p->scan), most = most_of(p->ask);
	enum status s = most == 0 ? ERR_UNSUPPORTED : OK;

	for (uint32_t i = 0; s == OK && i < count; i++) {
		s = best_new(&all[i], p, most);
		takers[i] = (struct scan_taker){.arg = all[i], .take = take, .skip = skip};
	}
	if (s != OK)
		(void)error_set(err, s, "this list is for DuckDB");
	if (s == OK)
		s = scan_run(&p->scan, takers, count, err);
	if (s == OK)
		s = show_best(p, all, count, err);
	for (uint32_t i = 0; i < count; i++)
		best_free(all[i]);
	return s;
}
