#include "store/view_parts.h"

#include <stdlib.h>
#include <string.h>

#include "store/folder.h"

/* What SQL sees. */
static const char *view_type(enum column_kind kind)
{
	return kind == COLUMN_TIME_MS ? "TIMESTAMP" : column_sql_type(kind);
}

static void cast_text(struct sql *sql, const char *text, const char *type)
{
	sql_put(sql, "CAST(");
	sql_text(sql, text);
	sql_format(sql, " AS %s)", type);
}

/* A column of the kind `has` as the view's type. */
static void select_column(struct sql *sql, const char *name, const char *constant, enum column_kind has,
			  const char *type)
{
	const char *mine = column_sql_type(has);
	const bool same = strcmp(type, mine) == 0 || has == COLUMN_TIME_MS;

	if (!same) /* which type is said, so that parts of different types are different texts */
		sql_put(sql, "TRY_CAST(");
	if (constant) {
		cast_text(sql, constant, mine);
	} else if (same) {
		sql_name(sql, name);
	} else {
		sql_put(sql, "CAST(");
		sql_name(sql, name);
		sql_format(sql, " AS %s)", mine);
	}
	if (!same)
		sql_format(sql, " AS %s)", type);
	else if (has == COLUMN_TIME_MS)
		sql_put(sql, "::TIMESTAMP");
}

/* SELECT of `all` columns from a part that has those of `has`, and of these `constants` elsewhere. */
static void select_part(struct sql *sql, const struct schema *all, const struct schema *has,
			const struct constants *constants)
{
	sql_put(sql, "SELECT ");
	for (uint32_t i = 0; i < all->count; i++) {
		const struct column *c = &all->columns[i];
		const int32_t there = schema_find(has, c->name);
		const char *type = view_type((enum column_kind)c->kind);

		sql_put(sql, i ? "," : "");
		if (there < 0)
			sql_format(sql, "NULL::%s", type);
		else
			select_column(sql, has->columns[there].name, constants_find(constants, c->name),
				      (enum column_kind)has->columns[there].kind, type);
		sql_put(sql, " AS ");
		sql_name(sql, c->name);
	}
}

static void put_file(struct sql *sql, const struct view_source *s, uint32_t i)
{
	char path[STORE_PATH_MAX];

	if (path_format(path, "%s/%s", s->store, s->manifest->partitions[s->partitions[i]].path) != OK)
		sql->failed = true;
	else
		sql_text(sql, path);
}

/* Partitions whose SELECT is the same are one part: files of one read, which finds columns by name. */

enum { BRANCHES_MAX = 16 };

struct branch {
	struct sql select, files;
};

struct branches {
	struct branch each[BRANCHES_MAX];
	unsigned count;
	bool too_many;
	bool failed;
};

static struct branch *branch_of(struct branches *b, struct sql *select)
{
	for (unsigned i = 0; i < b->count; i++)
		if (strcmp(b->each[i].select.text, select->text) == 0)
			return &b->each[i];
	b->too_many = b->count == BRANCHES_MAX;
	if (b->too_many)
		return NULL;

	struct branch *new = &b->each[b->count++];
	*new = (struct branch){.select = *select};
	*select = (struct sql){0};
	return new;
}

static void find_branches(struct branches *b, const struct view_source *s, const struct schema *all)
{
	const struct manifest *m = s->manifest;
	const struct partition *before = NULL;
	struct branch *branch = NULL;

	for (uint32_t i = 0; i < s->partition_count && !b->failed; i++) {
		const struct partition *p = &m->partitions[s->partitions[i]];
		struct sql select;

		if (!before || p->layout != before->layout || p->constants != before->constants) {
			sql_init(&select);
			select_part(&select, all, &m->layouts[p->layout], manifest_constants(m, p));
			b->failed = select.failed;
			branch = b->failed ? NULL : branch_of(b, &select);
			sql_fini(&select);
			if (!branch)
				return;
			before = p;
		}
		sql_put(&branch->files, branch->files.text ? "," : "");
		put_file(&branch->files, s, i);
		b->failed = branch->files.failed;
	}
}

static void put_branches(struct sql *sql, const struct branches *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		sql_put(sql, i ? " UNION ALL " : "");
		sql_put(sql, b->each[i].select.text);
		sql_put(sql, " FROM read_parquet([");
		sql_put(sql, b->each[i].files.text);
		sql_put(sql, "])");
	}
}

