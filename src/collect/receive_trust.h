/* receive_trust.h: what the listeners of Tls, Dtls and DtlsSctp share: the server's side of secure.h, and how
 * a handshake that came to nothing is counted and told. */
#pragma once

#include "collect/receive_worker.h"
#include "transport/secure.h"

/* ERR_USAGE: no certificate, key or CA is given. Warns of a key that others can read, once. */
MUST_CHECK enum status trust_open(struct secure_context **out, const struct worker *w, bool datagrams,
				  struct error *err);

/* SSL_get_error said `error`: count it by reason, and one line a minute. */
void trust_refuse(struct listener *l, const SSL *ssl, const struct secure_peer *peer, int error,
		  const struct journal_session *from);

/* Who it is, in the log. */
void trust_welcome(struct listener *l, const SSL *ssl, const struct journal_session *from);
