#include "store/keep.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "store/folder.h"
#include "store/row_source.h"
#include "store/view_parts.h"

/* Sweeping. */

static bool is_named(const struct manifest *m, const char *path)
{
	if (strcmp(path, m->templates) == 0)
		return true;
	for (uint32_t i = 0; i < m->partition_count; i++)
		if (strcmp(path, m->partitions[i].path) == 0)
			return true;
	for (uint32_t i = 0; i < m->aside_count; i++)
		if (strcmp(path, m->aside[i].partition.path) == 0)
			return true;
	for (uint32_t i = 0; i < m->leaving_count; i++)
		if (strcmp(path, m->leaving[i].path) == 0)
			return true;
	return false;
}

/* Names that a writer makes in the store's own folder before they count. */
static bool is_ours(const char *name)
{
	return strncmp(name, ".manifest.json", 14) == 0 || strncmp(name, "templates-", 10) == 0 ||
	       strncmp(name, ".templates-", 11) == 0;
}

static void sweep_folder(struct loader *l, const char *under)
{
	char path[STORE_PATH_MAX], relative[PARTITION_PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	if (path_format(path, "%s/%s", l->store, under) != OK || !(dir = opendir(path)))
		return;
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		    snprintf(relative, sizeof relative, "%s%s%s", under, *under ? "/" : "", name) >=
			    (int)sizeof relative)
			continue;
		if (*under == '\0' && !is_ours(name))
			continue;
		if (strcmp(under, "parts") == 0) {
			if (name[0] != '.')
				sweep_folder(l, relative);
		} else if (!is_named(&l->manifest, relative) &&
			   path_format(path, "%s/%s", l->store, relative) == OK && unlink(path) == 0) {
			l->totals.swept++;
			log_info(l->options.log, "store %s: removed %s, left by an unfinished step", l->store,
				 relative);
		}
	}
	closedir(dir);
}

enum status keep_swept(struct loader *l, struct error *err)
{
	sweep_folder(l, "");
	sweep_folder(l, "parts");
	return OK;
}

/* Files whose time is over. True: the list has changed. */
static bool let_go(struct loader *l, int64_t now_ms)
{
	struct manifest *m = &l->manifest;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < m->leaving_count; i++) {
		char path[STORE_PATH_MAX];

		if (now_ms < m->leaving[i].since_ms) /* the clock was set back: begin to wait anew */
			m->leaving[i].since_ms = now_ms;
		if (!m->leaving[i].committed || now_ms - m->leaving[i].since_ms < LEAVING_MS) {
			m->leaving[kept++] = m->leaving[i];
		} else if (path_format(path, "%s/%s", l->store, m->leaving[i].path) == OK &&
			   unlink(path) != 0 && errno != ENOENT) {
			log_warn(l->options.log, "store %s: %s cannot be removed: %s", l->store,
				 m->leaving[i].path, strerror(errno));
			m->leaving[kept++] = m->leaving[i];
		}
	}

	const bool changed = kept != m->leaving_count;
	m->leaving_count = kept;
	return changed;
}

/* Retention. */

static uint32_t oldest_partition(const struct manifest *m)
{
	uint32_t oldest = 0;

	for (uint32_t i = 1; i < m->partition_count; i++)
		if (m->partitions[i].received_last_ms < m->partitions[oldest].received_last_ms)
			oldest = i;
	return oldest;
}

/* True: partitions left the manifest. */
static bool retain(struct loader *l, int64_t now_ms)
{
	struct manifest *m = &l->manifest;
	uint64_t octets = 0;
	bool changed = false;

	for (uint32_t i = 0; i < m->partition_count; i++)
		octets += m->partitions[i].octets;
	while (m->partition_count) {
		const uint32_t i = oldest_partition(m);
		const struct partition *p = &m->partitions[i];
		const bool old = l->options.retain_ms && now_ms - p->received_last_ms > l->options.retain_ms;
		const bool large = l->options.retain_octets && octets > l->options.retain_octets;

		if ((!old && !large) || manifest_leave(m, p->path, now_ms) != OK)
			break;
		octets -= p->octets;
		manifest_remove(m, i);
		changed = true;
	}
	return changed;
}

/* Compaction. */

struct group {
	uint32_t members[COMPACT_MOST];
	uint32_t count;
	uint64_t records;
};

