#include "overlay/peers.h"

#include <stdlib.h>
#include <string.h>

void peer_table_clear(struct peer_table *t)
{
	t->count = t->prefix_count = 0;
	t->incomplete = false;
	prefix_map_fini(&t->map);
}

void peer_table_fini(struct peer_table *t)
{
	prefix_map_fini(&t->map);
	free(t->peer);
	free(t->prefix);
	*t = (struct peer_table){0};
}

/* Room for one more in an array of at most `most`. */
static bool grow(void **array, uint32_t *room, uint32_t count, uint32_t most, size_t size)
{
	if (count < *room)
		return true;
	const uint32_t wanted = *room ? *room * 2 : 16;
	void *grown = count < most ? realloc(*array, wanted * size) : NULL;

	if (!grown)
		return false;
	*array = grown;
	*room = wanted;
	return true;
}

struct peer *peer_table_add(struct peer_table *t, const uint8_t key[static PEER_KEY_SIZE])
{
	if (t->count > 0 && memcmp(t->peer[t->count - 1].key, key, PEER_KEY_SIZE) == 0)
		return &t->peer[t->count - 1];
	void *array = t->peer;
	if (!grow(&array, &t->room, t->count, PEERS_MAX, sizeof *t->peer)) {
		t->incomplete = true;
		return NULL;
	}
	t->peer = array;
	struct peer *p = &t->peer[t->count++];
	*p = (struct peer){0};
	memcpy(p->key, key, PEER_KEY_SIZE);
	return p;
}

void peer_table_allow(struct peer_table *t, uint8_t version, const uint8_t *address, uint8_t length)
{
	void *array = t->prefix;

	if (t->count == 0 || (version != 4 && version != 6) || length > (version == 4 ? 32 : 128) ||
	    !grow(&array, &t->prefix_room, t->prefix_count, PREFIX_MAP_MAX, sizeof *t->prefix)) {
		t->incomplete = true;
		return;
	}
	t->prefix = array;
	struct prefix *p = &t->prefix[t->prefix_count++];
	*p = (struct prefix){.version = version, .length = length, .value = t->count - 1};
	memcpy(p->address, address, version == 4 ? 4 : 16);
}

enum status peer_table_complete(struct peer_table *t)
{
	return prefix_map_make(&t->map, t->prefix, t->prefix_count);
}

struct peer *peer_table_find(const struct peer_table *t, uint8_t version, const uint8_t *address)
{
	const uint32_t i = prefix_map_find(&t->map, version, address);

	return i < t->count ? &t->peer[i] : NULL;
}
