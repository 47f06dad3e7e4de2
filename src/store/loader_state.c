#include "store/loader_state.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "message/file.h"
#include "store/folder.h"

enum { TEMPLATES_MAX = 512 << 20 };

/* To JSON. */

static void put_counter(void *arg, const char *name, uint64_t *counter)
{
	if (*counter)
		json_object_set_new(arg, name, json_integer((json_int_t)*counter));
}

static void get_counter(void *arg, const char *name, uint64_t *counter)
{
	const json_int_t v = json_integer_value(json_object_get(arg, name));

	*counter = v > 0 ? (uint64_t)v : 0;
}

static json_t *sequence_json(const struct sequence *s)
{
	return json_pack("[b,b,I,I,I]", s->known, s->uncounted, (json_int_t)s->expected,
			 (json_int_t)s->export_time, (json_int_t)s->gap);
}

static json_t *origin_json(struct origin *o, const struct peer *p)
{
	json_t *json = json_object(), *counters = json_object(), *sampling = json_array();
	json_t *interfaces = json_array(), *last = json_array();
	struct session_domain d;

	ledger_visit_origin(o, put_counter, counters);
	for (uint32_t i = 0; session_domain_at(p->session, i, &d); i++) {
		if (d.id != o->domain)
			continue;
		json_object_set_new(json, "sequence", sequence_json(&d.sequence));
		ledger_visit_sequence(&d.stats, put_counter, counters);
	}
	for (uint32_t i = 0; i < o->sampling_count; i++)
		json_array_append_new(sampling, json_pack("[I,I,I]", (json_int_t)o->sampling[i].selector,
							  (json_int_t)o->sampling[i].num,
							  (json_int_t)o->sampling[i].den));
	for (uint32_t i = 0; i < o->interface_count; i++)
		json_array_append_new(interfaces,
				      json_pack("[I,s#]", (json_int_t)o->interfaces[i].index,
						o->interfaces[i].name, (int)o->interfaces[i].length));
	for (unsigned i = 0; i < REPORTED_COUNT; i++)
		json_array_append_new(last, json_integer((json_int_t)o->reported_last[i]));
	json_object_set_new(json, "domain", json_integer(o->domain));
	json_object_set_new(json, "init", json_integer(o->init_ms));
	json_object_set_new(json, "counters", counters);
	json_object_set_new(json, "sampling", sampling);
	json_object_set_new(json, "interfaces", interfaces);
	json_object_set_new(json, "reported", last);
	return json;
}

static json_t *peer_json(const struct peer *p)
{
	char address[INET6_ADDRSTRLEN] = "";
	struct session_stats stats = *session_stats(p->session);
	struct waiting_stats waiting = p->waiting;
	json_t *counters = json_object(), *origins = json_array();

	inet_ntop(AF_INET6, &p->key.address, address, sizeof address);
	ledger_visit_session(&stats, put_counter, counters);
	waiting.sets = waiting.octets = 0; /* the sets themselves are kept */
	ledger_visit_waiting(&waiting, put_counter, counters);
	for (uint32_t i = 0; i < p->origin_count; i++)
		json_array_append_new(origins, origin_json(p->origins[i], p));
	return json_pack("{s:s,s:I,s:i,s:i,s:i,s:I,s:o,s:o}", "address", address, "scope",
			 (json_int_t)p->key.scope, "port", p->key.port, "localPort", p->key.local_port,
			 "transport", p->key.transport, "number", (json_int_t)p->key.number, "counters",
			 counters, "domains", origins);
}

static json_t *forgotten_json(struct ledger_forgotten *f)
{
	json_t *counters = json_object();

	ledger_visit_session(&f->session, put_counter, counters);
	ledger_visit_waiting(&f->waiting, put_counter, counters);
	ledger_visit_sequence(&f->session.sequence, put_counter, counters);
	ledger_visit_origin(&f->origin, put_counter, counters);
	return counters;
}

static json_t *elements_json(const struct elements *e)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < e->count; i++)
		json_array_append_new(all, json_pack("[I,i,i,s]", (json_int_t)e->list[i].pen, e->list[i].id,
						     e->list[i].type, e->list[i].name));
	return all;
}

/* The file of templates and waiting sets: one message each. `entries`: whose, and when it came. */

struct octets {
	uint8_t *data;
	size_t length, room;
	bool failed;
};

static void put_message(struct octets *o, uint32_t export_time, uint32_t domain, uint16_t set_id,
			struct span record)
{
	const size_t length = IPFIX_HEADER_LENGTH + IPFIX_SET_HEADER_LENGTH + record.length;

