#include "message/json.h"

#include <stdlib.h>

#include "message/list.h"

/* Where in the message's structure a record lies. */
struct place {
	const struct template_store *store;
	uint32_t domain;
	unsigned depth; /* 0: in a data set */
};

enum status json_printer_init(struct json_printer *p, struct text *text)
{
	*p = (struct json_printer){.text = text};
	p->places = malloc((LIST_DEPTH_MAX + 1) * (size_t)TEMPLATE_FIELDS_MAX * sizeof *p->places);
	return p->places ? OK : ERR_MEMORY;
}

void json_printer_fini(struct json_printer *p)
{
	free(p->places);
	p->places = NULL;
}

void json_print_name(struct text *t, const struct template_field *f)
{
	value_print_name(t, f->ie, f->pen, f->id);
}

static void print_list(struct json_printer *p, enum ie_type type, struct span octets, struct place where);

static void print_field(struct json_printer *p, const struct template_field *f, struct span octets,
			struct place where)
{
	struct value v;

	value_decode(&v, f->ie ? (enum ie_type)f->ie->type : IE_OCTET_ARRAY, octets);
	if (v.kind == VALUE_LIST) {
		print_list(p, v.type, octets, where);
		return;
	}
	if (v.fault)
		p->faults[v.fault]++;
	value_print(p->text, &v);
}

void json_print_field(struct json_printer *p, const struct template_field *f, struct span octets,
		      const struct template_store *store, uint32_t domain)
{
	print_field(p, f, octets, (struct place){.store = store, .domain = domain});
}

static void print_array(struct json_printer *p, const struct template *t, struct span record,
			const struct field_place *places, uint16_t i, struct place where)
{
	text_char(p->text, '[');
	for (;;) {
		print_field(p, &t->fields[i], record_field(t, record, places, i), where);
		i = t->fields[i].next;
		if (i == 0)
			break;
		text_char(p->text, ',');
	}
	text_char(p->text, ']');
}

/* `"name":`, with what separates it from the field before. `plain`: beside the keys of the record itself. */
static void print_key(struct text *t, const struct template_field *f, bool comma, bool plain)
{
	const bool taken =
		plain && f->pen == 0 && (f->id == IE_observationDomainId || f->id == IE_templateId);

	if (!text_reserve(t, TEXT_PIECE_MAX))
		return;
	if (comma)
		text_push(t, ',');
	if (taken) {
		text_push(t, '"');
		value_print_name(t, NULL, 0, f->id);
		text_put(t, "\":", 2);
		return;
	}
	/* In steps of a fixed length: faster than a copy whose length is not known. */
	for (size_t i = 0; i < f->key_length; i += TEMPLATE_KEY_STEP)
		memcpy(t->data + t->used + i, f->key + i, TEMPLATE_KEY_STEP);
	t->used += f->key_length;
}

/* Fields `from` to `to`; `comma`: something stands before the first. */
static void print_fields(struct json_printer *p, const struct template *t, struct span record,
			 const struct field_place *places, uint16_t from, uint16_t to, bool comma,
			 struct place where)
{
	for (uint16_t i = from; i < to; i++) {
		const struct template_field *f = &t->fields[i];

		if (f->again)
			continue;
		print_key(p->text, f, comma, where.depth == 0 && i >= t->scope_count);
		comma = true;
		if (f->next)
			print_array(p, t, record, places, i, where);
		else
			print_field(p, f, record_field(t, record, places, i), where);
	}
}

/* What stands between the braces of a record. */
static void print_record(struct json_printer *p, const struct template *t, struct span record,
			 const struct field_place *places, bool comma, struct place where)
{
	if (t->scope_count) {
		text_put(p->text, ",", comma ? 1 : 0);
		text_put(p->text, "\"scope\":{", 9);
		print_fields(p, t, record, places, 0, t->scope_count, false, where);
		text_char(p->text, '}');
		comma = true;
	}
	print_fields(p, t, record, places, t->scope_count, t->field_count, comma, where);
}

static struct field_place *places_at(const struct json_printer *p, unsigned depth)
{
	return p->places + depth * (size_t)TEMPLATE_FIELDS_MAX;
}

/* Records of one template inside a list: `"templateId":257,"records":[…]`. */
static void print_records(struct json_printer *p, uint16_t template_id, struct span records,
			  struct place where)
{
	const struct template *t = template_store_find(where.store, where.domain, template_id);
	struct field_place *places = places_at(p, where.depth);
	size_t padding = 0;

	text_string(p->text, "\"templateId\":");
	text_unsigned(p->text, template_id);
	if (!t || record_count(t, records, &padding) < 0 || padding) {
		p->faults[t || !records.length ? VALUE_FAULT_LIST : VALUE_FAULT_LIST_TEMPLATE] +=
			records.length > 0;
		text_string(p->text, records.length ? ",\"octets\":" : ",\"records\":[]");
		if (records.length)
			text_hex(p->text, records.data, records.length);
		return;
	}

	struct record_reader r = record_reader_over(t, records);
	struct span record;
	const char *before = ",\"records\":[{";
	while (record_next(&r, &record, places) == OK) {
		text_string(p->text, before);
		print_record(p, t, record, places, false, where);
		before = "},{";
	}
	text_string(p->text, records.length ? "}]" : ",\"records\":[]");
}

