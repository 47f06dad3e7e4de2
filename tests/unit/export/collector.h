/* collector.h: a collector over real TCP or TLS, played in the test's own thread. Each of its connections has
 * a parser of its own, which fails on data without a template. */
#pragma once

#include "../transport/secure_peer.h"
#include "peer.h"

enum { FLOWS_MAX = 1 << 17, RECORD_OCTETS_MIN = 60 };

struct collector {
	int listener, connection; /* -1: none */
	uint16_t port;
	struct parser parser; /* of this connection */
	uint64_t flows, connections, messages;
	SSL_CTX *context; /* NULL: plain TCP */
	SSL *ssl;
	uint8_t octets[1 << 17];
	size_t length;
	uint8_t seen[FLOWS_MAX]; /* by flow id */
};

static inline void on_record(void *arg, const struct parsed_record *r)
{
	struct collector *c = arg;

	if (r->template->scopes)
		return;
	c->flows++;
	c->seen[parsed_number(r, 148) % FLOWS_MAX]++;
}

static inline struct collector *collector_new(int window)
{
	struct collector *c = calloc(1, sizeof *c);

	c->connection = -1;
	c->listener = listener_open(&c->port, window);
	return c;
}

static inline void collector_free(struct collector *c)
{
	if (c->connection >= 0)
		close(c->connection);
	close(c->listener);
	SSL_free(c->ssl);
	SSL_CTX_free(c->context);
	free(c);
}

static inline void accept_one(struct collector *c)
{
	if (c->connection >= 0 || (c->connection = accept4(c->listener, NULL, NULL, SOCK_NONBLOCK)) < 0)
		return;
	c->parser = (struct parser){.on_record = on_record, .arg = c};
	c->length = 0;
	c->connections++;
	if (!c->context)
		return;
	SSL_free(c->ssl);
	c->ssl = SSL_new(c->context);
	SSL_set_fd(c->ssl, c->connection);
	SSL_set_accept_state(c->ssl);
}

/* As recv: -1 for nothing now. */
static inline ssize_t receive(struct collector *c, uint8_t *out, size_t size)
{
	if (!c->context)
		return recv(c->connection, out, size, 0);
	ERR_clear_error();
	const int n = SSL_read(c->ssl, out, (int)size); /* shakes hands first */
	return n <= 0 && SSL_get_error(c->ssl, n) != SSL_ERROR_ZERO_RETURN ? -1 : n;
}

static inline void take_messages(struct collector *c)
{
	size_t at = 0;

	while (c->length - at >= 16 && c->length - at >= get_be16(c->octets + at + 2)) {
		const size_t length = get_be16(c->octets + at + 2);

		if (c->parser.messages == 0) { /* 4, 35: a Transport Session begins with 0 and a template */
			assert_int_equal(get_be32(c->octets + at + 8), 0);
			assert_in_range(get_be16(c->octets + at + 16), 2, 3);
		}
		parse_message(&c->parser, c->octets + at, length);
		c->messages++;
		at += length;
	}
	memmove(c->octets, c->octets + at, c->length - at);
	c->length -= at;
}

/* Read all there is. true: the exporter has ended the connection in order. */
static inline bool drain(struct collector *c)
{
	ssize_t n;

	accept_one(c);
	if (c->connection < 0)
		return false;
	while ((n = receive(c, c->octets + c->length, sizeof c->octets - c->length)) > 0) {
		c->length += (size_t)n;
		take_messages(c);
	}
	return n == 0;
}

static inline void hang_up(struct collector *c, bool reset)
{
	if (reset)
		peer_reset(c->connection);
	else
		close(c->connection);
	c->connection = -1;
}

static inline void stand_to(struct stand *s, const struct collector *c)
{
	stand_init(s, &tcp_transport);
	snprintf(s->options.collector[0].host, sizeof s->options.collector[0].host, "127.0.0.1");
	s->options.collector[0].port = c->port;
	s->options.reconnect_ns = NS_PER_MS;
	s->options.max_message = 1400;
}

/* Records that were not sent; those that were and perhaps not read are besides. */
static inline uint64_t given_up(struct session_statistics c)
{
	return c.not_sent_flows - c.unsure_flows;
}

/* Serve and read until the exporter has nothing in hand that the collector has not. */
static inline void settle(struct stand *s, struct collector *c)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;

	for (;;) {
		stand_pass(s, NS_PER_S);
		drain(c);
		poll(NULL, 0, 1);
		const struct session_statistics now = stand_statistics(s, 0);
		if (now.flow_records + given_up(now) == s->made)
			return;
		if (mono_now().ns > until)
			fail_msg("%llu of %llu records are neither sent nor given up",
				 (unsigned long long)(s->made - now.flow_records - given_up(now)),
				 (unsigned long long)s->made);
	}
}

static inline uint64_t count_seen(const struct collector *c, uint64_t made, uint8_t times)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < made; i++)
		n += c->seen[i] == times;
	return n;
}

/* RELIABILITY 3.2 over a connection: made = sent + not sent. */
static inline void check_made(const struct stand *s)
{
	const struct session_statistics c = stand_statistics(s, 0);

	assert_int_equal(c.flow_records + given_up(c), s->made);
}
