/* certificate.h: authorities and certificates made by the test itself, as PEM files in a folder that it
 * removes. */
#pragma once

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY_S = 86400 };

struct certificate_wanted {
	const char *file;        /* FILE.pem and FILE.key */
	const char *issuer;      /* file of the authority; NULL: its own */
	const char *name;        /* CN */
	const char *alternative; /* subjectAltName as OpenSSL writes it; NULL: none */
	long from_s, until_s;    /* from now */
};

static inline void certificate_path(char *out, size_t size, const char *folder, const char *file,
				    const char *kind)
{
	snprintf(out, size, "%s/%s.%s", folder, file, kind);
}

static inline EVP_PKEY *certificate_load_key(const char *folder, const char *file)
{
	char path[256];

	certificate_path(path, sizeof path, folder, file, "key");
	FILE *in = fopen(path, "r");
	EVP_PKEY *key = in ? PEM_read_PrivateKey(in, NULL, NULL, NULL) : NULL;
	if (in)
		fclose(in);
	assert_non_null(key);
	return key;
}

static inline X509 *certificate_load(const char *folder, const char *file)
{
	char path[256];

	certificate_path(path, sizeof path, folder, file, "pem");
	FILE *in = fopen(path, "r");
	X509 *x = in ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;
	if (in)
		fclose(in);
	assert_non_null(x);
	return x;
}

static inline void certificate_extend(X509 *x, int kind, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, kind, value);

	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

static inline void certificate_write(const char *folder, const char *file, X509 *x, EVP_PKEY *key)
{
	char path[256];

	certificate_path(path, sizeof path, folder, file, "pem");
	FILE *out = fopen(path, "w");
	PEM_write_X509(out, x);
	fclose(out);
	certificate_path(path, sizeof path, folder, file, "key");
	out = fopen(path, "w");
	chmod(path, 0600);
	PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
	fclose(out);
}

static inline void certificate_make(const char *folder, const struct certificate_wanted *w, long serial)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	EVP_PKEY *sign = w->issuer ? certificate_load_key(folder, w->issuer) : key;
	X509 *issuer = w->issuer ? certificate_load(folder, w->issuer) : NULL;
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), w->from_s);
	X509_gmtime_adj(X509_getm_notAfter(x), w->until_s);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)w->name, -1, -1, 0);
	X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name);
	X509_set_pubkey(x, key);
	certificate_extend(x, NID_basic_constraints, w->issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (w->alternative)
		certificate_extend(x, NID_subject_alt_name, w->alternative);
	assert_true(X509_sign(x, sign, EVP_sha256()) > 0);
	certificate_write(folder, w->file, x, key);
	X509_free(x);
	X509_free(issuer);
	if (sign != key)
		EVP_PKEY_free(sign);
	EVP_PKEY_free(key);
}
