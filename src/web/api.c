#include "web/api.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "ie/value.h"
#include "query/filter.h"
#include "query/parts.h"
#include "query/question.h"
#include "query/worker.h"

enum { PREFIX = sizeof "/api/v1/" - 1 }; /* of every path here */

static void fail(struct web_answer *out, unsigned status, const char *kind, const char *text)
{
	out->status = status;
	out->type = "application/json; charset=utf-8";
	out->body.used = 0;
	text_string(&out->body, "{\"error\":{\"kind\":\"");
	text_string(&out->body, kind);
	text_string(&out->body, "\",\"text\":");
	value_print_string(&out->body, span_of(text, strlen(text)));
	text_string(&out->body, "}}\n");
}

/* Questions to workers. */

static bool add(char *octets, size_t *used, const char *text)
{
	const size_t length = strlen(text) + 1;

	if (length > QUESTION_OCTETS - *used)
		return false;
	memcpy(octets + *used, text, length);
	*used += length;
	return true;
}

static size_t write_question(const struct web_request *r, char *octets)
{
	size_t used = 0;
	bool good = add(octets, &used, r->path + PREFIX);

	for (unsigned i = 0; good && i < r->count; i++)
		good = add(octets, &used, r->words[i].name) && add(octets, &used, r->words[i].value);
	return good ? used : 0;
}

