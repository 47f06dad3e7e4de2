#include "store/convert.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

/* The last millisecond of the year 9999: later times are noise that other programs choke on. */
#define TIME_MAX_MS 253402300799999LL

static_assert(sizeof(union parquet_text) == sizeof(duckdb_string_t), "a text is one for DuckDB, too");

void target_nulls(struct target *to, idx_t from, idx_t count)
{
	if (to->group) {
		row_group_nulls(to->group, to->column, (uint32_t)from, (uint32_t)count);
		return;
	}
	if (!to->validity) {
		duckdb_vector_ensure_validity_writable(to->vector);
		to->validity = duckdb_vector_get_validity(to->vector);
	}
	clear_bits(to->validity, (uint32_t)from, (uint32_t)count);
}

static const uint8_t *field_at(const struct piece *p, uint32_t field, uint32_t i)
{
	const struct template *t = p->slot->plan->template;

	return t->variable ? p->record[i] + p->places[(size_t)i * t->field_count + field].offset
			   : p->base + i * p->stride + t->fields[field].offset;
}

struct span piece_field(const struct piece *p, uint32_t field, uint32_t i)
{
	const struct template *t = p->slot->plan->template;

	return span_of(field_at(p, field, i), t->variable
						      ? p->places[(size_t)i * t->field_count + field].length
						      : t->fields[field].length);
}

/* A text that was made here, and goes. */
static void put_copy(struct target *to, uint32_t i, const char *text, size_t length)
{
	const uint8_t *kept;

	if (!to->group) {
		duckdb_vector_assign_string_element_len(to->vector, to->row + i, text, length);
		return;
	}
	kept = row_group_keep(to->group, text, length);
	if (kept)
		((union parquet_text *)to->data)[to->row + i] = parquet_text(kept, length);
}

static void count_fault(const struct piece *p, const struct target *to, enum value_fault why)
{
	if (to->counts)
		p->run->origin->batch_faults[why]++;
}

static void fault(const struct piece *p, struct target *to, uint32_t i, enum value_fault why)
{
	count_fault(p, to, why);
	target_nulls(to, to->row + i, 1);
}

static void note_time(struct rows *rows, int64_t ms)
{
	if (ms < rows->first_ms)
		rows->first_ms = ms;
	if (ms > rows->last_ms)
		rows->last_ms = ms;
}

/* The loops for values of the size of their type. Records of fixed layout need no look-up for each. */

#define EACH_RECORD(p, field, octets)                                                                        \
	const struct template *layout = (p)->slot->plan->template;                                           \
	const bool variable = layout->variable;                                                              \
	const uint8_t *fixed = variable ? NULL : (p)->base + layout->fields[field].offset;                   \
	const size_t stride = (p)->stride;                                                                   \
	const uint8_t *octets = NULL;                                                                        \
	for (uint32_t i = 0;                                                                                 \
	     i < (p)->count && ((octets = variable ? field_at(p, field, i) : fixed + i * stride) != NULL);   \
	     i++)

static void convert_8(const struct piece *p, uint32_t field, uint8_t *out)
{
	EACH_RECORD(p, field, at)
	{
		out[i] = *at;
	}
}

static void convert_16(const struct piece *p, uint32_t field, uint16_t *out)
{
	EACH_RECORD(p, field, at)
	{
		out[i] = get_be16(at);
	}
}

static void convert_32(const struct piece *p, uint32_t field, uint32_t *out)
{
	EACH_RECORD(p, field, at)
	{
		out[i] = get_be32(at);
	}
}

static void convert_64(const struct piece *p, uint32_t field, uint64_t *out)
{
	EACH_RECORD(p, field, at)
	{
		out[i] = get_be64(at);
	}
}

/* UUIDs are 128-bit numbers with the highest bit turned, so that they sort as signed ones. */
static void convert_uuid(const struct piece *p, uint32_t field, duckdb_hugeint *out)
{
	EACH_RECORD(p, field, at)
	{
		out[i].lower = get_be64(at + 8);
		out[i].upper = (int64_t)(get_be64(at) ^ UINT64_C(1) << 63);
	}
}

static void convert_times(struct rows *rows, const struct piece *p, uint32_t field, bool seconds, bool event,
			  struct target *to)
{
	int64_t *out = (int64_t *)to->data + to->row;
	int64_t first = INT64_MAX, last = INT64_MIN;

