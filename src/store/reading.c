#include "store/reading.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/constant_value.h"
#include "store/partition_file.h"
#include "store/pour.h"
#include "store/store_parts.h"

enum { TAIL_ROWS = 32 * ROW_GROUP_STEP };

/* Where a part has a column. */
struct place {
	enum { ABSENT, CONSTANT, IN_FILE } where;
	uint32_t column; /* of the file */
	struct constant_value value;
};

/* A partition that slices are read from. */
struct part {
	const struct partition *partition;
	int fd;
	struct parquet_reader *reader;
	uint32_t users; /* slices, and the reading as long as there are groups left */
	struct place places[READING_COLUMNS];
};

/* A tail's records, one piece after the other. */
struct tail {
	struct rows *rows;
	struct pour pour;
	struct schema columns; /* those of ours that it has */
	int32_t places[READING_COLUMNS];
	bool begun;
};

struct reading {
	struct store_parts parts;
	struct column columns[READING_COLUMNS];
	uint32_t column_count;
	uint16_t *first_entry; /* codes of columns that have one value; zero */
	uint64_t *no_bits;     /* zero */
	pthread_mutex_t lock;  /* of what follows */
	struct tail tails[2];
	unsigned tail;           /* that is read */
	uint32_t next_partition; /* in parts.partitions */
	struct part *part;       /* NULL: the next is to be opened */
	uint32_t groups_left;
	uint64_t taken; /* slices */
};

/* What vectors[] has of a column. */
enum there { NOTHING, NO_ENTRIES, ENTRIES, VALUES };

struct slice {
	struct reading *reading;
	uint64_t number;
	uint32_t rows, group;
	struct part *part; /* NULL: of the tail */
	const struct tail *tail;
	struct row_group poured; /* of the tail: in memory of this slice */
	struct vector vectors[READING_COLUMNS];
	uint8_t there[READING_COLUMNS]; /* enum there */
	struct page_memory *memory[READING_COLUMNS];
	enum status status;
	struct error err;
};

/* Opening. */

static enum column_kind kind_of(const struct reading *r, uint32_t column)
{
	return (enum column_kind)r->columns[column].kind;
}

static bool same_kind(const struct reading *r, uint32_t column, const struct schema *has)
{
	const int32_t there = schema_find(has, r->columns[column].name);

	return there < 0 || column_duckdb_type((enum column_kind)has->columns[there].kind) ==
				    column_duckdb_type(kind_of(r, column));
}

static bool all_the_same(const struct reading *r)
{
	const struct manifest *m = r->parts.manifest;
	bool same = true;

	for (uint32_t c = 0; c < r->column_count; c++) {
		uint32_t last = UINT32_MAX;

		for (uint32_t i = 0; same && i < r->parts.partition_count; i++) {
			const uint32_t layout = m->partitions[r->parts.partitions[i]].layout;

			same = layout == last || same_kind(r, c, &m->layouts[layout]);
			last = layout;
		}
		for (unsigned i = 0; same && i < 2; i++)
			same = !r->parts.tails[i] || same_kind(r, c, &r->parts.tails[i]->schema);
	}
	return same;
}

enum status reading_open(struct reading **out, const struct store *store, const struct column *columns,
			 uint32_t count, struct error *err)
{
	struct reading *r = calloc(1, sizeof *r);
	enum status s = OK;

	*out = NULL;
	if (count > READING_COLUMNS) {
		free(r);
		return error_set(err, ERR_LIMIT, "%u columns asked for, at most %d can be read together",
				 count, READING_COLUMNS);
	}
	if (r) {
		r->first_entry = calloc(SLICE_ROWS_MAX, sizeof *r->first_entry);
		r->no_bits = calloc(SLICE_ROWS_MAX / 64, sizeof *r->no_bits);
	}
	if (!r || !r->first_entry || !r->no_bits) {
		reading_close(r);
		return error_set(err, ERR_MEMORY, "no memory to read a store");
	}
	store_parts(store, &r->parts);
	memcpy(r->columns, columns, count * sizeof *columns);
	r->column_count = count;
	pthread_mutex_init(&r->lock, NULL);
	if (!all_the_same(r))
		s = error_set(err, ERR_UNSUPPORTED, "a column has different types in different partitions");
	if (s == OK)
		*out = r;
	else
		reading_close(r);
	return s;
}