static void collect_small(const struct manifest *m, bool options, struct group *g)
{
	*g = (struct group){0};
	for (uint32_t i = 0; i < m->partition_count && g->count < COMPACT_MOST; i++) {
		const struct partition *p = &m->partitions[i];

		if (p->options != options || p->records >= COMPACT_SMALL ||
		    g->records + p->records > COMPACT_FULL)
			continue;
		g->members[g->count++] = i;
		g->records += p->records;
	}
}

/* Every column of the group; those that are the same constant in all of it stay that. */
static enum status columns_of(const struct manifest *m, const struct group *g, struct schema *columns,
			      struct constants *same)
{
	const struct constants *first = manifest_constants(m, &m->partitions[g->members[0]]);
	enum status s = OK;

	for (uint32_t i = 0; i < g->count; i++) {
		const struct schema *has = &m->layouts[m->partitions[g->members[i]].layout];

		for (uint32_t k = 0; k < has->count; k++)
			if (schema_add(columns, has->columns[k].name, (enum column_kind)has->columns[k].kind,
				       COLUMNS_MAX) < 0)
				return ERR_LIMIT;
	}
	for (uint32_t k = 0; s == OK && k < first->count; k++) {
		const struct constant *c = &first->all[k];
		bool all = true;

		for (uint32_t i = 1; all && i < g->count; i++) {
			const char *text =
				constants_find(manifest_constants(m, &m->partitions[g->members[i]]), c->name);

			all = text && strcmp(text, c->text) == 0;
		}
		if (all)
			s = constants_put(same, c->name, c->text);
	}
	return s;
}

/* One SELECT for all: each column as its type, which Parquet has not kept for times. *in_file: which. */
static enum status source_of(struct loader *l, const struct group *g, const struct schema *columns,
			     const struct constants *same, struct sql *sql, struct schema *in_file)
{
	const struct view_source from = {.store = l->store,
					 .manifest = &l->manifest,
					 .partitions = g->members,
					 .partition_count = g->count};
	bool failed = false;

	sql_put(sql, "SELECT ");
	for (uint32_t i = 0; i < columns->count; i++) {
		const struct column *c = &columns->columns[i];

		if (constants_find(same, c->name))
			continue;
		sql_put(sql, in_file->count ? ", CAST(" : "CAST(");
		sql_name(sql, c->name);
		sql_format(sql, " AS %s) AS ", column_sql_type((enum column_kind)c->kind));
		sql_name(sql, c->name);
		failed |= schema_add(in_file, c->name, (enum column_kind)c->kind, UINT32_MAX) < 0;
	}
	sql_put(sql, " FROM (");
	view_select_rows(sql, &from, in_file);
	sql_put(sql, ")");
	return sql->failed || failed ? ERR_MEMORY : OK;
}

static void join_times(const struct manifest *m, const struct group *g, struct partition *out)
{
	*out = (struct partition){.options = m->partitions[g->members[0]].options,
				  .records = g->records,
				  .first_ms = INT64_MAX,
				  .last_ms = INT64_MIN,
				  .received_first_ms = INT64_MAX,
				  .received_last_ms = INT64_MIN};
	for (uint32_t i = 0; i < g->count; i++) {
		const struct partition *p = &m->partitions[g->members[i]];

#define LEAST(member) out->member = p->member < out->member ? p->member : out->member
#define MOST(member)  out->member = p->member > out->member ? p->member : out->member
		LEAST(first_ms);
		LEAST(received_first_ms);
		MOST(last_ms);
		MOST(received_last_ms);
#undef LEAST
#undef MOST
	}
}

/* Only what is proved whole goes on. The first damaged one is set aside, and the group has to wait. */
static enum status take_sound(struct loader *l, struct group *g, bool *changed, struct error *err)
{
	struct manifest *m = &l->manifest;

	for (uint32_t i = g->count; i-- > 0;) {
		const uint32_t member = g->members[i];
		const enum status s = partition_verify(l->store, &m->partitions[member], err);

		if (s == OK)
			continue;
		g->records -= m->partitions[member].records;
		memmove(g->members + i, g->members + i + 1, (--g->count - i) * sizeof g->members[0]);
		if (s == ERR_FORMAT) {
			g->count = 0;
			l->totals.partitions_aside++;
			*changed = true;
			log_error(l->options.log, "store %s: set aside: %s", l->store, err->text);
			return manifest_set_aside(m, member, err->text);
		}
		/* Whole it may be all the same: it stays, and the others go on without it. */
		log_warn(l->options.log, "store %s: not read: %s", l->store, err->text);
	}
	return OK;
}

