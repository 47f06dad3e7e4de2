#include "transport/dtls_records.h"

#include "base/time.h"

enum {
	RECORD_HEADER = 13,
	CHANGE_CIPHER_SPEC = 20, /* content types */
	APPLICATION_DATA = 23,
};

static const char label[] = "EXPORTER_DTLS_OVER_SCTP";

/* The longest that OpenSSL can say, 71 minutes: no handshake is waited for so long. */
static unsigned never(SSL *ssl, unsigned before_us)
{
	return UINT32_MAX;
}

void dtls_records_begin(struct dtls_records *r, SSL *ssl, BIO *out, const struct dtls_below *below, void *arg,
			int64_t pause_ns)
{
	*r = (struct dtls_records){.ssl = ssl, .out = out, .below = below, .arg = arg, .pause_ns = pause_ns};
	/* A ticket would be under way when the collector changes the key; none is ever taken back. */
	SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
	SSL_set_mtu(ssl, DTLS_RECORD_MAX);
	DTLS_set_timer_cb(ssl, never);
}

static bool is_secret_there(const SSL *ssl)
{
	const SSL_SESSION *session = SSL_get_session(ssl);

	return session && SSL_SESSION_get_master_key(session, NULL, 0) > 0;
}

static bool add_key(struct dtls_records *r)
{
	uint8_t key[DTLS_KEY_OCTETS];

	r->keyed = SSL_export_keying_material(r->ssl, key, sizeof key, label, sizeof label - 1, NULL, 0, 0) ==
			   1 &&
		   r->below->add_key(r->arg, key);
	OPENSSL_cleanse(key, sizeof key);
	return r->keyed;
}

bool dtls_records_step(struct dtls_records *r)
{
	return r->keyed || !is_secret_there(r->ssl) || add_key(r);
}

/* The next record to send is our ChangeCipherSpec. */
static enum status change_key(struct dtls_records *r)
{
	const int64_t now = mono_now().ns;

	if (!r->keyed)
		return ERR_SYSTEM;
	if (!r->below->is_dry(r->arg))
		return AGAIN;
	if (!r->not_before)
		r->not_before = now + r->pause_ns;
	if (now < r->not_before)
		return AGAIN;
	r->changed = r->below->use_key(r->arg);
	return r->changed ? OK : ERR_SYSTEM;
}

static void let_go(struct dtls_records *r, size_t length, bool all)
{
	uint8_t sent[DTLS_RECORD_MAX];

	if (all)
		(void)BIO_reset(r->out);
	else
		(void)BIO_read(r->out, sent, (int)length);
}

/* Both Finished are there: nothing that is still under way needs the first key. */
static void drop_first(struct dtls_records *r)
{
	if (r->dropped || !r->changed || !SSL_is_init_finished(r->ssl))
		return;
	r->below->drop_first(r->arg);
	r->dropped = true;
}

enum status dtls_records_push(struct dtls_records *r)
{
	for (;;) {
		uint8_t *data;
		const size_t waiting = (size_t)BIO_get_mem_data(r->out, &data);
		const size_t length =
			waiting < RECORD_HEADER ? SIZE_MAX : (size_t)RECORD_HEADER + get_be16(data + 11);
		enum status st = OK;

		if (length > waiting) {
			drop_first(r);
			return OK;
		}
		if (length > DTLS_RECORD_MAX)
			return ERR_LIMIT;
		if (data[0] == CHANGE_CIPHER_SPEC && !r->changed)
			st = change_key(r);
		if (st == OK)
			st = r->below->send(r->arg, span_of(data, length), data[0] == APPLICATION_DATA);
		if (st != OK)
			return st;
		let_go(r, length, length == waiting);
	}
}
