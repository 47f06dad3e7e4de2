/* peer.h: a transport that stays in the test: it hands each message to the independent parser, or refuses.
 * The host of its endpoint is the index of the peer. */
#pragma once

#include "parse.h"

#include <stdio.h>
#include <stdlib.h>

#include "export/exporter.h"

enum { PEERS = 4 };

struct peer {
	struct transport transport; /* first */
	struct parser parser;
	enum status answer; /* to the next sends; ERR_SYSTEM: lost on the way, the transport goes on */
	uint64_t takes;     /* messages that are still taken before `answer` counts */
	size_t limit;
	uint32_t generation, serviced, flushed;
	bool closed;
	enum transport_state state; /* of a peer_connection */
	/* What records said. */
	uint64_t flows, packets, octets;
	uint64_t by_template[1024];
	uint64_t *seen; /* by flow id, when set */
	struct parsed_record last;
	uint64_t value[512]; /* by element, of the last options record that had it */
	uint64_t interfaces;
	char name[64];
	uint64_t export_time_of[1024];
};

extern struct peer peers[PEERS];

static inline void peer_record(void *arg, const struct parsed_record *r)
{
	struct peer *p = arg;

	p->by_template[r->template->id]++;
	if (r->template->scopes == 0) {
		p->flows++;
		p->packets += parsed_number(r, 2);
		p->octets += parsed_number(r, 1);
		if (p->seen)
			p->seen[parsed_number(r, 148)]++;
		return;
	}
	for (uint32_t i = 0; i < r->count; i++) {
		if (r->field[i].id < 512 && r->field[i].length <= 8)
			p->value[r->field[i].id] = parse_number(r->field[i].at, r->field[i].length);
	}
	if (parsed_has(r, 82)) {
		p->interfaces++;
		snprintf(p->name, sizeof p->name, "%.*s", parsed_nth(r, 82, 0)->length,
			 (const char *)parsed_nth(r, 82, 0)->at);
	}
}

static inline enum status peer_open(struct transport **out, const struct endpoint *to,
				    const struct transport_options *options, struct error *err)
{
	struct peer *p = &peers[atoi(to->host)];

	p->transport = (struct transport){.type = to->type};
	if (p->closed)
		p->parser = (struct parser){0}; /* a Transport Session of its own */
	p->closed = false;
	p->parser.on_record = peer_record;
	p->parser.arg = p;
	if (!p->limit)
		p->limit = 1400;
	*out = &p->transport;
	return OK;
}

static inline size_t peer_limit(struct transport *t)
{
	return ((struct peer *)t)->limit;
}

static inline void peer_service(struct transport *t)
{
	((struct peer *)t)->serviced++;
}

static inline enum status peer_send(struct transport *t, struct span message, struct error *err)
{
	struct peer *p = (struct peer *)t;

	if (message.length > p->limit)
		return error_set(err, ERR_LIMIT, "peer: %zu octets", message.length);
	if (p->answer != OK && p->takes == 0) {
		t->errors += p->answer == ERR_SYSTEM;
		return error_set(err, p->answer, "peer takes nothing");
	}
	if (t->type->state && p->state != TRANSPORT_UP)
		return error_set(err, AGAIN, "peer: no connection");
	p->takes -= p->takes > 0;
	parse_message(&p->parser, message.data, message.length);
	return OK;
}

static inline enum status peer_flush(struct transport *t, struct error *err)
{
	((struct peer *)t)->flushed++;
	return OK;
}

static inline uint32_t peer_generation(const struct transport *t)
{
	return ((const struct peer *)t)->generation;
}

static inline int peer_fd(const struct transport *t)
{
	return -1;
}

static inline bool peer_addresses(const struct transport *t, struct sockaddr_storage *local,
				  struct sockaddr_storage *remote)
{
	return false;
}

static inline void peer_close(struct transport *t)
{
	((struct peer *)t)->closed = true;
}

static inline enum transport_state peer_state(const struct transport *t)
{
	return ((const struct peer *)t)->state;
}

/* A connection comes about, or ends with an error. */
static inline void peer_connect(struct peer *p, bool up)
{
	if (up) {
		p->generation++;
		p->parser = (struct parser){.on_record = peer_record, .arg = p};
	} else {
		p->transport.errors++;
	}
	p->state = up ? TRANSPORT_UP : TRANSPORT_DOWN;
}

static const struct transport_type peer_connection = {
	.scheme = "Test",
	.default_port = 4739,
	.reliable = true,
	.open = peer_open,
	.service = peer_service,
	.message_limit = peer_limit,
	.send = peer_send,
	.generation = peer_generation,
	.state = peer_state,
	.poll_fd = peer_fd,
	.addresses = peer_addresses,
	.close = peer_close,
};

