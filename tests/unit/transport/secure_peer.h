/* secure_peer.h: what the tests of TLS and DTLS share: certificates, and the options of both sides. */
#pragma once

#include "listener.h"

#include "certificate.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static const struct certificate_wanted certificates[] = {
	{"ca", NULL, "Test authority", NULL, -DAY_S, DAY_S},
	{"otherca", NULL, "Another authority", NULL, -DAY_S, DAY_S},
	{"probe", "ca", "probe-1", "DNS:probe.example", -DAY_S, DAY_S},
	{"strange", "otherca", "probe-1", "DNS:probe.example", -DAY_S, DAY_S},
	{"stale", "ca", "probe-1", "DNS:probe.example", -2 * DAY_S, -DAY_S},
	{"good", "ca", "collector-7", "DNS:flows.example,DNS:localhost", -DAY_S, DAY_S},
	{"address", "ca", "collector-7", "IP:127.0.0.1", -DAY_S, DAY_S},
	{"wildcard", "ca", "collector-7", "DNS:*.flows.example", -DAY_S, DAY_S},
	{"wrongname", "ca", "collector-8", "DNS:other.example", -DAY_S, DAY_S},
	{"cnonly", "ca", "flows.example", NULL, -DAY_S, DAY_S},
	{"expired", "ca", "collector-7", "DNS:flows.example", -2 * DAY_S, -DAY_S},
	{"early", "ca", "collector-7", "DNS:flows.example", DAY_S, 2 * DAY_S},
	{"foreign", "otherca", "collector-7", "DNS:flows.example", -DAY_S, DAY_S},
	{"selfmade", NULL, "collector-7", "DNS:flows.example", -DAY_S, DAY_S},
};

enum { CERTIFICATES = sizeof certificates / sizeof *certificates };

static inline char *make_certificates(void)
{
	char *folder = strdup("/tmp/weir-certificates-XXXXXX");

	assert_non_null(mkdtemp(folder));
	for (int i = 0; i < CERTIFICATES; i++)
		certificate_make(folder, &certificates[i], i + 1);
	return folder;
}

static inline void remove_certificates(char *folder)
{
	char path[256];

	for (int i = 0; i < CERTIFICATES; i++) {
		certificate_path(path, sizeof path, folder, certificates[i].file, "pem");
		unlink(path);
		certificate_path(path, sizeof path, folder, certificates[i].file, "key");
		unlink(path);
	}
	rmdir(folder);
	free(folder);
}

static inline void client_options(struct tls_options *o, const char *folder, const char *certificate)
{
	*o = (struct tls_options){.server_name = "flows.example"};
	certificate_path(o->certificate, sizeof o->certificate, folder, certificate, "pem");
	certificate_path(o->key, sizeof o->key, folder, certificate, "key");
	certificate_path(o->ca, sizeof o->ca, folder, "ca", "pem");
}

/* A collector's side: it wants a certificate of "ca". `lowest` to `highest`: versions it speaks. */
static inline SSL_CTX *server_context(const SSL_METHOD *method, const char *folder, const char *certificate,
				      int lowest, int highest)
{
	SSL_CTX *c = SSL_CTX_new(method);
	char path[256];

	certificate_path(path, sizeof path, folder, certificate, "pem");
	assert_int_equal(SSL_CTX_use_certificate_file(c, path, SSL_FILETYPE_PEM), 1);
	certificate_path(path, sizeof path, folder, certificate, "key");
	assert_int_equal(SSL_CTX_use_PrivateKey_file(c, path, SSL_FILETYPE_PEM), 1);
	certificate_path(path, sizeof path, folder, "ca", "pem");
	assert_int_equal(SSL_CTX_load_verify_file(c, path), 1);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_security_level(c, 0); /* old versions are for the other side to refuse */
	assert_int_equal(SSL_CTX_set_min_proto_version(c, lowest), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(c, highest), 1);
	return c;
}
