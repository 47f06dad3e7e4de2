/* A policy, from text to rules. jansson judges the text and decodes values; the lexer knows where they stand.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/document.h"
#include "config/lexer.h"
#include "config/property.h"
#include "policy/prefix.h"
#include "policy/reader.h"

enum { GROUP_STANDARD = 5 };

enum top { INTERFACES, NFLOG_GROUP, PEERS, TRUST, RULES, TOP_COUNT };
static const char *const top_names[] = {[INTERFACES] = "Interfaces", [NFLOG_GROUP] = "NflogGroup",
					[PEERS] = "Peers",           [TRUST] = "TrustRequirements",
					[RULES] = "Rules",           [TOP_COUNT] = NULL};

/* ---- errors ---- */

enum status reader_fail(const struct reader *r, size_t at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	document_vfail(&r->document, r->err, at, format, args);
	va_end(args);
	return ERR_USAGE;
}

enum status reader_no_memory(const struct reader *r)
{
	return error_set(r->err, ERR_MEMORY, "%s: no memory", r->document.name);
}

enum status reader_fail_value(const struct reader *r, const struct member *m, const char *name,
			      const char *allowed)
{
	char seen[SHOWN];

	if (m->first.kind == '{' || m->first.kind == '[')
		snprintf(seen, sizeof seen, "%s", m->first.kind == '{' ? "an object" : "a list");
	else
		quote_text(r->document.text + m->first.begin, m->end - m->first.begin, seen, sizeof seen);
	return reader_fail(r, m->first.begin, "%s%s: %s seen; %s allowed", r->where, name, seen, allowed);
}

/* A list that is there and empty: would it mean all, or nobody? */
enum status reader_fail_empty(const struct reader *r, const struct member *m, const char *name)
{
	return reader_fail(r, m->first.begin, "%s%s: an empty list seen; leave it out to mean all", r->where,
			   name);
}

static enum status fail_unknown(const struct reader *r, const struct member *m, const char *name,
				const char *const *names)
{
	const char *nearest = names[0];
	char seen[SHOWN];

	for (const char *const *n = names; *n; n++)
		if (edit_distance(name, *n) < edit_distance(name, nearest))
			nearest = *n;
	quote_text(r->document.text + m->key.begin, m->key.end - m->key.begin, seen, sizeof seen);
	const int length = (int)strlen(r->where);
	return reader_fail(r, m->key.begin, "%.*s%sunknown property %s seen; the nearest known one is \"%s\"",
			   length ? length - 1 : 0, r->where, length ? ": " : "", seen, nearest);
}

/* ---- values ---- */