/* The worker's end goes with the question. -1: they are all busy, or gone. */
static int send_question(int requests, const char *octets, size_t length)
{
	union {
		struct cmsghdr head;
		char octets[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec io = {.iov_base = (char *)(uintptr_t)octets, .iov_len = length};
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	auto_fd mine = ends[0], theirs = ends[1];
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &theirs, sizeof theirs);
	if (sendmsg(requests, &m, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length)
		return -1;
	return take_fd(&mine);
}

/* An answer that comes. */
struct answer {
	int worker, client;
	uint32_t left; /* of the present frame */
	bool whole;
};

/* Exactly `length` octets, unless the client leaves. */
static bool read_all(struct answer *a, void *out, size_t length)
{
	char *at = out;

	while (length) {
		struct pollfd p[2] = {{.fd = a->worker, .events = POLLIN},
				      {.fd = a->client, .events = POLLRDHUP}};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return false;
		if (p[1].revents & (POLLRDHUP | POLLHUP | POLLERR))
			return false;
		if (!(p[0].revents & (POLLIN | POLLHUP)))
			continue;
		const ssize_t n = recv(a->worker, at, length, 0);
		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		at += n > 0 ? n : 0;
		length -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* Octets of the next frame; 0: the end; below 0: it broke. */
static ssize_t read_some(struct answer *a, char *out, size_t room)
{
	if (a->whole)
		return 0;
	if (a->left == 0) {
		uint32_t head;

		if (!read_all(a, &head, sizeof head))
			return -1;
		a->left = be32toh(head);
		if (a->left > FRAME_MAX)
			return -1;
		a->whole = a->left == 0;
		if (a->whole)
			return 0;
	}
	const size_t n = a->left < room ? a->left : room;
	if (!read_all(a, out, n))
		return -1;
	a->left -= (uint32_t)n;
	return (ssize_t)n;
}

static ssize_t stream_read(void *arg, char *out, size_t room)
{
	return read_some(arg, out, room);
}

static void stream_close(void *arg)
{
	struct answer *a = arg;

	close(a->worker);
	free(a);
}

/* "STATUS TYPE[\tFILE]" */
static bool read_head(struct answer *a, struct web_answer *out)
{
	const ssize_t n = read_some(a, out->head, sizeof out->head - 1);
	char *tab, *end;

	if (n <= 4 || a->left)
		return false;
	out->head[n] = '\0';
	out->status = (unsigned)strtoul(out->head, &end, 10);
	if (*end != ' ' || out->status < 200 || out->status > 599)
		return false;
	out->type = end + 1;
	tab = strchr(end + 1, '\t');
	if (tab) {
		*tab = '\0';
		out->file = tab + 1;
	}
	return true;
}

static void read_body(struct answer *a, struct web_answer *out)
{
	ssize_t n = 1;

	while (n > 0 && out->body.capacity - out->body.used > 0) {
		n = read_some(a, out->body.data + out->body.used, out->body.capacity - out->body.used);
		out->body.used += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		fail(out, 503, "cut",
		     "the answer was cut off: it took longer than a minute, or its process ended");
	else if (n > 0)
		fail(out, 500, "size", "the answer is too large");
}

static void hand_over(const struct api *api, const struct web_request *r, struct web_answer *out)
{
	auto_free char *octets = malloc(QUESTION_OCTETS);
	const size_t length = octets ? write_question(r, octets) : 0;
	struct answer *a = calloc(1, sizeof *a);

	if (a)
		*a = (struct answer){.worker = -1, .client = r->socket};
	if (a && length)
		a->worker = send_question(api->requests, octets, length);
	if (!a || a->worker < 0) {
		free(a);
		fail(out, length ? 503 : 414, "busy",
		     length ? "too many questions at once" : "the question is too long");
		return;
	}
	if (!read_head(a, out)) {
		fail(out, 503, "cut", "no process could answer, or it took longer than a minute");
		stream_close(a);
		return;
	}
	if (strncmp(out->type, "application/json", 16) == 0) {
		read_body(a, out);
		stream_close(a);
		return;
	}
	out->stream = (struct web_stream){.read = stream_read, .close = stream_close, .arg = a};
}

/* What is answered here. */

static void get_words(struct web_answer *out)
{
	static const char *const types[WORD_TYPE_COUNT] = {
		[WORD_BARE] = "bare",         [WORD_NUMBER] = "number",     [WORD_SIGNED] = "number",
		[WORD_REAL] = "number",       [WORD_ADDRESS] = "address",   [WORD_IPV4] = "address",
		[WORD_IPV6] = "address",      [WORD_PROTOCOL] = "protocol", [WORD_FLAGS] = "flags",
		[WORD_DURATION] = "duration", [WORD_TIME] = "time",         [WORD_DIRECTION] = "direction",
		[WORD_TEXT] = "text",         [WORD_EXPORTER] = "address",  [WORD_INTERFACE] = "interface",
		[WORD_BOOLEAN] = "boolean",   [WORD_OCTETS] = "octets",     [WORD_BUCKET] = "bucket"};
	struct text *t = &out->body;

	text_string(t, "{\"words\":[");
	for (size_t i = 0; i < word_count; i++) {
		const struct word *w = &words[i];

		text_string(t, i ? ",{\"name\":" : "{\"name\":");
		value_print_string(t, span_of(w->name, strlen(w->name)));
		text_string(t, ",\"type\":\"");
		text_string(t, types[w->type] ? types[w->type] : "text");
		text_string(t, w->sided ? "\",\"sided\":true,\"help\":" : "\",\"sided\":false,\"help\":");
		value_print_string(t, span_of(w->help, strlen(w->help)));
		text_char(t, '}');
	}
	text_string(t, "]}\n");
}

static void get_filter(const struct web_request *r, struct web_answer *out)
{
	const char *text = web_word(r, "filter");
	struct filter_error err = {0};
	struct filter *filter = NULL;
	struct text *t = &out->body;
	struct sql printed;

	text = text ? text : "";
	const enum status s = filter_parse(&filter, text, strlen(text), wall_ms(wall_now()), &err);
	if (s == OK) {
		sql_init(&printed);
		if (text[strspn(text, " \t")])
			filter_print(&printed, filter);
		text_string(t, "{\"ok\":true,\"filter\":");
		value_print_string(t, span_of(printed.text ? printed.text : "", printed.length));
		sql_fini(&printed);
	} else {
		text_string(t, "{\"ok\":false,\"at\":");
		text_unsigned(t, err.at);
		text_string(t, ",\"length\":");
		text_unsigned(t, err.length);
		text_string(t, ",\"text\":");
		value_print_string(t, span_of(err.text, strlen(err.text)));
	}
	text_string(t, "}\n");
	filter_free(filter);
}

static void get_status(const struct api *api, struct web_answer *out)
{
	text_string(&out->body, "{\"version\":\"" WEIR_VERSION "\",\"now\":");
	text_signed(&out->body, wall_ms(wall_now()));
	text_string(&out->body, ",\"queries_active\":");
	text_unsigned(&out->body, api->asking ? atomic_load(api->asking) : 0);
	text_string(&out->body, api->requests >= 0 ? ",\"store\":true" : ",\"store\":false");
	if (api->status)
		api->status(api->arg, &out->body);
	text_string(&out->body, "}\n");
}

void api_get(const struct api *api, const struct web_request *r, struct web_answer *out)
{
	const char *path = r->path + PREFIX;

	out->type = "application/json; charset=utf-8";
	if (strcmp(path, "words") == 0)
		get_words(out);
	else if (strcmp(path, "filter") == 0)
		get_filter(r, out);
	else if (strcmp(path, "status") == 0)
		get_status(api, out);
	else if (strcmp(path, "live") != 0 && !reply_knows(path))
		fail(out, 404, "path", "there is nothing here");
	else if (api->requests < 0)
		fail(out, 503, "no-store", "this collector keeps no store: start it with -s FOLDER");
	else
		hand_over(api, r, out);
}
