#include "transport/dial.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/time.h"

#define LOOKUP_RETRY_NS (5 * NS_PER_S)  /* nobody was asked for a connection: no reason to wait a minute */
#define LOG_QUIET_NS    (60 * NS_PER_S) /* the same complaint of one collector */

void dial_init(struct dial *d, const struct endpoint *to, const struct transport_options *options)
{
	*d = (struct dial){
		.log = options->log,
		.scheme = to->type->scheme,
		.port = to->port,
		.interval = options->reconnect_ns > 0 ? options->reconnect_ns : DIAL_INTERVAL_NS,
	};
	snprintf(d->host, sizeof d->host, "%s", to->host);
	d->named = !lookup_numeric(to->host, to->port, &d->found.address[0]);
	d->found.count = d->next = d->named ? 0 : 1;
}

void dial_fini(struct dial *d)
{
	lookup_free(d->lookup);
	d->lookup = NULL;
}

socklen_t dial_length(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

void dial_trouble(struct dial *d, struct transport *owner, const char *format, ...)
{
	const int64_t now = mono_now().ns;
	char text[sizeof d->said];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	owner->errors++;
	if (now < d->log_at && strcmp(text, d->said) == 0)
		return;
	d->log_at = now + LOG_QUIET_NS;
	memcpy(d->said, text, sizeof text);
	log_warn(d->log, "collector %s/%s:%u: %s", d->scheme, d->host, d->port, text);
}

void dial_well(struct dial *d)
{
	d->said[0] = 0;
	d->next = d->found.count;
}

static const struct sockaddr_storage *begin_try(struct dial *d, int64_t now)
{
	d->try_at = now + d->interval;
	d->next = 1;
	return &d->found.address[0];
}

static const struct sockaddr_storage *take_lookup(struct dial *d, struct transport *owner, int64_t now)
{
	struct lookup_result result;

	if (!lookup_finished(d->lookup, 0, &result))
		return NULL;
	lookup_free(d->lookup);
	d->lookup = NULL;
	d->found = result;
	if (result.count)
		return begin_try(d, now);
	d->next = 0;
	d->try_at = now + LOOKUP_RETRY_NS;
	dial_trouble(d, owner, "no address: %s", result.reason);
	return NULL;
}

const struct sockaddr_storage *dial_next(struct dial *d, struct transport *owner)
{
	const int64_t now = mono_now().ns;

	if (d->next < d->found.count && d->next > 0)
		return &d->found.address[d->next++];
	if (d->lookup)
		return take_lookup(d, owner, now);
	if (now < d->try_at)
		return NULL;
	if (!d->named)
		return begin_try(d, now);
	d->lookup = lookup_start(d->host, d->port);
	if (!d->lookup)
		d->try_at = now + LOOKUP_RETRY_NS;
	return NULL;
}
