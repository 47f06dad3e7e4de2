/* Both ends of DTLS in an association, over one played here: what is one user message, under which key it
 * goes, and what waits for what (RFC 6083; CONFORMANCE A12). The kernel's own is for tests/vm. */
#include "secure_peer.h"

#include "transport/dtls_records.h"
#include "transport/secure.h"

enum { WAITING = 64, ROOM = 20000 };

/* One direction: user messages, in order. */
struct way {
	struct {
		size_t length;
		int key; /* that it was sent under */
		bool data;
		uint8_t octets[ROOM];
	} message[WAITING];
	uint32_t taken, sent;
};

struct end {
	SSL *ssl;
	BIO *in;
	struct dtls_records records;
	struct way *to, *from;
	bool wet, full; /* not all is acknowledged; there is no room */
	bool has_key, dropped;
	int key;
	uint8_t secret[DTLS_KEY_OCTETS];
};

struct scene {
	struct tls_options tls;
	struct logger log;
	struct secure_context *client_context;
	SSL_CTX *server_context;
	struct secure_peer peer;
	struct way *up, *down;
	struct end client, server;
};

static enum status send_record(void *arg, struct span record, bool data)
{
	const struct end *e = arg;
	struct way *w = e->to;

	if (e->full)
		return AGAIN;
	assert_true(w->sent < WAITING && record.length <= ROOM);
	memcpy(w->message[w->sent].octets, record.data, record.length);
	w->message[w->sent].length = record.length;
	w->message[w->sent].key = e->key;
	w->message[w->sent++].data = data;
	return OK;
}

static bool is_dry(void *arg)
{
	return !((const struct end *)arg)->wet;
}

static bool add_key(void *arg, const uint8_t key[DTLS_KEY_OCTETS])
{
	struct end *e = arg;

	assert_false(e->has_key);
	memcpy(e->secret, key, DTLS_KEY_OCTETS);
	return e->has_key = true;
}

static bool use_key(void *arg)
{
	struct end *e = arg;

	assert_true(e->has_key && e->key == 0);
	e->key = 1;
	return true;
}

static void drop_first(void *arg)
{
	struct end *e = arg;

	assert_true(e->key == 1 && !e->dropped);
	e->dropped = true;
}

static const struct dtls_below below = {.send = send_record,
					.is_dry = is_dry,
					.add_key = add_key,
					.use_key = use_key,
					.drop_first = drop_first};

static void end_begin(struct end *e, SSL *ssl, struct way *to, struct way *from)
{
	BIO *out = BIO_new(BIO_s_mem());

	assert_non_null(ssl);
	*e = (struct end){.ssl = ssl, .in = BIO_new(BIO_s_mem()), .to = to, .from = from};
	BIO_set_mem_eof_return(e->in, -1);
	SSL_set_bio(ssl, e->in, out);
	dtls_records_begin(&e->records, ssl, out, &below, e, 0);
}

static void scene_open(struct scene *c, const char *folder)
{
	const struct endpoint to = {.type = &dtls_sctp_transport, .host = "127.0.0.1", .port = 4740};
	struct transport_options options = {.log = &c->log, .tls = &c->tls};

	*c = (struct scene){.up = calloc(1, sizeof *c->up), .down = calloc(1, sizeof *c->down)};
	client_options(&c->tls, folder, "probe");
	assert_int_equal(secure_new(&c->client_context, &to, &options, true, NULL), OK);
	c->server_context =
		server_context(DTLS_server_method(), folder, "good", DTLS1_2_VERSION, DTLS1_2_VERSION);
	SSL *server = SSL_new(c->server_context);
	SSL_set_accept_state(server);
	end_begin(&c->client, secure_connection(c->client_context, &c->peer), c->up, c->down);
	end_begin(&c->server, server, c->down, c->up);
}

static void scene_close(struct scene *c)
{
	SSL_free(c->client.ssl);
	SSL_free(c->server.ssl);
	SSL_CTX_free(c->server_context);
	secure_free(c->client_context);
	free(c->up);
	free(c->down);
}

/* One message comes, as the kernel gives it: not before its key is there. Its plain text, if it has one. */
static int take(struct end *e, uint8_t *plain, int size)
{
	struct way *w = e->from;

	assert_true(w->message[w->taken].key == 0 || e->has_key);
	assert_true(w->message[w->taken].key == 1 || !e->dropped);
	BIO_write(e->in, w->message[w->taken].octets, (int)w->message[w->taken].length);
	w->taken++;
	return SSL_is_init_finished(e->ssl) ? SSL_read(e->ssl, plain, size) : 0;
}

static enum status step(struct end *e)
{
	ERR_clear_error();
	const int result = SSL_do_handshake(e->ssl);

	assert_true(result == 1 || SSL_get_error(e->ssl, result) == SSL_ERROR_WANT_READ);
	assert_true(dtls_records_step(&e->records));
	return dtls_records_push(&e->records);
}