static json_t *decode(const struct reader *r, size_t begin, size_t end)
{
	return json_loadb(r->document.text + begin, end - begin,
			  JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
}

/* A string without control characters into `out`, cut never: false when it is none, or too long. */
bool reader_text(const struct reader *r, const struct token *t, size_t end, char out[TEXT_MAX])
{
	json_t *json = t->kind == TOKEN_STRING ? decode(r, t->begin, end) : NULL;
	const size_t length = json_string_length(json);
	bool good = json && length < TEXT_MAX && length > 0;

	for (size_t i = 0; good && i < length; i++) {
		const unsigned char c = (unsigned char)json_string_value(json)[i];

		good = c >= 0x20 && c != 0x7f;
	}
	if (good)
		memcpy(out, json_string_value(json), length + 1);
	json_decref(json);
	return good;
}

/* A whole number in 0 … most. */
bool reader_number(const struct reader *r, const struct member *m, double most, uint32_t *out)
{
	json_t *json = m->first.kind == TOKEN_NUMBER ? decode(r, m->first.begin, m->end) : NULL;
	const double v = json ? json_real_value(json) : -1;

	json_decref(json);
	if (!(v >= 0 && v <= most && v == (double)(uint32_t)v))
		return false;
	*out = (uint32_t)v;
	return true;
}

/* A value, or each of a list of them. */
enum status reader_each(struct reader *r, const struct member *m, take_value *take, void *arg)
{
	struct lexer list = members_of(r->document.text, r->document.length, m->first.begin);
	enum status status = OK;
	struct member element;

	if (m->first.kind != '[')
		return take(r, m, arg);
	while (status == OK && member_next(&list, &element))
		status = take(r, &element, arg);
	return status;
}

/* The members of an object by the place of their name in `names`; those that are not there are zero. */
enum status reader_members(struct reader *r, size_t at, const char *const *names,
			   struct member out[PROPERTIES_MAX])
{
	struct lexer members = members_of(r->document.text, r->document.length, at);
	struct member m;

	memset(out, 0, sizeof(struct member) * PROPERTIES_MAX);
	while (member_next(&members, &m)) {
		char name[TEXT_MAX] = "";
		unsigned i = 0;

		if (!reader_text(r, &m.key, m.key.end, name))
			return fail_unknown(r, &m, "", names);
		while (names[i] && strcmp(names[i], name) != 0)
			i++;
		if (!names[i])
			return fail_unknown(r, &m, name, names);
		if (out[i].key.end)
			return reader_fail(
				r, m.key.begin, "%s%s: seen a second time; it stands in line %u already",
				r->where, name,
				position_of(r->document.text, r->document.length, out[i].key.begin).line);
		out[i] = m;
	}
	return OK;
}

/* Room for one more in an array that grows by doubling. */
bool reader_grow(void *array, uint32_t count, size_t size)
{
	void **at = array;

	if (count & (count - 1) || (count > 0 && count < 16))
		return true;
	void *more = realloc(*at, size * (count < 16 ? 16 : (size_t)count * 2));
	if (more)
		*at = more;
	return more != NULL;
}

/* ---- prefixes and peers ---- */

static const struct policy_peer *find_peer(const struct policy *p, const char *name)
{
	for (uint32_t i = 0; i < p->peer_count; i++)
		if (strcmp(p->peer[i].name, name) == 0)
			return &p->peer[i];
	return NULL;
}

static enum status add_prefix(struct reader *r, size_t at, const struct policy_prefix *prefix)
{
	struct policy *p = r->policy;

	if (p->prefix_count == POLICY_PREFIXES_MAX)
		return reader_fail(r, at, "%smore than %d prefixes seen", r->where, POLICY_PREFIXES_MAX);
	if (!reader_grow(&p->prefix, p->prefix_count, sizeof *p->prefix))
		return reader_no_memory(r);
	p->prefix[p->prefix_count++] = *prefix;
	return OK;
}

/* A prefix, or where `arg` is not NULL also the name of a peer. */
static enum status take_prefix(struct reader *r, const struct member *m, void *arg)
{
	const char *name = arg;
	struct policy_prefix prefix;
	char text[TEXT_MAX];

	if (!reader_text(r, &m->first, m->end, text))
		return reader_fail_value(r, m, name, "an address, a prefix or the name of a peer");
	if (policy_prefix_parse(&prefix, text))
		return add_prefix(r, m->first.begin, &prefix);

	const struct policy_peer *peer = find_peer(r->policy, text);
	if (!peer)
		return reader_fail_value(
			r, m, name,
			policy_name_is_good(text)
				? "a name that Peers has, or an address or prefix"
				: "an address, a prefix (no bits behind it) or the name of a peer");
	const struct prefix_run list = peer->prefixes;
	for (uint32_t i = 0; i < list.count; i++) {
		const struct policy_prefix copy = r->policy->prefix[list.first + i];
		const enum status status = add_prefix(r, m->first.begin, &copy);

		if (status != OK)
			return status;
	}
	return OK;
}

enum status reader_prefixes(struct reader *r, const struct member *m, const char *name,
			    struct prefix_run *out)
{
	struct policy *p = r->policy;
	const uint32_t first = p->prefix_count;
	char copy[TEXT_MAX];

	snprintf(copy, sizeof copy, "%s", name);
	const enum status status = reader_each(r, m, take_prefix, copy);
	if (status != OK)
		return status;
	if (p->prefix_count == first)
		return reader_fail_empty(r, m, name);
	out->first = first;
	out->count = policy_prefixes_tidy(p->prefix + first, p->prefix_count - first);
	p->prefix_count = first + out->count;
	return OK;
}

static enum status read_peers(struct reader *r, const struct member *m)
{
	struct lexer members = members_of(r->document.text, r->document.length, m->first.begin);
	struct policy *p = r->policy;
	struct member one;

	if (m->first.kind != '{')
		return reader_fail_value(r, m, top_names[PEERS],
					 "an object { \"NAME\": [\"ADDRESS\", …], … }");
	while (member_next(&members, &one)) {
		struct policy_peer peer = {0};
		char name[TEXT_MAX];
		enum status status;

		if (!reader_text(r, &one.key, one.key.end, name) || !policy_name_is_good(name))
			return reader_fail(
				r, one.key.begin,
				"Peers: a name is a letter, then letters, digits, '-', '_' and '.', %d "
				"at most",
				POLICY_NAME_MAX - 1);
		if (find_peer(p, name))
			return reader_fail(r, one.key.begin, "Peers: \"%s\" seen a second time", name);
		if (p->peer_count == POLICY_PEERS_MAX)
			return reader_fail(r, one.key.begin, "Peers: more than %d seen", POLICY_PEERS_MAX);
		memcpy(peer.name, name, strlen(name));
		snprintf(r->where, sizeof r->where, "Peers.");
		status = reader_prefixes(r, &one, name, &peer.prefixes);
		r->where[0] = 0;
		if (status != OK)
			return status;
		if (!reader_grow(&p->peer, p->peer_count, sizeof *p->peer))
			return reader_no_memory(r);
		p->peer[p->peer_count++] = peer;
	}
	return OK;
}

/* ---- the other properties ---- */

static enum status take_interface(struct reader *r, const struct member *m, void *arg)
{
	struct policy *p = r->policy;
	char name[TEXT_MAX];

	if (!reader_text(r, &m->first, m->end, name) || strlen(name) >= POLICY_INTERFACE_MAX ||
	    strpbrk(name, "/*:\\\" ") || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strcmp(name, "lo") == 0)
		return reader_fail_value(r, m, top_names[INTERFACES],
					 "names of overlay interfaces, without '*'");
	for (uint32_t i = 0; i < p->interface_count; i++)
		if (strcmp(p->interface[i], name) == 0)
			return reader_fail(r, m->first.begin, "Interfaces: \"%s\" seen a second time", name);
	if (p->interface_count == POLICY_INTERFACES_MAX)
		return reader_fail(r, m->first.begin, "Interfaces: more than %d seen", POLICY_INTERFACES_MAX);
	memcpy(p->interface[p->interface_count++], name, strlen(name) + 1);
	return OK;
}

int reader_trust(const struct policy *p, const char *name)
{
	for (uint32_t i = 0; i < p->trust_count; i++)
		if (strcmp(p->trust[i], name) == 0)
			return (int)i;
	return -1;
}

static enum status take_trust(struct reader *r, const struct member *m, void *arg)
{
	struct policy *p = r->policy;
	char name[TEXT_MAX];

	if (!reader_text(r, &m->first, m->end, name) || !policy_name_is_good(name))
		return reader_fail_value(
			r, m, top_names[TRUST],
			"names of a letter, then letters, digits, '-', '_' and '.', 47 at most,");
	if (reader_trust(p, name) >= 0)
		return reader_fail(r, m->first.begin, "TrustRequirements: \"%s\" seen a second time", name);
	if (p->trust_count == POLICY_TRUST_MAX)
		return reader_fail(r, m->first.begin, "TrustRequirements: more than %d seen",
				   POLICY_TRUST_MAX);
	memcpy(p->trust[p->trust_count++], name, strlen(name) + 1);
	return OK;
}

static enum status read_top(struct reader *r)
{
	struct member m[PROPERTIES_MAX];
	uint32_t group = GROUP_STANDARD;
	enum status status = reader_members(r, 0, top_names, m);

	if (status == OK && !m[INTERFACES].key.end)
		return reader_fail(r, 0,
				   "no \"Interfaces\" seen; the overlay interfaces that the policy is for "
				   "expected");
	if (status == OK)
		status = reader_each(r, &m[INTERFACES], take_interface, NULL);
	if (status == OK && r->policy->interface_count == 0)
		return reader_fail_empty(r, &m[INTERFACES], top_names[INTERFACES]);
	if (status == OK && m[NFLOG_GROUP].key.end && !reader_number(r, &m[NFLOG_GROUP], 65535, &group))
		return reader_fail_value(r, &m[NFLOG_GROUP], top_names[NFLOG_GROUP], "0 to 65535");
	r->policy->nflog_group = (uint16_t)group;
	if (status == OK && m[PEERS].key.end)
		status = read_peers(r, &m[PEERS]);
	if (status == OK && m[TRUST].key.end)
		status = reader_each(r, &m[TRUST], take_trust, NULL);
	if (status == OK && m[RULES].key.end)
		status = m[RULES].first.kind == '['
				 ? reader_each(r, &m[RULES], reader_rule, NULL)
				 : reader_fail_value(r, &m[RULES], top_names[RULES], "a list [ … ]");
	return status;
}

enum status policy_parse(struct policy **out, const char *name, const char *text, size_t length,
			 struct error *err)
{
	struct reader r = {.policy = calloc(1, sizeof *r.policy),
			   .document = {.name = name, .text = text, .length = length},
			   .err = err};
	enum status status;

	*out = NULL;
	if (!r.policy)
		return reader_no_memory(&r);
	status = document_judge(&r.document, "policy", "{ \"Interfaces\": [ … ], \"Rules\": [ … ] }", err);
	if (status == OK)
		status = read_top(&r);
	if (status == OK)
		*out = r.policy;
	else
		policy_free(r.policy);
	return status;
}

enum status policy_load(struct policy **out, const char *path, struct error *err)
{
	auto_free char *text = NULL;
	size_t length = 0;
	const enum status status = document_read(path, &text, &length, err);

	*out = NULL;
	return status == OK ? policy_parse(out, strcmp(path, "-") == 0 ? "standard input" : path, text,
					   length, err)
			    : status;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	free(p->peer);
	free(p->rule);
	free(p->prefix);
	free(p);
}
