#include "cmd/demo_page.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { USUAL_PORT = 8080, FILES_OPEN = 16 };

/* A port of 127.0.0.1 that nobody has: `port`, or where that is taken another one. 0: none. */
static unsigned free_port(int type, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof at;
	auto_fd fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	const int on = 1;

	at.sin_port = htons(port);
	if (fd >= 0 && type == SOCK_STREAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (fd < 0)
		return 0;
	if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0) {
		at.sin_port = 0;
		if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0)
			return 0;
	}
	return getsockname(fd, (struct sockaddr *)&at, &length) < 0 ? 0 : ntohs(at.sin_port);
}

static void on_ended(void *arg, int64_t status, int signal)
{
	struct demo_page *page = arg;
	char said[256] = "";

	child_said(page->child, said, sizeof said);
	page->child = NULL;
	if (page->ending || (status == 0 && signal == 0))
		return;
	fprintf(stderr, "weir demo: there is no page: %s\n", said[0] ? said : "its collector has ended");
	if (page->asked)
		*page->broken = true;
}

static enum status connect_to(struct demo_page *page, unsigned port, struct error *err)
{
	const struct sockaddr_in at = {.sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				       .sin_port = htons((uint16_t)port)};

	page->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (page->socket < 0 || connect(page->socket, (const struct sockaddr *)&at, sizeof at) < 0)
		return error_errno(err, "socket to the page's collector");
	return OK;
}

static enum status start(struct demo_page *page, struct children *children, const char *http,
			 struct error *err)
{
	char program[PATH_MAX], line[PATH_MAX + 320];
	const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
	const unsigned port = free_port(SOCK_DGRAM, 0),
		       page_port = http ? 0 : free_port(SOCK_STREAM, USUAL_PORT);

	if (n < 0)
		return error_errno(err, "/proc/self/exe");
	program[n] = '\0';
	if (http)
		snprintf(page->address, sizeof page->address, "%s", http);
	else
		snprintf(page->address, sizeof page->address, "127.0.0.1:%u", page_port);
	snprintf(page->store, sizeof page->store, "/tmp/weir-demo-XXXXXX");
	if (!port || (!http && !page_port) || !mkdtemp(page->store)) {
		page->store[0] = '\0';
		return error_errno(err, "a folder and a port for the page");
	}
	snprintf(line, sizeof line,
		 "%s collect -q --workers 1 -l Udp/127.0.0.1:%u -s %s --http %s --sync 200", program, port,
		 page->store, page->address);
	const struct child_order order = {
		.netns = -1, .line = line, .service = true, .ended = on_ended, .arg = page};
	const enum status s = connect_to(page, port, err);
	return s == OK ? children_start(children, &order, &page->child, err) : s;
}

enum status demo_page_open(struct demo_page *page, struct children *children, const char *http, bool *broken,
			   struct error *err)
{
	*page = (struct demo_page){.socket = -1, .asked = http != NULL, .broken = broken};
	if (http && strcmp(http, "none") == 0)
		return OK;
#ifndef WEIR_STORE
	if (http)
		return error_set(err, ERR_UNSUPPORTED,
				 "--http: this weir was built without DuckDB, so it has no page");
	return OK;
#endif
	return start(page, children, http, err);
}

void demo_page_copy(const struct demo_page *page, const void *message, size_t length)
{
	if (page->socket >= 0 && length)
		(void)!send(page->socket, message, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void demo_page_tell(const struct demo_page *page)
{
	if (page->child)
		fprintf(stderr, "weir demo: the page: http://%s/?last=5m\n", page->address);
}

static int forget(const char *path, const struct stat *st, int what, struct FTW *where)
{
	return remove(path);
}

void demo_page_close(struct demo_page *page)
{
	if (page->socket >= 0)
		close(page->socket);
	page->socket = -1;
	if (page->store[0])
		nftw(page->store, forget, FILES_OPEN, FTW_DEPTH | FTW_PHYS);
	page->store[0] = '\0';
}