	if (o->failed || length > IPFIX_MESSAGE_MAX)
		return;
	if (o->length + length > o->room) {
		const size_t room = 2 * (o->length + length);
		uint8_t *more = realloc(o->data, room);

		if (!more) {
			o->failed = true;
			return;
		}
		o->data = more;
		o->room = room;
	}

	uint8_t *at = o->data + o->length;
	put_be16(at, IPFIX_VERSION);
	put_be16(at + 2, (uint16_t)length);
	put_be32(at + 4, export_time);
	put_be32(at + 8, 0);
	put_be32(at + 12, domain);
	put_be16(at + 16, set_id);
	put_be16(at + 18, (uint16_t)(length - IPFIX_HEADER_LENGTH));
	memcpy(at + 20, record.data, record.length);
	o->length += length;
}

static void put_templates(struct octets *o, const struct peer *p, json_t *entries)
{
	for (uint32_t i = 0; i < p->template_slots; i++) {
		const struct peer_template *t = &p->templates[i];

		if (!t->id)
			continue;
		put_message(o, t->export_time, t->domain, t->options ? SET_OPTIONS_TEMPLATE : SET_TEMPLATE,
			    span_of(t->record, t->length));
		json_array_append_new(entries,
				      json_pack("[I,I]", (json_int_t)p->index, (json_int_t)t->learned_ms));
	}
}

/* Octets and entries of what is to be kept. */
static json_t *put_file(struct loader *l, struct octets *o)
{
	json_t *entries = json_array();

	for (struct peer *p = l->oldest; p; p = p->newer)
		put_templates(o, p, entries);
	for (struct waiting_set *w = l->waiting.first; w; w = w->next) {
		put_message(o, w->header.export_time, w->header.domain, w->set_id,
			    span_of(w->octets, w->length));
		json_array_append_new(
			entries, json_pack("[I,I]", (json_int_t)w->peer->index, (json_int_t)w->received_ms));
	}
	return entries;
}

static enum status save_file(struct loader *l, json_t **entries, struct error *err)
{
	struct octets o = {0};
	struct manifest *m = &l->manifest;
	char name[sizeof m->templates];
	enum status s = OK;

	*entries = put_file(l, &o);
	if (o.failed)
		s = error_set(err, ERR_MEMORY, "no memory for the templates");
	const uint64_t sum = XXH3_64bits(o.data, o.length);
	/* The name changes with the octets: an older manifest keeps the file it names. */
	snprintf(name, sizeof name, "templates-%010llu.ipfix", (unsigned long long)m->next_name);
	if (s == OK && (!m->templates[0] || m->templates_checksum != sum)) {
		m->next_name++;
		s = file_replace(l->store, name, span_of(o.data, o.length), err);
		if (s == OK && m->templates[0])
			s = manifest_leave(m, m->templates, l->now_ms);
		if (s == OK) {
			memcpy(m->templates, name, sizeof name);
			m->templates_checksum = sum;
		}
	}
	free(o.data);
	return s;
}

enum status loader_save(struct loader *l, struct error *err)
{
	json_t *sessions = json_array(), *entries = NULL, *totals = json_object();
	uint32_t index = 0;

	for (struct peer *p = l->oldest; p; p = p->newer) {
		p->index = index++;
		json_array_append_new(sessions, peer_json(p));
	}
	l->totals.elements_refused = l->elements.refused;
	ledger_visit_totals(&l->totals, put_counter, totals);

	const enum status s = save_file(l, &entries, err);
	json_decref(l->manifest.loader);
	l->manifest.loader = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "sessions", sessions, "entries", entries,
				       "elements", elements_json(&l->elements), "totals", totals, "forgotten",
				       forgotten_json(&l->forgotten), "hearing", hearing_json(&l->hearing));
	if (s == OK && !l->manifest.loader)
		return error_set(err, ERR_MEMORY, "no memory for the ledger");
	return s;
}

/* And back. What is damaged is an error: the journal has it all, so a store can be made anew. */

static bool sequence_from(json_t *json, struct sequence *s)
{
	json_int_t n[3];
	int known, uncounted;

	*s = (struct sequence){0};
	if (json_unpack(json, "[b,b,I,I,I]", &known, &uncounted, &n[0], &n[1], &n[2]) != 0)
		return false;
	s->known = known;
	s->uncounted = uncounted;
	s->expected = (uint32_t)n[0];
	s->export_time = (uint32_t)n[1];
	s->gap = (uint32_t)n[2];
	return true;
}

