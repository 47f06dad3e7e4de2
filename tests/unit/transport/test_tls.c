/* TLS with a collector played in the same thread: who is refused and what the log says, versions, and what a
 * connection that ends does to records (RFC 7011 section 11; CONFORMANCE A12). */
#include "secure_peer.h"

struct server {
	int listener, connection; /* -1: none */
	uint16_t port;
	SSL_CTX *context;
	SSL *ssl;

	bool done;   /* the handshake is over on this side */
	bool ended;  /* close_notify came */
	size_t most; /* octets to read at once */
	uint64_t received;
	char got[1 << 16];
};

/* What one test holds. */
struct scene {
	struct server server;
	struct tls_options tls;
	struct transport_options options;
	struct transport *transport;
	struct logger log;
	char *text;
	size_t size;
};

static void server_forget(struct server *s)
{
	SSL_free(s->ssl);
	s->ssl = NULL;
	if (s->connection >= 0)
		close(s->connection);
	s->connection = -1;
	s->done = s->ended = false;
}

static void server_step(struct server *s)
{
	char octets[4096];
	int n;

	if (s->connection < 0) {
		s->connection = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (s->connection < 0)
			return;
		s->ssl = SSL_new(s->context);
		SSL_set_fd(s->ssl, s->connection);
		SSL_set_accept_state(s->ssl);
	}
	ERR_clear_error();
	if (!s->done)
		s->done = SSL_do_handshake(s->ssl) == 1;
	while (s->done && (n = SSL_read(s->ssl, octets, (int)s->most)) > 0) {
		for (int i = 0; i < n; i++)
			s->got[s->received++ % sizeof s->got] = octets[i];
	}
	if (s->done && SSL_get_shutdown(s->ssl) & SSL_RECEIVED_SHUTDOWN)
		s->ended = true;
}

static void scene_open(struct scene *c, const char *folder, const char *server, const char *client)
{
	*c = (struct scene){.server = {.connection = -1, .most = 4096}};
	c->log = (struct logger){.out = open_memstream(&c->text, &c->size), .level = LOG_INFO};
	fflush(c->log.out);
	c->server.listener = listener_open(&c->server.port, 0);
	c->server.context =
		server_context(TLS_server_method(), folder, server, TLS1_2_VERSION, TLS1_3_VERSION);
	client_options(&c->tls, folder, client);
	c->options =
		(struct transport_options){.log = &c->log, .tls = &c->tls, .reconnect_ns = NS_PER_S / 100};
}

static void scene_start(struct scene *c, const char *host)
{
	c->transport = listener_transport(&tls_transport, host, c->server.port, &c->options);
}

static void scene_close(struct scene *c)
{
	if (c->transport)
		c->transport->type->close(c->transport);
	server_forget(&c->server);
	close(c->server.listener);
	SSL_CTX_free(c->server.context);
	fclose(c->log.out);
	free(c->text);
}

static void scene_step(struct scene *c)
{
	c->transport->type->service(c->transport);
	server_step(&c->server);
	fflush(c->log.out);
}

/* Until the session is there or the log has `words` (NULL: none). */
static void scene_run(struct scene *c, const char *words)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;

	while (c->transport->type->generation(c->transport) == 0 && mono_now().ns < until &&
	       !(words && strstr(c->text, words))) {
		scene_step(c);
		poll(NULL, 0, 1);
	}
}

static enum status scene_send(struct scene *c, const char *text)
{
	return c->transport->type->send(c->transport, span_of(text, strlen(text)), NULL);
}

/* Step until the server has `octets`. */
static void scene_deliver(struct scene *c, uint64_t octets)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;

	while (c->server.received < octets && mono_now().ns < until) {
		scene_step(c);
		poll(NULL, 0, 1);
	}
	assert_int_equal(c->server.received, octets);
}

