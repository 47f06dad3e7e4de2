#include "store/row_group.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BLOCK = 256 << 10 };

struct text_block {
	struct text_block *next;
	size_t used, room;
	uint8_t octets[];
};

enum status row_group_init(struct row_group *g, const struct schema *schema, uint32_t room)
{
	*g = (struct row_group){
		.schema = schema, .room = room, .columns = calloc(schema->count + 1, sizeof *g->columns)};
	if (!g->columns)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < schema->count; i++) {
		struct row_group_column *c = &g->columns[i];

		c->data = malloc(
			room * parquet_width(column_parquet_type((enum column_kind)schema->columns[i].kind)));
		c->valid = malloc((room + 63) / 64 * sizeof *c->valid);
		if (!c->data || !c->valid)
			return ERR_MEMORY;
	}
	return OK;
}

static void free_texts(struct row_group *g)
{
	for (struct text_block *b = g->texts, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	g->texts = NULL;
}

void row_group_fini(struct row_group *g)
{
	for (uint32_t i = 0; g->columns && i < g->schema->count; i++) {
		free(g->columns[i].data);
		free(g->columns[i].valid);
	}
	free(g->columns);
	free_texts(g);
	*g = (struct row_group){0};
}

void row_group_clear(struct row_group *g)
{
	for (uint32_t i = 0; i < g->schema->count; i++)
		g->columns[i].nulls = false;
	g->rows = 0;
	g->kept = 0;
	free_texts(g);
}

const uint8_t *row_group_keep(struct row_group *g, const void *octets, size_t length)
{
	struct text_block *b = g->texts;

	if (!b || b->room - b->used < length) {
		const size_t room = length > TEXT_BLOCK ? length : TEXT_BLOCK;

		b = malloc(sizeof *b + room);
		if (!b) {
			g->failed = true;
			return NULL;
		}
		*b = (struct text_block){.next = g->texts, .room = room};
		g->texts = b;
	}
	uint8_t *to = b->octets + b->used;
	if (length)
		memcpy(to, octets, length);
	b->used += length;
	g->kept += length;
	return to;
}

void row_group_nulls(struct row_group *g, struct row_group_column *c, uint32_t from, uint32_t count)
{
	if (!c->nulls) {
		memset(c->valid, 0xff, (g->room + 63) / 64 * sizeof *c->valid);
		c->nulls = true;
	}
	clear_bits(c->valid, from, count);
}
