/* A profile, from text to settings. jansson judges the text and decodes values; the lexer knows where they
 * stand. */
#include "config/settings.h"

#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#include "config/document.h"
#include "config/lexer.h"
#include "config/property.h"
#include "export/record_selection.h"

enum { VALUE_SHOWN = 48, PROPERTY_COUNT_MAX = 64, PROPERTY_NAME_MAX = 64 };

static const char section[] = "FlowMetadata";

/* One reading of one profile. */
struct profile {
	struct settings *settings;
	struct error *err;
	const char *name;
	const char *text;
	size_t length;
	size_t seen[PROPERTY_COUNT_MAX]; /* offset of each property's name, plus 1; 0: not there */
};

/* One value inside the section. */
struct value {
	const char *property; /* "Interval" or "IpFixCollectors[1]" */
	struct member member;
	const json_t *json;
};

void settings_init(struct settings *settings)
{
	*settings = (struct settings){0};
	for (size_t i = 0; i < property_count; i++)
		property_set(&properties[i], settings, properties[i].standard);
	settings->meter.first_flow_id = 1;
}

/* "FILE:LINE:COLUMN: text" */
static enum status fail(const struct profile *p, size_t at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static enum status fail(const struct profile *p, size_t at, const char *format, ...)
{
	const struct document document = {.name = p->name, .text = p->text, .length = p->length};
	va_list args;

	va_start(args, format);
	document_vfail(&document, p->err, at, format, args);
	va_end(args);
	return ERR_USAGE;
}

static enum status fail_value(const struct profile *p, const struct value *v, const char *allowed)
{
	static const char *const kinds[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "a string"};
	const json_type type = json_typeof(v->json);
	const size_t begin = v->member.first.begin;
	char seen[VALUE_SHOWN];

	if (type == JSON_OBJECT || type == JSON_ARRAY)
		snprintf(seen, sizeof seen, "%s", kinds[type]);
	else
		quote_text(p->text + begin, v->member.end - begin, seen, sizeof seen);
	return fail(p, begin, "%s.%s: %s seen; %s allowed", section, v->property, seen, allowed);
}

static json_t *decode(const struct profile *p, size_t begin, size_t end)
{
	return json_loadb(p->text + begin, end - begin,
			  JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
}

/* A string without control characters: what goes into logs and file names stays one line. */
static const char *plain_string(const json_t *json)
{
	if (!json_is_string(json))
		return NULL;
	for (size_t i = 0; i < json_string_length(json); i++) {
		const unsigned char c = (unsigned char)json_string_value(json)[i];
		if (c < 0x20 || c == 0x7f)
			return NULL;
	}
	return json_string_value(json);
}

/* JSON does not tell 60000 from 6e4; both are whole. Beyond 2^53 a double no longer counts one by one. */
static bool is_whole(double number)
{
	return number > -9e15 && number < 9e15 && number == (double)(int64_t)number;
}

static enum status read_number(struct profile *p, const struct property *property, const struct value *v)
{
	const double number = json_real_value(v->json);
	const char *unit = property->unit ? property->unit : "";
	char allowed[128];

	property_allowed(property, allowed, sizeof allowed);
	if (!json_is_real(v->json) || !is_whole(number))
		return fail_value(p, v, allowed);
	if (!(number == 0 && property->zero)) {
		const bool low = number < (double)property->minimum;
		if (low || number > (double)property->maximum) {
			snprintf(allowed, sizeof allowed, "%sat %s %lld%s%s%s",
				 low && property->zero && property->minimum > 0 ? "0 or " : "",
				 low ? "least" : "most",
				 (long long)(low ? property->minimum : property->maximum), *unit ? " (" : "",
				 unit, *unit ? ")" : "");
			return fail_value(p, v, allowed);
		}
	}
	property_set(property, p->settings, (int64_t)number);
	return OK;
}

static enum status read_word(struct profile *p, const struct property *property, const struct value *v)
{
	const char *word = plain_string(v->json);
	char allowed[160];

	for (const struct property_word *w = property->words; word && w->word; w++) {
		if (strcmp(w->word, word) == 0) {
			property_set(property, p->settings, w - property->words);
			return OK;
		}
	}
	property_allowed(property, allowed, sizeof allowed);
	return fail_value(p, v, allowed);
}

static enum status read_flag(struct profile *p, const struct property *property, const struct value *v)
{
	if (!json_is_boolean(v->json))
		return fail_value(p, v, "true or false");
	property_set(property, p->settings, json_is_true(v->json));
	return OK;
}

static enum status add_collector(struct profile *p, const struct value *v, uint8_t group)
{
	struct exporter_options *exporter = &p->settings->exporter;
	struct endpoint *endpoint = &exporter->collector[exporter->collector_count];
	const char *word = plain_string(v->json);
	char text[sizeof endpoint->host + 32], other[sizeof text];
	struct error err = {0};

	if (!word)
		return fail_value(p, v, "a string such as \"Udp/172.16.1.100:4739\"");
	if (exporter->collector_count == COLLECTOR_MAX)
		return fail(p, v->member.first.begin, "%s.%s: at most %d collectors allowed", section,
			    v->property, COLLECTOR_MAX);
	if (endpoint_parse(endpoint, word, &err) != OK)
		return fail(p, v->member.first.begin, "%s.%s: %s", section, v->property, err.text);
	endpoint_print(endpoint, text, sizeof text);
	for (uint32_t i = 0; i < exporter->collector_count; i++) {
		endpoint_print(&exporter->collector[i], other, sizeof other);
		if (strcmp(text, other) == 0)
			return fail(p, v->member.first.begin,
				    "%s.%s: %.80s seen a second time; each collector once", section,
				    v->property, text);
	}
	if (group && endpoint->port == 0)
		return fail(
			p, v->member.first.begin,
			"%s.%s: %.80s seen in a failover group; a file is never away, so it stands by itself",
			section, v->property, text);
	exporter->group[exporter->collector_count++] = group;
	return OK;
}

/* A list inside the list: a failover group, in order of priority. */
static enum status add_group_of_collectors(struct profile *p, const struct value *list)
{
	struct exporter_options *exporter = &p->settings->exporter;
	struct lexer elements = members_of(p->text, p->length, list->member.first.begin);
	const uint32_t first = exporter->collector_count;
	const uint8_t group = (uint8_t)(first + 1);
	enum status status = OK;
	struct value v;
	char path[64];

	for (unsigned i = 0; status == OK && member_next(&elements, &v.member); i++) {
		json_t *json = decode(p, v.member.first.begin, v.member.end);

		if (!json)
			return error_set(p->err, ERR_MEMORY, "%s: no memory", p->name);
		snprintf(path, sizeof path, "%.40s[%u]", list->property, i);
		v.property = path;
		v.json = json;
		status = add_collector(p, &v, group);
		json_decref(json);
	}
	if (status == OK && exporter->collector_count < first + 2)
		return fail(p, list->member.first.begin,
			    "%s.%s: a failover group of %u seen; at least 2 collectors allowed", section,
			    list->property, exporter->collector_count - first);
	return status;
}

/* Names as the kernel allows them: 1 to 15 octets without '/', ':', white space. */
static bool is_interface_name(const char *name)
{
	const size_t length = strlen(name);

	if (length == 0 || length > 15 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c <= 0x20 || *c == 0x7f || *c == '/' || *c == ':')
			return false;
	return true;
}

static enum status read_object(struct profile *p, const char *object, size_t at);

/* An object with what is special about the point. */
static enum status read_point(struct profile *p, const struct value *v)
{
	struct settings *s = p->settings;

	s->one_point = (struct point_settings){0};
	for (size_t i = 0; i < property_count; i++)
		p->seen[i] = property_in_list(&properties[i]) ? 0 : p->seen[i];
	const enum status status = read_object(p, "ObservationPoints[]", v->member.first.begin);
	if (status == OK && !*s->one_point.name)
		return fail(p, v->member.first.begin, "%s.%s: no \"Name\" seen", section, v->property);
	s->one_point.own = p->seen[property_find("ObservationPoints[].Selection") - properties] != 0;
	return status;
}

static enum status add_point(struct profile *p, const struct value *v)
{
	struct settings *s = p->settings;
	const bool object = json_is_object(v->json);

	if (object) {
		const enum status status = read_point(p, v);
		if (status != OK)
			return status;
	}
	const char *name = object ? s->one_point.name : plain_string(v->json);

	if (!name || !is_interface_name(name))
		return fail_value(p, v, "the name of an interface, 1 to 15 octets,");
	if (s->point_count == SETTINGS_POINTS_MAX)
		return fail(p, v->member.first.begin, "%s.%s: at most %d observation points allowed", section,
			    v->property, SETTINGS_POINTS_MAX);
	for (uint32_t i = 0; i < s->point_count; i++)
		if (strcmp(s->point[i], name) == 0)
			return fail(p, v->member.first.begin,
				    "%s.%s: \"%s\" seen a second time; each name once", section, v->property,
				    name);
	if (object)
		s->of_point[s->of_point_count++] = s->one_point;
	snprintf(s->point[s->point_count++], sizeof s->point[0], "%s", name);
	return OK;
}

static enum status add_allowed(struct profile *p, const struct value *v)
{
	struct tls_options *tls = &p->settings->exporter.tls;
	const char *name = plain_string(v->json);

	if (!name || !*name || strlen(name) >= TLS_NAME_MAX)
		return fail_value(p, v, "a name of 1 to 127 octets");
	if (tls->allowed_count == TLS_NAMES_MAX)
		return fail(p, v->member.first.begin, "%s.%s: at most %d names allowed", section, v->property,
			    TLS_NAMES_MAX);
	memcpy(tls->allowed[tls->allowed_count++], name, strlen(name) + 1);
	return OK;
}

static enum status add_group(struct profile *p, const struct value *v)
{
	const double number = json_real_value(v->json);
	struct settings *s = p->settings;

	if (!json_is_real(v->json) || !is_whole(number) || number < 0 || number > UINT16_MAX)
		return fail_value(p, v, "the number of an NFLOG group, 0 to 65535,");
	if (s->nflog_count == NFLOG_GROUPS_MAX)
		return fail(p, v->member.first.begin, "%s.%s: at most %d groups allowed", section,
			    v->property, NFLOG_GROUPS_MAX);
	for (uint32_t i = 0; i < s->nflog_count; i++)
		if (s->nflog_group[i] == (uint16_t)number)
			return fail(p, v->member.first.begin, "%s.%s: %u seen a second time; each group once",
				    section, v->property, (unsigned)number);
	s->nflog_group[s->nflog_count++] = (uint16_t)number;
	return OK;
}

static enum status add_prefix(struct profile *p, const struct value *v)
{
	struct denial_prefixes *all = &p->settings->prefixes;
	const char *text = plain_string(v->json);

	if (all->count == DENIAL_PREFIXES_MAX)
		return fail(p, v->member.first.begin, "%s.%s: at most %d prefixes allowed", section,
			    v->property, DENIAL_PREFIXES_MAX);
	if (!text || !denial_prefix_parse(&all->prefix[all->count], text))
		return fail_value(p, v, "\"PREFIX=acl\", \"…=trust\", \"…=reject\" or \"…=other\"");
	all->count++;
	return OK;
}

static enum status add_selector(struct profile *p, const struct property *property, const struct value *v)
{
	struct selector_chain *chain = property_chain(property, p->settings);
	const char *text = plain_string(v->json);

	if (chain->count == CHAIN_MAX)
		return fail(p, v->member.first.begin, "%s.%s: at most %d selectors allowed", section,
			    v->property, CHAIN_MAX);
	struct selector *one = &chain->selector[chain->count];
	bool (*const is_allowed)(const struct selector *) =
		property->of_records ? selector_is_of_records : selector_is_of_packets;
	struct error why = {0};
	if (!text || selector_parse(one, text) != OK || !is_allowed(one))
		return fail_value(p, v, property->of_records ? RECORD_SELECTOR_ALLOWED : SELECTOR_ALLOWED);
	if (one->of_records && record_match_check(one->text, &why) != OK)
		return fail(p, v->member.first.begin, "%s.%s: \"%s\": %s", section, v->property, text,
			    why.text);
	chain->count++;
	return OK;
}

static enum status add_element(struct profile *p, const struct property *property, const struct value *v)
{
	switch (property->type) {
	case PROPERTY_CHAIN: return add_selector(p, property, v);
	case PROPERTY_NAMES: return add_point(p, v);
	case PROPERTY_GROUPS: return add_group(p, v);
	case PROPERTY_PREFIXES: return add_prefix(p, v);
	case PROPERTY_ALLOWED: return add_allowed(p, v);
	default: return json_is_array(v->json) ? add_group_of_collectors(p, v) : add_collector(p, v, 0);
	}
}

static void clear_list(struct settings *s, const struct property *property)
{
	switch (property->type) {
	case PROPERTY_NAMES: s->point_count = s->of_point_count = 0; break;
	case PROPERTY_CHAIN: property_chain(property, s)->count = 0; break;
	case PROPERTY_GROUPS: s->nflog_count = 0; break;
	case PROPERTY_PREFIXES: s->prefixes.count = 0; break;
	case PROPERTY_ALLOWED: s->exporter.tls.allowed_count = 0; break;
	default: s->exporter.collector_count = 0; break;
	}
}

/* A list in the profile stands for the whole list. */
static enum status read_list(struct profile *p, const struct property *property, const struct value *list)
{
	struct lexer elements = members_of(p->text, p->length, list->member.first.begin);
	enum status status = OK;
	struct value v;
	char path[64], allowed[80];

	property_allowed(property, allowed, sizeof allowed);
	if (!json_is_array(list->json))
		return fail_value(p, list, allowed);
	clear_list(p->settings, property);
	for (unsigned i = 0; status == OK && member_next(&elements, &v.member); i++) {
		json_t *json = decode(p, v.member.first.begin, v.member.end);

		if (!json)
			return error_set(p->err, ERR_MEMORY, "%s: no memory", p->name);
		snprintf(path, sizeof path, "%s[%u]", property->name, i);
		v.property = path;
		v.json = json;
		status = add_element(p, property, &v);
		json_decref(json);
	}
	return status;
}

static enum status read_text(struct profile *p, const struct property *property, const struct value *v)
{
	const char *text = plain_string(v->json);
	char allowed[128];

	if (!text || !*text) {
		property_allowed(property, allowed, sizeof allowed);
		return fail_value(p, v, allowed);
	}
	if (strlen(text) >= property->size)
		return fail(p, v->member.first.begin, "%s.%s: %zu octets seen; at most %zu allowed", section,
			    v->property, strlen(text), property->size - 1);
	memcpy(property_text(property, p->settings), text, strlen(text) + 1);
	return OK;
}

static enum status read_value(struct profile *p, const struct property *property, const struct value *v)
{
	switch (property->type) {
	case PROPERTY_FLAG: return read_flag(p, property, v);
	case PROPERTY_NUMBER: return read_number(p, property, v);
	case PROPERTY_WORD: return read_word(p, property, v);
	case PROPERTY_TEXT: return read_text(p, property, v);
	case PROPERTY_OBJECT:
		return json_is_object(v->json) ? read_object(p, property->name, v->member.first.begin)
					       : fail_value(p, v, "an object { … }");
	case PROPERTY_COLLECTORS:
	case PROPERTY_ALLOWED:
	case PROPERTY_GROUPS:
	case PROPERTY_PREFIXES:
	case PROPERTY_CHAIN:
	case PROPERTY_NAMES: return read_list(p, property, v);
	}
	return OK;
}

/* `name` is the whole, dotted one. */
static enum status fail_unknown(const struct profile *p, const struct member *m, const char *name)
{
	unsigned distance;
	const struct property *nearest = property_nearest(name, &distance);
	const char *known = property_leaf(nearest->name);
	const int object = (int)(property_leaf(name) - name);
	char seen[VALUE_SHOWN], where[96];

	snprintf(where, sizeof where, "%s%s%.*s", section, object ? "." : "", object ? object - 1 : 0, name);
	quote_text(p->text + m->key.begin, m->key.end - m->key.begin, seen, sizeof seen);
	if (distance == 0)
		return fail(p, m->key.begin, "%s: unknown property %s seen; it is written \"%s\"", where,
			    seen, known);
	if (distance <= 2 || distance <= strlen(known) / 3)
		return fail(p, m->key.begin, "%s: unknown property %s seen; did you mean \"%s\"?", where,
			    seen, known);
	return fail(p, m->key.begin,
		    "%s: unknown property %s seen; the nearest known one is \"%s\"; weir.json(5) lists all",
		    where, seen, known);
}

static enum status read_member(struct profile *p, const struct member *m, const char *name, bool dotted)
{
	const struct property *property = dotted ? NULL : property_find(name);
	struct value v = {.member = *m, .property = name};
	enum status status;
	size_t *seen;

	if (!property)
		return fail_unknown(p, m, name);
	seen = &p->seen[property - properties];
	if (*seen)
		return fail(p, m->key.begin, "%s.%s: seen a second time; it stands in line %u already",
			    section, name, position_of(p->text, p->length, *seen - 1).line);
	*seen = m->key.begin + 1;

	json_t *json = decode(p, m->first.begin, m->end);
	if (!json)
		return error_set(p->err, ERR_MEMORY, "%s: no memory", p->name);
	v.json = json;
	status = read_value(p, property, &v);
	json_decref(json);
	return status;
}

/* The members of the section ("") or of an object inside it ("Tls"). */
static enum status read_object(struct profile *p, const char *object, size_t at)
{
	struct lexer members = members_of(p->text, p->length, at);
	enum status status = OK;
	struct member m;

	while (status == OK && member_next(&members, &m)) {
		json_t *key = decode(p, m.key.begin, m.key.end);
		char name[PROPERTY_NAME_MAX];

		if (!key)
			return error_set(p->err, ERR_MEMORY, "%s: no memory", p->name);
		/* A key with a dot of its own is no name of ours. */
		const char *leaf = json_string_value(key);
		const bool dotted = strchr(leaf, '.');
		snprintf(name, sizeof name, "%s%s%s", object, *object ? "." : "", dotted ? "?" : leaf);
		status = read_member(p, &m, name, dotted);
		json_decref(key);
	}
	return status;
}

/* Collectors that the rest of the section makes impossible. */
static enum status check_collectors(const struct profile *p)
{
	const struct exporter_options *e = &p->settings->exporter;
	const size_t *at = &p->seen[property_find("IpFixCollectors") - properties];
	char name[sizeof e->collector[0].host + 32];

	for (uint32_t i = 0; *at && i < e->collector_count; i++) {
		const struct transport_type *type = e->collector[i].type;

		endpoint_print(&e->collector[i], name, sizeof name);
		if (type->secure && tls_missing(&e->tls))
			return fail(p, *at - 1,
				    "%s.IpFixCollectors[%u]: %.80s seen, but no %s; Tls.Certificate, Tls.Key "
				    "and Tls.Ca expected with it",
				    section, i, name, tls_missing(&e->tls));
		if ((type == &dtls_transport || type == &dtls_sctp_transport) &&
		    e->tls.minimum == TLS_AT_LEAST_1_3)
			return fail(
				p, *at - 1,
				"%s.IpFixCollectors[%u]: %.80s seen with Tls.MinimumVersion \"1.3\"; \"1.2\" "
				"allowed for %s",
				section, i, name, type->scheme);
	}
	return OK;
}

static enum status read_section(struct profile *p, size_t at)
{
	const struct property *interval = property_find("Interval");
	const enum status status = read_object(p, "", at);

	p->settings->warn_interval = property_get(interval, p->settings) % 60000 != 0;
	return status == OK ? check_collectors(p) : status;
}

static enum status fail_no_section(const struct profile *p, bool bare, const struct member *other)
{
	char seen[VALUE_SHOWN];

	if (other->key.end) {
		quote_text(p->text + other->key.begin, other->key.end - other->key.begin, seen, sizeof seen);
		return fail(p, other->key.begin, "%s seen; it is written \"%s\"", seen, section);
	}
	return fail(p, 0, "no object \"%s\" at the top level%s", section,
		    bare ? "; put these properties inside { \"FlowMetadata\": { … } }" : "");
}

/* Find the one section among the members of the whole text. */
static enum status read_top(struct profile *p)
{
	struct lexer members = members_of(p->text, p->length, 0);
	struct member m, found = {0}, other = {0};
	bool bare = false;

	while (member_next(&members, &m)) {
		json_t *key = decode(p, m.key.begin, m.key.end);

		if (!key)
			return error_set(p->err, ERR_MEMORY, "%s: no memory", p->name);
		const bool same = strcmp(json_string_value(key), section) == 0;
		if (!same && edit_distance(json_string_value(key), section) <= 2)
			other = m;
		bare = bare || property_find(json_string_value(key));
		json_decref(key);
		if (!same)
			continue;
		if (found.key.end)
			return fail(p, m.key.begin, "%s: seen a second time; it stands in line %u already",
				    section, position_of(p->text, p->length, found.key.begin).line);
		found = m;
	}
	if (!found.key.end)
		return fail_no_section(p, bare, &other);
	if (found.first.kind != '{') {
		char seen[VALUE_SHOWN];
		quote_text(p->text + found.first.begin, found.end - found.first.begin, seen, sizeof seen);
		return fail(p, found.first.begin, "%s: %s seen; an object { … } allowed", section, seen);
	}
	return read_section(p, found.first.begin);
}

enum status settings_parse(struct settings *settings, const char *name, const char *text, size_t length,
			   struct error *err)
{
	struct document document = {.name = name, .text = text, .length = length};
	const enum status status = document_judge(&document, "profile", "{ \"FlowMetadata\": { … } }", err);
	struct profile p = {.settings = settings,
			    .err = err,
			    .name = name,
			    .text = document.text,
			    .length = document.length};

	return status == OK ? read_top(&p) : status;
}