	EACH_RECORD(p, field, at)
	{
		const uint64_t ms = seconds ? get_be32(at) * UINT64_C(1000) : get_be64(at);

		if (ms > TIME_MAX_MS) {
			out[i] = 0;
			fault(p, to, i, VALUE_FAULT_RANGE);
			continue;
		}
		out[i] = (int64_t)ms;
		first = out[i] < first ? out[i] : first;
		last = out[i] > last ? out[i] : last;
	}
	if (event && first <= last) {
		note_time(rows, first);
		note_time(rows, last);
	}
}

/* True: done. */
static bool convert_whole(struct rows *rows, const struct piece *p, uint32_t field, struct target *to)
{
	const struct plan_field *f = &p->slot->plan->fields[field];
	const uint16_t length = p->slot->plan->template->fields[field].length;

	switch (length << 8 | f->kind) {
	case 1 << 8 | COLUMN_UNSIGNED8:
	case 1 << 8 | COLUMN_SIGNED8: convert_8(p, field, (uint8_t *)to->data + to->row); return true;
	case 2 << 8 | COLUMN_UNSIGNED16:
	case 2 << 8 | COLUMN_SIGNED16: convert_16(p, field, (uint16_t *)to->data + to->row); return true;
	case 4 << 8 | COLUMN_UNSIGNED32:
	case 4 << 8 | COLUMN_SIGNED32:
	case 4 << 8 | COLUMN_FLOAT32:
	case 4 << 8 | COLUMN_IPV4: convert_32(p, field, (uint32_t *)to->data + to->row); return true;
	case 8 << 8 | COLUMN_UNSIGNED64:
	case 8 << 8 | COLUMN_SIGNED64:
	case 8 << 8 | COLUMN_FLOAT64: convert_64(p, field, (uint64_t *)to->data + to->row); return true;
	case 16 << 8 | COLUMN_IPV6: convert_uuid(p, field, (duckdb_hugeint *)to->data + to->row); return true;
	case 4 << 8 | COLUMN_TIME_MS:
		if (f->type != IE_DATE_TIME_SECONDS)
			return false;
		convert_times(rows, p, field, true, f->event_time, to);
		return true;
	case 8 << 8 | COLUMN_TIME_MS:
		if (f->type != IE_DATE_TIME_MILLISECONDS)
			return false;
		convert_times(rows, p, field, false, f->event_time, to);
		return true;
	default: return false;
	}
}

/* One value of any encoding. */

/* Text of a value. */
static void put_text(struct target *to, uint32_t i, const struct value *v)
{
	char buffer[1024];
	struct text text = {.data = buffer, .capacity = sizeof buffer};

	value_print(&text, v);
	if (text.used >= 2 && buffer[0] == '"')
		put_copy(to, i, buffer + 1, text.used - 2);
	else
		put_copy(to, i, buffer, text.used);
}

/* Octets that are no UTF-8, whole, however many. */
static void put_hex(struct target *to, uint32_t i, struct span octets)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(2 * octets.length + 2);

	if (!text) {
		target_nulls(to, to->row + i, 1);
		if (to->group)
			to->group->failed = true;
		return;
	}
	memcpy(text, "0x", 2);
	for (size_t k = 0; k < octets.length; k++) {
		text[2 + 2 * k] = digits[octets.data[k] >> 4];
		text[3 + 2 * k] = digits[octets.data[k] & 15];
	}
	put_copy(to, i, text, 2 * octets.length + 2);
	free(text);
}

static bool put_time(struct rows *rows, const struct plan_field *f, struct target *to, uint32_t i,
		     const struct value *v)
{
	int64_t *out = (int64_t *)to->data + to->row + i;
	const int64_t ms = v->time.seconds * 1000 + v->time.nanoseconds / 1000000;

	if (v->time.seconds > TIME_MAX_MS / 1000)
		return false;
	if (f->kind == COLUMN_TIME_MS)
		*out = ms;
	else if (f->kind == COLUMN_TIME_US)
		*out = v->time.seconds * 1000000 + v->time.nanoseconds / 1000;
	else
		*out = v->time.seconds * NS_PER_S + v->time.nanoseconds;
	if (f->event_time)
		note_time(rows, ms);
	return true;
}

