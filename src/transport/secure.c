#include "transport/secure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* CONFORMANCE A12 94: never NULL; and no suite that BCP 195 advises against. */
static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL";

struct secure_context {
	SSL_CTX *ssl;
	const struct tls_options *options;
	char host[sizeof((struct endpoint *)0)->host]; /* the name that the certificate must have */
	bool address;                                  /* it is an IP address */
	bool server; /* the peer is an exporter: any name, or one on the list */
};

/* What OpenSSL has to say about the operation that just failed. */
static const char *library_reason(void)
{
	const unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	return reason ? reason : "no reason given";
}

static enum status fail_file(const char *property, const char *path, struct error *err)
{
	const unsigned long code = ERR_peek_error();
	const bool denied = ERR_SYSTEM_ERROR(code) && (ERR_GET_REASON(code) == EACCES);
	char system[128];

	if (ERR_SYSTEM_ERROR(code))
		return error_set(err, denied ? ERR_PERMISSION : ERR_SYSTEM, "%s: %s: cannot read: %s",
				 property, path, strerror_r(ERR_GET_REASON(code), system, sizeof system));
	return error_set(err, ERR_SYSTEM, "%s: %s: %s", property, path,
			 code ? ERR_reason_error_string(code) : "no reason given");
}

/* Nobody types a passphrase into a daemon. */
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
	return 0;
}

static enum status load_files(SSL_CTX *ssl, const struct tls_options *o, struct error *err)
{
	struct stat about;

	SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
	ERR_clear_error();
	if (SSL_CTX_load_verify_file(ssl, o->ca) != 1)
		return fail_file("Tls.Ca", o->ca, err);
	if (SSL_CTX_use_certificate_chain_file(ssl, o->certificate) != 1)
		return fail_file("Tls.Certificate", o->certificate, err);
	if (SSL_CTX_use_PrivateKey_file(ssl, o->key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ssl) != 1)
		return fail_file("Tls.Key", o->key, err);
	if (stat(o->key, &about) < 0)
		return error_errno(err, "Tls.Key: %s", o->key);
	return OK;
}

const char *tls_missing(const struct tls_options *o)
{
	if (!o || !*o->certificate)
		return "Tls.Certificate";
	if (!*o->key)
		return "Tls.Key";
	return *o->ca ? NULL : "Tls.Ca";
}

bool tls_key_warning(const struct tls_options *o, char *out, size_t size)
{
	struct stat about;

	if (!*o->key)
		return false;
	if (stat(o->key, &about) < 0)
		snprintf(out, size, "%s: %s", o->key, strerror(errno));
	else if (about.st_mode & (S_IROTH | S_IWOTH))
		snprintf(out, size, "%s: mode %04o seen; every user can read this key; 0600 or 0640 expected",
			 o->key, about.st_mode & 07777);
	else
		return false;
	return true;
}

static bool is_listed(const struct tls_options *o, const char *name, size_t length)
{
	for (uint32_t i = 0; i < o->allowed_count; i++) {
		if (strlen(o->allowed[i]) == length && strncasecmp(o->allowed[i], name, length) == 0)
			return true;
	}
	return false;
}

/* The common name, or an empty text; a name with an octet 0 inside is none. */
static size_t common_name(X509 *certificate, char *out, size_t size)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;
	size_t length = 0;

	out[0] = 0;
	if (at < 0)
		return 0;
	const int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (n > 0 && (size_t)n < size && !memchr(text, 0, (size_t)n)) {
		length = (size_t)n;
		memcpy(out, text, length);
		out[length] = 0;
	}
	OPENSSL_free(text);
	return length;
}

/* On the list are names of certificates: a DNS-ID, or a common name (RFC 7011 11.3). */
static bool on_list(const struct tls_options *o, X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	char name[TLS_NAME_MAX];
	const size_t length = common_name(certificate, name, sizeof name);
	bool found = length && is_listed(o, name, length);

	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

		if (n->type == GEN_DNS)
			found = is_listed(o, (const char *)ASN1_STRING_get0_data(n->d.dNSName),
					  (size_t)ASN1_STRING_length(n->d.dNSName));
	}
	GENERAL_NAMES_free(names);
	return found;
}

/* DNS-ID, or the address where the endpoint is one; the common name counts for nothing here. */
static bool has_name(const struct secure_context *c, X509 *certificate)
{
	if (c->address)
		return X509_check_ip_asc(certificate, c->host, 0) == 1;
	return X509_check_host(certificate, c->host, 0,
			       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
			       NULL) == 1;
}

static void refuse(struct secure_peer *peer, X509 *certificate, const char *why)
{
	char name[TLS_NAME_MAX];

	common_name(certificate, name, sizeof name);
	snprintf(peer->refusal, sizeof peer->refusal, "its certificate (CN \"%s\") is refused: %s", name,
		 why);
}

