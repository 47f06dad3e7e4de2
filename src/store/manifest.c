#include "store/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/folder.h"

void manifest_fini(struct manifest *m)
{
	for (uint32_t i = 0; i < m->layout_count; i++)
		schema_fini(&m->layouts[i]);
	for (uint32_t i = 0; i < m->constants_count; i++)
		constants_fini(&m->constants[i]);
	free(m->layouts);
	free(m->constants);
	free(m->partitions);
	free(m->aside);
	free(m->leaving);
	json_decref(m->loader);
	*m = (struct manifest){0};
}

/* One more entry in an array of the manifest. */
static bool room_for(void *array, uint32_t *room, uint32_t count, size_t size)
{
	void **at = array;

	if (count < *room)
		return true;

	const uint32_t more = *room ? 2 * *room : 16;
	void *grown = realloc(*at, more * size);
	if (!grown)
		return false;
	*at = grown;
	*room = more;
	return true;
}

enum status manifest_add(struct manifest *m, const struct partition *p)
{
	if (!room_for(&m->partitions, &m->partition_room, m->partition_count, sizeof *p))
		return ERR_MEMORY;
	m->partitions[m->partition_count++] = *p;
	return OK;
}

void manifest_remove(struct manifest *m, uint32_t i)
{
	memmove(m->partitions + i, m->partitions + i + 1, (--m->partition_count - i) * sizeof *m->partitions);
}

enum status manifest_set_aside(struct manifest *m, uint32_t i, const char *reason)
{
	if (!room_for(&m->aside, &m->aside_room, m->aside_count, sizeof *m->aside))
		return ERR_MEMORY;

	struct aside *a = &m->aside[m->aside_count++];
	a->partition = m->partitions[i];
	snprintf(a->reason, sizeof a->reason, "%s", reason);
	manifest_remove(m, i);
	return OK;
}

enum status manifest_leave(struct manifest *m, const char *path, int64_t now_ms)
{
	if (!room_for(&m->leaving, &m->leaving_room, m->leaving_count, sizeof *m->leaving))
		return ERR_MEMORY;

	struct leaving *l = &m->leaving[m->leaving_count++];
	snprintf(l->path, sizeof l->path, "%s", path);
	l->since_ms = now_ms;
	l->committed = false;
	return OK;
}

static bool same_columns(const struct schema *a, const struct schema *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (column_duckdb_type((enum column_kind)a->columns[i].kind) !=
			    column_duckdb_type((enum column_kind)b->columns[i].kind) ||
		    strcmp(a->columns[i].name, b->columns[i].name) != 0)
			return false;
	return true;
}

int32_t manifest_layout(struct manifest *m, const struct schema *columns)
{
	for (uint32_t i = 0; i < m->layout_count; i++)
		if (same_columns(&m->layouts[i], columns))
			return (int32_t)i;
	if (!room_for(&m->layouts, &m->layout_room, m->layout_count, sizeof *m->layouts))
		return -1;

	struct schema *s = &m->layouts[m->layout_count];
	*s = (struct schema){0};
	for (uint32_t i = 0; i < columns->count; i++) {
		if (schema_add(s, columns->columns[i].name, (enum column_kind)columns->columns[i].kind,
			       UINT32_MAX) < 0) {
			schema_fini(s);
			return -1;
		}
	}
	return (int32_t)m->layout_count++;
}

/* Columns of one value. */

const struct constants *manifest_constants(const struct manifest *m, const struct partition *p)
{
	static const struct constants none = {0};

	return p->constants ? &m->constants[p->constants - 1] : &none;
}

enum status manifest_set_constants(struct manifest *m, struct partition *p, const struct constants *these)
{
	struct constants copy = {0};
	enum status s = OK;

	p->constants = 0;
	if (these->count == 0)
		return OK;
	for (uint32_t i = 0; i < m->constants_count; i++)
		if (constants_equal(&m->constants[i], these)) {
			p->constants = i + 1;
			return OK;
		}
	for (uint32_t i = 0; s == OK && i < these->count; i++)
		s = constants_put(&copy, these->all[i].name, these->all[i].text);
	if (s == OK && !room_for(&m->constants, &m->constants_room, m->constants_count, sizeof copy))
		s = ERR_MEMORY;
	if (s != OK) {
		constants_fini(&copy);
		return s;
	}
	m->constants[m->constants_count++] = copy;
	p->constants = m->constants_count;
	return OK;
}

/* Sets that no partition has any more go. */
static enum status trim_constants(struct manifest *m)
{
	uint32_t *numbers = calloc((size_t)m->constants_count + 1, sizeof *numbers);
	uint32_t kept = 0;