/* When there are very many, all partitions are one part, joined by name; what is a constant of a file is told
 * by the file's name. No column has a name with a blank. */

#define FILE_COLUMN "a file"

/* The columns that are in some file. */
static void add_columns_in_files(struct schema *out, const struct view_source *s)
{
	const struct manifest *m = s->manifest;
	const struct partition *before = NULL;

	for (uint32_t i = 0; i < s->partition_count; i++) {
		const struct partition *p = &m->partitions[s->partitions[i]];
		const struct schema *layout = &m->layouts[p->layout];
		const struct constants *constants = manifest_constants(m, p);

		if (before && p->layout == before->layout && p->constants == before->constants)
			continue;
		before = p;
		for (uint32_t k = 0; k < layout->count; k++)
			if (!constants_find(constants, layout->columns[k].name))
				(void)schema_add(out, layout->columns[k].name,
						 (enum column_kind)layout->columns[k].kind, UINT32_MAX);
	}
}

/* The column's value in the files where it is a constant: false, none was put: there is no such file. */
static bool put_by_file(struct sql *sql, const struct view_source *s, const char *name, const char *type)
{
	const struct manifest *m = s->manifest;
	bool any = false;

	for (uint32_t i = 0; i < s->partition_count; i++) {
		const struct partition *p = &m->partitions[s->partitions[i]];
		const char *text = constants_find(manifest_constants(m, p), name);

		if (!text || schema_find(&m->layouts[p->layout], name) < 0)
			continue;
		sql_put(sql, any ? " WHEN " : "TRY_CAST(CASE \"" FILE_COLUMN "\" WHEN ");
		put_file(sql, s, i);
		sql_put(sql, " THEN ");
		sql_text(sql, text);
		any = true;
	}
	if (any)
		sql_format(sql, " END AS %s)", type);
	return any;
}

static void select_together(struct sql *sql, const struct view_source *s, const struct schema *all)
{
	struct schema has = {0};

	add_columns_in_files(&has, s);
	sql_put(sql, "SELECT ");
	for (uint32_t i = 0; i < all->count; i++) {
		const struct column *c = &all->columns[i];
		const char *type = view_type((enum column_kind)c->kind);
		const int32_t there = schema_find(&has, c->name);
		struct sql by_file;

		sql_init(&by_file);
		const bool constant = put_by_file(&by_file, s, c->name, type);

		sql_put(sql, i ? "," : "");
		sql_put(sql, constant && there >= 0 ? "coalesce(" : "");
		sql_put(sql, constant && by_file.text ? by_file.text : "");
		sql_put(sql, constant && there >= 0 ? "," : "");
		sql->failed |= by_file.failed;
		sql_fini(&by_file);
		if (there >= 0)
			select_column(sql, c->name, NULL, (enum column_kind)has.columns[there].kind, type);
		else if (!constant)
			sql_format(sql, "NULL::%s", type);
		sql_put(sql, constant && there >= 0 ? ")" : "");
		sql_put(sql, " AS ");
		sql_name(sql, c->name);
	}
	sql_put(sql, " FROM read_parquet([");
	for (uint32_t i = 0; i < s->partition_count; i++) {
		sql_put(sql, i ? "," : "");
		put_file(sql, s, i);
	}
	sql_put(sql, "], union_by_name=true, filename='" FILE_COLUMN "')");
	schema_fini(&has);
}

static void select_partitions(struct sql *sql, const struct view_source *s, const struct schema *all)
{
	struct branches b = {0};

	find_branches(&b, s, all);
	if (b.too_many)
		select_together(sql, s, all);
	else if (!b.failed)
		put_branches(sql, &b);
	sql->failed |= b.failed;
	for (unsigned i = 0; i < b.count; i++) {
		sql_fini(&b.each[i].select);
		sql_fini(&b.each[i].files);
	}
}

void view_select_rows(struct sql *sql, const struct view_source *s, const struct schema *all)
{
	static const struct constants none = {0};
	bool any = s->partition_count > 0;

	if (any)
		select_partitions(sql, s, all);
	for (unsigned i = 0; i < s->tail_count; i++) {
		sql_put(sql, any ? " UNION ALL " : "");
		select_part(sql, all, s->tail[i].schema, &none);
		sql_format(sql, " FROM %s()", s->tail[i].function);
		any = true;
	}
	if (!any) { /* no record anywhere: the columns all the same */
		const struct schema empty = {0};

		select_part(sql, all, &empty, &none);
		sql_put(sql, " WHERE false");
	}
}
