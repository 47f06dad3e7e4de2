/* What strangers send to a DTLS listener, before either side is authenticated: datagrams, each behind its
 * length in two octets. Those that look like a ClientHello knock at the door, and who is let in goes on with
 * the rest. A certificate and key are made once. */
#include <stdlib.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "collect/dtls_door.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DATAGRAMS = 16 };

static void make_files(const char *certificate, const char *key)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	FILE *out;

	if (!pair || !x)
		abort();
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, pair);
	X509_sign(x, pair, EVP_sha256());
	if (!(out = fopen(certificate, "w")) || PEM_write_X509(out, x) != 1 || fclose(out))
		abort();
	if (!(out = fopen(key, "w")) || PEM_write_PrivateKey(out, pair, NULL, NULL, 0, NULL, NULL) != 1 ||
	    fclose(out))
		abort();
	X509_free(x);
	EVP_PKEY_free(pair);
}

static struct secure_context *make_context(void)
{
	char folder[] = "/tmp/weir-fuzz-XXXXXX";
	static struct tls_options options = {.minimum = TLS_AT_LEAST_1_2}; /* the context borrows it */
	struct secure_context *context;
	struct error err = {""};

	if (!mkdtemp(folder))
		abort();
	snprintf(options.certificate, sizeof options.certificate, "%s/c", folder);
	snprintf(options.key, sizeof options.key, "%s/k", folder);
	snprintf(options.ca, sizeof options.ca, "%s/c", folder);
	make_files(options.certificate, options.key);
	if (secure_new_server(&context, &options, true, false, &err) != OK)
		abort();
	unlink(options.certificate);
	unlink(options.key);
	rmdir(folder);
	return context;
}

/* An answer to a stranger is never longer than his question times a little: no amplifier. */
static void count_output(void *arg, const struct dtls_end *end, struct span octets)
{
	*(size_t *)arg += octets.length;
}

static void take(struct dtls_door *door, struct dtls_end **end, struct span datagram, size_t *out)
{
	const struct sockaddr_storage from = {.ss_family = AF_INET};
	const enum datagram_kind kind = datagram_kind(datagram);
	const size_t before = *out;

	if (kind == DATAGRAM_HELLO && !*end) {
		if (dtls_door_knock(door, &from, sizeof(struct sockaddr_storage), datagram,
				    (struct mono_ns){1}, count_output, out, end) == AGAIN &&
		    *out - before > datagram.length + 64)
			abort();
	} else if (*end && kind != DATAGRAM_OTHER) {
		(*end)->in = datagram;
	}
	if (*end)
		SSL_do_handshake((*end)->ssl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct secure_context *context; /* a key is not made again for each input */
	struct dtls_door *door;
	struct dtls_end *end = NULL;
	struct error err = {""};
	size_t out = 0;

	context = context ? context : make_context();
	if (dtls_door_new(&door, context, &err) != OK)
		abort();
	for (int i = 0; i < DATAGRAMS && size >= 2; i++) {
		const size_t wanted = get_be16(data), length = wanted < size - 2 ? wanted : size - 2;

		take(door, &end, span_of(data + 2, length), &out);
		data += 2 + length;
		size -= 2 + length;
	}
	dtls_end_free(end);
	dtls_door_free(door);
	return 0;
}
