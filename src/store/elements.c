#include "store/elements.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/column.h"

enum { REFUSED_MAX = 10000 }; /* each costs a look at all names: who goes on like this is not listened to */

void elements_fini(struct elements *e)
{
	free(e->list);
	*e = (struct elements){0};
}

/* Index of the element, or where it would stand. */
static uint32_t place_of(const struct elements *e, uint32_t pen, uint16_t id)
{
	uint32_t low = 0, high = e->count;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;
		const struct element *at = &e->list[middle];

		if (at->pen < pen || (at->pen == pen && at->id < id))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct element *elements_find(const struct elements *e, uint32_t pen, uint16_t id)
{
	const uint32_t i = place_of(e, pen, id);

	return i < e->count && e->list[i].pen == pen && e->list[i].id == id ? &e->list[i] : NULL;
}

/* Letters and digits, a letter first, and not taken: by the registry, by weir's columns, by another.
 * "reverse" in front would be taken for RFC 5103's. */
static bool name_is_free(const struct elements *e, const char *name)
{
	if (!isalpha((unsigned char)name[0]) || strncasecmp(name, "reverse", 7) == 0)
		return false;
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c))
			return false;
	for (size_t i = 0; i < ie_registry_count; i++)
		if (strcasecmp(ie_registry[i].name, name) == 0)
			return false;
	for (unsigned i = 0; i < BASE_COLUMN_COUNT; i++)
		if (strcasecmp(base_columns[i].name, name) == 0)
			return false;
	for (uint32_t i = 0; i < e->count; i++)
		if (strcasecmp(e->list[i].name, name) == 0)
			return false;

	static const char *const of_views[] = {"sourceAddress", "destinationAddress", "flowStart", "flowEnd",
					       "denied"};
	for (size_t i = 0; i < sizeof of_views / sizeof of_views[0]; i++)
		if (strcasecmp(of_views[i], name) == 0)
			return false;
	return true;
}

static bool grow(struct elements *e)
{
	const uint32_t room = e->room ? 2 * e->room : 16;
	struct element *list = realloc(e->list, room * sizeof *list);

	if (!list)
		return false;
	e->list = list;
	e->room = room;
	return true;
}

bool elements_learn(struct elements *e, uint32_t pen, uint16_t id, uint8_t type, const char *name,
		    size_t length)
{
	struct element new = {.pen = pen, .id = id, .type = type};

	while (length && name[length - 1] == '\0')
		length--;
	if (e->refused > REFUSED_MAX || pen == 0 || pen == REVERSE_PEN || ie_find(pen, id) ||
	    elements_find(e, pen, id))
		return false;
	if (length >= sizeof new.name || length == 0 || type >= IE_TYPE_COUNT || e->count == ELEMENTS_MAX ||
	    memchr(name, '\0', length)) {
		e->refused++;
		return false;
	}
	memcpy(new.name, name, length);
	if (!name_is_free(e, new.name) || (e->count == e->room && !grow(e))) {
		e->refused++;
		return false;
	}

	const uint32_t i = place_of(e, pen, id);
	memmove(e->list + i + 1, e->list + i, (e->count - i) * sizeof *e->list);
	e->list[i] = new;
	e->count++;
	e->generation++;
	return true;
}