#define PEER_TYPE(name, is_reliable, port)                                                                   \
	static const struct transport_type name = {                                                          \
		.scheme = "Test",                                                                            \
		.default_port = (port),                                                                      \
		.reliable = (is_reliable),                                                                   \
		.open = peer_open,                                                                           \
		.service = peer_service,                                                                     \
		.message_limit = peer_limit,                                                                 \
		.send = peer_send,                                                                           \
		.flush = peer_flush,                                                                         \
		.generation = peer_generation,                                                               \
		.poll_fd = peer_fd,                                                                          \
		.addresses = peer_addresses,                                                                 \
		.close = peer_close,                                                                         \
	}
PEER_TYPE(peer_udp, false, 4739);
PEER_TYPE(peer_file, true, 0);
PEER_TYPE(peer_stream, true, 4739);

/* A bench of one exporter and its peers, with a clock that the test moves. */
struct stand {
	struct exporter *exporter;
	struct exporter_options options;
	struct point_table points;
	int64_t now, wall; /* ns */
	uint64_t made, made_packets, made_octets;
};

static inline void stand_add(struct stand *s, const struct transport_type *type)
{
	struct endpoint *e = &s->options.collector[s->options.collector_count];

	e->type = type;
	e->port = 4739;
	snprintf(e->host, sizeof e->host, "%u", s->options.collector_count++);
}

static inline void stand_init(struct stand *s, const struct transport_type *type)
{
	memset(peers, 0, sizeof peers);
	*s = (struct stand){.now = 1000 * NS_PER_S, .wall = 1700000000 * NS_PER_S};
	s->options.domain = 77;
	s->options.template_refresh_ns = 60 * NS_PER_S;
	stand_add(s, type);
}

static inline void stand_start(struct stand *s)
{
	struct error err = {""};

	if (exporter_new(&s->exporter, &s->options, &s->points, NULL, &err) != OK)
		fail_msg("exporter_new: %s", err.text);
}

static inline void stand_serve(struct stand *s)
{
	exporter_service(s->exporter, (struct mono_ns){s->now}, (struct wall_ns){s->wall});
}

/* Let time pass, served ten times a second. */
static inline void stand_pass(struct stand *s, int64_t ns)
{
	for (int64_t done = 0; done < ns; done += NS_PER_S / 10) {
		s->now += NS_PER_S / 10;
		s->wall += NS_PER_S / 10;
		stand_serve(s);
	}
}

static inline struct flow_record stand_record(uint64_t id, uint8_t protocol, bool v6, bool egress)
{
	struct flow_record r = {
		.octets = 100 + id % 1000,
		.packets = 1 + id % 10,
		.start_ms = 1700000000000,
		.end_ms = 1700000000500,
		.flow_id = id,
		.interface = 3,
		.point_id = 1,
		.direction = egress,
		.end_reason = END_IDLE,
	};

	r.key.source[0] = 10;
	r.key.destination[0] = 10;
	r.key.protocol = protocol;
	r.key.kind = (uint8_t)(KIND_PORTS | (v6 ? KIND_IPV6 : 0));
	return r;
}

static inline void stand_put(struct stand *s, const struct flow_record *r)
{
	exporter_put(s->exporter, r);
	s->made++;
	s->made_packets += r->packets;
	s->made_octets += r->octets;
}

static inline void stand_put_tcp(struct stand *s, uint32_t count)
{
	while (count--) {
		const struct flow_record r = stand_record(s->made, 6, false, false);

		stand_put(s, &r);
	}
}

static inline enum status stand_finish(struct stand *s, struct error *err)
{
	return exporter_finish(s->exporter, (struct mono_ns){s->now}, (struct wall_ns){s->wall}, err);
}

static inline void stand_free(struct stand *s)
{
	exporter_free(s->exporter);
	s->exporter = NULL;
}

static inline struct session_statistics stand_statistics(const struct stand *s, uint32_t session)
{
	struct session_statistics out;

	exporter_session_statistics(s->exporter, session, &out);
	return out;
}

/* RELIABILITY 3.2: made = sent + not sent, for each session, in flows, packets and octets; and what the
 * sequence says is missing is what was not sent. */
static inline void stand_check_balance(const struct stand *s)
{
	for (uint32_t i = 0; i < exporter_session_count(s->exporter); i++) {
		const struct session_statistics c = stand_statistics(s, i);
		const struct peer *p = &peers[i];

		assert_int_equal(c.flow_records + c.not_sent_flows, s->made);
		assert_int_equal(p->flows, c.flow_records);
		assert_int_equal(p->packets + c.not_sent_packets, s->made_packets);
		assert_int_equal(p->octets + c.not_sent_octets, s->made_octets);
		assert_int_equal(p->parser.messages, c.messages);
		assert_int_equal(p->parser.octets, c.octets);
		assert_int_equal(p->parser.data_records, c.data_records);
	}
}