static void put_number(const struct plan_field *f, struct target *to, uint32_t i, const struct value *v)
{
	const idx_t row = to->row + i;
	const float f32 = (float)(v->kind == VALUE_FLOAT ? v->f : 0);

	switch ((enum column_kind)f->kind) {
	case COLUMN_UNSIGNED8: ((uint8_t *)to->data)[row] = (uint8_t)v->u; break;
	case COLUMN_UNSIGNED16: ((uint16_t *)to->data)[row] = (uint16_t)v->u; break;
	case COLUMN_UNSIGNED32: ((uint32_t *)to->data)[row] = (uint32_t)v->u; break;
	case COLUMN_UNSIGNED64: ((uint64_t *)to->data)[row] = v->u; break;
	case COLUMN_SIGNED8: ((int8_t *)to->data)[row] = (int8_t)v->i; break;
	case COLUMN_SIGNED16: ((int16_t *)to->data)[row] = (int16_t)v->i; break;
	case COLUMN_SIGNED32: ((int32_t *)to->data)[row] = (int32_t)v->i; break;
	case COLUMN_SIGNED64: ((int64_t *)to->data)[row] = v->i; break;
	case COLUMN_FLOAT32: ((float *)to->data)[row] = f32; break;
	case COLUMN_FLOAT64: ((double *)to->data)[row] = v->f; break;
	case COLUMN_BOOLEAN: ((bool *)to->data)[row] = v->b; break;
	default: break;
	}
}

static void convert_list(const struct piece *p, uint32_t field, uint32_t i, struct target *to)
{
	const struct plan *plan = p->slot->plan;
	const struct span text =
		p->run->lists[(size_t)(p->first + i) * plan->list_count + plan->fields[field].list_index];

	if (text.data)
		((union parquet_text *)to->data)[to->row + i] = parquet_text(text.data, text.length);
	else
		fault(p, to, i, VALUE_FAULT_LIST);
}

static void convert_value(struct rows *rows, const struct piece *p, uint32_t field, uint32_t i,
			  struct target *to)
{
	const struct plan_field *f = &p->slot->plan->fields[field];
	const struct span octets = piece_field(p, field, i);
	struct value v;

	value_decode(&v, (enum ie_type)f->type, octets);
	switch (v.kind) {
	case VALUE_UNSIGNED:
		if (f->kind == COLUMN_TEXT)
			put_text(to, i, &v);
		else
			put_number(f, to, i, &v);
		break;
	case VALUE_SIGNED:
	case VALUE_FLOAT:
	case VALUE_BOOLEAN: put_number(f, to, i, &v); break;
	case VALUE_MAC: put_text(to, i, &v); break;
	case VALUE_IPV4: ((uint32_t *)to->data)[to->row + i] = get_be32(octets.data); break;
	case VALUE_IPV6:
		((duckdb_hugeint *)to->data)[to->row + i] =
			(duckdb_hugeint){.lower = get_be64(octets.data + 8),
					 .upper = (int64_t)(get_be64(octets.data) ^ UINT64_C(1) << 63)};
		break;
	case VALUE_TIME:
		if (!put_time(rows, f, to, i, &v))
			fault(p, to, i, VALUE_FAULT_RANGE);
		break;
	case VALUE_STRING:
		((union parquet_text *)to->data)[to->row + i] = parquet_text(v.octets.data, v.octets.length);
		break;
	case VALUE_OCTETS:
		if (f->kind == COLUMN_TEXT)
			put_text(to, i, &v);
		else
			((union parquet_text *)to->data)[to->row + i] =
				parquet_text(v.octets.data, v.octets.length);
		break;
	case VALUE_LIST: convert_list(p, field, i, to); break;
	case VALUE_WRONG:
	default:
		if (f->kind == COLUMN_STRING) {
			count_fault(p, to, v.fault);
			put_hex(to, i, octets);
		} else {
			fault(p, to, i, v.fault);
		}
		break;
	}
}

void convert_field(struct rows *rows, const struct piece *p, uint32_t field, struct target *to)
{
	if (convert_whole(rows, p, field, to))
		return;
	for (uint32_t i = 0; i < p->count; i++)
		convert_value(rows, p, field, i, to);
}

