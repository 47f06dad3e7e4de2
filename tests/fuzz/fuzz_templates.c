/* One template set and one options template set into a small store, again and again over itself. */
#include <stdlib.h>

#include "message/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void learn(struct template_store *store, uint16_t id, struct span records)
{
	const struct set set = {id, records};
	const struct message_header header = {.domain = id};
	struct template_reader reader = template_reader_over(&set);
	struct template_record record;
	const struct template *t;

	while (template_next(&reader, &record) == OK) {
		const enum template_outcome outcome = template_store_learn(store, &header, &record, 1, &t);

		if (t && (template_refused(outcome) || t->min_length == 0 || t->scope_count > t->field_count))
			abort();
		if (t && template_store_find(store, id, record.id) != t)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct template_limits limits = {.templates = 16, .fields = 256, .seed = size};
	struct template_store *store;

	if (size < 3 || size > 65535 ||
	    template_store_new(&store, (enum template_rules)(data[0] % 3), &limits) != OK)
		return 0;
	const size_t half = 1 + (data[1] * (size - 2)) / 256;
	learn(store, SET_TEMPLATE, span_of(data + 2, half - 1));
	learn(store, SET_OPTIONS_TEMPLATE, span_of(data + 1 + half, size - 1 - half));
	learn(store, SET_TEMPLATE, span_of(data + 2, size - 2));
	if (template_store_count(store) > limits.templates || template_store_fields(store) > limits.fields)
		abort();
	template_store_expire(store, 2);
	if (template_store_count(store) != 0 || template_store_fields(store) != 0)
		abort();
	template_store_free(store);
	return 0;
}
