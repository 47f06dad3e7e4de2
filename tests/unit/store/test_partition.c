/* A partition's file has just the records that it is said to have. */
#include <fcntl.h>
#include <sys/stat.h>

#include "build.h"
#include "store/partition.h"

struct counted {
	uint32_t rows; /* still to come */
};

static enum status fill(void *arg, struct row_group *g, struct error *err)
{
	struct counted *c = arg;

	(void)err;
	g->rows = c->rows < g->room ? c->rows : g->room;
	c->rows -= g->rows;
	for (uint32_t i = 0; i < g->rows; i++)
		((uint32_t *)g->columns[0].data)[i] = i;
	return OK;
}

static enum status write_rows(const char *folder, uint32_t rows, uint64_t records, struct error *err)
{
	struct counted counted = {rows};
	const struct row_source source = {.arg = &counted, .fill = fill};
	struct partition p = {.path = "parts/20231114/flows-0000000001.parquet", .records = records};
	struct schema schema = {0};
	enum status s;

	assert_int_equal(schema_add(&schema, "ingressInterface", COLUMN_UNSIGNED32, 1), 0);
	s = partition_write(folder, &schema, &source, &p, err);
	if (s == OK)
		s = partition_verify(folder, &p, err);
	schema_fini(&schema);
	return s;
}

static bool is_there(const char *folder, const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof path, "%s/parts/20231114/%s", folder, name);
	return stat(path, &st) == 0;
}

static void every_record(void **state)
{
	char *folder = folder_new(), parts[256];
	struct error err = {0};

	(void)state;
	snprintf(parts, sizeof parts, "%s/parts", folder);
	assert_int_equal(mkdir(parts, 0700), 0);
	assert_int_equal(write_rows(folder, 300000, 300001, &err), ERR_SYSTEM);
	assert_non_null(strstr(err.text, "300000 rows came of 300001"));
	assert_false(is_there(folder, "flows-0000000001.parquet"));
	assert_false(is_there(folder, ".flows-0000000001.parquet"));
	assert_int_equal(write_rows(folder, 1, 0, &err), ERR_SYSTEM);
	assert_int_equal(write_rows(folder, 300000, 300000, &err), OK);
	assert_true(is_there(folder, "flows-0000000001.parquet"));
	folder_free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_record)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
