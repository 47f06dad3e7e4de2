/* address.h: where the web server listens, as people write it. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

/* 127.0.0.1:PORT, [::1]:PORT, or another numeric address: a resolver has no business here. ERR_USAGE. */
MUST_CHECK enum status web_address_read(const char *text, struct sockaddr_storage *out, socklen_t *length,
					struct error *err);

bool web_address_is_loopback(const struct sockaddr_storage *address);