static void origin_from(json_t *json, struct origin *o)
{
	size_t i;
	json_t *one;

	o->init_ms = json_integer_value(json_object_get(json, "init"));
	ledger_visit_origin(o, get_counter, json_object_get(json, "counters"));
	json_array_foreach(json_object_get(json, "sampling"), i, one)
	{
		json_int_t n[3];

		if (json_unpack(one, "[I,I,I]", &n[0], &n[1], &n[2]) == 0)
			origin_set_sampling(o, (uint64_t)n[0], (uint64_t)n[1], (uint64_t)n[2]);
	}
	json_array_foreach(json_object_get(json, "interfaces"), i, one)
	{
		json_int_t index;
		const char *name;

		if (json_unpack(one, "[I,s]", &index, &name) == 0)
			origin_set_interface(o, (uint32_t)index, span_of(name, strlen(name)));
	}
	json_array_foreach(json_object_get(json, "reported"), i, one)
	{
		if (i < REPORTED_COUNT)
			o->reported_last[i] = (uint64_t)json_integer_value(one);
	}
}

static bool peer_from(struct loader *l, json_t *json, struct peer **out)
{
	struct input_peer key = {0};
	const char *address;
	json_int_t scope, number;
	int port, local_port, transport;

	*out = NULL;
	if (json_unpack(json, "{s:s,s:I,s:i,s:i,s:i,s:I}", "address", &address, "scope", &scope, "port",
			&port, "localPort", &local_port, "transport", &transport, "number", &number) != 0 ||
	    inet_pton(AF_INET6, address, &key.address) != 1)
		return false;
	key.scope = (uint32_t)scope;
	key.number = (uint64_t)number;
	key.port = (uint16_t)port;
	key.local_port = (uint16_t)local_port;
	key.transport = (uint8_t)transport;
	*out = loader_peer(l, &key);
	return *out != NULL;
}

/* Counters and sequences, after the templates were read again: reading counts. */
static bool restore_counters(struct peer *p, json_t *json)
{
	struct session_stats stats = {0};
	json_t *counters = json_object_get(json, "counters"), *one;
	struct waiting_stats waiting = {0};
	size_t i;

	ledger_visit_session(&stats, get_counter, counters);
	ledger_visit_waiting(&waiting, get_counter, counters);
	waiting.sets = p->waiting.sets;
	waiting.octets = p->waiting.octets;
	p->waiting = waiting;
	json_array_foreach(json_object_get(json, "domains"), i, one)
	{
		struct session_domain d = {
			.id = (uint32_t)json_integer_value(json_object_get(one, "domain"))};
		struct origin *o = peer_origin(p, d.id);

		if (!o)
			return false;
		origin_from(one, o);
		ledger_visit_sequence(&d.stats, get_counter, json_object_get(one, "counters"));
		if (sequence_from(json_object_get(one, "sequence"), &d.sequence) &&
		    session_restore_domain(p->session, &d) != OK)
			return false;
		for (unsigned k = 0; k < SEQUENCE_EVENT_COUNT; k++)
			stats.sequence.events[k] += d.stats.events[k];
		stats.sequence.lost += d.stats.lost;
		stats.sequence.uncounted += d.stats.uncounted;
	}
	session_restore_stats(p->session, &stats);
	return true;
}

/* One message of the file, to the session it is of. */
static void restore_message(struct loader *l, struct peer *p, struct span message, int64_t ms)
{
	const struct session_sink sink = {.arg = l, .template = l->sink.template};
	struct message_reader reader;
	struct set set;

	l->peer = p;
	l->now_ms = ms;
	if (message_open(&reader, message) != MESSAGE_FAULT_NONE || !message_next_set(&reader, &set))
		return;
	if (set.id >= SET_DATA_FIRST)
		waiting_put(&l->waiting, p, &reader.header, &set, ms);
	else
		session_message(p->session, message, ms, &sink);
}

static enum status restore_file(struct loader *l, struct peer **peers, size_t count, json_t *entries,
				struct error *err)
{
	const struct manifest *m = &l->manifest;
	char path[STORE_PATH_MAX];
	auto_free char *octets = NULL;
	size_t length, i = 0;
	struct frame_reader frames = {0};
	struct span message;

	if (!m->templates[0])
		return OK;
	if (path_format(path, "%s/%s", l->store, m->templates) != OK)
		return error_set(err, ERR_LIMIT, "%s: the name is too long", l->store);

	const enum status s = file_read(path, TEMPLATES_MAX, &octets, &length, err);
	if (s == END)
		return error_set(err, ERR_SYSTEM, "%s: the templates that the manifest names are not there",
				 path);
	if (s != OK)
		return s;
	if (XXH3_64bits(octets, length) != m->templates_checksum)
		return error_set(err, ERR_FORMAT, "%s: its checksum is not the manifest's", path);
	frame_more(&frames, (const uint8_t *)octets, length, true);
	while (frame_next(&frames, &message) == FRAME_MESSAGE) {
		json_int_t session, ms;

		if (json_unpack(json_array_get(entries, i++), "[I,I]", &session, &ms) != 0 || session < 0 ||
		    (size_t)session >= count)
			return error_set(err, ERR_FORMAT, "%s: its messages are not those of the manifest",
					 path);
		restore_message(l, peers[session], message, ms);
	}
	return OK;
}