static bool is_named_right(const struct secure_context *c, X509 *certificate)
{
	if (c->options->allowed_count)
		return on_list(c->options, certificate);
	return c->server || has_name(c, certificate);
}

/* Called for each certificate of the chain, the peer's own last. */
static int verify(int good, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct secure_peer *peer = SSL_get_app_data(ssl);
	const struct secure_context *c = peer->context;
	X509 *certificate = X509_STORE_CTX_get_current_cert(store);
	char why[sizeof c->host + 64];

	if (!good) {
		const int error = X509_STORE_CTX_get_error(store);

		if (certificate && !*peer->refusal) {
			refuse(peer, certificate, X509_verify_cert_error_string(error));
			peer->verify_error = error;
		}
		return 0;
	}
	if (X509_STORE_CTX_get_error_depth(store) > 0)
		return 1;
	if (is_named_right(c, certificate))
		return 1;
	if (c->options->allowed_count)
		snprintf(why, sizeof why, "no name of it is in Tls.AllowedNames");
	else
		snprintf(why, sizeof why, "it is not for %s \"%s\"", c->address ? "the address" : "the name",
			 c->host);
	refuse(peer, certificate, why);
	peer->verify_error = X509_V_ERR_HOSTNAME_MISMATCH;
	X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
	return 0;
}

/* TLS 1.3: the ticket comes after the collector has checked our certificate. */
static int take_ticket(SSL *ssl, SSL_SESSION *session)
{
	struct secure_peer *peer = SSL_get_app_data(ssl);

	peer->accepted = true;
	return 0; /* it is not kept: each connection authenticates both sides in full */
}

/* What both sides hold to. */
static enum status configure(SSL_CTX *ssl, const struct tls_options *o, bool datagrams, struct error *err)
{
	const int tls = o->minimum == TLS_AT_LEAST_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;

	if (datagrams && o->minimum == TLS_AT_LEAST_1_3)
		return error_set(err, ERR_USAGE, "Tls.MinimumVersion is 1.3; allowed for Dtls: 1.2");
	if (SSL_CTX_set_min_proto_version(ssl, datagrams ? DTLS1_2_VERSION : tls) != 1 ||
	    SSL_CTX_set_cipher_list(ssl, ciphers) != 1)
		return error_set(err, ERR_SYSTEM, "TLS: %s", library_reason());
	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	return load_files(ssl, o, err);
}

static enum status configure_client(SSL_CTX *ssl, const struct tls_options *o, bool datagrams,
				    struct error *err)
{
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, verify);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ssl, take_ticket);
	return configure(ssl, o, datagrams, err);
}

/* Tickets are given, because a client of TLS 1.3 learns by one that its certificate was taken; but none is
 * taken back: each connection authenticates both sides in full. */
static SSL_TICKET_RETURN ignore_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
				       size_t length, SSL_TICKET_STATUS status, void *arg)
{
	return SSL_TICKET_RETURN_IGNORE_RENEW;
}

static int make_ticket(SSL *ssl, void *arg)
{
	return 1;
}

static enum status configure_server(SSL_CTX *ssl, const struct tls_options *o, bool datagrams, bool anonymous,
				    struct error *err)
{
	static const unsigned char context[] = "weir collect";
	const int demand = anonymous ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	STACK_OF(X509_NAME) * authorities;
	const enum status st = configure(ssl, o, datagrams, err);

	if (st != OK)
		return st;
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | demand, verify);
	SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ssl, 1);
	SSL_CTX_set_session_id_context(ssl, context, sizeof context - 1);
	SSL_CTX_set_session_ticket_cb(ssl, make_ticket, ignore_ticket, NULL);
	authorities = SSL_load_client_CA_file(o->ca); /* tells exporters which certificate to show */
	if (authorities)
		SSL_CTX_set_client_CA_list(ssl, authorities);
	return OK;
}

enum status secure_new_server(struct secure_context **out, const struct tls_options *o, bool datagrams,
			      bool anonymous, struct error *err)
{
	const char *missing = tls_missing(o);
	struct secure_context *c;

	if (missing)
		return error_set(err, ERR_USAGE,
				 "no %s; Tls and Dtls need Tls.Certificate, Tls.Key and Tls.Ca", missing);
	c = calloc(1, sizeof *c);
	if (!c)
		return error_set(err, ERR_MEMORY, "out of memory");
	c->options = o;
	c->server = true;
	c->ssl = SSL_CTX_new(datagrams ? DTLS_server_method() : TLS_server_method());
	const enum status st = c->ssl ? configure_server(c->ssl, o, datagrams, anonymous, err)
				      : error_set(err, ERR_MEMORY, "TLS: %s", library_reason());
	if (st != OK) {
		secure_free(c);
		return st;
	}
	*out = c;
	return OK;
}