	if (!numbers)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < m->partition_count; i++)
		numbers[m->partitions[i].constants] = 1;
	for (uint32_t i = 0; i < m->aside_count; i++)
		numbers[m->aside[i].partition.constants] = 1;
	numbers[0] = 0;
	for (uint32_t i = 0; i < m->constants_count; i++) {
		if (!numbers[i + 1]) {
			constants_fini(&m->constants[i]);
			continue;
		}
		m->constants[kept++] = m->constants[i];
		numbers[i + 1] = kept;
	}
	m->constants_count = kept;
	for (uint32_t i = 0; i < m->partition_count; i++)
		m->partitions[i].constants = numbers[m->partitions[i].constants];
	for (uint32_t i = 0; i < m->aside_count; i++)
		m->aside[i].partition.constants = numbers[m->aside[i].partition.constants];
	free(numbers);
	return OK;
}

void manifest_name(struct manifest *m, bool options, int64_t last_ms, char out[PARTITION_PATH_MAX])
{
	const time_t at = (time_t)(last_ms / 1000);
	struct tm day;

	if (!gmtime_r(&at, &day))
		day = (struct tm){.tm_year = 70, .tm_mday = 1};
	snprintf(out, PARTITION_PATH_MAX, "parts/%04d%02d%02d/%s-%010llu.parquet", day.tm_year + 1900,
		 day.tm_mon + 1, day.tm_mday, options ? "options" : "flows",
		 (unsigned long long)m->next_name++);
}

/* To JSON. Checksums are texts: JSON's numbers have a sign. */

static json_t *hex_json(uint64_t v)
{
	char text[24];

	snprintf(text, sizeof text, "%016llx", (unsigned long long)v);
	return json_string(text);
}

static json_t *partition_json(const struct partition *p)
{
	json_t *json = json_pack("{s:s,s:s,s:I,s:I,s:o,s:o,s:[I,I],s:[I,I],s:I}", "path", p->path, "kind",
				 p->options ? "options" : "flows", "records", (json_int_t)p->records,
				 "octets", (json_int_t)p->octets, "checksum", hex_json(p->checksum), "footer",
				 hex_json(p->footer_checksum), "time", (json_int_t)p->first_ms,
				 (json_int_t)p->last_ms, "received", (json_int_t)p->received_first_ms,
				 (json_int_t)p->received_last_ms, "columns", (json_int_t)p->layout);

	/* Numbers in the file begin at 0; a partition without says nothing. */
	if (p->constants &&
	    json_object_set_new(json, "constants", json_integer((json_int_t)p->constants - 1)) != 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static json_t *layouts_json(const struct manifest *m)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < m->layout_count; i++) {
		json_t *one = json_array();

		for (uint32_t k = 0; k < m->layouts[i].count; k++) {
			const struct column *c = &m->layouts[i].columns[k];

			json_array_append_new(
				one, json_pack("[s,s]", c->name, column_sql_type((enum column_kind)c->kind)));
		}
		json_array_append_new(all, one);
	}
	return all;
}

static json_t *all_constants_json(const struct manifest *m)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < m->constants_count; i++)
		if (json_array_append_new(all, constants_json(&m->constants[i])) != 0) {
			json_decref(all);
			return NULL;
		}
	return all;
}

static json_t *positions_json(const struct manifest *m)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < INPUT_WORKERS_MAX; i++)
		if (m->positions[i].segment || m->positions[i].offset)
			json_array_append_new(all, json_pack("{s:I,s:I,s:I}", "worker", (json_int_t)i,
							     "segment", (json_int_t)m->positions[i].segment,
							     "offset", (json_int_t)m->positions[i].offset));
	return all;
}

