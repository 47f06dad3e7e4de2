/* DTLS 1.2 with a collector played in the same thread (RFC 7011 sections 10.3 and 11; CONFORMANCE A12). */
#include "secure_peer.h"

struct server {
	int fd; /* -1: away */
	uint16_t port;
	SSL_CTX *context;
	SSL *ssl; /* with the exporter's present port */
	uint64_t messages, octets, largest;
	uint32_t associations;
	bool done, ended;
	uint16_t from;
};

struct scene {
	struct server server;
	struct tls_options tls;
	struct transport_options options;
	struct transport *transport;
	struct logger log;
	char *text;
	size_t size;
};

static int bind_port(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t length = sizeof a;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	getsockname(fd, (struct sockaddr *)&a, &length);
	*port = ntohs(a.sin_port);
	return fd;
}

static void forget(struct server *s)
{
	SSL_free(s->ssl);
	s->ssl = NULL;
	s->done = s->ended = false;
}

static void go_away(struct server *s)
{
	forget(s);
	close(s->fd);
	s->fd = -1;
}

/* A datagram from another port is the beginning of another association. */
static void meet(struct server *s)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof peer;
	uint8_t octet;

	if (recvfrom(s->fd, &octet, 1, MSG_PEEK, (struct sockaddr *)&peer, &length) < 0 ||
	    (s->ssl && s->from == peer.sin_port))
		return;
	forget(s);
	s->from = peer.sin_port;
	s->ssl = SSL_new(s->context);
	BIO *bio = BIO_new_dgram(s->fd, BIO_NOCLOSE);
	BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_PEER, 0, &peer);
	SSL_set_bio(s->ssl, bio, bio);
	SSL_set_accept_state(s->ssl);
	s->associations++;
}

static void server_step(struct server *s)
{
	uint8_t message[1 << 16];
	int n;

	if (s->fd < 0)
		return;
	meet(s);
	if (!s->ssl)
		return;
	ERR_clear_error();
	if (!s->done)
		s->done = SSL_do_handshake(s->ssl) == 1;
	while (s->done && (n = SSL_read(s->ssl, message, sizeof message)) > 0) {
		s->messages++;
		s->octets += (uint64_t)n;
		s->largest = (uint64_t)n > s->largest ? (uint64_t)n : s->largest;
	}
	s->ended = s->ended || SSL_get_shutdown(s->ssl) & SSL_RECEIVED_SHUTDOWN;
}

static void scene_open(struct scene *c, const char *folder, const char *server, const char *client)
{
	*c = (struct scene){.options = {.reconnect_ns = NS_PER_S / 100}};
	c->log = (struct logger){.out = open_memstream(&c->text, &c->size), .level = LOG_INFO};
	fflush(c->log.out);
	c->server.fd = bind_port(&c->server.port);
	c->server.context =
		server_context(DTLS_server_method(), folder, server, DTLS1_2_VERSION, DTLS1_2_VERSION);
	client_options(&c->tls, folder, client);
	c->options.log = &c->log;
	c->options.tls = &c->tls;
}

static void scene_start(struct scene *c)
{
	c->transport = listener_transport(&dtls_transport, "127.0.0.1", c->server.port, &c->options);
}

static void scene_close(struct scene *c)
{
	if (c->transport)
		c->transport->type->close(c->transport);
	if (c->server.fd >= 0)
		go_away(&c->server);
	SSL_CTX_free(c->server.context);
	fclose(c->log.out);
	free(c->text);
}

static void scene_step(struct scene *c)
{
	c->transport->type->service(c->transport);
	server_step(&c->server);
	fflush(c->log.out);
	poll(NULL, 0, 1);
}

/* Until there is an association after `before`, or the log has `words`. */
static void scene_run(struct scene *c, uint32_t before, const char *words)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;

	while (c->transport->type->generation(c->transport) == before && mono_now().ns < until &&
	       !(words && strstr(c->text, words)))
		scene_step(c);
}

static enum status scene_send(struct scene *c, size_t length)
{
	uint8_t message[1 << 16] = {0, 10};

	return c->transport->type->send(c->transport, span_of(message, length), NULL);
}

static void scene_deliver(struct scene *c, uint64_t messages)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;

	while (c->server.messages < messages && mono_now().ns < until)
		scene_step(c);
	assert_int_equal(c->server.messages, messages);
}

static const struct {
	const char *what, *server, *client, *log; /* NULL: accepted */
	int highest;
} cases[] = {
	{"good", "good", "probe", NULL, 0},
	{"another authority", "foreign", "probe", "refused: unable to get local issuer certificate", 0},
	{"another name", "wrongname", "probe", "refused: it is not for the name \"flows.example\"", 0},
	{"expired", "expired", "probe", "refused: certificate has expired", 0},
	{"our certificate is of another authority", "good", "strange",
	 "it refuses us: tlsv1 alert unknown ca", 0},
	{"DTLS 1.0", "good", "probe", "it refuses us", DTLS1_VERSION},
};

static void test_90_92_93_97_who_is_accepted(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct scene c;

		scene_open(&c, *state, cases[i].server, cases[i].client);
		if (cases[i].highest) {
			SSL_CTX_free(c.server.context);
			c.server.context = server_context(DTLS_server_method(), *state, cases[i].server,
							  cases[i].highest, cases[i].highest);
		}
		scene_start(&c);
		assert_int_equal(scene_send(&c, 100), AGAIN);
		scene_run(&c, 0, cases[i].log);
		const bool accepted = c.transport->type->generation(c.transport) > 0;
		if (accepted != !cases[i].log || (cases[i].log && !strstr(c.text, cases[i].log)))
			fail_msg("%s: %s; log:\n%s", cases[i].what, accepted ? "accepted" : "refused",
				 c.text);
		assert_int_equal(scene_send(&c, 100), accepted ? OK : AGAIN);
		if (accepted)
			scene_deliver(&c, 1);
		scene_close(&c);
	}
}

