#include "store/plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "ie/ie_ids.h"
#include "message/json.h"

static enum derived derived_of(const struct template_field *f)
{
	if (f->pen != 0 || f->again)
		return DERIVED_NONE;
	switch (f->id) {
	case IE_octetDeltaCount:
	case IE_packetDeltaCount: return DERIVED_SCALED;
	case IE_flowStartSysUpTime:
	case IE_flowEndSysUpTime: return DERIVED_TIME;
	case IE_ingressInterface:
	case IE_egressInterface: return DERIVED_NAME;
	default: return DERIVED_NONE;
	}
}

static void name_field(struct plan_field *out, const struct template_field *f, const struct element *e,
		       bool scope, uint32_t which)
{
	char name[TEXT_PIECE_MAX];
	struct text text = {.data = name, .capacity = sizeof name - 1};

	if (e)
		text_string(&text, e->name);
	else if (!scope && f->pen == 0 && (f->id == IE_observationDomainId || f->id == IE_templateId))
		text.used = (size_t)snprintf(name, sizeof name, "e0.%u", f->id);
	else
		json_print_name(&text, f);
	name[text.used] = '\0';
	if (scope && f->pen == 0 && (f->id == IE_observationDomainId || f->id == IE_templateId))
		snprintf(name, sizeof name, "e0.%u", f->id);
	if (which > 1)
		snprintf(out->name, sizeof out->name, "%.80s_%u", name, which);
	else
		snprintf(out->name, sizeof out->name, "%.90s", name);
}

static void plan_one(struct plan *p, uint16_t i, const struct elements *elements, uint32_t which)
{
	const struct template_field *f = &p->template->fields[i];
	const struct element *e = f->ie ? NULL : elements_find(elements, f->pen, f->id);
	struct plan_field *out = &p->fields[i];

	out->type = f->ie ? f->ie->type : e ? e->type : IE_OCTET_ARRAY;
	out->kind = (uint8_t)column_kind_of((enum ie_type)out->type);
	out->derived = (uint8_t)derived_of(f);
	out->list = out->type == IE_BASIC_LIST || out->type == IE_SUB_TEMPLATE_LIST ||
		    out->type == IE_SUB_TEMPLATE_MULTI_LIST;
	if (out->list)
		out->list_index = p->list_count++;
	out->event_time = f->pen == 0 && f->id >= IE_flowStartSeconds && f->id <= IE_flowEndNanoseconds;
	if (f->pen == 0 && (f->id == IE_selectorId || f->id == IE_samplerId) && !p->selector)
		p->selector = (uint16_t)(i + 1);
	if (f->pen == 0 && f->id == IE_systemInitTimeMilliseconds && !p->init_time)
		p->init_time = (uint16_t)(i + 1);
	name_field(out, f, e, i < p->template->scope_count, which);
}

enum status plan_new(struct plan **out, const struct template *t, const struct elements *elements)
{
	const size_t size = sizeof *t + t->field_count * sizeof t->fields[0];
	const uint16_t columns = t->field_count < COLUMNS_MAX ? t->field_count : COLUMNS_MAX;
	struct plan *p = calloc(1, sizeof *p + columns * sizeof p->fields[0]);
	uint16_t *which = calloc(columns, sizeof *which);

	*out = NULL;
	if (p)
		p->template = malloc(size);
	if (!p || !p->template || !which) {
		if (p)
			free(p->template);
		free(p);
		free(which);
		return ERR_MEMORY;
	}
	memcpy(p->template, t, size);
	p->template->chain = p->template->before = p->template->after = NULL;
	p->references = 1;
	p->generation = elements->generation;
	p->column_count = columns;

	/* An element that stands in the scope and again outside has one row of names. */
	for (uint16_t i = 0; i < columns; i++) {
		if (!t->fields[i].again) {
			for (uint16_t k = 0; k < t->scope_count && k < i; k++)
				if (i >= t->scope_count && t->fields[k].id == t->fields[i].id &&
				    t->fields[k].pen == t->fields[i].pen)
					which[i]++;
		}
		plan_one(p, i, elements, ++which[i]);
		if (t->fields[i].next && t->fields[i].next < columns)
			which[t->fields[i].next] = which[i];
	}
	free(which);
	*out = p;
	return OK;
}

struct plan *plan_ref(struct plan *p)
{
	p->references++;
	return p;
}

void plan_unref(struct plan *p)
{
	if (!p || --p->references)
		return;
	free(p->template);
	free(p);
}

bool plan_fits(const struct plan *p, const struct template *t, const struct elements *elements)
{
	const struct template *mine = p->template;

	if (p->generation != elements->generation || mine->id != t->id ||
	    mine->field_count != t->field_count || mine->scope_count != t->scope_count)
		return false;
	for (uint32_t i = 0; i < t->field_count; i++)
		if (mine->fields[i].id != t->fields[i].id || mine->fields[i].pen != t->fields[i].pen ||
		    mine->fields[i].length != t->fields[i].length)
			return false;
	return true;
}
