#include "export/exporter.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "export/exporter_state.h"
#include "ie/ie.h"

/* One turn's share of each collector: 64 messages of 1400 octets are about 0.3 ms of system calls, well under
 * what a packet ring holds. */
enum { MESSAGES_PER_TURN = 64 };

enum {
	RING_DEFAULT = 1 << 22,
	RING_SMALLEST = 1 << 16,
	RING_LARGEST = 1 << 30,
	GIVE_UP_SHARE = 8, /* of the ring, when a collector is too slow: not record by record */
	PROCESS_ID = 1,    /* one Metering Process and one Exporting Process in a device */
};

/* Before records of a capture file are given up a collector that takes nothing is waited for, but not for
 * ever. */
#define TAKE_WAIT_NS (2 * NS_PER_S)

/* Header, the largest template in its set, the largest record in its set. */
static size_t smallest_message(const struct session_context *context)
{
	uint8_t octets[TEMPLATE_RECORD_MAX];
	size_t template = 0, record = 0;

	for (uint32_t i = 0; i < TEMPLATE_COUNT; i++) {
		const struct layout *layout = &context->layout[i];
		const size_t length = layout_template(layout, octets);

		template = length > template ? length : template;
		record = layout->record_length > record ? layout->record_length : record;
	}
	return IPFIX_HEADER_LENGTH + 2 * IPFIX_SET_HEADER_LENGTH + template + record;
}

enum status exporter_check_options(const struct exporter_options *o, size_t smallest, struct error *err)
{
	if (o->collector_count > COLLECTOR_MAX)
		return error_set(err, ERR_LIMIT, "%u collectors; allowed: %d", o->collector_count,
				 COLLECTOR_MAX);
	if (o->max_message && o->max_message < smallest)
		return error_set(err, ERR_USAGE,
				 "messages of %u octets hold no record; allowed: %zu to 65535",
				 o->max_message, smallest);
	return OK;
}

static enum status make_ring(struct exporter *e, uint32_t wanted, struct error *err)
{
	uint32_t capacity = RING_SMALLEST;

	wanted = wanted ? wanted : RING_DEFAULT;
	while (capacity < wanted && capacity < RING_LARGEST)
		capacity *= 2;
	const uint64_t size = (ring_footprint(capacity) + 63) & ~63ULL;
	e->ring_memory = aligned_alloc(64, size);
	if (!e->ring_memory)
		return error_set(err, ERR_MEMORY, "exporter: no memory for a ring of %u octets", capacity);
	e->context.ring = ring_init(e->ring_memory, capacity);
	return OK;
}

uint32_t exporter_group_length(const struct exporter_options *o, uint32_t first)
{
	uint32_t n = 1;

	while (o->group[first] && first + n < o->collector_count && o->group[first + n] == o->group[first])
		n++;
	return n;
}

static enum status open_sessions(struct exporter *e, struct error *err)
{
	const struct exporter_options *o = &e->context.options;

	for (uint32_t i = 0; i < o->collector_count; i += exporter_group_length(o, i)) {
		struct session *s = e->session[e->session_count] = calloc(1, sizeof *s);

		if (!s)
			return error_set(err, ERR_MEMORY, "exporter: no memory for a session");
		e->session_count++;
		const enum status st =
			session_open(s, &e->context, &o->collector[i], exporter_group_length(o, i), err);
		if (st != OK)
			return st;
		const enum status spool = session_open_spool(s, &e->context, err);
		if (spool != OK)
			return spool;
	}
	return OK;
}

static void use_enterprise(struct exporter *e)
{
	uint32_t *pen = &e->context.options.enterprise;

	*pen = *pen ? *pen : WEIR_PEN;
	for (uint32_t i = 0; i < TEMPLATE_COUNT; i++) {
		for (uint32_t n = 0; n < e->context.layout[i].field_count; n++)
			e->context.own_templates |= (uint64_t)(e->context.layout[i].field[n].pen == WEIR_PEN)
						    << i;
		layout_use_enterprise(&e->context.layout[i], *pen);
	}
	e->context.facts.enterprise = *pen;
}

static enum status select_records(struct exporter *e, struct error *err)
{
	const struct selector_chain *chain = &e->context.options.records;
	const uint32_t first = options_free_selector(e->context.options.selection);
	uint64_t seed = 0;

	if (chain->count == 0)
		return OK;
	if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
		return error_errno(err, "no random octets for the selection of records");
	return record_selection_new(&e->context.records, chain, e->context.layout, first, seed, err);
}

