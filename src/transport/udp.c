#include "transport/transport.h"

static enum status udp_open(struct transport **out, const struct endpoint *to,
			    const struct transport_options *options, struct error *err)
{
	return error_set(err, ERR_UNSUPPORTED, "Udp/%s: not supported yet", to->host);
}

const struct transport_type udp_transport = {
	.scheme = "Udp",
	.usage = "Udp/HOST[:PORT]",
	.default_port = 4739,
	.open = udp_open,
};
