#include "collect/dtls_door.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

enum {
	SECRET = 32,
	COOKIE = 32,
	MTU = 1200, /* of our handshake messages: every path takes them (RFC 8899 4.5) */
	RECORD_HEADER = 13,
	CONTENT_FIRST = 20, /* change_cipher_spec, alert, handshake, application data: 20 to 23 */
	CONTENT_LAST = 23,
	CONTENT_HANDSHAKE = 22,
	CLIENT_HELLO = 1,
	DTLS_MAJOR = 0xfe,
};

#define COOKIE_LIFE_NS (60 * NS_PER_S)

struct dtls_door {
	const struct secure_context *context;
	BIO_METHOD *method;
	BIO_ADDR *unused; /* OpenSSL wants to tell the address that we gave it */
	uint8_t secret[SECRET];
	struct mono_ns now;
	struct dtls_end *waiting; /* for the next stranger who has a cookie */
};

enum datagram_kind datagram_kind(struct span o)
{
	if (o.length < RECORD_HEADER || o.data[0] < CONTENT_FIRST || o.data[0] > CONTENT_LAST ||
	    o.data[1] != DTLS_MAJOR)
		return DATAGRAM_OTHER;
	/* Epoch 0: not encrypted yet. */
	if (o.length > RECORD_HEADER && o.data[0] == CONTENT_HANDSHAKE && get_be16(o.data + 3) == 0 &&
	    o.data[RECORD_HEADER] == CLIENT_HELLO)
		return DATAGRAM_HELLO;
	return DATAGRAM_RECORD;
}

static int bio_write(BIO *bio, const char *data, int length)
{
	const struct dtls_end *end = BIO_get_data(bio);

	if (length > 0)
		end->output(end->arg, end, span_of(data, (size_t)length));
	return length; /* what cannot be sent is lost, as on the way */
}

static int bio_read(BIO *bio, char *out, int size)
{
	struct dtls_end *end = BIO_get_data(bio);
	const size_t length = end->in.length;

	BIO_clear_retry_flags(bio);
	if (length == 0 || size <= 0 || length > (size_t)size) {
		end->in.length = 0; /* longer than any record: dropped */
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(out, end->in.data, length);
	end->in.length = 0;
	return (int)length;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	switch (command) {
	case BIO_CTRL_FLUSH: return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU: return MTU;
	default: return 0;
	}
}

static struct dtls_end *end_of(const SSL *ssl)
{
	struct secure_peer *peer = SSL_get_app_data(ssl);

	return (struct dtls_end *)(void *)((char *)peer - offsetof(struct dtls_end, peer));
}

static bool make_cookie(const struct dtls_end *end, int64_t slot, uint8_t out[COOKIE])
{
	uint8_t text[sizeof end->address + sizeof slot] = {0};
	unsigned length = COOKIE;

	memcpy(text, &end->address, end->length);
	memcpy(text + sizeof end->address, &slot, sizeof slot);
	return HMAC(EVP_sha256(), end->door->secret, SECRET, text, sizeof text, out, &length);
}

static int give_cookie(SSL *ssl, unsigned char *out, unsigned *length)
{
	const struct dtls_end *end = end_of(ssl);

	*length = COOKIE;
	return make_cookie(end, end->door->now.ns / COOKIE_LIFE_NS, out);
}

static int check_cookie(SSL *ssl, const unsigned char *given, unsigned length)
{
	const struct dtls_end *end = end_of(ssl);
	const int64_t slot = end->door->now.ns / COOKIE_LIFE_NS;
	uint8_t made[COOKIE];

	for (int64_t back = 0; length == COOKIE && back < 2; back++) {
		if (make_cookie(end, slot - back, made) && CRYPTO_memcmp(made, given, COOKIE) == 0)
			return 1;
	}
	return 0;
}

void dtls_end_free(struct dtls_end *end)
{
	if (!end)
		return;
	SSL_free(end->ssl);
	free(end);
}

static struct dtls_end *end_new(struct dtls_door *door)
{
	struct dtls_end *end = calloc(1, sizeof *end);

	if (end)
		end->ssl = secure_connection(door->context, &end->peer);
	if (!end || !end->ssl || !secure_attach(end->ssl, door->method, end, MTU)) {
		dtls_end_free(end);
		return NULL;
	}
	end->door = door;
	SSL_set_options(end->ssl, SSL_OP_COOKIE_EXCHANGE);
	return end;
}

enum status dtls_door_new(struct dtls_door **out, const struct secure_context *context, struct error *err)
{
	struct dtls_door *door = calloc(1, sizeof *door);

	if (door) {
		door->context = context;
		door->method = secure_datagrams(bio_write, bio_read, bio_control);
		door->unused = BIO_ADDR_new();
	}
	if (!door || !door->method || !door->unused || RAND_bytes(door->secret, SECRET) != 1) {
		dtls_door_free(door);
		return error_set(err, ERR_MEMORY, "DTLS: out of memory");
	}
	SSL_CTX_set_cookie_generate_cb(secure_library(context), give_cookie);
	SSL_CTX_set_cookie_verify_cb(secure_library(context), check_cookie);
	*out = door;
	return OK;
}

void dtls_door_free(struct dtls_door *door)
{
	if (!door)
		return;
	dtls_end_free(door->waiting);
	BIO_ADDR_free(door->unused);
	BIO_meth_free(door->method);
	free(door);
}

enum status dtls_door_knock(struct dtls_door *door, const struct sockaddr_storage *address, socklen_t length,
			    struct span hello, struct mono_ns now, dtls_output *output, void *arg,
			    struct dtls_end **out)
{
	struct dtls_end *end = door->waiting ? door->waiting : end_new(door);

	door->waiting = end;
	if (!end)
		return ERR_MEMORY;
	door->now = now;
	memset(&end->address, 0, sizeof end->address);
	memcpy(&end->address, address, length);
	end->length = length;
	end->in = hello;
	end->output = output;
	end->arg = arg;
	ERR_clear_error();
	const int result = DTLSv1_listen(end->ssl, door->unused);
	end->in = span_of(NULL, 0);
	if (result > 0) {
		door->waiting = NULL;
		*out = end;
		return END;
	}
	if (result == 0)
		return AGAIN;
	dtls_end_free(end); /* whatever it is in now */
	door->waiting = NULL;
	return ERR_FORMAT;
}
