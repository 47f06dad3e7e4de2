#include "store/peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum template_rules peer_rules(uint8_t transport)
{
	switch (transport) {
	case INPUT_UDP:
	case INPUT_DTLS: return TEMPLATE_RULES_DATAGRAM;
	case INPUT_FILE: return TEMPLATE_RULES_FILE;
	default: return TEMPLATE_RULES_STREAM;
	}
}

enum status peer_new(struct peer **out, const struct input_peer *key, const struct session_limits *limits)
{
	struct peer *p = calloc(1, sizeof *p);

	*out = NULL;
	if (!p || session_new(&p->session, peer_rules(key->transport), limits) != OK) {
		free(p);
		return ERR_MEMORY;
	}
	p->key = *key;
	*out = p;
	return OK;
}

static void forget(struct peer_template *t)
{
	plan_unref(t->plan);
	free(t->record);
	*t = (struct peer_template){0};
}

struct peer *peer_free(struct peer *p)
{
	if (!p)
		return NULL;
	for (uint32_t i = 0; i < p->template_slots; i++)
		forget(&p->templates[i]);
	free(p->templates);
	for (uint32_t i = 0; i < p->origin_count; i++) {
		origin_fini(p->origins[i]);
		free(p->origins[i]);
	}
	free(p->origins);
	session_free(p->session);
	free(p);
	return NULL;
}

static void print_address(const struct input_peer *key, struct origin *o)
{
	char text[INET6_ADDRSTRLEN];
	const bool v4 = IN6_IS_ADDR_V4MAPPED(&key->address);

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? key->address.s6_addr + 12 : key->address.s6_addr, text,
		       sizeof text))
		text[0] = '\0';
	if (key->transport == INPUT_FILE)
		snprintf(o->address, sizeof o->address, "file");
	else if (key->scope)
		snprintf(o->address, sizeof o->address, "%s%%%u", text, key->scope);
	else
		snprintf(o->address, sizeof o->address, "%s", text);
	o->address_length = (uint16_t)strlen(o->address);
}

struct origin *peer_origin(struct peer *p, uint32_t domain)
{
	if (p->origin_last < p->origin_count && p->origins[p->origin_last]->domain == domain)
		return p->origins[p->origin_last];
	for (uint32_t i = 0; i < p->origin_count; i++) {
		if (p->origins[i]->domain == domain) {
			p->origin_last = i;
			return p->origins[i];
		}
	}
	if (p->origin_count == p->origin_room) {
		const uint32_t room = p->origin_room ? 2 * p->origin_room : 1;
		struct origin **more = realloc(p->origins, room * sizeof(struct origin *));

		if (!more)
			return NULL;
		p->origins = more;
		p->origin_room = room;
	}

	struct origin *o = calloc(1, sizeof *o);
	if (!o)
		return NULL;
	o->domain = domain;
	o->port = p->key.port;
	o->number = p->key.number;
	print_address(&p->key, o);
	p->origin_last = p->origin_count;
	p->origins[p->origin_count++] = o;
	return o;
}

static uint32_t slot_of(uint32_t domain, uint16_t id, uint32_t slots)
{
	const uint64_t mixed = ((uint64_t)domain << 16 | id) * 0x9e3779b97f4a7c15u;

	return (uint32_t)(mixed >> 32) & (slots - 1);
}

/* Its place, or the free one where it would stand. */
static struct peer_template *place_of(const struct peer *p, uint32_t domain, uint16_t id)
{
	for (uint32_t i = slot_of(domain, id, p->template_slots);; i++) {
		struct peer_template *t = &p->templates[i & (p->template_slots - 1)];

		if (t->id == 0 || (t->id == id && t->domain == domain))
			return t;
	}
}

struct peer_template *peer_template_find(const struct peer *p, uint32_t domain, uint16_t id)
{
	struct peer_template *t = p->template_slots ? place_of(p, domain, id) : NULL;

	return t && t->id ? t : NULL;
}

static bool resize(struct peer *p, uint32_t slots)
{
	struct peer_template *old = p->templates;
	const uint32_t old_slots = p->template_slots;

	p->templates = calloc(slots, sizeof *p->templates);
	if (!p->templates) {
		p->templates = old;
		return false;
	}
	p->template_slots = slots;
	for (uint32_t i = 0; i < old_slots; i++)
		if (old[i].id)
			*place_of(p, old[i].domain, old[i].id) = old[i];
	free(old);
	return true;
}