static json_t *manifest_json(const struct manifest *m)
{
	json_t *partitions = json_array(), *aside = json_array(), *leaving = json_array();
	bool whole = true;

	for (uint32_t i = 0; i < m->partition_count; i++)
		whole &= json_array_append_new(partitions, partition_json(&m->partitions[i])) == 0;
	for (uint32_t i = 0; i < m->aside_count; i++) {
		json_t *one = partition_json(&m->aside[i].partition);

		json_object_set_new(one, "reason", json_string(m->aside[i].reason));
		whole &= json_array_append_new(aside, one) == 0;
	}
	for (uint32_t i = 0; i < m->leaving_count; i++)
		json_array_append_new(leaving, json_pack("{s:s,s:I}", "path", m->leaving[i].path, "since",
							 (json_int_t)m->leaving[i].since_ms));
	if (!whole) { /* no memory: a partition that is not named here would be gone */
		json_decref(partitions);
		json_decref(aside);
		json_decref(leaving);
		return NULL;
	}
	return json_pack("{s:s,s:i,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:s,s:o,s:O?}", "weir", "store", "layout",
			 MANIFEST_LAYOUT, "serial", (json_int_t)m->serial, "nextName",
			 (json_int_t)m->next_name, "positions", positions_json(m), "columns", layouts_json(m),
			 "constants", all_constants_json(m), "partitions", partitions, "aside", aside,
			 "leaving", leaving, "templates", m->templates, "templatesChecksum",
			 hex_json(m->templates_checksum), "loader", m->loader);
}

enum status manifest_commit(struct manifest *m, const char *store, struct error *err)
{
	m->serial++;

	json_t *json = trim_constants(m) == OK ? manifest_json(m) : NULL;
	auto_free char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return error_set(err, ERR_MEMORY, "%s: no memory for its manifest", store);

	enum status s = file_replace(store, "manifest.json", span_of(text, strlen(text)), err);
	if (s == OK)
		s = folder_sync(store, err);
	for (uint32_t i = 0; s == OK && i < m->leaving_count; i++)
		m->leaving[i].committed = true;
	return s;
}

/* From JSON: our own file, but a disk may have had it. */

static bool hex_from(json_t *json, uint64_t *out)
{
	const char *text = json_string_value(json);
	char *end;

	if (!text || !*text)
		return false;
	*out = strtoull(text, &end, 16);
	return *end == '\0';
}

/* Only what manifest_name makes: nothing above or outside. */
static bool path_is_ours(const char *path)
{
	return strlen(path) < PARTITION_PATH_MAX && strncmp(path, "parts/", 6) == 0 && !strstr(path, "..") &&
	       !strchr(path, '\'') && path[6] != '/';
}

static bool partition_from(json_t *json, const struct manifest *m, struct partition *p)
{
	const json_t *constants = json_object_get(json, "constants");
	const char *path, *kind;
	json_t *sum, *footer;
	json_int_t n[7];

	if (json_unpack(json, "{s:s,s:s,s:I,s:I,s:o,s:o,s:[I,I],s:[I,I],s:I}", "path", &path, "kind", &kind,
			"records", &n[0], "octets", &n[1], "checksum", &sum, "footer", &footer, "time", &n[2],
			&n[3], "received", &n[4], &n[5], "columns", &n[6]) != 0 ||
	    !path_is_ours(path) ||
	    (constants && (!json_is_integer(constants) ||
			   (uint64_t)json_integer_value(constants) >= m->constants_count)) ||
	    n[0] < 0 || n[1] < 0 || n[6] < 0 || n[6] >= m->layout_count)
		return false;
	*p = (struct partition){.options = strcmp(kind, "options") == 0,
				.records = (uint64_t)n[0],
				.octets = (uint64_t)n[1],
				.first_ms = n[2],
				.last_ms = n[3],
				.received_first_ms = n[4],
				.received_last_ms = n[5],
				.layout = (uint32_t)n[6],
				.constants = constants ? (uint32_t)json_integer_value(constants) + 1 : 0};
	memcpy(p->path, path, strlen(path) + 1);
	return hex_from(sum, &p->checksum) && hex_from(footer, &p->footer_checksum);
}

static bool layouts_from(json_t *json, struct manifest *m)
{
	size_t i, k;
	json_t *one, *column;

	json_array_foreach(json, i, one)
	{
		struct schema s = {0};
		bool good = true;

		json_array_foreach(one, k, column)
		{
			const char *name, *type;

			good = good && json_unpack(column, "[s,s]", &name, &type) == 0 &&
			       column_kind_from_sql(type) != COLUMN_KIND_COUNT &&
			       schema_add(&s, name, column_kind_from_sql(type), UINT32_MAX) == (int32_t)k;
		}
		if (!good || !room_for(&m->layouts, &m->layout_room, m->layout_count, sizeof s)) {
			schema_fini(&s);
			return false;
		}
		m->layouts[m->layout_count++] = s;
	}
	return true;
}

static bool all_constants_from(json_t *json, struct manifest *m)
{
	size_t i;
	json_t *one;

	json_array_foreach(json, i, one)
	{
		struct constants c;

		if (!constants_from(&c, one))
			return false;
		if (!room_for(&m->constants, &m->constants_room, m->constants_count, sizeof c)) {
			constants_fini(&c);
			return false;
		}
		m->constants[m->constants_count++] = c;
	}
	return true;
}