bool exporter_record_selector(const struct exporter *e, uint32_t index, struct record_selector_item *out)
{
	return record_selection_item(e->context.records, index, out);
}

enum status exporter_new(struct exporter **out, const struct exporter_options *options,
			 const struct point_table *points, const struct logger *log, struct error *err)
{
	struct exporter *e = calloc(1, sizeof *e);

	if (!e)
		return error_set(err, ERR_MEMORY, "exporter: out of memory");
	e->watch = epoll_create1(EPOLL_CLOEXEC); /* without it ticks must do */
	e->context.options = *options;
	e->context.points = points;
	e->context.log = log;
	e->context.facts.domain = options->domain;
	e->context.facts.metering_process = e->context.facts.exporting_process = PROCESS_ID;
	layout_make_flows(e->context.layout, options->forms);
	options_make(e->context.layout + FLOW_LAYOUT_COUNT);
	use_enterprise(e);
	e->context.smallest_message = smallest_message(&e->context);
	const enum status selected = select_records(e, err);
	if (selected != OK) {
		exporter_free(e);
		return selected;
	}
	enum status st = exporter_check_options(options, e->context.smallest_message, err);
	if (st == OK)
		st = make_ring(e, options->ring_octets, err);
	if (st == OK)
		st = open_sessions(e, err);
	if (st != OK) {
		exporter_free(e);
		return st;
	}
	*out = e;
	return OK;
}

void exporter_free(struct exporter *e)
{
	if (!e)
		return;
	for (uint32_t i = 0; i < e->session_count; i++)
		session_end(e->session[i]);
	for (uint32_t i = 0; i < e->leaving_count; i++)
		session_end(e->leaving[i]);
	if (e->watch >= 0)
		close(e->watch);
	record_selection_free(e->context.records);
	free(e->ring_memory);
	free(e);
}

/* What every session is done with may be overwritten. Without a session nothing is kept. */
void exporter_release_ring(struct exporter *e)
{
	uint64_t done = ring_head(e->context.ring);

	for (uint32_t i = 0; i < e->session_count; i++)
		done = e->session[i]->sent_to < done ? e->session[i]->sent_to : done;
	ring_release(e->context.ring, done);
}

void exporter_set_time(struct exporter *e, struct mono_ns now, struct wall_ns wall)
{
	e->last = (struct moment){now, wall};
	e->real = e->context.options.packet_time ? (struct moment){mono_now(), wall_now()} : e->last;
}

const struct moment *exporter_time_of(const struct exporter *e, const struct session *s)
{
	return s->file ? &e->last : &e->real;
}

static bool is_up(const struct transport *t)
{
	return t->type->state && t->type->state(t) == TRANSPORT_UP;
}

/* Be woken by what happens to the session's connection; by room to write only while there is none. A
 * descriptor that was closed has left the set by itself; one that came back under the same number is new to
 * it. */
static void watch(const struct exporter *e, struct session *s, bool blocked)
{
	const int fd = s->transport->type->poll_fd(s->transport);
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (blocked ? EPOLLOUT : 0U)};

	if (fd < 0 || e->watch < 0)
		return;
	if (epoll_ctl(e->watch, EPOLL_CTL_ADD, fd, &event) < 0 && errno == EEXIST &&
	    s->watched != event.events)
		epoll_ctl(e->watch, EPOLL_CTL_MOD, fd, &event);
	s->watched = event.events;
}

static void clear_watch(const struct exporter *e)
{
	struct epoll_event events[COLLECTOR_MAX];

	if (e->watch >= 0)
		epoll_wait(e->watch, events, COLLECTOR_MAX, 0);
}

int exporter_poll_fd(const struct exporter *e)
{
	return e->watch;
}

bool exporter_waits(const struct exporter *e)
{
	return e->waits;
}

void exporter_service(struct exporter *e, struct mono_ns now, struct wall_ns wall)
{
	if (!e->context.facts.started_ms)
		e->context.facts.started_ms = (uint64_t)wall_ms(wall);
	exporter_set_time(e, now, wall);
	e->busy = e->waits = false;
	clear_watch(e);
	for (uint32_t i = 0; i < e->session_count; i++) {
		struct session *s = e->session[i];
		const enum turn turn = s->leaving ? TURN_BLOCKED
						  : session_turn(s, &e->context, *exporter_time_of(e, s),
								 MESSAGES_PER_TURN, false);

		e->busy |= turn == TURN_MORE;
		e->waits |= turn == TURN_BLOCKED && s->flights.count > 0 && is_up(s->transport);
		watch(e, s, turn == TURN_BLOCKED);
	}
	(void)exporter_serve_leaving(e);
	exporter_release_ring(e);
}