static void shake_hands(struct scene *c)
{
	uint8_t none[16];

	for (int i = 0; i < 100 && !(c->client.dropped && c->server.dropped); i++) {
		assert_int_equal(step(&c->client), OK);
		if (c->up->taken < c->up->sent)
			take(&c->server, none, sizeof none);
		assert_int_equal(step(&c->server), OK);
		if (c->down->taken < c->down->sent)
			take(&c->client, none, sizeof none);
	}
	assert_true(SSL_is_init_finished(c->client.ssl) && SSL_is_init_finished(c->server.ssl));
}

static void check_way(const struct way *w)
{
	bool changed = false;

	for (uint32_t i = 0; i < w->sent; i++) {
		const uint8_t *octets = w->message[i].octets;

		assert_int_equal(w->message[i].length, 13 + get_be16(octets + 11)); /* one record */
		changed |= octets[0] == 20;
		assert_int_equal(w->message[i].key, changed);
		assert_int_equal(w->message[i].data, octets[0] == 23);
	}
	assert_true(changed);
}

/* RFC 6083 4.1, 4.8. */
static void test_90_handshake_and_keys(void **state)
{
	struct scene c;

	scene_open(&c, *state);
	shake_hands(&c);
	check_way(c.up);
	check_way(c.down);
	assert_memory_equal(c.client.secret, c.server.secret, DTLS_KEY_OCTETS);
	assert_true(c.client.dropped && c.server.dropped);
	scene_close(&c);
}

/* RFC 6083 4.7: our ChangeCipherSpec waits for the acknowledgement of all that was sent before. */
static void test_90_change_waits_until_dry(void **state)
{
	struct scene c;
	uint8_t none[16];

	scene_open(&c, *state);
	c.client.wet = true;
	for (int i = 0; i < 20; i++) {
		const enum status st = step(&c.client);

		assert_true(st == OK || st == AGAIN);
		if (c.up->taken < c.up->sent)
			take(&c.server, none, sizeof none);
		assert_int_equal(step(&c.server), OK);
		if (c.down->taken < c.down->sent)
			take(&c.client, none, sizeof none);
	}
	assert_int_equal(step(&c.client), AGAIN);
	assert_int_equal(c.client.key, 0);
	assert_true(c.client.has_key && c.server.has_key);
	for (uint32_t i = 0; i < c.up->sent; i++)
		assert_int_not_equal(c.up->message[i].octets[0], 20);
	c.client.wet = false;
	shake_hands(&c);
	check_way(c.up);
	scene_close(&c);
}

/* RFC 6083 3.6: SCTP sends again what was lost, and DTLS nothing. */
static void test_90_nothing_is_sent_again(void **state)
{
	struct timeval left = {0};
	struct scene c;

	scene_open(&c, *state);
	assert_int_equal(step(&c.client), OK);
	assert_int_equal(c.up->sent, 1);
	assert_int_equal(DTLSv1_get_timeout(c.client.ssl, &left), 1);
	assert_true(left.tv_sec > 3600);
	poll(NULL, 0, 1100); /* DTLS over UDP would, after a second */
	assert_int_equal(step(&c.client), OK);
	assert_int_equal(c.up->sent, 1);
	scene_close(&c);
}

/* RFC 6083 3.3: the longest message is one record; what finds no room waits, and goes once. */
static void test_90_messages(void **state)
{
	static uint8_t message[DTLS_MESSAGE_MAX], got[ROOM];
	struct scene c;

	scene_open(&c, *state);
	shake_hands(&c);
	const uint32_t before = c.up->sent;
	c.client.full = true;
	for (size_t i = 0; i < sizeof message; i++)
		message[i] = (uint8_t)(i * 7);
	assert_int_equal(SSL_write(c.client.ssl, message, sizeof message), sizeof message);
	assert_int_equal(dtls_records_push(&c.client.records), AGAIN);
	assert_int_equal(c.up->sent, before);
	c.client.full = false;
	assert_int_equal(dtls_records_push(&c.client.records), OK);
	assert_int_equal(dtls_records_push(&c.client.records), OK);
	assert_int_equal(c.up->sent, before + 1);
	assert_true(c.up->message[before].data);
	assert_int_equal(take(&c.server, got, sizeof got), sizeof message);
	assert_memory_equal(got, message, sizeof message);
	assert_int_equal(SSL_write(c.client.ssl, message, 100), 100);
	assert_int_equal(SSL_write(c.client.ssl, message, 200), 200);
	assert_int_equal(dtls_records_push(&c.client.records), OK);
	assert_int_equal(c.up->sent, before + 3);
	assert_int_equal(take(&c.server, got, sizeof got), 100);
	assert_int_equal(take(&c.server, got, sizeof got), 200);
	check_way(c.up);
	scene_close(&c);
}

static int make(void **state)
{
	*state = make_certificates();
	return 0;
}

static int unmake(void **state)
{
	remove_certificates(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_90_handshake_and_keys),
		cmocka_unit_test(test_90_change_waits_until_dry),
		cmocka_unit_test(test_90_nothing_is_sent_again),
		cmocka_unit_test(test_90_messages),
	};

	return cmocka_run_group_tests(tests, make, unmake);
}
