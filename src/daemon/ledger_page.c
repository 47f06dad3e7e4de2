#include "daemon/ledger_page.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/manifest.h"
#include "web/exposition.h"

enum { KIND_NAME_MAX = 96, KINDS = 192, TELL_EVERY_S = 60 };

/* What a series stands for. */
struct owner {
	char exporter[INET6_ADDRSTRLEN]; /* "": the whole store */
	const char *transport;
	bool has_domain;
	uint32_t domain;
	uint64_t counts[KINDS];
	bool set[KINDS];
};

struct kind {
	char name[KIND_NAME_MAX];
	uint64_t total, told; /* of what the log tells of */
	struct mono_ns when;  /* the last line; 0: none */
	uint32_t last;        /* an owner that has it */
};

struct ledger_page {
	struct kind kinds[KINDS];
	uint32_t kind_count;
	bool primed;          /* what an earlier run counted is no news */
	struct owner *owners; /* [0] the store, [1] all that have no series of their own */
	uint32_t owner_count;
	/* The visitor comes with the same owner many times in a row. */
	const struct peer *last_peer;
	const struct origin *last_origin;
	uint32_t last_owner;
	struct text text;
};

static const char *const transport_names[] = {
	[INPUT_UDP] = "udp",   [INPUT_TCP] = "tcp",   [INPUT_SCTP] = "sctp",          [INPUT_TLS] = "tls",
	[INPUT_DTLS] = "dtls", [INPUT_FILE] = "file", [INPUT_DTLS_SCTP] = "dtls-sctp"};

/* Counters that the log tells of, by the beginning of their names: losses, and what an exporter does wrong …
 */
static const char *const told_of[] = {"sequence_lost",
				      "sets_given_up",
				      "sets_no_room",
				      "sets_cut",
				      "malformed_",
				      "value_",
				      "exporter_",
				      "kernel_dropped",
				      "columns_left_out",
				      "input_damaged",
				      "unplaced",
				      "partitions_aside",
				      "elements_refused",
				      "unknown_sets",
				      "templates_withdrawal_",
				      "templates_bad_",
				      "templates_empty",
				      "templates_too_long",
				      "templates_no_room",
				      NULL};

/* … and what is wrong over a reliable transport only (RFC 7011 section 8.1). */
static const char *const told_of_streams[] = {"templates_same", "templates_replaced", "sets_without_template",
					      NULL};

/* Series that are there also at 0, so that a rise can be seen. */
static const char *const always[] = {
	"messages", "records", "data_records", "sequence_lost", "sets_without_template", NULL};

static bool is_among(const char *const *list, const char *name, bool whole)
{
	for (; *list; list++)
		if (whole ? strcmp(name, *list) == 0 : strncmp(name, *list, strlen(*list)) == 0)
			return true;
	return false;
}

struct ledger_page *ledger_page_new(void)
{
	struct ledger_page *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->owners = calloc(LEDGER_SERIES + 2, sizeof *p->owners);
	p->text = (struct text){.data = malloc(PAGE_MAX), .capacity = PAGE_MAX};
	if (!p->owners || !p->text.data) {
		ledger_page_free(p);
		return NULL;
	}
	return p;
}

void ledger_page_free(struct ledger_page *p)
{
	if (!p)
		return;
	free(p->owners);
	free(p->text.data);
	free(p);
}

static uint32_t find_owner(struct ledger_page *p, const struct peer *peer, const struct origin *origin)
{
	char address[INET6_ADDRSTRLEN] = "";
	const struct in6_addr *a = &peer->key.address;
	const size_t transports = sizeof transport_names / sizeof transport_names[0];
	const char *transport =
		peer->key.transport < transports ? transport_names[peer->key.transport] : NULL;

	if (IN6_IS_ADDR_V4MAPPED(a))
		inet_ntop(AF_INET, &a->s6_addr[12], address, sizeof address);
	else
		inet_ntop(AF_INET6, a, address, sizeof address);
	for (uint32_t i = 2; i < p->owner_count; i++) {
		const struct owner *o = &p->owners[i];

		if (o->has_domain == (origin != NULL) && (!origin || o->domain == origin->domain) &&
		    o->transport == (transport ? transport : "other") && strcmp(o->exporter, address) == 0)
			return i;
	}
	if (p->owner_count == LEDGER_SERIES + 2)
		return 1;

	struct owner *o = &p->owners[p->owner_count];
	*o = (struct owner){.transport = transport ? transport : "other", .has_domain = origin != NULL};
	memcpy(o->exporter, address, sizeof address);
	if (origin)
		o->domain = origin->domain;
	return p->owner_count++;
}

static uint32_t find_kind(struct ledger_page *p, const char *name)
{
	for (uint32_t i = 0; i < p->kind_count; i++)
		if (strcmp(p->kinds[i].name, name) == 0)
			return i;
	if (p->kind_count == KINDS)
		return KINDS;
	snprintf(p->kinds[p->kind_count].name, KIND_NAME_MAX, "%s", name);
	return p->kind_count++;
}