/* The group's records into one file; *columns: all that they have, *same: of which these are not in it. */
static enum status join(struct loader *l, const struct group *g, struct partition *joined,
			struct schema *columns, struct constants *same, struct error *err)
{
	struct schema in_file = {0};
	struct query_source query;
	struct sql sql;
	enum status s;

	sql_init(&sql);
	s = columns_of(&l->manifest, g, columns, same);
	if (s == ERR_LIMIT)
		(void)error_set(err, s, "%u partitions have more than %d columns together", g->count,
				COLUMNS_MAX);
	if (s == OK)
		s = source_of(l, g, columns, same, &sql, &in_file);
	if (s == OK)
		s = query_source_init(&query, l->duck.connection, sql.text, &in_file, err);
	if (s == OK) {
		s = partition_write(l->store, &in_file, &query.source, joined, err);
		query_source_fini(&query);
	}
	schema_fini(&in_file);
	sql_fini(&sql);
	return s;
}

/* The members' file takes their place; or nothing has changed. */
static enum status replace(struct manifest *m, const struct group *g, const struct partition *joined,
			   int64_t now_ms)
{
	const uint32_t partitions = m->partition_count, leaving = m->leaving_count;
	enum status s = manifest_add(m, joined);

	for (uint32_t i = 0; s == OK && i < g->count; i++)
		s = manifest_leave(m, m->partitions[g->members[i]].path, now_ms);
	if (s != OK) {
		m->partition_count = partitions;
		m->leaving_count = leaving;
		return s;
	}
	for (uint32_t i = g->count; i-- > 0;)
		manifest_remove(m, g->members[i]);
	return OK;
}

static enum status compact(struct loader *l, bool options, int64_t now_ms, bool *changed, struct error *err)
{
	struct manifest *m = &l->manifest;
	struct constants same = {0};
	struct schema columns = {0};
	struct partition joined;
	int32_t layout = -1;
	struct group g;
	enum status s;

	collect_small(m, options, &g);
	if (g.count < COMPACT_FILES)
		return OK;
	s = take_sound(l, &g, changed, err);
	if (s != OK || g.count < COMPACT_FILES / 2)
		return s;
	join_times(m, &g, &joined);
	manifest_name(m, options, joined.received_last_ms, joined.path);
	s = join(l, &g, &joined, &columns, &same, err);
	if (s == OK &&
	    (manifest_set_constants(m, &joined, &same) != OK || (layout = manifest_layout(m, &columns)) < 0))
		s = ERR_MEMORY;
	joined.layout = (uint32_t)layout;
	if (s == OK)
		s = replace(m, &g, &joined, now_ms);
	if (s == OK)
		*changed = true;
	if (s == ERR_MEMORY && err->text[0] == '\0')
		(void)error_set(err, s, "no memory to put %u partitions together", g.count);
	constants_fini(&same);
	schema_fini(&columns);
	return s;
}

/* What fails is tried again with the next flush, and keeps nothing else from being done. */
static void complain(const struct loader *l, enum status s, const struct error *why)
{
	if (s != OK)
		log_warn(l->options.log, "store %s: keeping house, tried again later: %s", l->store,
			 why->text);
}

void keep_house(struct loader *l, int64_t now_ms)
{
	bool changed = retain(l, now_ms);

	changed |= let_go(l, now_ms);
	for (unsigned options = 0; options < 2; options++) {
		struct error why = {0};

		complain(l, compact(l, options, now_ms, &changed, &why), &why);
	}
	if (changed) {
		struct error why = {0};

		complain(l, manifest_commit(&l->manifest, l->store, &why), &why);
	}
}

enum status keep_checked(struct loader *l, bool whole, uint32_t *set_aside, struct error *err)
{
	struct manifest *m = &l->manifest;

	*set_aside = 0;
	for (uint32_t i = 0; i < m->partition_count;) {
		struct error why = {0};
		const enum status s = whole ? partition_verify(l->store, &m->partitions[i], &why)
					    : partition_check(l->store, &m->partitions[i], &why);

		if (s != ERR_FORMAT) {
			if (s != OK)
				log_warn(l->options.log, "store %s: left as it is: %s", l->store, why.text);
			i++;
			continue;
		}
		log_error(l->options.log, "store %s: set aside: %s", l->store, why.text);
		if (manifest_set_aside(m, i, why.text) != OK)
			return error_set(err, ERR_MEMORY, "store %s: no memory", l->store);
		l->totals.partitions_aside++;
		++*set_aside;
	}
	return *set_aside ? manifest_commit(m, l->store, err) : OK;
}