static void part_leave(struct part *p)
{
	if (!p || --p->users)
		return;
	parquet_reader_close(p->reader);
	close_fd(&p->fd);
	free(p);
}

void reading_close(struct reading *r)
{
	if (!r)
		return;
	part_leave(r->part);
	for (unsigned i = 0; i < 2; i++) {
		if (r->tails[i].begun)
			pour_fini(&r->tails[i].pour);
		schema_fini(&r->tails[i].columns);
	}
	free(r->first_entry);
	free(r->no_bits);
	free(r);
}

struct slice *slice_new(struct reading *r)
{
	struct slice *s = calloc(1, sizeof *s);

	if (s)
		s->reading = r;
	return s;
}

void slice_free(struct slice *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->reading->lock);
	part_leave(s->part);
	pthread_mutex_unlock(&s->reading->lock);
	for (uint32_t i = 0; i < READING_COLUMNS; i++)
		page_memory_free(s->memory[i]);
	if (s->poured.columns)
		row_group_fini(&s->poured);
	free(s);
}

/* The tail. */

static enum status tail_begin(struct reading *r, struct tail *t, struct rows *rows)
{
	uint64_t *columns = calloc(r->column_count + 1, sizeof *columns);
	enum status s = columns ? OK : ERR_MEMORY;

	t->rows = rows;
	for (uint32_t i = 0; s == OK && i < r->column_count; i++) {
		const int32_t there = schema_find(&rows->schema, r->columns[i].name);

		t->places[i] = -1;
		if (there < 0)
			continue;
		columns[t->columns.count] = (uint32_t)there;
		t->places[i] = schema_add(&t->columns, r->columns[i].name, kind_of(r, i), UINT32_MAX);
		s = t->places[i] < 0 ? ERR_MEMORY : OK;
	}
	if (s == OK) {
		s = pour_init(&t->pour, rows, columns, t->columns.count);
		t->begun = s == OK;
		if (s != OK)
			pour_fini(&t->pour);
	}
	free(columns);
	return s;
}

static enum status tail_group(struct slice *s, const struct tail *t)
{
	if (s->poured.schema == &t->columns) {
		row_group_clear(&s->poured);
		return OK;
	}
	if (s->poured.columns)
		row_group_fini(&s->poured);
	return row_group_init(&s->poured, &t->columns, TAIL_ROWS);
}

/* The next piece of a tail. END: there is none. */
static enum status take_tail(struct slice *s)
{
	struct reading *r = s->reading;

	for (; r->tail < 2; r->tail++) {
		struct tail *t = &r->tails[r->tail];
		enum status status = OK;

		if (!r->parts.tails[r->tail])
			continue;
		if (!t->begun)
			status = tail_begin(r, t, r->parts.tails[r->tail]);
		if (status == OK)
			status = tail_group(s, t);
		if (status != OK)
			return status;
		for (uint32_t i = 0; i < t->columns.count; i++)
			t->pour.targets[i] = (struct target){.group = &s->poured,
							     .column = &s->poured.columns[i],
							     .data = s->poured.columns[i].data};
		s->rows = pour_next(&t->pour, TAIL_ROWS);
		s->poured.rows = s->rows;
		s->tail = t;
		if (s->poured.failed)
			return ERR_MEMORY;
		if (s->rows)
			return OK;
	}
	return END;
}

/* Partitions. */

static enum status read_file(void *arg, uint64_t at, void *to, size_t length, struct error *err)
{
	const struct part *p = arg;

	return partition_read(p->fd, to, length, at, p->partition->path, err);
}