static bool is_told_of(const char *name, const char *transport)
{
	if (is_among(told_of, name, false))
		return true;
	return transport && is_among(told_of_streams, name, true) &&
	       (transport == transport_names[INPUT_TCP] || transport == transport_names[INPUT_SCTP] ||
		transport == transport_names[INPUT_TLS] || transport == transport_names[INPUT_DTLS_SCTP]);
}

static void visit(void *arg, const struct peer *peer, const struct origin *origin, const char *name,
		  uint64_t count)
{
	struct ledger_page *p = arg;
	const uint32_t kind = find_kind(p, name);

	if (kind == KINDS)
		return;
	if (!peer) {
		p->last_owner = 0;
	} else if (peer != p->last_peer || origin != p->last_origin) {
		p->last_owner = find_owner(p, peer, origin);
	}
	p->last_peer = peer;
	p->last_origin = origin;

	struct owner *o = &p->owners[p->last_owner];
	o->counts[kind] += count;
	o->set[kind] |= count || is_among(always, name, true) || !peer;
	if (count && is_told_of(name, o->transport)) {
		p->kinds[kind].total += count;
		p->kinds[kind].last = p->last_owner;
	}
}

static void put_kind(struct ledger_page *p, uint32_t kind)
{
	char family[KIND_NAME_MAX + 32];
	struct text name = {.data = family, .capacity = sizeof family - 1};
	const char *k = p->kinds[kind].name;
	const bool gauge = strcmp(k, "sets_waiting") == 0 || strcmp(k, "octets_waiting") == 0;

	exposition_name(&name, "weir_ledger_", k, gauge ? "" : "_total");
	family[name.used] = '\0';
	exposition_family(&p->text, family, gauge ? "gauge" : "counter", k);
	for (uint32_t i = 0; i < p->owner_count; i++) {
		const struct owner *o = &p->owners[i];
		char domain[16];
		struct label labels[LABELS_MAX] = {{"exporter", o->exporter}, {"transport", o->transport}};

		if (!o->set[kind])
			continue;
		if (o->has_domain) {
			snprintf(domain, sizeof domain, "%" PRIu32, o->domain);
			labels[2] = (struct label){"domain", domain};
		}
		exposition_sample(&p->text, family, i ? labels : NULL, o->counts[kind]);
	}
}

static void tell(struct ledger_page *p, const struct logger *log)
{
	const struct mono_ns now = mono_now();

	for (uint32_t i = 0; i < p->kind_count; i++) {
		struct kind *k = &p->kinds[i];
		const struct owner *o = &p->owners[k->last];

		if (k->total <= k->told || (k->when.ns && now.ns - k->when.ns < TELL_EVERY_S * NS_PER_S))
			continue;
		log_warn(log, "ledger: %s: %" PRIu64 " more, %" PRIu64 " in all%s%s", k->name,
			 k->total - k->told, k->total, *o->exporter ? ", also from " : "", o->exporter);
		k->told = k->total;
		k->when = log ? now : k->when;
	}
}

static void put_store(struct ledger_page *p, struct loader *loader)
{
	const struct manifest *m = loader_manifest(loader);
	uint64_t records = 0, octets = 0;

	for (uint32_t i = 0; i < m->partition_count; i++) {
		records += m->partitions[i].records;
		octets += m->partitions[i].octets;
	}
	exposition_family(&p->text, "weir_store_partitions", "gauge", "partitions that queries read");
	exposition_sample(&p->text, "weir_store_partitions", NULL, m->partition_count);
	exposition_family(&p->text, "weir_store_records", "gauge",
			  "records in them, options records included");
	exposition_sample(&p->text, "weir_store_records", NULL, records);
	exposition_family(&p->text, "weir_store_octets", "gauge", "their size on disk");
	exposition_sample(&p->text, "weir_store_octets", NULL, octets);
	exposition_family(&p->text, "weir_store_partitions_aside", "gauge",
			  "partitions set aside as damaged");
	exposition_sample(&p->text, "weir_store_partitions_aside", NULL, m->aside_count);
}

void ledger_page_make(struct ledger_page *p, struct loader *loader, const struct logger *log,
		      struct page *out)
{
	p->owner_count = 2;
	p->owners[0] = (struct owner){.transport = ""};
	p->owners[1] = (struct owner){.exporter = "other", .transport = "other"};
	p->last_peer = NULL;
	p->last_origin = NULL;
	for (uint32_t i = 0; i < p->kind_count; i++)
		p->kinds[i].total = 0;
	loader_visit_ledger(loader, visit, p);
	p->text.used = 0;
	p->text.full = false;
	put_store(p, loader);
	for (uint32_t i = 0; i < p->kind_count; i++)
		put_kind(p, i);
	tell(p, p->primed ? log : NULL);
	p->primed = true;
	page_put(out, p->text.data, p->text.full ? 0 : p->text.used);
}