bool exporter_busy(const struct exporter *e)
{
	return e->busy;
}

static bool has_share(const struct ring *ring, uint64_t share)
{
	return ring_head(ring) - ring_tail(ring) + share <= ring_capacity(ring);
}

static bool confirms(const struct exporter *e)
{
	for (uint32_t i = 0; i < e->session_count; i++) {
		if (e->session[i]->transport->type->delivery)
			return true;
	}
	return false;
}

/* A capture file can wait for collectors that acknowledge; a live interface cannot. */
static void wait_for_collectors(struct exporter *e, uint64_t share)
{
	struct ring *ring = e->context.ring;
	int64_t until = mono_now().ns + TAKE_WAIT_NS;

	if (!e->context.options.packet_time || !confirms(e))
		return;
	while (!e->waited_in_vain && !has_share(ring, share)) {
		const uint64_t tail = ring_tail(ring);

		poll(NULL, 0, 1);
		exporter_service(e, e->last.now, e->last.wall);
		if (ring_tail(ring) != tail)
			until = mono_now().ns + TAKE_WAIT_NS;
		e->waited_in_vain = mono_now().ns >= until;
	}
}

/* The ring is full: send; and where a collector does not take it, give up its oldest records. */
static void make_room(struct exporter *e)
{
	struct ring *ring = e->context.ring;
	const uint64_t share = ring_capacity(ring) / GIVE_UP_SHARE;

	do { /* turn after turn while somebody takes it: a share is a few hundred messages at most */
		exporter_service(e, e->last.now, e->last.wall);
	} while (e->busy && !has_share(ring, share));
	if (has_share(ring, share))
		e->waited_in_vain = false;
	wait_for_collectors(e, share);
	for (uint32_t i = 0; i < e->session_count && !has_share(ring, share); i++) {
		if (e->session[i]->spool)
			session_spill(e->session[i], &e->context, *exporter_time_of(e, e->session[i]), true);
	}
	exporter_release_ring(e);
	if (has_share(ring, share))
		return;
	for (uint32_t i = 0; i < e->session_count; i++)
		session_give_up(e->session[i], &e->context, ring_tail(ring) + share,
				exporter_time_of(e, e->session[i])->wall);
	exporter_release_ring(e);
}

/* Apart, so that a record that was let through does not pay for clearing the other kind. */
static __attribute__((noinline)) size_t encode_denied(struct exporter *e, const struct layout *layout,
						      const struct flow_record *record, uint8_t *out)
{
	struct denied_record denied;

	if (!e->told_enterprise && e->context.options.enterprise == WEIR_PEN)
		log_info(
			e->context.log,
			"reason and rule of refused frames are sent as elements of enterprise %u, the number "
			"for examples; EnterpriseNumber is a setting",
			WEIR_PEN);
	e->told_enterprise = true;
	denied_record_of(&denied, record, e->context.points ? &e->context.points->denials : NULL);
	return encode_record(layout, &denied, out);
}

/* Apart for the same reason. */
static __attribute__((noinline)) size_t encode_owned(const struct exporter *e, const struct layout *layout,
						     const struct flow_record *record, uint8_t *out)
{
	struct owned_record owned;

	owned_record_of(&owned, record, e->owners);
	return encode_record(layout, &owned, out);
}

void exporter_set_owners(struct exporter *e, const struct owners *owners)
{
	e->owners = owners;
}

static size_t encode(struct exporter *e, const struct layout *layout, const struct flow_record *record,
		     uint8_t *out)
{
	if (record->key.kind & KIND_DENIED)
		return encode_denied(e, layout, record, out);
	return e->context.options.forms & FORM_PROCESS ? encode_owned(e, layout, record, out)
						       : encode_record(layout, record, out);
}

/* The ring had no room. NULL: there still is none, and the flow was counted as not sent. */
static __attribute__((noinline)) uint8_t *find_room(struct exporter *e, uint16_t length, uint64_t packets,
						    uint64_t octets, uint64_t time_ms)
{
	if (e->last.wall.ns == 0) /* not served yet: the best time we know */
		exporter_set_time(e, e->last.now, (struct wall_ns){(int64_t)time_ms * NS_PER_MS});
	make_room(e);
	uint8_t *at = ring_reserve(e->context.ring, length);

	for (uint32_t i = 0; !at && i < e->session_count; i++)
		session_count_lost(e->session[i], &e->context, 1, packets, octets,
				   exporter_time_of(e, e->session[i])->wall);
	return at;
}

