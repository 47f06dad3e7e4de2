#include "query/columns.h"

#include <string.h>

int32_t wanted_column(struct wanted *wanted, const char *name)
{
	const int32_t at = schema_find(wanted->schema, name);

	if (at < 0)
		return -1;
	for (uint32_t i = 0; i < wanted->count; i++)
		if (strcmp(wanted->columns[i].name, wanted->schema->columns[at].name) == 0)
			return (int32_t)i;
	if (wanted->count == WANTED_MAX)
		return -2;
	wanted->columns[wanted->count] = wanted->schema->columns[at];
	return (int32_t)wanted->count++;
}
