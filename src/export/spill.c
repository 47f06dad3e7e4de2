/* Between a session and its spool: records go there while no collector takes them, and come back when one
 * does, beside the new ones and not faster than the options say. */
#include <ctype.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "export/session.h"

#define AWAY_NS  NS_PER_S       /* a connection that is made again at once costs no disk */
#define SPILL_NS (NS_PER_S / 2) /* between two writes: messages with some records in them */
#define RETRY_NS (5 * NS_PER_S) /* after one that failed */

enum { NAME_PART = 200 };

bool session_wants_spool(const struct session *s)
{
	for (uint32_t i = 0; i < s->group.count; i++) {
		const struct transport_type *type = s->group.member[i].endpoint.type;

		if (type->reliable && type->default_port)
			return true;
	}
	return false;
}

/* One folder for a collector or group and an Observation Domain, found again by what the profile says. */
static void folder_of(const struct session *s, const char *base, uint32_t domain, char *out, size_t size)
{
	char all[NAME_PART + 1];
	uint32_t sum = 0;
	size_t used = 0;

	for (uint32_t i = 0; i < s->group.count; i++) {
		char name[320];

		endpoint_print(&s->group.member[i].endpoint, name, sizeof name);
		sum = crc32c(sum, name, strlen(name) + 1);
		for (const char *c = name; *c && used < NAME_PART; c++)
			all[used++] = isalnum((unsigned char)*c) || *c == '.' || *c == '-' ? *c : '_';
	}
	all[used] = 0;
	snprintf(out, size, "%s/%s_%08x_%u", base, all, sum, domain);
}

enum status session_open_spool(struct session *s, const struct session_context *context, struct error *err)
{
	const struct exporter_options *o = &context->options;
	char folder[sizeof o->spool_folder + NAME_PART + 32];
	const struct spool_options options = {
		.folder = folder,
		.size = o->spool_size,
		.layout = context->layout,
		.layout_count = FLOW_LAYOUT_COUNT,
		.domain = o->domain,
		.log = context->log,
	};

	if (!*o->spool_folder || s->spool || !session_wants_spool(s))
		return OK;
	folder_of(s, o->spool_folder, o->domain, folder, sizeof folder);
	s->spool_size = o->spool_size;
	return spool_open(&s->spool, &options, err);
}

static void count_dropped(struct session *s, const struct session_context *context, struct moment t)
{
	const struct spool_count c = spool_take_dropped(s->spool);

	session_count_lost(s, context, c.flows, c.packets, c.octets, t.wall);
}

/* All records that wait in the ring. On an error those that are not kept stay there. */
static enum status spill_all(struct session *s, const struct session_context *context, struct moment t,
			     struct error *err)
{
	const uint32_t time = (uint32_t)(wall_ms(t.wall) / 1000);
	uint64_t put_to = s->sent_to;
	struct ring_view v;
	enum status st = OK;
	bool kept;

	while (st == OK && ring_peek(context->ring, put_to, &v) == OK) {
		if (v.layout >= FLOW_LAYOUT_COUNT)
			break; /* damage: the data path sees it too, and says so */
		st = spool_put(s->spool, v.layout, span_of(v.data, v.length), time, &kept, err);
		if (kept)
			s->sent_to = put_to;
		if (st == OK)
			put_to = v.next;
	}
	if (st == OK)
		st = spool_flush(s->spool, time, err);
	if (st == OK)
		s->sent_to = put_to;
	return st;
}

void session_spill(struct session *s, const struct session_context *context, struct moment t, bool all)
{
	const bool away = s->away_since && t.now.ns - s->away_since >= AWAY_NS;
	struct error err = {""};

	if (!all && (!away || t.now.ns < s->spill_at))
		return;
	if (s->sent_to == ring_head(context->ring))
		return;
	session_confirm_flights(s, context, t.wall);
	/* What is in flight over a connection that is gone was not taken; over one that stands it may be. */
	if (s->away_since)
		session_flights_broken(s, context, t.wall);
	else
		session_release_flights(s, ring_head(context->ring));
	const enum status st = spill_all(s, context, t, &err);
	if (s->taken_to < s->sent_to)
		s->taken_to = s->sent_to;
	session_restart_data(s);
	count_dropped(s, context, t);
	s->spill_at = t.now.ns + (st == OK ? SPILL_NS : RETRY_NS);
	if (st != OK && !s->spool_failed)
		log_warn(context->log, "%s; records wait in memory, and are given up when that is full",
			 err.text);
	s->spool_failed = st != OK;
}

static bool may_replay(struct session *s, const struct session_context *context, struct moment t)
{
	const int64_t rate = context->options.spool_rate;
	const int64_t passed = t.now.ns - s->replay_at;

	if (rate == 0)
		return true;
	if (passed >= NS_PER_S / 20) {
		const int64_t most = rate / 4 + 1;

		s->replay_credit += passed >= NS_PER_S ? most : rate * (passed / NS_PER_MS) / 1000 + 1;
		s->replay_credit = s->replay_credit > most ? most : s->replay_credit;
		s->replay_at = t.now.ns;
	}
	return s->replay_credit > 0;
}

/* As fill in session.c. */
static enum status fill_replay(struct session *s, const struct session_context *context,
			       struct flight *records)
{
	struct ring_view v;
	enum status st;

	while ((st = spool_peek(s->spool, &v)) == OK) {
		/* A message is of one file, so that its last position speaks for all of it. */
		if (records->flows && v.next >> 32 != records->end >> 32)
			return END;
		if (records->flows == 0)
			spool_mark(s->spool);
		st = session_put(s, context, &s->replay, v.layout, span_of(v.data, v.length));
		if (st == AGAIN)
			s->due.templates |= 1ULL << v.layout;
		if (st != OK)
			return st;
		spool_advance(s->spool);
		records->flows++;
		records->packets += v.packets;
		records->octets += v.octets;
		records->end = v.next;
	}
	return END;
}

enum status session_replay(struct session *s, const struct session_context *context, struct moment t)
{
	struct flight records = {.spooled = true};

	if (!s->spool || spool_is_empty(s->spool) || s->away_since || !may_replay(s, context, t))
		return END;
	if (s->flights.count == FLIGHT_MAX)
		return AGAIN;
	session_begin_message(s, &s->replay);
	const enum status filled = fill_replay(s, context, &records);
	count_dropped(s, context, t);
	if (records.flows == 0)
		return filled == AGAIN ? OK : END; /* a template goes first */
	const enum status st = session_send(s, context, &s->replay, t.wall);
	if (st == OK) {
		session_taken(s, &records);
		s->replay_credit -= records.flows;
		s->statistics.replayed_flows += records.flows;
		return OK;
	}
	if (st == ERR_SYSTEM) { /* lost: only where nothing is confirmed */
		session_count_lost(s, context, records.flows, records.packets, records.octets, t.wall);
		spool_confirm(s->spool, records.end);
		return OK;
	}
	spool_return(s->spool);
	return AGAIN;
}
