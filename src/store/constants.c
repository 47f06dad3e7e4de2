#include "store/constants.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void constants_fini(struct constants *c)
{
	for (uint32_t i = 0; i < c->count; i++)
		free(c->all[i].name);
	free(c->all);
	*c = (struct constants){0};
}

enum status constants_put(struct constants *c, const char *name, const char *text)
{
	const size_t name_size = strlen(name) + 1, text_size = strlen(text) + 1;
	json_t *json = json_string(text);

	if (!json)
		return ERR_FORMAT;
	json_decref(json);
	if (c->count == c->room) {
		const uint32_t room = c->room ? 2 * c->room : 8;
		struct constant *more = realloc(c->all, room * sizeof *more);

		if (!more)
			return ERR_MEMORY;
		c->all = more;
		c->room = room;
	}
	char *both = malloc(name_size + text_size);
	if (!both)
		return ERR_MEMORY;
	memcpy(both, name, name_size);
	memcpy(both + name_size, text, text_size);
	c->all[c->count++] = (struct constant){.name = both, .text = both + name_size};
	return OK;
}

const char *constants_find(const struct constants *c, const char *name)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (strcasecmp(c->all[i].name, name) == 0)
			return c->all[i].text;
	return NULL;
}

bool constants_equal(const struct constants *a, const struct constants *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (strcmp(a->all[i].name, b->all[i].name) != 0 ||
		    strcmp(a->all[i].text, b->all[i].text) != 0)
			return false;
	return true;
}

json_t *constants_json(const struct constants *c)
{
	json_t *json = json_array();

	for (uint32_t i = 0; i < c->count; i++)
		if (json_array_append_new(json, json_pack("[s,s]", c->all[i].name, c->all[i].text)) != 0) {
			json_decref(json);
			return NULL;
		}
	return json;
}

bool constants_from(struct constants *out, json_t *json)
{
	size_t i;
	json_t *one;

	*out = (struct constants){0};
	json_array_foreach(json, i, one)
	{
		const char *name, *text;

		if (json_unpack(one, "[s,s]", &name, &text) != 0 || constants_put(out, name, text) != OK) {
			constants_fini(out);
			return false;
		}
	}
	return json_is_array(json);
}