void exporter_put(void *exporter, const struct flow_record *record)
{
	struct exporter *e = exporter;
	const uint32_t number = layout_of(record);
	const struct layout *layout = &e->context.layout[number];

	if (e->context.records && !record_selection_takes(e->context.records, number, record))
		return;
	uint8_t *at = ring_reserve(e->context.ring, layout->record_length);

	if (unlikely(!at))
		at = find_room(e, layout->record_length, record->packets, record->octets, record->end_ms);
	if (unlikely(!at))
		return;
	const size_t length = encode(e, layout, record, at);
	ring_commit(e->context.ring, (uint16_t)number, (uint16_t)length, record->packets, record->octets);
}

bool exporter_encode(const struct exporter *e, const struct flow_record *record, struct ring *ring)
{
	const uint32_t number = layout_of(record);
	const struct layout *layout = &e->context.layout[number];
	uint8_t *at = ring_reserve(ring, layout->record_length);

	if (!at)
		return false;
	ring_commit(ring, (uint16_t)number, (uint16_t)encode_record(layout, record, at), record->packets,
		    record->octets);
	return true;
}

void exporter_put_encoded(struct exporter *e, const struct ring_view *record)
{
	uint8_t *at = ring_reserve(e->context.ring, record->length);

	if (unlikely(!at))
		at = find_room(e, record->length, record->packets, record->octets, 0);
	if (unlikely(!at))
		return;
	memcpy(at, record->data, record->length);
	ring_commit(e->context.ring, record->layout, record->length, record->packets, record->octets);
}

static uint16_t seconds_of(int64_t ns, uint16_t none)
{
	if (ns <= 0)
		return none;
	return (uint16_t)(ns / NS_PER_S < UINT16_MAX ? ns / NS_PER_S : UINT16_MAX);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

void exporter_control(struct exporter *e, const struct exporter_control *c)
{
	struct options_facts *f = &e->context.facts;
	const struct meter_statistics *m = &c->meter;

	/* Ignored: what the kernel dropped, what overload made us leave out, and what could not be decoded. A
	 * frame without IP is no packet of ours to miss. */
	f->ignored_packets = c->source.dropped_packets + m->shed_packets;
	for (uint32_t i = 0; i < DECODE_OUTCOME_COUNT; i++)
		f->ignored_packets += i == DECODE_FLOW || i == DECODE_NOT_IP ? 0 : m->outcome[i];
	f->ignored_octets = m->ignored_octets;
	f->first_ignored_ms = (uint64_t)earlier(m->first_ignored_wall_ms, c->source.first_drop_wall_ms);
	f->last_ignored_ms = (uint64_t)(m->last_ignored_wall_ms > c->source.last_drop_wall_ms
						? m->last_ignored_wall_ms
						: c->source.last_drop_wall_ms);
	if (c->started_wall_ms > 0)
		f->started_ms = (uint64_t)c->started_wall_ms;
	e->context.errors = c->errors;
	f->idle_timeout_s = seconds_of(c->idle_ns, 0);
	f->active_timeout_s = seconds_of(c->interval_ns, UINT16_MAX); /* no interim records: the longest */
}

void exporter_interfaces_changed(struct exporter *e)
{
	for (uint32_t i = 0; i < e->session_count; i++)
		session_interfaces_due(e->session[i], &e->context);
}

uint32_t exporter_session_count(const struct exporter *e)
{
	return e->session_count;
}

void exporter_session_statistics(const struct exporter *e, uint32_t session, struct session_statistics *out)
{
	const struct session *s = e->session[session];
	struct spool_statistics spool = {0};

	if (s->spool)
		spool_statistics(s->spool, &spool);
	*out = s->statistics;
	out->errors = group_errors(&s->group);
	out->spooled_flows = spool.written;
	out->spool_octets = spool.octets;
	out->spool_set_aside = spool.set_aside;
	out->spool_failures = spool.failures;
}

const struct endpoint *exporter_session_endpoint(const struct exporter *e, uint32_t session)
{
	return &e->session[session]->endpoint;
}

const struct endpoint *exporter_session_member(const struct exporter *e, uint32_t session, uint32_t member)
{
	const struct group *g = &e->session[session]->group;

	return member < g->count ? &g->member[member].endpoint : NULL;
}

bool exporter_session_addresses(const struct exporter *e, uint32_t session, uint32_t member,
				struct sockaddr_storage *local, struct sockaddr_storage *remote)
{
	const struct transport *t = e->session[session]->group.member[member].transport;

	return t && t->type->addresses(t, local, remote);
}