static bool positions_from(json_t *json, struct manifest *m)
{
	size_t i;
	json_t *one;

	json_array_foreach(json, i, one)
	{
		json_int_t worker, segment, offset;

		if (json_unpack(one, "{s:I,s:I,s:I}", "worker", &worker, "segment", &segment, "offset",
				&offset) != 0 ||
		    worker < 0 || worker >= INPUT_WORKERS_MAX || segment < 0 || segment > UINT32_MAX ||
		    offset < 0)
			return false;
		m->positions[worker] = (struct input_position){
			.worker = (uint32_t)worker, .segment = (uint32_t)segment, .offset = (uint64_t)offset};
	}
	return true;
}

static bool files_from(json_t *root, struct manifest *m)
{
	size_t i;
	json_t *one;

	json_array_foreach(json_object_get(root, "partitions"), i, one)
	{
		struct partition p;

		if (!partition_from(one, m, &p) || manifest_add(m, &p) != OK)
			return false;
	}
	json_array_foreach(json_object_get(root, "aside"), i, one)
	{
		const char *reason = json_string_value(json_object_get(one, "reason"));
		struct partition p;

		if (!partition_from(one, m, &p) || manifest_add(m, &p) != OK ||
		    manifest_set_aside(m, m->partition_count - 1, reason ? reason : "") != OK)
			return false;
	}
	json_array_foreach(json_object_get(root, "leaving"), i, one)
	{
		const char *path;
		json_int_t since;

		if (json_unpack(one, "{s:s,s:I}", "path", &path, "since", &since) != 0 ||
		    strlen(path) >= PARTITION_PATH_MAX || strstr(path, "..") || path[0] == '/' ||
		    manifest_leave(m, path, since) != OK)
			return false;
		m->leaving[i].committed = true;
	}
	return true;
}

static bool manifest_from(json_t *root, struct manifest *m)
{
	const char *templates;
	json_t *checksum;
	json_int_t serial, name;

	if (json_unpack(root, "{s:I,s:I,s:s,s:o}", "serial", &serial, "nextName", &name, "templates",
			&templates, "templatesChecksum", &checksum) != 0 ||
	    serial < 0 || name < 0 || strlen(templates) >= sizeof m->templates || strchr(templates, '/') ||
	    !hex_from(checksum, &m->templates_checksum))
		return false;
	m->serial = (uint64_t)serial;
	m->next_name = (uint64_t)name;
	memcpy(m->templates, templates, strlen(templates) + 1);
	m->loader = json_incref(json_object_get(root, "loader"));
	return positions_from(json_object_get(root, "positions"), m) &&
	       layouts_from(json_object_get(root, "columns"), m) &&
	       all_constants_from(json_object_get(root, "constants"), m) && files_from(root, m);
}

enum status manifest_read(struct manifest *m, const char *store, struct error *err)
{
	char path[STORE_PATH_MAX];
	auto_free char *text = NULL;
	size_t length;
	json_error_t fault;

	*m = (struct manifest){0};
	if (path_format(path, "%s/manifest.json", store) != OK)
		return error_set(err, ERR_LIMIT, "%s: the name is too long", store);

	const enum status s = file_read(path, MANIFEST_MAX, &text, &length, err);
	if (s != OK)
		return s;

	json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &fault);
	if (!root)
		return error_set(err, ERR_FORMAT, "%s: line %d, column %d: %s", path, fault.line,
				 fault.column, fault.text);

	const char *kind = json_string_value(json_object_get(root, "weir"));
	const json_int_t layout = json_integer_value(json_object_get(root, "layout"));
	enum status answer = OK;
	if (!kind || strcmp(kind, "store") != 0)
		answer = error_set(err, ERR_FORMAT, "%s: this is no manifest of a weir store", path);
	else if (layout < MANIFEST_OLDEST || layout > MANIFEST_LAYOUT)
		answer = error_set(
			err, ERR_FORMAT,
			"%s: the store has layout %lld, this weir reads layouts %d to %d and writes "
			"layout %d; use the weir that wrote it, or load its journal into a new "
			"store",
			path, (long long)layout, MANIFEST_OLDEST, MANIFEST_LAYOUT, MANIFEST_LAYOUT);
	else if (!manifest_from(root, m))
		answer = error_set(err, ERR_FORMAT, "%s: an entry is not as weir writes it", path);
	json_decref(root);
	if (answer != OK)
		manifest_fini(m);
	return answer;
}