static const struct {
	const char *what, *server, *client, *host, *server_name, *allowed;
	int lowest, highest;
	const char *log; /* NULL: it is accepted */
} cases[] = {
	{"DNS-ID is ServerName", "good", "probe", "127.0.0.1", "flows.example", "", 0, 0, NULL},
	{"DNS-ID is the host", "good", "probe", "localhost", "", "", 0, 0, NULL},
	{"letter case", "good", "probe", "127.0.0.1", "Flows.Example", "", 0, 0, NULL},
	{"address of the endpoint", "address", "probe", "127.0.0.1", "", "", 0, 0, NULL},
	{"wildcard of one label", "wildcard", "probe", "127.0.0.1", "a.flows.example", "", 0, 0, NULL},
	{"allowed by common name", "wrongname", "probe", "127.0.0.1", "", "collector-8", 0, 0, NULL},
	{"allowed by DNS name", "good", "probe", "127.0.0.1", "", "FLOWS.example", 0, 0, NULL},
	{"TLS 1.2 only", "good", "probe", "127.0.0.1", "flows.example", "", TLS1_2_VERSION, TLS1_2_VERSION,
	 NULL},
	{"TLS 1.3 only", "good", "probe", "127.0.0.1", "flows.example", "", TLS1_3_VERSION, TLS1_3_VERSION,
	 NULL},
	{"another authority", "foreign", "probe", "127.0.0.1", "flows.example", "", 0, 0,
	 "refused: unable to get local issuer certificate"},
	{"its own authority", "selfmade", "probe", "127.0.0.1", "flows.example", "", 0, 0,
	 "refused: self-signed certificate"},
	{"another name", "wrongname", "probe", "127.0.0.1", "flows.example", "", 0, 0,
	 "(CN \"collector-8\") is refused: it is not for the name \"flows.example\""},
	{"a name for an address", "good", "probe", "127.0.0.1", "", "", 0, 0,
	 "it is not for the address \"127.0.0.1\""},
	{"wildcard of two labels", "wildcard", "probe", "127.0.0.1", "b.a.flows.example", "", 0, 0,
	 "it is not for the name \"b.a.flows.example\""},
	{"common name alone", "cnonly", "probe", "127.0.0.1", "flows.example", "", 0, 0,
	 "it is not for the name \"flows.example\""},
	{"not on the list", "good", "probe", "127.0.0.1", "", "collector-8", 0, 0,
	 "(CN \"collector-7\") is refused: no name of it is in Tls.AllowedNames"},
	{"on the list, but of another authority", "foreign", "probe", "127.0.0.1", "", "collector-7", 0, 0,
	 "refused: unable to get local issuer certificate"},
	{"expired", "expired", "probe", "127.0.0.1", "flows.example", "", 0, 0,
	 "refused: certificate has expired"},
	{"not valid yet", "early", "probe", "127.0.0.1", "flows.example", "", 0, 0,
	 "refused: certificate is not yet valid"},
	{"TLS 1.1", "good", "probe", "127.0.0.1", "flows.example", "", TLS1_1_VERSION, TLS1_1_VERSION,
	 "protocol version"},
	{"TLS 1.0", "good", "probe", "127.0.0.1", "flows.example", "", TLS1_VERSION, TLS1_VERSION,
	 "protocol version"},
	{"our certificate is of another authority, 1.3", "good", "strange", "127.0.0.1", "flows.example", "",
	 TLS1_3_VERSION, TLS1_3_VERSION, "it refuses us: tlsv1 alert unknown ca"},
	{"our certificate is of another authority, 1.2", "good", "strange", "127.0.0.1", "flows.example", "",
	 TLS1_2_VERSION, TLS1_2_VERSION, "it refuses us: tlsv1 alert unknown ca"},
	{"our certificate has expired", "good", "stale", "127.0.0.1", "flows.example", "", 0, 0,
	 "it refuses us: sslv3 alert certificate expired"},
};