static bool has_no_value(const struct part *p, uint32_t column)
{
	for (uint32_t g = 0; g < parquet_reader_groups(p->reader); g++) {
		struct parquet_bounds b;

		parquet_reader_bounds(p->reader, g, column, &b);
		if (b.nulls != parquet_reader_rows(p->reader, g))
			return false;
	}
	return true;
}

static enum status find_place(const struct reading *r, struct part *p, uint32_t c, struct error *err)
{
	const struct manifest *m = r->parts.manifest;
	const struct schema *layout = &m->layouts[p->partition->layout];
	const enum column_kind kind = kind_of(r, c);
	const int32_t there = schema_find(layout, r->columns[c].name);
	struct place *place = &p->places[c];

	if (there < 0)
		return OK;
	/* A name of the manifest's is the file's, letter for letter. */
	const char *name = layout->columns[there].name;
	const char *text = constants_find(manifest_constants(m, p->partition), name);
	if (text) {
		place->where = CONSTANT;
		return constant_value_read(&place->value, kind, text)
			       ? OK
			       : error_set(err, ERR_UNSUPPORTED, "%s: %s: the value '%s'", p->partition->path,
					   name, text);
	}
	const int32_t column = parquet_reader_column(p->reader, name);
	if (column < 0)
		return error_set(err, ERR_FORMAT, "%s: it has no column %s", p->partition->path, name);
	place->column = (uint32_t)column;
	place->where = IN_FILE;
	if (parquet_reader_type(p->reader, place->column) != column_parquet_type(kind)) {
		if (!has_no_value(p, place->column))
			return error_set(err, ERR_FORMAT, "%s: column %s is of another type",
					 p->partition->path, name);
		place->where = ABSENT;
	}
	return OK;
}

static enum status open_file(struct part *p, const char *store, struct error *err)
{
	const struct parquet_octets octets = {.arg = p, .read = read_file, .length = p->partition->octets};
	const enum status s = partition_open(store, p->partition, &p->fd, err);

	if (s != OK)
		return s;
	return parquet_reader_open(&p->reader, &octets, FOOTER_MAX, p->partition->path, err);
}

static enum status part_open(struct reading *r, struct error *err)
{
	const struct partition *partition =
		&r->parts.manifest->partitions[r->parts.partitions[r->next_partition]];
	struct part *p = calloc(1, sizeof *p);
	enum status s = OK;

	if (!p)
		return error_set(err, ERR_MEMORY, "%s: no memory to read it", partition->path);
	*p = (struct part){.partition = partition, .fd = -1, .users = 1};
	s = open_file(p, r->parts.store, err);
	for (uint32_t c = 0; s == OK && c < r->column_count; c++)
		s = find_place(r, p, c, err);
	if (s != OK) {
		part_leave(p);
		return s;
	}
	r->next_partition++;
	r->part = p;
	r->groups_left = parquet_reader_groups(p->reader);
	return OK;
}

/* The next row group. */
static enum status take_group(struct slice *s, struct error *err)
{
	struct reading *r = s->reading;

	while (r->groups_left == 0) {
		part_leave(r->part);
		r->part = NULL;
		if (r->next_partition == r->parts.partition_count)
			return END;
		const enum status status = part_open(r, err);
		if (status != OK)
			return status;
	}
	s->group = --r->groups_left;
	s->part = r->part;
	s->part->users++;
	s->rows = parquet_reader_rows(s->part->reader, s->group);
	return OK;
}

enum status slice_next(struct slice *s, struct error *err)
{
	struct reading *r = s->reading;
	enum status status;

	memset(s->there, 0, sizeof s->there);
	pthread_mutex_lock(&r->lock);
	part_leave(s->part);
	s->part = NULL;
	status = take_tail(s);
	if (status == END)
		status = take_group(s, err);
	else if (status != OK)
		(void)error_set(err, status, "no memory for the newest records");
	s->number = r->taken++;
	pthread_mutex_unlock(&r->lock);
	return status;
}

uint32_t slice_rows(const struct slice *s)
{
	return s->rows;
}

uint64_t slice_number(const struct slice *s)
{
	return s->number;
}

/* Columns. */

