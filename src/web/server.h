/* server.h: HTTP for a few readers, on one address. GET and HEAD only, a table of routes, a thread for each
 * connection; connections, their number from one address, and their silence are bounded, and no request body
 * is taken.
 *
 * Asked from a page of somebody else's, a browser sends that page's name as Host (DNS rebinding): only
 * numeric addresses, localhost and this host's name are answered. Where there is a token, every request has
 * to bring it, as a password (Basic, any user) or as a bearer token. Nothing is allowed to pages of other
 * origins. */
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "base/log.h"
#include "base/span.h"
#include "ie/text.h"

enum { WEB_BODY_MAX = 16 << 20, WEB_CONNECTIONS = 64, WEB_WORDS = 96 };

struct web_request {
	const char *path;
	struct {
		const char *name, *value; /* of the query, decoded; "" without a value */
	} words[WEB_WORDS];
	unsigned count;
	bool gzip;  /* the client takes it */
	int socket; /* of the client: to see that it has left; not to be read */
};

/* A body that comes bit by bit. */
struct web_stream {
	/* Octets, 0: the end; below 0: it broke, and the client is to see that. May block. */
	ssize_t (*read)(void *arg, char *out, size_t room);
	void (*close)(void *arg);
	void *arg;
};

struct web_answer {
	unsigned status;          /* 200 when the handler is called */
	const char *type;         /* Content-Type; text/plain when the handler is called; may lie in `head` */
	struct text body;         /* the server's; grows up to WEB_BODY_MAX */
	struct web_stream stream; /* read set: instead of `body` */
	struct span fixed;        /* data set: instead of `body`; for ever */
	bool gzipped;             /* `fixed` is */
	char head[256];           /* room for texts */
	const char *file;         /* a name to be kept under; NULL: shown */
	unsigned max_age_s;       /* 0: not to be stored */
};

/* One path, or with a '/' at its end everything below it. Handlers run in threads of the server, several at a
 * time. */
struct web_route {
	const char *path; /* NULL ends the table */
	void (*get)(void *arg, const struct web_request *request, struct web_answer *out);
	bool guarded; /* shows what is stored: on an address that is not of loopback it needs a token */
};

struct web_options {
	const char *address;            /* "127.0.0.1:9995", "[::1]:9995"; numeric */
	bool allow_remote;              /* else only a loopback address is taken without a token */
	const char *token;              /* NULL: none; borrowed */
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

/* NULL is fine. Streams are to have ended, or end when their `read` returns. */
void web_stop(struct web_server *server);

/* The route for a path; NULL: none. */
const struct web_route *web_route_find(const struct web_route *routes, const char *path);

/* The value of a word of the query; NULL: not there. */
const char *web_word(const struct web_request *request, const char *name);

/* A token out of a file: its first line, 16 octets or more of printable ASCII without blanks. The caller
 * frees *out. */
MUST_CHECK enum status web_token_read(char **out, const char *path, struct error *err);