/* 90, 92, 93, 97: who may be exported to, and why not. */
static void test_90_92_93_97_who_is_accepted(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct scene c;

		scene_open(&c, *state, cases[i].server, cases[i].client);
		if (cases[i].lowest) {
			SSL_CTX_free(c.server.context);
			c.server.context = server_context(TLS_server_method(), *state, cases[i].server,
							  cases[i].lowest, cases[i].highest);
		}
		snprintf(c.tls.server_name, sizeof c.tls.server_name, "%s", cases[i].server_name);
		c.tls.allowed_count = *cases[i].allowed != 0;
		snprintf(c.tls.allowed[0], sizeof c.tls.allowed[0], "%s", cases[i].allowed);
		scene_start(&c, cases[i].host);
		assert_int_equal(scene_send(&c, "too early"), AGAIN);
		scene_run(&c, cases[i].log);
		const bool accepted = c.transport->type->generation(c.transport) > 0;
		if (accepted != !cases[i].log || (cases[i].log && !strstr(c.text, cases[i].log)))
			fail_msg("%s: %s; log:\n%s", cases[i].what, accepted ? "accepted" : "refused",
				 c.text);
		assert_int_equal(scene_send(&c, "records"), accepted ? OK : AGAIN);
		if (accepted)
			scene_deliver(&c, 7);
		assert_int_equal(c.server.received, accepted ? 7 : 0);
		scene_close(&c);
	}
}

/* 92: a collector that asks for no certificate gets ours not, but is still checked. MinimumVersion 1.3 holds.
 */
static void test_90_minimum_version(void **state)
{
	struct scene c;

	scene_open(&c, *state, "good", "probe");
	SSL_CTX_set_max_proto_version(c.server.context, TLS1_2_VERSION);
	c.tls.minimum = TLS_AT_LEAST_1_3;
	scene_start(&c, "127.0.0.1");
	scene_run(&c, "protocol version");
	assert_int_equal(c.transport->type->generation(c.transport), 0);
	assert_non_null(strstr(c.text, "protocol version"));
	scene_close(&c);
}

/* A collector that sends no ticket has not said that it takes our certificate; it is given a second. */
static void test_no_ticket(void **state)
{
	struct scene c;

	scene_open(&c, *state, "good", "probe");
	SSL_CTX_set_num_tickets(c.server.context, 0);
	scene_start(&c, "127.0.0.1");
	scene_run(&c, NULL);
	assert_int_equal(scene_send(&c, "records"), OK);
	scene_deliver(&c, 7);
	scene_close(&c);
}

/* 94: what was agreed on encrypts, and its keys are forgotten. */
static void test_94_cipher_suites(void **state)
{
	static const char *const weak[] = {"NULL-SHA256", "AES128-SHA256", "ECDHE-ECDSA-NULL-SHA", "aNULL"};

	for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
		struct scene c;

		scene_open(&c, *state, "good", "probe");
		SSL_CTX_set_max_proto_version(c.server.context, TLS1_2_VERSION);
		(void)!SSL_CTX_set_cipher_list(c.server.context, weak[i]);
		scene_start(&c, "127.0.0.1");
		scene_run(&c, "handshake failure");
		if (c.transport->type->generation(c.transport) != 0)
			fail_msg("%s was agreed on", weak[i]);
		scene_close(&c);
	}
}

/* A collector without TLS: refused, and it saw no record. */
static void test_90_no_plain_text(void **state)
{
	struct scene c;
	char got[4096];

	scene_open(&c, *state, "good", "probe");
	scene_start(&c, "127.0.0.1");
	const int peer = listener_accept(c.server.listener, c.transport);
	const int64_t until = mono_now().ns + PATIENCE_NS;
	assert_int_equal(write(peer, "220 collector ready\r\n", 21), 21);
	while (!strstr(c.text, "is not made") && mono_now().ns < until) {
		c.transport->type->service(c.transport);
		assert_int_equal(scene_send(&c, "records in the clear"), AGAIN);
		fflush(c.log.out);
		poll(NULL, 0, 1);
	}
	assert_non_null(strstr(c.text, "handshake: "));
	const ssize_t n = recv(peer, got, sizeof got, 0);
	assert_true(n > 0);
	assert_null(memmem(got, (size_t)n, "records", 7));
	close(peer);
	scene_close(&c);
}