/* 77: a message is a datagram, however large; what is larger than the limit is not taken. */
static void test_77_one_message_one_datagram(void **state)
{
	struct scene c;

	scene_open(&c, *state, "good", "probe");
	scene_start(&c);
	scene_run(&c, 0, NULL);
	const size_t limit = c.transport->type->message_limit(c.transport);
	assert_in_range(limit, 464 - 37, 1 << 14);
	for (uint64_t i = 0; i < 100; i++) {
		const size_t length = i % 10 == 9 ? limit : 16 + (size_t)i * 13;

		assert_int_equal(scene_send(&c, length), OK);
		scene_deliver(&c, i + 1);
	}
	assert_int_equal(c.server.largest, limit);
	assert_int_equal(scene_send(&c, limit + 1), ERR_LIMIT);
	c.options.max_message = 1400;
	scene_close(&c);
	scene_open(&c, *state, "good", "probe");
	c.options.max_message = 1400;
	scene_start(&c);
	scene_run(&c, 0, NULL);
	assert_int_equal(c.transport->type->message_limit(c.transport), 1400);
	scene_close(&c);
}

/* 91, 89: a collector that went and came back: a refused port ends the association, the next one is from
 * another port and counts as a new generation. */
static void test_89_collector_comes_back(void **state)
{
	struct scene c;

	scene_open(&c, *state, "good", "probe");
	scene_start(&c);
	for (uint32_t i = 0; i < 3; i++) {
		scene_run(&c, i, NULL);
		assert_int_equal(c.transport->type->generation(c.transport), i + 1);
		const uint64_t messages = c.server.messages;
		assert_int_equal(scene_send(&c, 100), OK);
		scene_deliver(&c, messages + 1);
		go_away(&c.server);
		const int64_t until = mono_now().ns + PATIENCE_NS;
		while (scene_send(&c, 100) != AGAIN && mono_now().ns < until)
			scene_step(&c);
		assert_int_equal(scene_send(&c, 100), AGAIN);
		c.server.fd = bind_port(&c.server.port);
	}
	scene_run(&c, 3, NULL);
	assert_int_equal(c.transport->type->generation(c.transport), 4);
	scene_close(&c);
}

/* Nobody answers the first flights: OpenSSL's timer sends them again. */
static void test_retransmission(void **state)
{
	struct scene c;
	uint8_t lost[2048];
	uint32_t flights = 0;

	scene_open(&c, *state, "good", "probe");
	scene_start(&c);
	const int64_t until = mono_now().ns + PATIENCE_NS;
	while (flights < 2 && mono_now().ns < until) {
		c.transport->type->service(c.transport);
		flights += recv(c.server.fd, lost, sizeof lost, 0) > 0;
		poll(NULL, 0, 1);
	}
	assert_int_equal(flights, 2);
	scene_run(&c, 0, NULL);
	assert_int_equal(c.transport->type->generation(c.transport), 1);
	assert_int_equal(scene_send(&c, 100), OK);
	scene_deliver(&c, 1);
	scene_close(&c);
}

static void test_close_notify(void **state)
{
	struct scene c;

	scene_open(&c, *state, "good", "probe");
	const uint32_t before = open_descriptors();
	scene_start(&c);
	scene_run(&c, 0, NULL);
	assert_int_equal(scene_send(&c, 100), OK);
	c.transport->type->close(c.transport);
	c.transport = NULL;
	for (int i = 0; i < 1000 && !c.server.ended; i++) {
		server_step(&c.server);
		poll(NULL, 0, 1);
	}
	assert_int_equal(c.server.messages, 1);
	assert_true(c.server.ended);
	assert_int_equal(open_descriptors(), before);
	scene_close(&c);
}

/* The collector ends the association: a new one is made. */
static void test_collector_ends(void **state)
{
	struct scene c;

	scene_open(&c, *state, "good", "probe");
	scene_start(&c);
	scene_run(&c, 0, NULL);
	scene_step(&c);
	SSL_shutdown(c.server.ssl);
	scene_run(&c, 1, NULL);
	assert_int_equal(c.transport->type->generation(c.transport), 2);
	assert_int_equal(scene_send(&c, 100), OK);
	scene_deliver(&c, 1);
	assert_int_equal(c.server.associations, 2);
	scene_close(&c);
}

static void test_version_1_3(void **state)
{
	struct endpoint e = {.type = &dtls_transport, .host = "127.0.0.1", .port = 4740};
	struct tls_options o;
	const struct transport_options options = {.tls = &o};
	struct transport *t = NULL;
	struct error err = {""};

	client_options(&o, *state, "probe");
	o.minimum = TLS_AT_LEAST_1_3;
	assert_int_equal(e.type->open(&t, &e, &options, &err), ERR_USAGE);
	assert_non_null(strstr(err.text, "allowed for Dtls: 1.2"));
}

static int group_setup(void **state)
{
	*state = make_certificates();
	return 0;
}

static int group_teardown(void **state)
{
	remove_certificates(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_90_92_93_97_who_is_accepted),
		cmocka_unit_test(test_77_one_message_one_datagram),
		cmocka_unit_test(test_89_collector_comes_back),
		cmocka_unit_test(test_retransmission),
		cmocka_unit_test(test_close_notify),
		cmocka_unit_test(test_collector_ends),
		cmocka_unit_test(test_version_1_3),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
