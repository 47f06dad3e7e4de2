/* sctp.h: what a transport above sctp.c (dtls_sctp.c) needs beyond struct lower. */
#pragma once

#include "transport/transport.h"

/* As send; `expendable`: it may be given up when its lifetime is over. */
enum status sctp_send_wrapped(struct transport *transport, struct span record, bool expendable,
			      struct error *err);

/* Only Data Sets: such a message may be. */
bool sctp_is_data(struct span message);