/* Large messages, read by the octet; delivery knows when the last octet was acknowledged. */
static void test_80_octet_by_octet(void **state)
{
	char *message = malloc(65535);
	struct scene c;

	scene_open(&c, *state, "good", "probe");
	c.server.most = 1;
	scene_start(&c, "127.0.0.1");
	scene_run(&c, NULL);
	memset(message, 'm', 65535);
	for (int i = 0; i < 3; i++)
		assert_int_equal(c.transport->type->send(c.transport, span_of(message, 65535), NULL), OK);
	const struct delivery sent = c.transport->type->delivery(c.transport);
	scene_deliver(&c, 3 * 65535);
	const int64_t until = mono_now().ns + PATIENCE_NS;
	struct delivery d = {0};
	while (d.confirmed != sent.taken && mono_now().ns < until) {
		scene_step(&c);
		poll(NULL, 0, 1);
		d = c.transport->type->delivery(c.transport);
	}
	assert_int_equal(d.taken, sent.taken);
	assert_int_equal(d.confirmed, d.taken);
	scene_close(&c);
	free(message);
}

/* 81: close_notify, then FIN, behind the last message. */
static void test_81_close_notify(void **state)
{
	struct scene c;

	scene_open(&c, *state, "good", "probe");
	scene_start(&c, "127.0.0.1");
	scene_run(&c, NULL);
	assert_int_equal(scene_send(&c, "the last"), OK);
	c.transport->type->close(c.transport);
	c.transport = NULL;
	for (int i = 0; i < 1000 && !c.server.ended; i++) {
		server_step(&c.server);
		poll(NULL, 0, 1);
	}
	assert_int_equal(c.server.received, 8);
	assert_true(c.server.ended);
	scene_close(&c);
}

/* What was taken and not acknowledged is known after a reset; the next session begins anew. */
static void test_82_reset(void **state)
{
	char *message = malloc(65535);
	struct scene c;
	uint32_t sent = 0;

	scene_open(&c, *state, "good", "probe");
	close(c.server.listener);
	c.server.listener = listener_open(&c.server.port, 4096);
	scene_start(&c, "127.0.0.1");
	scene_run(&c, NULL);
	memset(message, 'm', 65535);
	while (c.transport->type->send(c.transport, span_of(message, 65535), NULL) == OK)
		sent++;
	assert_true(sent > 0);
	const int fd = dup(c.server.connection);
	server_forget(&c.server);
	peer_reset(fd);
	while (c.transport->type->poll_fd(c.transport) >= 0)
		c.transport->type->service(c.transport);
	const struct delivery d = c.transport->type->delivery(c.transport);
	assert_true(d.confirmed < d.taken);
	assert_true(d.taken > 65535ULL * sent);
	assert_int_equal(c.transport->type->generation(c.transport), 1);
	while (c.transport->type->generation(c.transport) == 1) {
		scene_step(&c);
		poll(NULL, 0, 1);
	}
	c.server.received = 0;
	assert_int_equal(scene_send(&c, "anew"), OK);
	scene_deliver(&c, 4);
	free(message);
	scene_close(&c);
}

