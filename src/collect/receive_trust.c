#include "collect/receive_trust.h"

#include <stdio.h>

enum status trust_open(struct secure_context **out, const struct worker *w, bool datagrams, struct error *err)
{
	const struct receiver_options *o = w->options;
	char warning[512];

	if (w->number == 0 && o->tls && tls_key_warning(o->tls, warning, sizeof warning))
		log_warn(o->log, "Tls.Key: %s", warning);
	return secure_new_server(out, o->tls, datagrams, o->tls_anonymous, err);
}

static enum listener_counter counter_of(enum secure_fault fault)
{
	switch (fault) {
	case SECURE_NO_CERTIFICATE: return HANDSHAKES_NO_CERTIFICATE;
	case SECURE_UNTRUSTED: return HANDSHAKES_UNTRUSTED;
	case SECURE_WRONG_NAME: return HANDSHAKES_WRONG_NAME;
	case SECURE_EXPIRED: return HANDSHAKES_EXPIRED;
	case SECURE_VERSION: return HANDSHAKES_VERSION;
	case SECURE_REFUSED: return HANDSHAKES_REFUSED;
	case SECURE_OTHER: break;
	}
	return HANDSHAKES_FAILED;
}

void trust_refuse(struct listener *l, const SSL *ssl, const struct secure_peer *peer, int error,
		  const struct journal_session *from)
{
	const enum listener_counter counter = counter_of(secure_fault(peer, error));
	char why[600];

	listener_count(l, counter, 1);
	if (!may_speak(l))
		return;
	secure_reason(ssl, peer, error, why, sizeof why);
	say_why(l, counter, from, why);
}

void trust_welcome(struct listener *l, const SSL *ssl, const struct journal_session *from)
{
	char name[TLS_NAME_MAX], address[80];

	secure_name(ssl, name);
	session_print(from, address);
	log_info(l->worker->options->log, "%s/%u: exporter %s is \"%s\" (%s, %s)", l->type->scheme, l->port,
		 address, name, SSL_get_version(ssl), SSL_get_cipher_name(ssl));
}
