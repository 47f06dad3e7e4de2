/* octets.h: octets that are being written, in memory that grows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct octets {
	uint8_t *data;
	size_t used, room;
	bool failed; /* no memory: what is there is not whole */
};

void octets_fini(struct octets *o);

/* Where the next `length` octets may be written; data + used moves only when the writer adds to `used`.
 * NULL: no memory. */
uint8_t *octets_room(struct octets *o, size_t length);

void octets_put(struct octets *o, const void *data, size_t length);
