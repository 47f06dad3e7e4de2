/* What settings say, for people. */
#include <inttypes.h>
#include <string.h>

#include "config/property.h"
#include "config/settings.h"

enum { VALUE_TEXT = 16384 };

static const char *meaning_of(const struct property *p, int64_t value)
{
	if (p->type == PROPERTY_WORD)
		return p->words[value].meaning;
	return value == 0 && p->zero ? p->zero : p->meaning;
}

static const char *text_of(const struct property *p, const struct settings *s)
{
	return (const char *)s + p->offset;
}

static const struct selector_chain *chain_of(const struct property *p, const struct settings *s)
{
	return (const struct selector_chain *)((const char *)s + p->offset);
}

static void print_chain(const struct selector_chain *chain, char *out, size_t size)
{
	size_t used = 0;

	snprintf(out, size, "%s", chain->count ? "" : "every packet");
	for (uint32_t i = 0; i < chain->count && used < size; i++) {
		char one[SELECTOR_TEXT_MAX + 16];

		selector_print(&chain->selector[i], one, sizeof one);
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", one);
	}
}

/* "wg0 (domain 7; Count/1/100)" */
static void print_point(const struct settings *s, const char *name, char *out, size_t size)
{
	char chain[CHAIN_MAX * (SELECTOR_TEXT_MAX + 16)];
	size_t used = (size_t)snprintf(out, size, "%s", name);

	for (uint32_t i = 0; i < s->of_point_count; i++) {
		const struct point_settings *p = &s->of_point[i];

		if (strcmp(p->name, name) != 0)
			continue;
		print_chain(&p->selection, chain, sizeof chain);
		if (p->domain)
			used += (size_t)snprintf(out + used, size - used, " (domain %" PRIu32 "%s", p->domain,
						 p->own ? "; " : ")");
		if (p->own)
			snprintf(out + used, size - used, "%s%s)", p->domain ? "" : " (", chain);
	}
}

/* Lists count their elements, a text is there or not; all else is its value. */
static int64_t value_of(const struct property *p, const struct settings *s)
{
	switch (p->type) {
	case PROPERTY_COLLECTORS: return s->exporter.collector_count;
	case PROPERTY_NAMES: return s->point_count;
	case PROPERTY_ALLOWED: return s->exporter.tls.allowed_count;
	case PROPERTY_TEXT: return *text_of(p, s) != 0;
	case PROPERTY_GROUPS: return s->nflog_count;
	case PROPERTY_PREFIXES: return s->prefixes.count;
	case PROPERTY_CHAIN: return chain_of(p, s)->count;
	default: return property_get(p, s);
	}
}

static const char *prefix_meaning(const struct denial_prefix *p)
{
	if (p->reason == REASON_REJECTED)
		return "reject";
	return p->kind == CLASS_TRUST ? "trust" : p->kind == CLASS_ACL ? "acl" : "other";
}

/* A failover group stands in brackets, as in the profile. */
static void print_collector(const struct exporter_options *e, uint32_t i, char *out, size_t size)
{
	const uint8_t group = e->group[i];
	const bool first = group && (i == 0 || e->group[i - 1] != group);
	const bool last = group && (i + 1 == e->collector_count || e->group[i + 1] != group);
	char name[300];

	endpoint_print(&e->collector[i], name, sizeof name);
	snprintf(out, size, "%s%s%s", first ? "[" : "", name, last ? "]" : "");
}

static void print_element(const struct property *p, const struct settings *s, int64_t i, char *out,
			  size_t size)
{
	switch (p->type) {
	case PROPERTY_COLLECTORS: print_collector(&s->exporter, (uint32_t)i, out, size); break;
	case PROPERTY_GROUPS: snprintf(out, size, "%u", s->nflog_group[i]); break;
	case PROPERTY_PREFIXES:
		snprintf(out, size, "%s=%s", s->prefixes.prefix[i].text,
			 prefix_meaning(&s->prefixes.prefix[i]));
		break;
	case PROPERTY_ALLOWED: snprintf(out, size, "%s", s->exporter.tls.allowed[i]); break;
	default: print_point(s, s->point[i], out, size); break;
	}
}

static void print_list(const struct property *p, const struct settings *s, char *out, size_t size)
{
	const int64_t count = value_of(p, s);
	size_t used = 0;

	snprintf(out, size, "%s", count ? "" : "none");
	for (int64_t i = 0; i < count && used < size; i++) {
		char one[CHAIN_MAX * (SELECTOR_TEXT_MAX + 16) + 128];

		print_element(p, s, i, one, sizeof one);
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", one);
	}
}

void property_print(const struct property *p, const struct settings *s, char *out, size_t size)
{
	const int64_t value = value_of(p, s);

	switch (p->type) {
	case PROPERTY_FLAG: snprintf(out, size, "%s", value ? "true" : "false"); break;
	case PROPERTY_WORD: snprintf(out, size, "%s", p->words[value].word); break;
	case PROPERTY_NUMBER:
		snprintf(out, size, "%" PRId64 "%s%s", value, p->unit ? " " : "", p->unit ? p->unit : "");
		break;
	case PROPERTY_TEXT: snprintf(out, size, "%s", value ? text_of(p, s) : "none"); break;
	case PROPERTY_COLLECTORS:
	case PROPERTY_ALLOWED:
	case PROPERTY_GROUPS:
	case PROPERTY_PREFIXES:
	case PROPERTY_NAMES: print_list(p, s, out, size); break;
	case PROPERTY_CHAIN:
		if (value)
			print_chain(chain_of(p, s), out, size);
		else
			snprintf(out, size, "none");
		break;
	case PROPERTY_OBJECT: *out = 0; break; /* its own rows follow */
	}
}

static void print_verdict(const struct settings *s, FILE *out)
{
	const uint32_t count = s->exporter.collector_count;

	if (!s->enabled)
		fprintf(out, "export is off: Enabled is false\n");
	else if (count == 0)
		fprintf(out, "export is off: IpFixCollectors names no collector\n");
	else
		fprintf(out, "export is on, to %" PRIu32 " collector%s\n", count, count == 1 ? "" : "s");
}

void settings_print(const struct settings *settings, FILE *out)
{
	char value[VALUE_TEXT];

	for (size_t i = 0; i < property_count; i++) {
		const struct property *p = &properties[i];

		if (p->type == PROPERTY_OBJECT || property_in_list(p))
			continue;
		property_print(p, settings, value, sizeof value);
		fprintf(out, "%-24s %-26s  %s\n", p->name, value, meaning_of(p, value_of(p, settings)));
	}
	for (size_t i = 0; i < property_count; i++) {
		const struct property *p = &properties[i];

		if (p->rule && settings->warn_interval)
			fprintf(out,
				"warning: FlowMetadata.%s: %" PRId64
				" seen; the documented rule is %s; it is honoured\n",
				p->name, property_get(p, settings), p->rule);
	}
	if (tls_key_warning(&settings->exporter.tls, value, sizeof value))
		fprintf(out, "warning: FlowMetadata.Tls.Key: %s\n", value);
	print_verdict(settings, out);
}
