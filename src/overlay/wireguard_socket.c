#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "overlay/wireguard.h"

enum { RECEIVE_OCTETS = 4096, ANSWER_MAX = 32 << 20 };

/* ---- the text ---- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_key(uint8_t key[static PEER_KEY_SIZE], const char *text)
{
	if (strlen(text) != 2 * (size_t)PEER_KEY_SIZE)
		return false;
	for (int i = 0; i < PEER_KEY_SIZE; i++) {
		const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* ADDRESS/LENGTH */
static void take_allowed(struct wireguard_text *t, char *value)
{
	char *slash = strchr(value, '/'), *end = NULL;
	uint8_t address[16];

	if (slash)
		*slash = 0;
	const unsigned long length = slash ? strtoul(slash + 1, &end, 10) : 0;
	const uint8_t version = strchr(value, ':') ? 6 : 4;
	if (!t->has_peer || !end || end == slash + 1 || *end || length > 128 ||
	    inet_pton(version == 6 ? AF_INET6 : AF_INET, value, address) != 1)
		t->table->incomplete = true;
	else
		peer_table_allow(t->table, version, address, (uint8_t)length);
}

static void take_line(struct wireguard_text *t)
{
	char *value = strchr(t->line, '=');
	struct peer *last = t->has_peer ? &t->table->peer[t->table->count - 1] : NULL;
	uint8_t key[PEER_KEY_SIZE];

	if (t->line[0] == 0) {
		t->ended = true;
		return;
	}
	if (!value) {
		t->failed = true;
		return;
	}
	*value++ = 0;
	if (strcmp(t->line, "public_key") == 0) {
		t->has_peer = read_key(key, value) && peer_table_add(t->table, key);
		t->table->incomplete |= !t->has_peer;
	} else if (strcmp(t->line, "allowed_ip") == 0) {
		take_allowed(t, value);
	} else if (strcmp(t->line, "endpoint") == 0 && last) {
		last->has_endpoint = true;
	} else if (strcmp(t->line, "last_handshake_time_sec") == 0 && last) {
		last->handshake_s = strtoll(value, NULL, 10);
	} else if (strcmp(t->line, "errno") == 0) {
		t->failed |= strcmp(value, "0") != 0;
	}
}

bool wireguard_take_text(struct wireguard_text *t, const char *octets, size_t length)
{
	for (size_t i = 0; i < length && !t->ended && !t->failed; i++) {
		if (octets[i] == '\n') {
			t->line[t->used] = 0;
			take_line(t);
			explicit_bzero(t->line, t->used);
			t->used = 0;
		} else if (octets[i] == 0 || t->used + 1 == sizeof t->line) {
			t->failed = true;
		} else {
			t->line[t->used++] = octets[i];
		}
	}
	t->table->incomplete |= t->failed;
	return !t->ended && !t->failed;
}

/* ---- the socket ---- */

/* Names are one for the whole host, interfaces are not: it must not be another namespace's. Where its process
 * cannot be looked at, it is taken as ours. */
static bool in_our_namespace(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	struct stat theirs, ours;
	char path[64];

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return true;
	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)peer.pid);
	if (stat(path, &theirs) != 0 || stat("/proc/self/ns/net", &ours) != 0)
		return true;
	return theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
}

static enum status receive(int fd, struct peer_table *table, struct error *err)
{
	const int64_t until = mono_now().ns + WIREGUARD_SOCKET_MS * NS_PER_MS;
	struct wireguard_text text = {.table = table};
	char octets[RECEIVE_OCTETS];
	enum status status = OK;
	bool more = true;

	for (size_t total = 0; more && status == OK;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		const int64_t left = until - mono_now().ns;
		const int ready = left > 0 ? poll(&p, 1, (int)(left / NS_PER_MS) + 1) : 0;
		const ssize_t n = ready > 0 ? recv(fd, octets, sizeof octets, 0) : 0;

		total += n > 0 ? (size_t)n : 0;
		if (ready < 0 || n < 0)
			status = errno == EINTR || errno == EAGAIN ? OK : error_errno(err, "receiving");
		else if (ready == 0)
			status = error_set(err, ERR_SYSTEM, "no answer within %d ms", WIREGUARD_SOCKET_MS);
		else if (n == 0 || total > ANSWER_MAX)
			status = error_set(err, ERR_FORMAT, "its answer has no end");
		else
			more = wireguard_take_text(&text, octets, (size_t)n);
	}
	if (status == OK && text.failed)
		status = error_set(err, ERR_FORMAT, "its answer is not what was expected");
	explicit_bzero(octets, sizeof octets);
	explicit_bzero(&text, sizeof text);
	return status;
}

enum status wireguard_socket_read(const char *name, struct peer_table *table, struct error *err)
{
	static const char question[] = "get=1\n\n";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int n = snprintf(address.sun_path, sizeof address.sun_path, "/var/run/wireguard/%s.sock", name);

	peer_table_clear(table);
	if (n >= (int)sizeof address.sun_path || strchr(name, '/'))
		return END;
	auto_fd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, "socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
		return errno == ENOENT || errno == ECONNREFUSED ? END
								: error_errno(err, "%s", address.sun_path);
	if (!in_our_namespace(fd))
		return END;
	if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) != (ssize_t)sizeof question - 1)
		return error_errno(err, "%s", address.sun_path);
	enum status status = receive(fd, table, err);
	if (status == OK && peer_table_complete(table) != OK)
		status = error_set(err, ERR_MEMORY, "no memory for its peers");
	return status == OK ? OK : error_prefix(err, status, "%s", address.sun_path);
}
