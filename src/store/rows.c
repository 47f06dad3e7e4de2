#include "store/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_OCTETS = 1 << 20 };

struct rows_block {
	struct rows_block *next;
	size_t used, room;
	uint8_t octets[];
};

void rows_init(struct rows *r)
{
	const uint64_t number = r->number;

	*r = (struct rows){.number = number + 1,
			   .first_ms = INT64_MAX,
			   .last_ms = INT64_MIN,
			   .received_first_ms = INT64_MAX,
			   .received_last_ms = INT64_MIN};
}

void rows_fini(struct rows *r)
{
	for (struct rows_block *b = r->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	for (uint32_t i = 0; i < r->plan_count; i++) {
		r->plans[i].plan->rows = 0;
		plan_unref(r->plans[i].plan);
		free(r->plans[i].columns);
		free(r->plans[i].derived);
	}
	free(r->plans);
	free(r->runs);
	schema_fini(&r->schema);
	r->blocks = NULL;
	r->plans = NULL;
	r->runs = NULL;
	r->plan_count = r->run_count = 0;
}

void rows_reset(struct rows *r)
{
	rows_fini(r);
	rows_init(r);
}

/* Room for `length` octets that stays where it is until the batch is reset. */
static void *take_room(struct rows *r, size_t length)
{
	struct rows_block *b = r->blocks;

	length = (length + 7) & ~(size_t)7;
	if (!b || b->room - b->used < length) {
		const size_t room = length > BLOCK_OCTETS ? length : BLOCK_OCTETS;

		b = malloc(sizeof *b + room);
		if (!b)
			return NULL;
		*b = (struct rows_block){.next = r->blocks, .room = room};
		r->blocks = b;
	}
	b->used += length;
	return b->octets + b->used - length;
}

static bool add_base_columns(struct rows *r)
{
	for (unsigned i = 0; r->schema.count < BASE_COLUMN_COUNT; i++)
		if (schema_add(&r->schema, base_columns[i].name, (enum column_kind)base_columns[i].kind,
			       COLUMNS_MAX) < 0)
			return false;
	return true;
}

/* How many columns the plan would add. */
static uint32_t new_columns(const struct rows *r, const struct plan *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->column_count; i++)
		n += schema_find(&r->schema, p->fields[i].name) < 0;
	return n;
}

static enum status add_plan(struct rows *r, struct plan *p)
{
	/* Room is left for the few derived ones. */
	const uint32_t limit = COLUMNS_MAX - 8;
	struct rows_plan *slot;

	if (!add_base_columns(r))
		return ERR_MEMORY;
	if (r->run_count && r->schema.count + new_columns(r, p) > limit)
		return ERR_LIMIT;
	if (r->plan_count == r->plan_room) {
		const uint32_t room = r->plan_room ? 2 * r->plan_room : 8;
		struct rows_plan *more = realloc(r->plans, room * sizeof *more);

		if (!more)
			return ERR_MEMORY;
		r->plans = more;
		r->plan_room = room;
	}
	slot = &r->plans[r->plan_count];
	slot->columns = calloc(p->column_count, sizeof *slot->columns);
	slot->derived = calloc(p->column_count, sizeof *slot->derived);
	if (!slot->columns || !slot->derived) {
		free(slot->columns);
		free(slot->derived);
		return ERR_MEMORY;
	}
	for (uint32_t i = 0; i < p->column_count; i++) {
		const struct plan_field *f = &p->fields[i];

		slot->columns[i] = schema_add(&r->schema, f->name, (enum column_kind)f->kind, limit);
		slot->derived[i] = -1;
		r->columns_left_out += slot->columns[i] < 0;
	}
	r->columns_left_out += (uint64_t)(p->template->field_count - p->column_count);
	slot->plan = plan_ref(p);
	p->rows = r->number;
	p->rows_slot = r->plan_count++;
	return OK;
}

static void print_lists(struct rows *r, const struct rows_plan *slot, struct run *run, struct span *lists,
			struct json_printer *printer, const struct template_store *store)
{
	const struct plan *p = slot->plan;
	const struct template *t = p->template;
	struct record_reader reader = record_reader_over(t, span_of(run->at, run->length));
	struct span record;
	uint32_t at = 0;