/* 82: 50 sessions that the collector ends, in every way: no descriptor stays. */
static void test_82_flapping_leaks_nothing(void **state)
{
	struct scene c;

	scene_open(&c, *state, "good", "probe");
	c.options.reconnect_ns = NS_PER_MS;
	const uint32_t before = open_descriptors();
	scene_start(&c, "127.0.0.1");
	for (uint32_t i = 0; i < 50; i++) {
		const int64_t until = mono_now().ns + PATIENCE_NS;

		while (c.transport->type->generation(c.transport) <= i && mono_now().ns < until) {
			scene_step(&c);
			poll(NULL, 0, 1);
		}
		assert_int_equal(c.transport->type->generation(c.transport), i + 1);
		(void)!scene_send(&c, "records");
		server_step(&c.server);
		if (i % 3 == 0)
			SSL_shutdown(c.server.ssl);
		if (i % 3 == 1) {
			const int fd = dup(c.server.connection);
			server_forget(&c.server);
			peer_reset(fd);
		} else {
			server_forget(&c.server);
		}
		while (c.transport->type->poll_fd(c.transport) >= 0 && mono_now().ns < until)
			c.transport->type->service(c.transport);
		assert_int_equal(open_descriptors(), before);
	}
	scene_close(&c);
}

/* Files that are missing, or do not belong together: said at open, not at the first record. */
static void test_files(void **state)
{
	static const struct {
		const char *what, *certificate, *key, *ca;
		enum status status;
		const char *text;
	} bad[] = {
		{"no certificate named", "", "probe.key", "ca.pem", ERR_USAGE, "no Tls.Certificate"},
		{"no key named", "probe.pem", "", "ca.pem", ERR_USAGE, "no Tls.Key"},
		{"no authority named", "probe.pem", "probe.key", "", ERR_USAGE, "no Tls.Ca"},
		{"no such certificate", "none.pem", "probe.key", "ca.pem", ERR_SYSTEM, "No such file"},
		{"no such key", "probe.pem", "none.key", "ca.pem", ERR_SYSTEM, "No such file"},
		{"no such authority", "probe.pem", "probe.key", "none.pem", ERR_SYSTEM, "No such file"},
		{"another's key", "probe.pem", "good.key", "ca.pem", ERR_SYSTEM, "key values mismatch"},
		{"a key for a certificate", "probe.key", "probe.key", "ca.pem", ERR_SYSTEM, "no start line"},
	};
	struct endpoint e = {.type = &tls_transport, .host = "127.0.0.1", .port = 4740};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct tls_options o = {.minimum = TLS_AT_LEAST_1_2};
		const struct transport_options options = {.tls = &o};
		const char *folder = *state;
		struct transport *t = NULL;
		struct error err = {""};

		if (*bad[i].certificate)
			snprintf(o.certificate, sizeof o.certificate, "%s/%s", folder, bad[i].certificate);
		if (*bad[i].key)
			snprintf(o.key, sizeof o.key, "%s/%s", folder, bad[i].key);
		if (*bad[i].ca)
			snprintf(o.ca, sizeof o.ca, "%s/%s", folder, bad[i].ca);
		const enum status st = e.type->open(&t, &e, &options, &err);
		if (st != bad[i].status || !strstr(err.text, bad[i].text))
			fail_msg("%s: status %d, \"%s\"", bad[i].what, st, err.text);
	}
}

/* A key that every user can read is used, with a warning. */
static void test_open_key(void **state)
{
	struct tls_options o;
	char warning[512];

	client_options(&o, *state, "probe");
	assert_false(tls_key_warning(&o, warning, sizeof warning));
	assert_int_equal(chmod(o.key, 0644), 0);
	assert_true(tls_key_warning(&o, warning, sizeof warning));
	assert_non_null(strstr(warning, "mode 0644 seen"));
	assert_int_equal(chmod(o.key, 0640), 0);
	assert_false(tls_key_warning(&o, warning, sizeof warning));
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
		cmocka_unit_test(test_90_minimum_version),
		cmocka_unit_test(test_90_no_plain_text),
		cmocka_unit_test(test_94_cipher_suites),
		cmocka_unit_test(test_no_ticket),
		cmocka_unit_test(test_80_octet_by_octet),
		cmocka_unit_test(test_81_close_notify),
		cmocka_unit_test(test_82_reset),
		cmocka_unit_test(test_82_flapping_leaks_nothing),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_open_key),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
