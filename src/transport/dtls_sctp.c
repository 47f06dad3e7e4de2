/* IPFIX over DTLS 1.2 over SCTP (RFC 7011 sections 10.2 and 11, RFC 6083): a session of DTLS in an
 * association of sctp.c, on its stream 0. One IPFIX Message is one DTLS record is one user message, so a
 * message has 2^14 octets at most. What sctp.c knows of the collector's reading is true of records as it is
 * of messages. The chunks are authenticated (SCTP-AUTH, RFC 4895); a collector whose kernel does not want
 * that is refused. */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "transport/dtls_records.h"
#include "transport/sctp.h"
#include "transport/sctp_auth.h"
#include "transport/secure_session.h"

/* The collector sets the key of the association when it has worked through our last flight. What comes before
 * that is dropped there, and is to come again soon; afterwards all is as SCTP has it (RFC 9260 16). */
#define KEY_PAUSE_NS (50 * NS_PER_MS)

enum { TIMEOUT_OF_HANDSHAKE_MS = 100, TIMEOUT_MS = 1000 };

struct dtls_sctp_transport {
	struct secure_session session;
	struct dtls_records records;
	bool expendable; /* the message that OpenSSL was given last */
};

static struct dtls_sctp_transport *of_session(struct secure_session *s)
{
	return (struct dtls_sctp_transport *)s;
}

static int descriptor(const struct dtls_sctp_transport *t)
{
	return secure_session_poll_fd(&t->session.transport);
}

static enum status send_record(void *arg, struct span record, bool data)
{
	const struct dtls_sctp_transport *t = arg;

	return sctp_send_wrapped(t->session.next, record, data && t->expendable, NULL);
}

static bool is_dry(void *arg)
{
	return sctp_is_dry(descriptor(arg));
}

static bool add_key(void *arg, const uint8_t key[DTLS_KEY_OCTETS])
{
	return sctp_auth_add_key(descriptor(arg), 1, key);
}

static bool use_key(void *arg)
{
	return sctp_auth_use_key(descriptor(arg), 1);
}

static void drop_first(void *arg)
{
	sctp_auth_drop_key(descriptor(arg), 0);
	sctp_set_least_timeout(descriptor(arg), TIMEOUT_MS);
}

static const struct dtls_below association = {
	.send = send_record,
	.is_dry = is_dry,
	.add_key = add_key,
	.use_key = use_key,
	.drop_first = drop_first,
};

static bool refuse(struct secure_session *s, const char *why)
{
	snprintf(s->peer.refusal, sizeof s->peer.refusal, "%s", why);
	return false;
}

static bool begin(struct secure_session *s)
{
	struct dtls_sctp_transport *t = of_session(s);

	sctp_set_least_timeout(descriptor(t), TIMEOUT_OF_HANDSHAKE_MS);
	dtls_records_begin(&t->records, s->ssl, s->out, &association, t, KEY_PAUSE_NS);
	return sctp_auth_is_mutual(descriptor(t)) ||
	       refuse(s, "it does not want authenticated chunks (SCTP-AUTH, RFC 4895)");
}

static bool step(struct secure_session *s)
{
	return dtls_records_step(&of_session(s)->records) ||
	       refuse(s, "the kernel does not take the key of the association");
}

static bool push(struct secure_session *s)
{
	return dtls_records_push(&of_session(s)->records) == OK;
}

static const struct secure_kind kind = {
	.type = &dtls_sctp_transport,
	.below = &sctp_transport,
	.name = "DTLS session",
	.datagrams = true,
	.message_most = DTLS_MESSAGE_MAX,
	.ends_below = true,
	.begin = begin,
	.step = step,
	.push = push,
};

static enum status dtls_sctp_open(struct transport **out, const struct endpoint *to,
				  const struct transport_options *options, struct error *err)
{
	struct dtls_sctp_transport *t = calloc(1, sizeof *t);

	if (!t)
		return error_set(err, ERR_MEMORY, "%s/%s: out of memory", to->type->scheme, to->host);
	const enum status st = secure_session_open(&t->session, &kind, to, options, err);
	if (st != OK) {
		free(t);
		return st;
	}
	*out = &t->session.transport;
	return OK;
}

static enum status dtls_sctp_send(struct transport *transport, struct span message, struct error *err)
{
	struct dtls_sctp_transport *t = (struct dtls_sctp_transport *)transport;

	if (t->session.state == SECURE_UP && !push(&t->session))
		return error_set(err, AGAIN, "%s/%s: the collector reads slowly", transport->type->scheme,
				 t->session.dial.host);
	t->expendable = sctp_is_data(message);
	return secure_session_send(transport, message, err);
}

const struct transport_type dtls_sctp_transport = {
	.scheme = "DtlsSctp",
	.usage = "DtlsSctp/HOST[:PORT]",
	.default_port = 4740,
	.reliable = true,
	.secure = true,
	.open = dtls_sctp_open,
	.service = secure_session_service,
	.message_limit = secure_session_message_limit,
	.send = dtls_sctp_send,
	.generation = secure_session_generation,
	.delivery = secure_session_delivery,
	.state = secure_session_state,
	.finish = secure_session_finish,
	.poll_fd = secure_session_poll_fd,
	.addresses = secure_session_addresses,
	.close = secure_session_close,
};