/* Derived columns. */

/* The field of a record as a number; 0 when it is none. */
static uint64_t number_of(const struct piece *p, uint32_t field, uint32_t i)
{
	const struct span o = piece_field(p, field, i);

	return o.length && o.length <= 8 ? get_be(o.data, o.length) : 0;
}

__extension__ typedef unsigned __int128 uint128;

static void convert_scaled(const struct piece *p, uint32_t field, struct target *to)
{
	uint64_t *out = (uint64_t *)to->data + to->row;
	const uint16_t selector = p->slot->plan->selector;
	const struct sampling *rate = origin_sampling(p->run->origin, 0);

	for (uint32_t i = 0; i < p->count; i++) {
		if (selector)
			rate = origin_sampling(p->run->origin, number_of(p, selector - 1u, i));
		if (!rate) {
			target_nulls(to, to->row + i, 1);
			continue;
		}
		const uint128 all = (uint128)number_of(p, field, i) * rate->num / rate->den;
		out[i] = all > UINT64_MAX ? UINT64_MAX : (uint64_t)all;
	}
}

static void convert_uptime(struct rows *rows, const struct piece *p, uint32_t field, struct target *to)
{
	int64_t *out = (int64_t *)to->data + to->row;
	const uint16_t own = p->slot->plan->init_time;
	const int64_t wrap = INT64_C(1) << 32, exported = (int64_t)p->run->export_time * 1000;

	for (uint32_t i = 0; i < p->count; i++) {
		const uint64_t init = own ? number_of(p, own - 1u, i) : (uint64_t)p->run->origin->init_ms;

		if (init == 0 || init > TIME_MAX_MS) {
			target_nulls(to, to->row + i, 1);
			continue;
		}
		/* The uptime has 32 bits and wraps after 49 days: the latest time that is not after export.
		 */
		out[i] = (int64_t)init + (int64_t)(uint32_t)number_of(p, field, i);
		if (exported + 60000 - out[i] >= wrap)
			out[i] += (exported + 60000 - out[i]) / wrap * wrap;
		note_time(rows, out[i]);
	}
}

static void convert_interface(const struct piece *p, uint32_t field, struct target *to)
{
	for (uint32_t i = 0; i < p->count; i++) {
		const uint64_t index = number_of(p, field, i);
		const struct interface_name *name =
			index > UINT32_MAX ? NULL : origin_interface(p->run->origin, (uint32_t)index);

		if (name)
			put_copy(to, i, name->name, name->length);
		else
			target_nulls(to, to->row + i, 1);
	}
}

void convert_derived(struct rows *rows, const struct piece *p, uint32_t field, struct target *to)
{
	switch ((enum derived)p->slot->plan->fields[field].derived) {
	case DERIVED_SCALED: convert_scaled(p, field, to); break;
	case DERIVED_TIME: convert_uptime(rows, p, field, to); break;
	case DERIVED_NAME: convert_interface(p, field, to); break;
	case DERIVED_NONE:
	default: target_nulls(to, to->row, p->count); break;
	}
}

/* What stands on every record. */

#define FILL(type, value)                                                                                    \
	for (uint32_t i = 0; i < p->count; i++)                                                              \
	((type *)to->data)[to->row + i] = (value)

void convert_base(const struct piece *p, enum base_column column, struct target *to)
{
	const struct run *run = p->run;
	const struct origin *o = run->origin;

	switch (column) {
	case BASE_EXPORT_TIME: FILL(int64_t, (int64_t)run->export_time * 1000); break;
	case BASE_RECEIVE_TIME: FILL(int64_t, run->received_ms); break;
	case BASE_EXPORTER_ADDRESS: {
		const union parquet_text text = parquet_text(o->address, o->address_length);

		FILL(union parquet_text, text);
		break;
	}
	case BASE_EXPORTER_PORT: FILL(uint16_t, o->port); break;
	case BASE_SESSION_NUMBER: FILL(uint64_t, o->number); break;
	case BASE_DOMAIN: FILL(uint32_t, o->domain); break;
	case BASE_TEMPLATE: FILL(uint16_t, p->slot->plan->template->id); break;
	case BASE_COLUMN_COUNT:
	default: break;
	}
}