/* Take one out; what stands behind it moves up. */
static void drop(struct peer *p, struct peer_template *t)
{
	const uint32_t mask = p->template_slots - 1;
	uint32_t hole = (uint32_t)(t - p->templates);

	forget(t);
	p->template_count--;
	for (uint32_t i = (hole + 1) & mask; p->templates[i].id; i = (i + 1) & mask) {
		const uint32_t home = slot_of(p->templates[i].domain, p->templates[i].id, p->template_slots);

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		p->templates[hole] = p->templates[i];
		p->templates[i] = (struct peer_template){0};
		hole = i;
	}
}

static bool keep(struct peer *p, const struct message_header *header, const struct template_record *r,
		 int64_t now_ms)
{
	const uint32_t head = r->options ? 6 : 4;

	if (2 * (p->template_count + 1) > p->template_slots &&
	    !resize(p, p->template_slots ? 2 * p->template_slots : 8))
		return false;

	struct peer_template *t = place_of(p, header->domain, r->id);
	uint8_t *record = malloc(head + r->fields.length);
	if (!record)
		return false;
	put_be16(record, r->id);
	put_be16(record + 2, r->field_count);
	if (r->options)
		put_be16(record + 4, r->scope_count);
	memcpy(record + head, r->fields.data, r->fields.length);
	if (t->id)
		forget(t);
	else
		p->template_count++;
	*t = (struct peer_template){.domain = header->domain,
				    .id = r->id,
				    .options = r->options,
				    .export_time = header->export_time,
				    .learned_ms = now_ms,
				    .record = record,
				    .length = head + (uint32_t)r->fields.length};
	return true;
}

static bool drop_all(struct peer *p, uint32_t domain, bool options)
{
	bool changed = false;

	for (uint32_t i = 0; i < p->template_slots; i++) {
		struct peer_template *t = &p->templates[i];

		if (t->id && t->domain == domain && t->options == options) {
			drop(p, t);
			changed = true;
			i--; /* another may have moved here */
		}
	}
	return changed;
}

bool peer_expire(struct peer *p, int64_t before_ms)
{
	if (session_expire_templates(p->session, before_ms) == 0)
		return false;
	for (uint32_t i = 0; i < p->template_slots; i++) {
		if (p->templates[i].id && p->templates[i].learned_ms < before_ms) {
			drop(p, &p->templates[i]);
			i--; /* another may have moved here */
		}
	}
	return true;
}

bool peer_template_note(struct peer *p, const struct message_header *header, const struct template_record *r,
			enum template_outcome outcome, int64_t now_ms)
{
	struct peer_template *t = peer_template_find(p, header->domain, r->id);

	switch (outcome) {
	case TEMPLATE_SAME:
		if (t)
			t->learned_ms = now_ms;
		return false;
	case TEMPLATE_NEW:
	case TEMPLATE_REPLACED: p->news = true; return keep(p, header, r, now_ms);
	case TEMPLATE_WITHDRAWN_ALL: return drop_all(p, header->domain, r->options);
	case TEMPLATE_WITHDRAWAL_IGNORED:
	case TEMPLATE_WITHDRAWAL_UNKNOWN:
	case TEMPLATE_BAD_ID: return false;
	default:
		if (t)
			drop(p, t);
		return t != NULL;
	}
}

struct plan *peer_plan(struct peer *p, const struct template *t, const struct elements *elements,
		       uint64_t *made)
{
	struct peer_template *at = peer_template_find(p, t->domain, t->id);

	if (!at)
		return NULL;
	if (at->plan && at->plan->generation == elements->generation)
		return at->plan;
	plan_unref(at->plan);
	at->plan = NULL;
	if (plan_new(&at->plan, t, elements) != OK)
		return NULL;
	*made += t->field_count;
	return at->plan;
}

void peer_drop_plans(struct peer *p)
{
	for (uint32_t i = 0; i < p->template_slots; i++) {
		plan_unref(p->templates[i].plan);
		p->templates[i].plan = NULL;
	}
}