enum status secure_new(struct secure_context **out, const struct endpoint *to,
		       const struct transport_options *options, bool datagrams, struct error *err)
{
	const struct tls_options *o = options->tls;
	const char *missing = tls_missing(o);
	struct secure_context *c;
	uint8_t ignored[16];
	char warning[512];

	if (missing)
		return error_set(err, ERR_USAGE,
				 "no %s; %s needs Tls.Certificate, Tls.Key and Tls.Ca of the profile",
				 missing, to->type->scheme);
	c = calloc(1, sizeof *c);
	if (!c)
		return error_set(err, ERR_MEMORY, "out of memory");
	c->options = o;
	snprintf(c->host, sizeof c->host, "%s", *o->server_name ? o->server_name : to->host);
	c->host[strcspn(c->host, "%")] = 0; /* the zone of a link-local address is ours alone */
	c->address = inet_pton(AF_INET, c->host, ignored) == 1 || inet_pton(AF_INET6, c->host, ignored) == 1;
	c->ssl = SSL_CTX_new(datagrams ? DTLS_client_method() : TLS_client_method());
	const enum status st = c->ssl ? configure_client(c->ssl, o, datagrams, err)
				      : error_set(err, ERR_MEMORY, "TLS: %s", library_reason());
	if (st != OK) {
		secure_free(c);
		return st;
	}
	if (tls_key_warning(o, warning, sizeof warning))
		log_warn(options->log, "Tls.Key: %s", warning);
	*out = c;
	return OK;
}

void secure_free(struct secure_context *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	free(c);
}

SSL_CTX *secure_library(const struct secure_context *c)
{
	return c->ssl;
}

SSL *secure_connection(const struct secure_context *c, struct secure_peer *peer)
{
	SSL *ssl = SSL_new(c->ssl);

	*peer = (struct secure_peer){.context = c};
	if (!ssl)
		return NULL;
	SSL_set_app_data(ssl, peer);
	if (c->server) {
		SSL_set_accept_state(ssl);
		return ssl;
	}
	SSL_set_connect_state(ssl);
	/* SSL_set_tlsext_host_name, which casts the const away where the compiler sees it. */
	if (!c->address && SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
				    (void *)(uintptr_t)c->host) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

BIO_METHOD *secure_datagrams(int (*write)(BIO *, const char *, int), int (*read)(BIO *, char *, int),
			     long (*control)(BIO *, int, long, void *))
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "weir datagrams");

	if (m && (!BIO_meth_set_write(m, write) || !BIO_meth_set_read(m, read) ||
		  !BIO_meth_set_ctrl(m, control))) {
		BIO_meth_free(m);
		return NULL;
	}
	return m;
}

bool secure_attach(SSL *ssl, const BIO_METHOD *method, void *arg, long mtu)
{
	BIO *bio = BIO_new(method);

	if (!bio)
		return false;
	BIO_set_data(bio, arg);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
	SSL_set_mtu(ssl, mtu);
	return true;
}

void secure_reason(const SSL *ssl, const struct secure_peer *peer, int error, char *out, size_t size)
{
	const unsigned long code = ERR_peek_last_error();

	if (*peer->refusal)
		snprintf(out, size, "%s", peer->refusal);
	else if (error == SSL_ERROR_ZERO_RETURN || (error == SSL_ERROR_SYSCALL && !code))
		snprintf(out, size, "it closed the connection");
	else if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET)
		snprintf(out, size, "it refuses us: %s", library_reason());
	else
		snprintf(out, size, "%s: %s", SSL_is_init_finished(ssl) ? "protocol" : "handshake",
			 library_reason());
}

enum secure_fault secure_fault(const struct secure_peer *peer, int error)
{
	const unsigned long code = ERR_peek_last_error();
	const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;

	switch (peer->verify_error) {
	case X509_V_OK: break;
	case X509_V_ERR_HOSTNAME_MISMATCH: return SECURE_WRONG_NAME;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID: return SECURE_EXPIRED;
	default: return SECURE_UNTRUSTED;
	}
	if (error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_SYSCALL || reason >= SSL_AD_REASON_OFFSET)
		return SECURE_REFUSED;
	switch (reason) {
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return SECURE_NO_CERTIFICATE;
	case SSL_R_UNEXPECTED_EOF_WHILE_READING: return SECURE_REFUSED;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_WRONG_SSL_VERSION:
	case SSL_R_UNKNOWN_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_NO_PROTOCOLS_AVAILABLE: return SECURE_VERSION;
	default: return SECURE_OTHER;
	}
}

void secure_name(const SSL *ssl, char out[TLS_NAME_MAX])
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);

	out[0] = 0;
	if (!certificate || common_name(certificate, out, TLS_NAME_MAX))
		return;
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; !*out && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

		if (n->type == GEN_DNS)
			snprintf(out, TLS_NAME_MAX, "%.*s", ASN1_STRING_length(n->d.dNSName),
				 (const char *)ASN1_STRING_get0_data(n->d.dNSName));
	}
	GENERAL_NAMES_free(names);
}
