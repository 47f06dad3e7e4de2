#include "transport/link.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/time.h"

#define CONNECT_WAIT_NS (20 * NS_PER_S) /* then the next address */
#define FINISH_MOST_NS  (20 * NS_PER_S) /* for a collector that reads on, but slowly */

static const struct link *of(const struct transport *t)
{
	return (const struct link *)t;
}

void link_init(struct link *l, const struct transport_type *type, const struct link_kind *kind,
	       const struct endpoint *to, const struct transport_options *options)
{
	l->transport.type = type;
	l->kind = kind;
	l->fd = -1;
	l->max_message = options->max_message;
	l->question = options->question;
	l->question_arg = options->question_arg;
	dial_init(&l->dial, to, options);
}

void link_fini(struct link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	dial_fini(&l->dial);
}

static void close_it(struct link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->state = LINK_IDLE;
}

void link_let_go(struct link *l)
{
	if (l->state >= LINK_UP)
		l->kind->count(l);
	close_it(l);
}

size_t link_question(const struct link *l, uint8_t *out, size_t size)
{
	return l->question ? l->question(l->question_arg, out, size) : 0;
}

void link_broken(struct link *l, const char *what, int number)
{
	const bool was_up = l->state >= LINK_UP;
	uint64_t open = 0;
	bool is_read = false;

	if (was_up) {
		l->kind->count(l);
		open = l->delivery.taken - l->delivery.confirmed;
		is_read = l->kind->is_read(l, number);
		l->delivery.unread = is_read ? 0 : l->kind->unread(l);
	}
	if (is_read && number) { /* as it answers who asks behind its end */
		what = "the collector closed it";
		number = 0;
	}
	const char *colon = number ? ": " : "", *system = number ? strerror(number) : "";
	const unsigned long long unread = l->delivery.unread;
	close_it(l);
	if (was_up && (l->quiet || (is_read && l->finishing)))
		return;
	if (was_up && l->finishing)
		dial_trouble(&l->dial, &l->transport,
			     "the %s did not end in order: %s%s%s; %llu octets unacknowledged, at most %llu "
			     "more unread",
			     l->kind->name, what, colon, system, (unsigned long long)open, unread);
	else if (was_up)
		dial_trouble(&l->dial, &l->transport,
			     "the %s ended: %s%s%s; %llu octets unacknowledged, at most %llu more unread; "
			     "tries to reconnect are %lld s apart",
			     l->kind->name, what, colon, system, (unsigned long long)open, unread,
			     (long long)(l->dial.interval / NS_PER_S));
	else
		dial_trouble(&l->dial, &l->transport, "cannot connect: %s; tries are %lld s apart",
			     number ? system : what, (long long)(l->dial.interval / NS_PER_S));
}

static void connected(struct link *l)
{
	l->state = LINK_UP;
	l->quiet = false;
	l->delivery = (struct delivery){0};
	l->window = 0;
	l->generation++;
	l->kind->begin(l);
	dial_well(&l->dial);
	log_info(l->dial.log, "collector %s/%s:%u: %s", l->dial.scheme, l->dial.host, l->dial.port,
		 l->kind->is_up);
}

static void start(struct link *l, const struct sockaddr_storage *to)
{
	l->remote = *to;
	l->state = LINK_CONNECTING;
	l->until = mono_now().ns + CONNECT_WAIT_NS;
	l->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, l->kind->protocol);
	if (l->fd < 0 || !l->kind->prepare(l->fd))
		link_broken(l, "no socket", errno);
	else if (connect(l->fd, (const struct sockaddr *)to, dial_length(to)) == 0)
		connected(l);
	else if (errno != EINPROGRESS)
		link_broken(l, "", errno);
}

static void check(struct link *l)
{
	struct pollfd p = {.fd = l->fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int number = 0;

	if (poll(&p, 1, 0) == 1) {
		if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &number, &length) < 0)
			number = errno;
		if (number || p.revents & POLLHUP)
			link_broken(l, "the collector refuses", number);
		else
			connected(l);
	} else if (mono_now().ns >= l->until) {
		link_broken(l, "", ETIMEDOUT);
	}
}

void link_connect(struct link *l)
{
	const struct sockaddr_storage *to;

	if (l->state == LINK_CONNECTING)
		check(l);
	else if (l->state == LINK_IDLE && (to = dial_next(&l->dial, &l->transport)))
		start(l, to);
}

bool link_finish(struct link *l, int64_t patience_ns)
{
	const int64_t now = mono_now().ns;

	if (!l->finishing)
		l->finish_until = now + FINISH_MOST_NS;
	l->finishing = true;
	l->patience = patience_ns;
	l->until = now + patience_ns;
	if (l->state >= LINK_UP)
		return false;
	link_let_go(l);
	return true;
}

bool link_is_stuck(struct link *l)
{
	const int64_t now = mono_now().ns;
	const bool moved = l->delivery.confirmed != l->moved_octets || l->window != l->moved_window;

	l->moved_octets = l->delivery.confirmed;
	l->moved_window = l->window;
	if (moved && now < l->finish_until)
		l->until = now + l->patience;
	return now >= l->until;
}

enum status link_not_now(const struct link *l, const char *why, struct error *err)
{
	return error_set(err, AGAIN, "%s/%s: %s", l->dial.scheme, l->dial.host, why);
}

uint32_t link_generation(const struct transport *t)
{
	return of(t)->generation;
}

struct delivery link_delivery(struct transport *t)
{
	struct link *l = (struct link *)t;

	if (l->state >= LINK_UP)
		l->kind->count(l);
	return l->delivery;
}

int link_poll_fd(const struct transport *t)
{
	return of(t)->fd;
}

bool link_addresses(const struct transport *t, struct sockaddr_storage *local,
		    struct sockaddr_storage *remote)
{
	const struct link *l = of(t);
	socklen_t length = sizeof *local;

	memset(local, 0, sizeof *local);
	if (l->fd < 0 || getsockname(l->fd, (struct sockaddr *)local, &length) < 0)
		return false;
	*remote = l->remote;
	return true;
}
