#include "overlay/prefix_map.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

enum { DEPTH_MAX = 130 }; /* prefixes of one version inside each other, and one more */

/* An address as a number; IPv4 in the upper half of `high`. */
struct number {
	uint64_t high, low;
};

struct prefix_range {
	struct number from;
	uint32_t value;
};

static bool less(struct number a, struct number b)
{
	return a.high != b.high ? a.high < b.high : a.low < b.low;
}

static struct number number_of(uint8_t version, const uint8_t *address)
{
	if (version == 4)
		return (struct number){(uint64_t)get_be32(address) << 32, 0};
	return (struct number){get_be64(address), get_be64(address + 8)};
}

/* The bits behind the first `length`. */
static struct number rest(uint8_t length)
{
	return (struct number){length >= 64 ? 0 : UINT64_MAX >> length,
			       length >= 128  ? 0
			       : length <= 64 ? UINT64_MAX
					      : UINT64_MAX >> (length - 64)};
}

static struct number last_of(struct number from, uint8_t length)
{
	const struct number r = rest(length);

	return (struct number){from.high | r.high, from.low | r.low};
}

/* False: there is none behind it. */
static bool successor(struct number *n)
{
	n->low++;
	n->high += n->low == 0;
	return n->low != 0 || n->high != 0;
}

static void cut(struct prefix *p)
{
	const uint32_t octets = p->version == 4 ? 4 : 16;

	for (uint32_t i = 0; i < 16; i++) {
		const uint32_t bits = i < octets && p->length > 8 * i ? p->length - 8U * i : 0;

		p->address[i] &= (uint8_t)(bits >= 8 ? 0xff : 0xff00 >> bits);
	}
}

static int by_place(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;

	if (x->version != y->version)
		return x->version < y->version ? -1 : 1;
	const int order = memcmp(x->address, y->address, sizeof x->address);
	if (order != 0)
		return order;
	return (x->length > y->length) - (x->length < y->length);
}

static int by_place_and_value(const void *a, const void *b)
{
	const int order = by_place(a, b);
	const struct prefix *x = a, *y = b;

	return order != 0 ? order : (x->value > y->value) - (x->value < y->value);
}

/* Ranges of one version, as they are written. */
struct layer {
	struct number last;
	uint32_t value;
};

struct sweep {
	struct prefix_range *out;
	uint32_t count, depth;
	struct layer layer[DEPTH_MAX];
};

static void put(struct sweep *s, struct number from, uint32_t value)
{
	const struct prefix_range *before = s->count ? &s->out[s->count - 1] : NULL;

	if (before && !less(before->from, from) && !less(from, before->from))
		s->count--;
	s->out[s->count++] = (struct prefix_range){from, value};
}

static void leave(struct sweep *s)
{
	struct number next = s->layer[--s->depth].last;

	if (successor(&next))
		put(s, next, s->depth ? s->layer[s->depth - 1].value : PREFIX_NONE);
}

static enum status lay_out(struct prefix_map *map, uint32_t version, const struct prefix *list,
			   uint32_t count)
{
	struct sweep s = {.out = malloc((2 * (size_t)count + 1) * sizeof *s.out)};

	if (!s.out)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < count; i++) {
		const struct prefix *p = &list[i];
		const struct number from = number_of(p->version, p->address);
		const struct number last = last_of(from, p->length);

		while (s.depth > 0 && less(s.layer[s.depth - 1].last, from))
			leave(&s);
		if (i > 0 && by_place(p, p - 1) == 0) /* the same once more */
			s.depth--;
		put(&s, from, p->value);
		s.layer[s.depth++] = (struct layer){last, p->value};
	}
	while (s.depth > 0)
		leave(&s);
	map->range[version == 6] = s.out;
	map->count[version == 6] = s.count;
	return OK;
}

enum status prefix_map_make(struct prefix_map *map, struct prefix *list, uint32_t count)
{
	uint32_t fours = 0;

	prefix_map_fini(map);
	if (count > PREFIX_MAP_MAX)
		return ERR_LIMIT;
	for (uint32_t i = 0; i < count; i++) {
		if ((list[i].version != 4 || list[i].length > 32) &&
		    (list[i].version != 6 || list[i].length > 128))
			return ERR_FORMAT;
		cut(&list[i]);
		fours += list[i].version == 4;
	}
	if (count > 0)
		qsort(list, count, sizeof *list, by_place_and_value);
	enum status status = lay_out(map, 4, list, fours);
	if (status == OK)
		status = lay_out(map, 6, list + fours, count - fours);
	if (status != OK)
		prefix_map_fini(map);
	return status;
}

void prefix_map_fini(struct prefix_map *map)
{
	free(map->range[0]);
	free(map->range[1]);
	*map = (struct prefix_map){0};
}

uint32_t prefix_map_find(const struct prefix_map *map, uint8_t version, const uint8_t *address)
{
	const struct prefix_range *range = map->range[version == 6];
	const struct number n = number_of(version, address);
	uint32_t low = 0, high = map->count[version == 6];

	while (low < high) { /* the first that begins behind n */
		const uint32_t middle = low + (high - low) / 2;

		if (less(n, range[middle].from))
			high = middle;
		else
			low = middle + 1;
	}
	return low > 0 ? range[low - 1].value : PREFIX_NONE;
}
