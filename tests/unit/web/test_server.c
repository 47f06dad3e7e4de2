/* The server's limits, by a client that does not keep to them. */
#include "web/server.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

static void get_hello(void *arg, const struct web_request *request, struct web_answer *out)
{
	text_string(&out->body, "hello ");
	text_string(&out->body, request->path);
}

static void get_large(void *arg, const struct web_request *request, struct web_answer *out)
{
	for (size_t i = 0; i <= WEB_BODY_MAX / 16; i++)
		text_string(&out->body, "0123456789abcdef");
}

static const struct web_route routes[] = {{.path = "/hello", .get = get_hello},
					  {.path = "/below/", .get = get_hello},
					  {.path = "/large", .get = get_large},
					  {.path = NULL}};

static struct web_server *begin(void)
{
	const struct web_options options = {.address = "127.0.0.1:0", .routes = routes};
	struct web_server *server;
	struct error err = {""};

	assert_int_equal(web_start(&server, &options, &err), OK);
	assert_int_not_equal(web_port(server), 0);
	return server;
}

static int connect_to(const struct web_server *server)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(web_port(server)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {.tv_sec = 60};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	return fd;
}

/* The answer to a request, up to the end of the connection; "" when it is closed without one. */
static void ask(const struct web_server *server, const char *request, size_t length, char out[4096])
{
	const int fd = connect_to(server);
	size_t used = 0;
	ssize_t n;

	(void)!send(fd, request, length, MSG_NOSIGNAL);
	while (used < 4095 && (n = recv(fd, out + used, 4095 - used, 0)) > 0)
		used += (size_t)n;
	out[used] = '\0';
	close(fd);
}

static void answers(void **state)
{
	static const struct {
		const char *request, *status, *contains;
	} cases[] = {
		{"GET /hello HTTP/1.0\r\n\r\n", " 200 ", "\r\n\r\nhello /hello"},
		{"GET /hello?a=b HTTP/1.0\r\n\r\n", " 200 ", "hello /hello"},
		{"GET /below/x/y HTTP/1.0\r\n\r\n", " 200 ", "hello /below/x/y"},
		{"GET /belo HTTP/1.0\r\n\r\n", " 404 ", "nothing here"},
		{"GET /hello HTTP/1.0\r\nHost: evil.example\r\n\r\n", " 421 ", "no such name"},
		{"GET /hello/ HTTP/1.0\r\n\r\n", " 404 ", "nothing here"},
		{"GET / HTTP/1.0\r\n\r\n", " 404 ", "X-Content-Type-Options: nosniff"},
		{"POST /hello HTTP/1.0\r\nContent-Length: 0\r\n\r\n", " 405 ", "Allow: GET, HEAD"},
		{"BREW /hello HTTP/1.0\r\n\r\n", " 405 ", "only GET and HEAD"},
		{"GET /large HTTP/1.0\r\n\r\n", " 500 ", "too large"},
		{"GET /hello HTTP/1.0\r\n\r\n", " 200 ", "Content-Security-Policy: default-src 'none'"},
	};
	struct web_server *server = begin();

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char answer[4096];

		print_message("%s\n", cases[i].request);
		ask(server, cases[i].request, strlen(cases[i].request), answer);
		assert_non_null(strstr(answer, cases[i].status));
		assert_non_null(strstr(answer, cases[i].contains));
	}
	web_stop(server);
}

/* A head larger than a connection's memory is refused; the next client is served. */
static void a_large_head(void **state)
{
	static const char next[] = "GET /hello HTTP/1.0\r\n\r\n";
	const size_t length = 1 << 20;
	struct web_server *server = begin();
	char *request = malloc(length), answer[4096];

	memset(request, 'x', length);
	memcpy(request, "GET /hello HTTP/1.0\r\nA: ", 24);
	ask(server, request, length, answer);
	assert_null(strstr(answer, " 200 "));
	ask(server, next, strlen(next), answer);
	assert_non_null(strstr(answer, " 200 "));
	free(request);
	web_stop(server);
}

/* Connections that say nothing take places, up to the limit for one address; room comes back with their end.
 */
static void silent_connections(void **state)
{
	enum { MANY = WEB_CONNECTIONS + 8 };
	struct web_server *server = begin();
	char answer[4096] = "";
	int fds[MANY];

	for (int i = 0; i < MANY; i++)
		fds[i] = connect_to(server);
	ask(server, "GET /hello HTTP/1.0\r\n\r\n", 23, answer);
	assert_null(strstr(answer, " 200 "));
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	for (int tries = 0; tries < 600 && !strstr(answer, " 200 "); tries++) {
		ask(server, "GET /hello HTTP/1.0\r\n\r\n", 23, answer);
		if (!strstr(answer, " 200 "))
			usleep(50000);
	}
	assert_non_null(strstr(answer, " 200 "));
	web_stop(server);
}

static void addresses(void **state)
{
	static const char *const bad[] = {"",
					  "127.0.0.1",
					  "localhost:80",
					  "127.0.0.1:65536",
					  "127.0.0.1:",
					  "127.0.0.1:80x",
					  "::1:80",
					  "[::1]80",
					  "[127.0.0.1]:80",
					  "[]:80",
					  "192.0.2.1:80",
					  "0.0.0.0:0",
					  "[::]:0",
					  "127.0.0.1:-1",
					  "256.0.0.1:80"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const struct web_options options = {.address = bad[i], .routes = routes};
		struct web_server *server;
		struct error err = {""};

		print_message("\"%s\"\n", bad[i]);
		assert_int_equal(web_start(&server, &options, &err), ERR_USAGE);
		assert_null(server);
		assert_true(strlen(err.text) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(a_large_head),
		cmocka_unit_test(silent_connections),
		cmocka_unit_test(addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
