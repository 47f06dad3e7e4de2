#include "web/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "web/address.h"

enum {
	IDLE_S = 30,
	PER_ADDRESS = 32,
	CONNECTION_OCTETS = 64 << 10,
	BACKLOG = 64,
	STREAM_OCTETS = 64 << 10,
	TOKEN_MIN = 16,
};

struct web_server {
	struct MHD_Daemon *daemon;
	const struct web_route *routes;
	void *arg;
	char *token; /* NULL: none is asked for */
	bool open;   /* others can reach it, and there is no token */
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

const char *web_word(const struct web_request *request, const char *name)
{
	for (unsigned i = 0; i < request->count; i++)
		if (strcmp(request->words[i].name, name) == 0)
			return request->words[i].value;
	return NULL;
}

/* Answers. */

static ssize_t read_stream(void *arg, uint64_t at, char *out, size_t room)
{
	const struct web_stream *s = arg;
	const ssize_t n = s->read(s->arg, out, room);

	return n > 0 ? n : n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void close_stream(void *arg)
{
	struct web_stream *s = arg;

	s->close(s->arg);
	free(s);
}

static struct MHD_Response *response_of(const struct web_answer *answer)
{
	struct web_stream *stream;
	struct MHD_Response *response;

	if (answer->fixed.data)
		return MHD_create_response_from_buffer(
			answer->fixed.length, (void *)(uintptr_t)answer->fixed.data, MHD_RESPMEM_PERSISTENT);
	if (!answer->stream.read)
		return MHD_create_response_from_buffer(answer->body.used, answer->body.data,
						       MHD_RESPMEM_MUST_COPY);
	stream = malloc(sizeof *stream);
	if (stream)
		*stream = answer->stream;
	response = stream ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_OCTETS, read_stream,
							      stream, close_stream)
			  : NULL;
	if (!response) {
		answer->stream.close(answer->stream.arg);
		free(stream);
	}
	return response;
}

/* What a browser may do with an answer: nothing that is not in the page itself. */
static const char *const safety[][2] = {
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Content-Security-Policy",
	 "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
	 "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
};

static enum MHD_Result queue(struct MHD_Connection *connection, const struct web_answer *answer,
			     const char *name, const char *value)
{
	struct MHD_Response *response = response_of(answer);
	char text[128];

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
	for (size_t i = 0; i < sizeof safety / sizeof safety[0]; i++)
		MHD_add_response_header(response, safety[i][0], safety[i][1]);
	snprintf(text, sizeof text, "max-age=%u, immutable", answer->max_age_s);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
				answer->max_age_s ? text : "no-store");
	if (answer->gzipped)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	if (answer->file) {
		snprintf(text, sizeof text, "attachment; filename=\"%.80s\"", answer->file);
		MHD_add_response_header(response, "Content-Disposition", text);
	}
	if (name)
		MHD_add_response_header(response, name, value);
	const enum MHD_Result r = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return r;
}

/* Requests. */

static enum MHD_Result take_word(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct web_request *r = arg;

	if (r->count == WEB_WORDS)
		return MHD_NO;
	r->words[r->count].name = name;
	r->words[r->count++].value = value ? value : "";
	return MHD_YES;
}

/* The name a client has called us by: numeric, localhost, or this host's own. */
static bool is_ours(const char *host)
{
	char name[256], own[256];
	struct in6_addr any;
	const char *end = strrchr(host, ':');
	size_t length = strlen(host);

	if (host[0] == '[') {
		end = strchr(host, ']');
		if (!end || (size_t)(end - host) >= sizeof name)
			return false;
		snprintf(name, sizeof name, "%.*s", (int)(end - host - 1), host + 1);
		return (end[1] == '\0' || end[1] == ':') && inet_pton(AF_INET6, name, &any) == 1;
	}
	if (end)
		length = (size_t)(end - host);
	if (length == 0 || length >= sizeof name)
		return false;
	snprintf(name, sizeof name, "%.*s", (int)length, host);
	if (inet_pton(AF_INET, name, &any) == 1 || strcasecmp(name, "localhost") == 0)
		return true;
	return gethostname(own, sizeof own) == 0 && strcasecmp(name, own) == 0;
}

/* Time that does not tell how much of it is right. */
static bool same_text(const char *a, const char *b)
{
	const size_t length = strlen(b);
	unsigned differ = strlen(a) != length;

	for (size_t i = 0; i < length && !differ; i++)
		differ |= (unsigned)(a[i] ^ b[i]) << 1;
	return !differ;
}

