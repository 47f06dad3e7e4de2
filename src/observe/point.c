#include "observe/point.h"

#include <string.h>

#include "observe/text.h"

int point_table_add(struct point_table *table, const char *name, const char *description)
{
	char clean[POINT_NAME_MAX];

	copy_clean(clean, sizeof clean, name);
	for (uint32_t i = 0; i < table->count; i++)
		if (memcmp(table->point[i].name, clean, sizeof clean) == 0)
			return (int)i;
	if (table->count >= POINT_MAX)
		return -1;
	struct observation_point *point = &table->point[table->count];
	memset(point, 0, sizeof *point);
	point->id = table->count + 1;
	memcpy(point->name, clean, sizeof clean);
	for (uint32_t i = 0; i < table->domain_count; i++)
		if (strcmp(table->domain[i].name, clean) == 0)
			point->domain = table->domain[i].domain;
	copy_clean(point->description, sizeof point->description, description);
	return (int)table->count++;
}