static void set_absent(const struct slice *s, uint32_t c, struct vector *out)
{
	static const uint64_t zero[2];

	*out = (struct vector){.type = column_parquet_type(kind_of(s->reading, c)),
			       .rows = s->rows,
			       .valid = s->reading->no_bits,
			       .data = zero,
			       .codes = s->reading->first_entry,
			       .entries = 1};
}

static void set_poured(struct slice *s, uint32_t c, struct vector *out)
{
	const int32_t place = s->tail->places[c];

	if (place < 0) {
		set_absent(s, c, out);
		return;
	}
	const struct row_group_column *column = &s->poured.columns[place];
	if (kind_of(s->reading, c) == COLUMN_IPV6)
		partition_order_uuids(column->data, s->rows);
	*out = (struct vector){.type = column_parquet_type(kind_of(s->reading, c)),
			       .rows = s->rows,
			       .valid = column->nulls ? column->valid : NULL,
			       .data = column->data};
}

static bool get_memory(struct slice *s, uint32_t c)
{
	return s->memory[c] || page_memory_new(&s->memory[c]) == OK;
}

static enum status set_read(struct slice *s, uint32_t c, struct vector *out)
{
	const struct place *place = &s->part->places[c];

	if (place->where == ABSENT) {
		set_absent(s, c, out);
		return OK;
	}
	if (place->where == CONSTANT) {
		set_absent(s, c, out);
		out->valid = NULL;
		out->data = &place->value.value;
		return OK;
	}
	if (!get_memory(s, c))
		return error_set(&s->err, ERR_MEMORY, "no memory for the column %s",
				 s->reading->columns[c].name);
	return parquet_reader_read(s->part->reader, s->group, place->column, s->memory[c], out, &s->err);
}

const struct vector *slice_column(struct slice *s, uint32_t c)
{
	if (s->there[c] == VALUES)
		return &s->vectors[c];
	if (s->part)
		s->status = set_read(s, c, &s->vectors[c]);
	else
		set_poured(s, c, &s->vectors[c]);
	s->there[c] = s->status == OK ? VALUES : NOTHING;
	return s->status == OK ? &s->vectors[c] : NULL;
}

static bool read_entries(struct slice *s, uint32_t c)
{
	const struct place *place = s->part ? &s->part->places[c] : NULL;

	return place && place->where == IN_FILE && get_memory(s, c) &&
	       parquet_reader_entries(s->part->reader, s->group, place->column, s->memory[c], &s->vectors[c],
				      NULL) == OK;
}

const struct vector *slice_entries(struct slice *s, uint32_t c)
{
	if (s->there[c] == NOTHING)
		s->there[c] = read_entries(s, c) ? ENTRIES : NO_ENTRIES;
	return s->there[c] == ENTRIES ? &s->vectors[c] : NULL;
}

enum status slice_failed(const struct slice *s, struct error *err)
{
	if (s->status != OK)
		*err = s->err;
	return s->status;
}

static uint32_t count_nulls(const struct row_group_column *c, uint32_t rows)
{
	uint32_t there = 0;

	if (!c->nulls)
		return 0;
	for (uint32_t i = 0; i < rows; i += 64) {
		const uint32_t left = rows - i;
		const uint64_t mask = left < 64 ? (UINT64_C(1) << left) - 1 : UINT64_MAX;

		there += (uint32_t)__builtin_popcountll(c->valid[i / 64] & mask);
	}
	return rows - there;
}

void slice_bounds(const struct slice *s, uint32_t c, struct parquet_bounds *out)
{
	const struct place *place = s->part ? &s->part->places[c] : NULL;
	const int32_t poured = place ? -1 : s->tail->places[c];

	*out = (struct parquet_bounds){0};
	if (poured >= 0)
		out->nulls = count_nulls(&s->poured.columns[poured], s->rows);
	else if (!place || place->where == ABSENT)
		out->nulls = s->rows;
	else if (place->where == IN_FILE)
		parquet_reader_bounds(s->part->reader, s->group, place->column, out);
	else
		constant_value_bounds(&place->value, out);
}