	run->lists = lists;
	while (record_next(&reader, &record, printer->places) == OK) {
		/* The printer uses its places for lists, each level its own; level 0 is ours. */
		for (uint16_t i = 0; i < p->column_count; i++) {
			if (!p->fields[i].list)
				continue;
			printer->text->used = 0;
			printer->text->full = false;
			json_print_field(printer, &t->fields[i], record_field(t, record, printer->places, i),
					 store, t->domain);

			const size_t length = printer->text->used;
			uint8_t *text = printer->text->full ? NULL : take_room(r, length);
			if (text)
				memcpy(text, printer->text->data, length);
			r->octets += text ? length : 0;
			lists[at++] = span_of(text, text ? length : 0);
		}
	}
}

static void note_times(struct rows *r, const struct run *run)
{
	const int64_t exported = (int64_t)run->export_time * 1000;

	if (exported < r->first_ms)
		r->first_ms = exported;
	if (exported > r->last_ms)
		r->last_ms = exported;
	if (run->received_ms < r->received_first_ms)
		r->received_first_ms = run->received_ms;
	if (run->received_ms > r->received_last_ms)
		r->received_last_ms = run->received_ms;
}

enum status rows_add(struct rows *r, struct plan *plan, struct origin *origin,
		     const struct message_header *header, int64_t received_ms, struct span records,
		     uint32_t count, struct json_printer *printer, const struct template_store *store)
{
	if (plan->rows != r->number) {
		const enum status s = add_plan(r, plan);

		if (s != OK)
			return s;
	}
	if (r->run_count == r->run_room) {
		const uint32_t room = r->run_room ? 2 * r->run_room : 256;
		struct run *more = realloc(r->runs, room * sizeof *more);

		if (!more)
			return ERR_MEMORY;
		r->runs = more;
		r->run_room = room;
	}

	const size_t list_count = (size_t)plan->list_count * count;
	uint8_t *octets = take_room(r, records.length);
	struct span *lists = list_count ? take_room(r, list_count * sizeof *lists) : NULL;
	if (!octets || (list_count && !lists))
		return ERR_MEMORY;
	memcpy(octets, records.data, records.length);

	struct run *run = &r->runs[r->run_count++];
	*run = (struct run){.origin = origin,
			    .at = octets,
			    .received_ms = received_ms,
			    .export_time = header->export_time,
			    .length = (uint32_t)records.length,
			    .count = count,
			    .plan = plan->rows_slot};
	if (list_count)
		print_lists(r, &r->plans[plan->rows_slot], run, lists, printer, store);
	note_times(r, run);
	r->records += count;
	r->octets += records.length;
	origin->records += count;
	return OK;
}

static bool origin_has(const struct origin *o, enum derived what)
{
	return what == DERIVED_SCALED ? o->sampling_count > 0
	       : what == DERIVED_TIME ? o->init_ms != 0
	       : what == DERIVED_NAME ? o->interface_count > 0
				      : false;
}

static void seal_field(struct rows *r, struct rows_plan *slot, uint32_t i)
{
	static const char *const words[] = {"", "scaled", "time", "name"};
	static const enum column_kind of[] = {COLUMN_BLOB, COLUMN_UNSIGNED64, COLUMN_TIME_MS, COLUMN_STRING};
	const struct plan_field *f = &slot->plan->fields[i];
	char name[COLUMN_NAME_MAX];

	if (snprintf(name, sizeof name, "%.80s_%s", f->name, words[f->derived]) < (int)sizeof name)
		slot->derived[i] = schema_add(&r->schema, name, of[f->derived], COLUMNS_MAX);
}

void rows_seal(struct rows *r)
{
	(void)add_base_columns(r);
	for (uint32_t i = 0; i < r->run_count; i++) {
		const struct run *run = &r->runs[i];
		struct rows_plan *slot = &r->plans[run->plan];

		for (uint32_t k = 0; k < slot->plan->column_count; k++) {
			const struct plan_field *f = &slot->plan->fields[k];

			if (f->derived && slot->derived[k] < 0 &&
			    (origin_has(run->origin, (enum derived)f->derived) ||
			     (f->derived == DERIVED_TIME && slot->plan->init_time)))
				seal_field(r, slot, k);
		}
	}
}