static void print_semantic(struct text *t, uint8_t semantic)
{
	const char *name = list_semantic_name(semantic);

	text_string(t, name ? "{\"semantic\":\"" : "{\"semantic\":");
	if (name)
		text_string(t, name);
	else
		text_unsigned(t, semantic);
	text_string(t, name ? "\"," : ",");
}

/* The whole list can be walked, so that nothing is printed by halves. */
static bool list_is_whole(struct list list, enum ie_type type)
{
	enum status s = END;
	uint16_t id;
	struct span part;

	if (type == IE_BASIC_LIST)
		while ((s = list_next_element(&list, &part)) == OK)
			;
	else if (type == IE_SUB_TEMPLATE_MULTI_LIST)
		while ((s = list_next_block(&list, &id, &part)) == OK)
			;
	return s == END;
}

static void print_basic_list(struct json_printer *p, struct list *list, struct place where)
{
	struct span element;
	bool comma = false;

	text_string(p->text, "\"element\":\"");
	value_print_name(p->text, list->element.ie, list->element.pen, list->element.id);
	text_string(p->text, "\",\"values\":[");
	while (list_next_element(list, &element) == OK) {
		text_put(p->text, ",", comma ? 1 : 0);
		comma = true;
		print_field(p, &list->element, element, where);
	}
	text_string(p->text, "]}");
}

static void print_multi_list(struct json_printer *p, struct list *list, struct place where)
{
	struct span records;
	uint16_t id;
	bool comma = false;

	text_string(p->text, "\"lists\":[");
	while (list_next_block(list, &id, &records) == OK) {
		text_string(p->text, comma ? ",{" : "{");
		comma = true;
		print_records(p, id, records, where);
		text_char(p->text, '}');
	}
	text_string(p->text, "]}");
}

static void print_list(struct json_printer *p, enum ie_type type, struct span octets, struct place where)
{
	struct list list;

	where.depth++;
	if (where.depth > LIST_DEPTH_MAX || list_open(&list, type, octets) != OK ||
	    !list_is_whole(list, type)) {
		p->faults[where.depth > LIST_DEPTH_MAX ? VALUE_FAULT_LIST_DEPTH : VALUE_FAULT_LIST]++;
		text_hex(p->text, octets.data, octets.length);
		return;
	}
	print_semantic(p->text, list.semantic);
	if (type == IE_BASIC_LIST) {
		print_basic_list(p, &list, where);
	} else if (type == IE_SUB_TEMPLATE_MULTI_LIST) {
		print_multi_list(p, &list, where);
	} else {
		print_records(p, list.template_id, list_records(&list), where);
		text_char(p->text, '}');
	}
}

/* {"exportTime":…,"observationDomainId":…,"templateId":… into `t`. */
static void print_head(struct text *t, const struct message_header *header, uint16_t template_id)
{
	text_string(t, "{\"exportTime\":");
	value_print_time(t, header->export_time, 0, 0);
	text_string(t, ",\"observationDomainId\":");
	text_unsigned(t, header->domain);
	text_string(t, ",\"templateId\":");
	text_unsigned(t, template_id);
}

void json_print_set(struct json_printer *p, const struct message_header *header, const struct template *t,
		    const struct template_store *store, struct span records)
{
	const struct place where = {.store = store, .domain = header->domain};
	struct record_reader r = record_reader_over(t, records);
	struct span record;
	char head[TEXT_PIECE_MAX];
	struct text head_text = {.data = head, .capacity = sizeof head};

	print_head(&head_text, header, t->id);
	while (record_next(&r, &record, p->places) == OK) {
		text_put(p->text, head, head_text.used);
		print_record(p, t, record, p->places, true, where);
		text_put(p->text, "}\n", 2);
	}
}

void json_print_template(struct json_printer *p, const struct message_header *header,
			 const struct template_record *record, enum template_outcome outcome,
			 const struct template *t)
{
	print_head(p->text, header, record->id);
	text_string(p->text, ",\"template\":\"");
	text_string(p->text, template_outcome_name(outcome));
	text_char(p->text, '"');
	if (t && t->scope_count) {
		text_string(p->text, ",\"scopeFieldCount\":");
		text_unsigned(p->text, t->scope_count);
	}
	for (uint16_t i = 0; t && i < t->field_count; i++) {
		const struct template_field *f = &t->fields[i];

		text_string(p->text, i ? ",{\"name\":\"" : ",\"fields\":[{\"name\":\"");
		value_print_name(p->text, f->ie, f->pen, f->id);
		text_string(p->text, "\",\"pen\":");
		text_unsigned(p->text, f->pen);
		text_string(p->text, ",\"id\":");
		text_unsigned(p->text, f->id);
		text_string(p->text, ",\"length\":");
		if (f->length == FIELD_VARIABLE)
			text_string(p->text, "\"variable\"");
		else
			text_unsigned(p->text, f->length);
		text_char(p->text, '}');
	}
	text_string(p->text, t ? "]}\n" : "}\n");
}
