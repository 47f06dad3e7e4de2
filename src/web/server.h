/* server.h: HTTP for a few readers, on one address. GET and HEAD only, a table of routes, one thread of its
 * own; connections, their number from one address, and their silence are bounded, and no request body is
 * taken. */
#pragma once

#include "base/error.h"
#include "base/log.h"
#include "ie/text.h"

struct web_answer {
	unsigned status;  /* 200 when the handler is called */
	const char *type; /* Content-Type; text/plain when the handler is called */
	struct text body; /* the server's; grows up to WEB_BODY_MAX */
};

enum { WEB_BODY_MAX = 16 << 20, WEB_CONNECTIONS = 64 };

/* One path, or with a '/' at its end everything below it. Handlers run in the server's thread. */
struct web_route {
	const char *path; /* NULL ends the table */
	void (*get)(void *arg, const char *path, struct web_answer *out);
};

struct web_options {
	const char *address;            /* "127.0.0.1:9995", "[::1]:9995"; numeric */
	bool allow_remote;              /* else only a loopback address is taken */
	const struct web_route *routes; /* borrowed, as is `arg` */
	void *arg;
	const struct logger *log;
};

struct web_server;

/* ERR_USAGE: no address, or not of this host's loopback; ERR_SYSTEM: it cannot be listened on. Caller owns
 * *out. */
MUST_CHECK enum status web_start(struct web_server **out, const struct web_options *options,
				 struct error *err);

/* The port that it listens on, host byte order. */
uint16_t web_port(const struct web_server *server);

/* NULL is fine. */
void web_stop(struct web_server *server);

/* The route for a path; NULL: none. */
const struct web_route *web_route_find(const struct web_route *routes, const char *path);
