#include "web/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { IDLE_S = 30, PER_ADDRESS = 16, CONNECTION_OCTETS = 32 << 10, BACKLOG = 16 };

struct web_server {
	struct MHD_Daemon *daemon;
	const struct web_route *routes;
	void *arg;
	char *body;
	uint16_t port;
};

const struct web_route *web_route_find(const struct web_route *routes, const char *path)
{
	for (const struct web_route *r = routes; r->path; r++) {
		const size_t length = strlen(r->path);

		if (strcmp(r->path, path) == 0 ||
		    (length > 1 && r->path[length - 1] == '/' && strncmp(r->path, path, length) == 0))
			return r;
	}
	return NULL;
}

static enum MHD_Result queue(struct MHD_Connection *connection, const struct web_answer *answer,
			     const char *allow)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(answer->body.used, answer->body.data, MHD_RESPMEM_MUST_COPY);

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Content-Security-Policy", "default-src 'self'");
	if (allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
	const enum MHD_Result r = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_length, void **state)
{
	struct web_server *server = arg;
	const struct web_route *route = web_route_find(server->routes, url);
	struct web_answer answer = {.status = MHD_HTTP_OK,
				    .type = "text/plain; charset=utf-8",
				    .body = {.data = server->body, .capacity = WEB_BODY_MAX}};

	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		answer.status = MHD_HTTP_METHOD_NOT_ALLOWED;
		text_string(&answer.body, "only GET and HEAD\n");
		return queue(connection, &answer, "GET, HEAD");
	}
	if (route) {
		route->get(server->arg, url, &answer);
	} else {
		answer.status = MHD_HTTP_NOT_FOUND;
		text_string(&answer.body, "there is nothing here\n");
	}
	if (answer.body.full) {
		answer.status = MHD_HTTP_INTERNAL_SERVER_ERROR;
		answer.body.used = 0;
		text_string(&answer.body, "the answer is too large\n");
	}
	return queue(connection, &answer, NULL);
}

static bool is_loopback(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24) == 127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

/* Numeric only: a resolver has no business here. */
static enum status parse(const char *text, struct sockaddr_storage *out, socklen_t *length, struct error *err)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	const char *colon = strrchr(text, ':');
	char host[64], *end = NULL;
	const bool bracket = text[0] == '[' && colon && colon > text + 1 && colon[-1] == ']';
	const size_t n = !colon ? sizeof host : bracket ? (size_t)(colon - text) - 2 : (size_t)(colon - text);
	const unsigned long port =
		colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 65536;

	memset(out, 0, sizeof *out);
	if (n < sizeof host && port < 65536 && *end == '\0') {
		memcpy(host, text + bracket, n);
		host[n] = '\0';
		if (!bracket && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
			v4->sin_family = AF_INET;
			v4->sin_port = htons((uint16_t)port);
			*length = sizeof *v4;
			return OK;
		}
		if (bracket && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
			v6->sin6_family = AF_INET6;
			v6->sin6_port = htons((uint16_t)port);
			*length = sizeof *v6;
			return OK;
		}
	}
	return error_set(err, ERR_USAGE,
			 "\"%s\": allowed: 127.0.0.1:PORT, [::1]:PORT or another numeric address", text);
}

/* Ours, not the library's: so that the port may be 0 and errors have a text. */
static enum status listen_on(const struct web_options *o, int *out, uint16_t *port, struct error *err)
{
	struct sockaddr_storage address;
	socklen_t length;
	const int on = 1;
	const enum status st = parse(o->address, &address, &length, err);

	if (st != OK)
		return st;
	if (!is_loopback(&address) && !o->allow_remote)
		return error_set(err, ERR_USAGE,
				 "\"%s\": not a loopback address, and whoever reaches the port can read all; "
				 "--http-allow-remote allows it",
				 o->address);
	auto_fd fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return error_errno(err, "http %s", o->address);
	*port = ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
						   : ((struct sockaddr_in6 *)&address)->sin6_port);
	*out = take_fd(&fd);
	return OK;
}

enum status web_start(struct web_server **out, const struct web_options *o, struct error *err)
{
	struct web_server *server = calloc(1, sizeof *server);
	int fd = -1;
	enum status st;

	*out = NULL;
	if (!server || !(server->body = malloc(WEB_BODY_MAX))) {
		free(server);
		return error_set(err, ERR_MEMORY, "http: no memory");
	}
	server->routes = o->routes;
	server->arg = o->arg;
	st = listen_on(o, &fd, &server->port, err);
	if (st == OK) {
		server->daemon = MHD_start_daemon(
			MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, on_request, server,
			MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)WEB_CONNECTIONS,
			MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)PER_ADDRESS,
			MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			(size_t)CONNECTION_OCTETS, MHD_OPTION_END);
		if (!server->daemon) {
			close(fd);
			st = error_set(err, ERR_SYSTEM, "http %s: the server does not start", o->address);
		}
	}
	if (st != OK) {
		web_stop(server);
		return st;
	}
	*out = server;
	return OK;
}

uint16_t web_port(const struct web_server *server)
{
	return server->port;
}

void web_stop(struct web_server *server)
{
	if (!server)
		return;
	if (server->daemon)
		MHD_stop_daemon(server->daemon);
	free(server->body);
	free(server);
}