static bool has_token(const struct web_server *server, struct MHD_Connection *connection)
{
	const char *authorization =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
	char *password = NULL;
	bool good = false;

	if (!server->token)
		return true;
	if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0)
		return same_text(authorization + 7, server->token);
	char *user = MHD_basic_auth_get_username_password(connection, &password);
	if (user && password)
		good = same_text(password, server->token);
	MHD_free(user);
	MHD_free(password);
	return good;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *why,
			      const char *name, const char *value)
{
	char text[200];
	struct web_answer answer = {.status = status,
				    .type = "text/plain; charset=utf-8",
				    .body = {.data = text, .capacity = sizeof text}};

	answer.body.used = (size_t)snprintf(text, sizeof text, "%s\n", why);
	return queue(connection, &answer, name, value);
}

static enum MHD_Result answer_route(const struct web_server *server, struct MHD_Connection *connection,
				    const struct web_route *route, const char *url)
{
	struct web_request request = {.path = url, .socket = -1};
	struct web_answer answer = {.status = MHD_HTTP_OK,
				    .type = "text/plain; charset=utf-8",
				    .body = {.data = malloc(WEB_BODY_MAX), .capacity = WEB_BODY_MAX}};
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const char *encodings =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT_ENCODING);

	if (!answer.body.data)
		return MHD_NO;
	if (info)
		request.socket = info->connect_fd;
	request.gzip = encodings && strstr(encodings, "gzip");
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_word, &request);
	route->get(server->arg, &request, &answer);
	if (answer.body.full) {
		answer.status = MHD_HTTP_INTERNAL_SERVER_ERROR;
		answer.body.used = 0;
		text_string(&answer.body, "the answer is too large\n");
	}
	const enum MHD_Result r = queue(connection, &answer, NULL, NULL);
	free(answer.body.data);
	return r;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_length, void **state)
{
	const struct web_server *server = arg;
	const struct web_route *route = web_route_find(server->routes, url);
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);

	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD",
			      MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (host && !is_ours(host))
		return refuse(connection, MHD_HTTP_MISDIRECTED_REQUEST,
			      "this host has no such name; ask by its address, or as localhost", NULL, NULL);
	if (!has_token(server, connection))
		return refuse(connection, MHD_HTTP_UNAUTHORIZED,
			      "a token is needed: as password, or \"Authorization: Bearer TOKEN\"",
			      MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Basic realm=\"weir\", charset=\"UTF-8\"");
	if (!route)
		return refuse(connection, MHD_HTTP_NOT_FOUND, "there is nothing here", NULL, NULL);
	if (route->guarded && server->open)
		return refuse(connection, MHD_HTTP_FORBIDDEN,
			      "from other machines this needs a token: weir collect --http-token-file", NULL,
			      NULL);
	return answer_route(server, connection, route, url);
}

enum status web_token_read(char **out, const char *path, struct error *err)
{
	auto_file file = fopen(path, "re");
	char line[1024];
	size_t length;

	*out = NULL;
	if (!file)
		return error_errno(err, "%s", path);
	if (!fgets(line, sizeof line, file))
		line[0] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	for (length = 0; line[length] > ' ' && line[length] < 0x7f; length++)
		;
	if (length < TOKEN_MIN || line[length])
		return error_set(
			err, ERR_USAGE,
			"%s: its first line is the token: %d or more printable characters, no blanks", path,
			TOKEN_MIN);
	*out = strdup(line);
	return *out ? OK : error_set(err, ERR_MEMORY, "no memory");
}

/* Ours, not the library's: so that the port may be 0 and errors have a text. */
static enum status listen_on(const struct web_options *o, int *out, struct web_server *server,
			     struct error *err)
{
	struct sockaddr_storage address;
	socklen_t length;
	const int on = 1;
	const enum status st = web_address_read(o->address, &address, &length, err);

	if (st != OK)
		return st;
	if (!web_address_is_loopback(&address) && !o->allow_remote && !o->token)
		return error_set(err, ERR_USAGE,
				 "\"%s\": not a loopback address: it needs --http-token-file FILE, or "
				 "--http-allow-remote for /metrics and /healthz alone",
				 o->address);
	server->open = !web_address_is_loopback(&address) && !o->token;
	auto_fd fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return error_errno(err, "http %s", o->address);
	server->port = ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
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
	if (!server || (o->token && !(server->token = strdup(o->token)))) {
		free(server);
		return error_set(err, ERR_MEMORY, "http: no memory");
	}
	server->routes = o->routes;
	server->arg = o->arg;
	st = listen_on(o, &fd, server, err);
	if (st == OK) {
		server->daemon = MHD_start_daemon(
			MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0,
			NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
			MHD_OPTION_CONNECTION_LIMIT, (unsigned)WEB_CONNECTIONS,
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
	free(server->token);
	free(server);
}
