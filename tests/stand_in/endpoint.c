/* Stands in for transport/endpoint.c where the tree has none yet: just enough for profiles in tests. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "transport/transport.h"

static const struct transport_type stand_in_udp = {.scheme = "Udp", .default_port = 4739};
static const struct transport_type stand_in_file = {.scheme = "File"};

enum status endpoint_parse(struct endpoint *out, const char *text, struct error *err)
{
	const char *slash = strchr(text, '/'), *colon = strrchr(text, ':');

	*out = (struct endpoint){0};
	if (slash && slash - text == 4 && strncasecmp(text, "File", 4) == 0) {
		out->type = &stand_in_file;
		snprintf(out->host, sizeof out->host, "%s", slash + 1);
		return OK;
	}
	if (!slash || slash - text != 3 || strncasecmp(text, "Udp", 3) != 0)
		return error_set(err, ERR_USAGE, "\"%s\" seen; Udp/HOST[:PORT] or File/PATH expected", text);
	out->type = &stand_in_udp;
	out->port = 4739;
	const char *host = slash + 1;
	size_t length = strlen(host);
	if (*host == '[') {
		const char *end = strchr(host, ']');
		if (!end)
			return error_set(err, ERR_USAGE, "\"%s\" seen; a ']' is missing", text);
		colon = end[1] == ':' ? end + 1 : NULL;
		length = (size_t)(end - ++host);
	} else if (colon && colon > slash) {
		length = (size_t)(colon - host);
	} else {
		colon = NULL;
	}
	if (length == 0 || length >= sizeof out->host)
		return error_set(err, ERR_USAGE, "\"%s\" seen; a host is missing", text);
	memcpy(out->host, host, length);
	if (colon) {
		char *end;
		const unsigned long port = strtoul(colon + 1, &end, 10);
		if (*end || port == 0 || port > 65535)
			return error_set(err, ERR_USAGE, "\"%s\" seen; a port is 1 to 65535", text);
		out->port = (uint16_t)port;
	}
	return OK;
}

void endpoint_print(const struct endpoint *e, char *out, size_t size)
{
	if (e->type == &stand_in_file)
		snprintf(out, size, "File/%s", e->host);
	else
		snprintf(out, size, strchr(e->host, ':') ? "Udp/[%s]:%u" : "Udp/%s:%u", e->host, e->port);
}
