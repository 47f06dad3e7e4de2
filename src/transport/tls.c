/* IPFIX over TLS (RFC 7011 sections 10.4 and 11): a session of TLS 1.2 or 1.3 on a connection of tcp.c. */
#include <stdlib.h>

#include "transport/secure_session.h"

static const struct secure_kind kind = {
	.type = &tls_transport,
	.below = &tcp_transport,
	.name = "TLS session",
	.push = secure_session_push,
};

static enum status tls_open(struct transport **out, const struct endpoint *to,
			    const struct transport_options *options, struct error *err)
{
	struct secure_session *t = calloc(1, sizeof *t);

	if (!t)
		return error_set(err, ERR_MEMORY, "%s/%s: out of memory", to->type->scheme, to->host);
	const enum status st = secure_session_open(t, &kind, to, options, err);
	if (st != OK) {
		free(t);
		return st;
	}
	*out = &t->transport;
	return OK;
}

const struct transport_type tls_transport = {
	.scheme = "Tls",
	.usage = "Tls/HOST[:PORT]",
	.default_port = 4740,
	.reliable = true,
	.secure = true,
	.open = tls_open,
	.service = secure_session_service,
	.message_limit = secure_session_message_limit,
	.send = secure_session_send,
	.generation = secure_session_generation,
	.delivery = secure_session_delivery,
	.state = secure_session_state,
	.finish = secure_session_finish,
	.poll_fd = secure_session_poll_fd,
	.addresses = secure_session_addresses,
	.close = secure_session_close,
};