static enum status restore_sessions(struct loader *l, json_t *state, struct error *err)
{
	json_t *sessions = json_object_get(state, "sessions"), *one;
	const size_t count = json_array_size(sessions);
	auto_free struct peer **peers = calloc(count + 1, sizeof(struct peer *));
	enum status s = OK;
	size_t i;

	if (!peers)
		return error_set(err, ERR_MEMORY, "store %s: no memory", l->store);
	if (count > l->options.peers)
		l->options.peers = (uint32_t)count;
	json_array_foreach(sessions, i, one)
	{
		if (!peer_from(l, one, &peers[i]))
			return error_set(err, ERR_FORMAT, "store %s: session %zu of its manifest", l->store,
					 i);
	}
	/* Before the templates, so that the domains with sequences are those that had them; and again, as
	 * reading the templates counts. */
	for (unsigned pass = 0; s == OK && pass < 2; pass++) {
		json_array_foreach(sessions, i, one)
		{
			if (s == OK && !restore_counters(peers[i], one))
				s = error_set(err, ERR_FORMAT, "store %s: session %zu of its manifest",
					      l->store, i);
		}
		if (s == OK && pass == 0)
			s = restore_file(l, peers, count, json_object_get(state, "entries"), err);
	}
	return s;
}

enum status loader_restore(struct loader *l, struct error *err)
{
	json_t *state = l->manifest.loader, *counters, *one;
	size_t i;

	memcpy(l->positions, l->manifest.positions, sizeof l->positions);
	if (!state)
		return OK;
	json_array_foreach(json_object_get(state, "elements"), i, one)
	{
		json_int_t pen;
		int id, type;
		const char *name;

		if (json_unpack(one, "[I,i,i,s]", &pen, &id, &type, &name) == 0)
			elements_learn(&l->elements, (uint32_t)pen, (uint16_t)id, (uint8_t)type, name,
				       strlen(name));
	}
	ledger_visit_totals(&l->totals, get_counter, json_object_get(state, "totals"));
	l->elements.refused = l->totals.elements_refused;
	hearing_restore(&l->hearing, json_object_get(state, "hearing"));
	counters = json_object_get(state, "forgotten");
	ledger_visit_session(&l->forgotten.session, get_counter, counters);
	ledger_visit_waiting(&l->forgotten.waiting, get_counter, counters);
	ledger_visit_sequence(&l->forgotten.session.sequence, get_counter, counters);
	ledger_visit_origin(&l->forgotten.origin, get_counter, counters);
	return restore_sessions(l, state, err);
}

/* The ledger, read out. */

struct visit {
	loader_ledger_visitor *visit;
	void *arg;
	const struct peer *peer;
	const struct origin *origin;
};

static void visit_one(void *arg, const char *name, uint64_t *counter)
{
	const struct visit *v = arg;

	v->visit(v->arg, v->peer, v->origin, name, *counter);
}

static void visit_peer(struct visit *v, struct peer *p)
{
	struct session_stats stats = *session_stats(p->session);
	struct session_domain d;

	v->peer = p;
	v->origin = NULL;
	ledger_visit_session(&stats, visit_one, v);
	ledger_visit_waiting(&p->waiting, visit_one, v);
	for (uint32_t i = 0; session_domain_at(p->session, i, &d); i++) {
		v->origin = peer_origin(p, d.id);
		if (v->origin)
			ledger_visit_sequence(&d.stats, visit_one, v);
	}
	for (uint32_t i = 0; i < p->origin_count; i++) {
		v->origin = p->origins[i];
		ledger_visit_origin(p->origins[i], visit_one, v);
	}
}

void loader_visit_ledger(struct loader *l, loader_ledger_visitor *visit, void *arg)
{
	struct visit v = {.visit = visit, .arg = arg};

	l->totals.elements_refused = l->elements.refused;
	ledger_visit_totals(&l->totals, visit_one, &v);
	ledger_visit_session(&l->forgotten.session, visit_one, &v);
	ledger_visit_waiting(&l->forgotten.waiting, visit_one, &v);
	ledger_visit_sequence(&l->forgotten.session.sequence, visit_one, &v);
	ledger_visit_origin(&l->forgotten.origin, visit_one, &v);
	for (struct peer *p = l->oldest; p; p = p->newer)
		visit_peer(&v, p);
}
