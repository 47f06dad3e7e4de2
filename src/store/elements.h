/* elements.h: what exporters said about elements that our registry has not (RFC 5610 type records). The first
 * word about an element holds; nobody can rename an element of the registry or take a column's name. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "ie/ie.h"

enum {
	ELEMENTS_MAX = 4096,
	ELEMENT_NAME_MAX = 64, /* with its end */
};

struct element {
	uint32_t pen;
	uint16_t id;
	uint8_t type; /* enum ie_type */
	char name[ELEMENT_NAME_MAX];
};

struct elements {
	struct element *list; /* sorted by (pen, id) */
	uint32_t count, room;
	uint32_t generation; /* grows with each that is learned */
	uint64_t refused;    /* no name we can use, or too many */
};

void elements_fini(struct elements *e);

/* True: learned now. `name` need not be terminated. */
bool elements_learn(struct elements *e, uint32_t pen, uint16_t id, uint8_t type, const char *name,
		    size_t length);
const struct element *elements_find(const struct elements *e, uint32_t pen, uint16_t id);
