#include "parquet/octets.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST = 4096 };

void octets_fini(struct octets *o)
{
	free(o->data);
	*o = (struct octets){0};
}

uint8_t *octets_room(struct octets *o, size_t length)
{
	if (o->room - o->used < length) {
		const size_t need = o->used + length, twice = 2 * o->room > LEAST ? 2 * o->room : LEAST;
		const size_t room = need > twice ? need : twice;
		uint8_t *more = need < length ? NULL : realloc(o->data, room);

		if (!more) {
			o->failed = true;
			return NULL;
		}
		o->data = more;
		o->room = room;
	}
	return o->data + o->used;
}

void octets_put(struct octets *o, const void *data, size_t length)
{
	uint8_t *to = length ? octets_room(o, length) : NULL;

	if (!to)
		return;
	memcpy(to, data, length);
	o->used += length;
}
