#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "transport/transport.h"

enum { HOST_NAME_MAX_LENGTH = 253, LABEL_MAX = 63 };

const struct transport_type *const transports[] = {
	&udp_transport,  &tcp_transport,       &sctp_transport, &tls_transport,
	&dtls_transport, &dtls_sctp_transport, &file_transport, NULL};

static const char allowed[] = "allowed: Udp/HOST[:PORT], Tcp/…, Sctp/…, Tls/…, Dtls/…, DtlsSctp/…, File/PATH";

static bool is_file(const struct transport_type *type)
{
	return type->default_port == 0;
}

static const struct transport_type *find_transport(const char *scheme, size_t length)
{
	for (const struct transport_type *const *t = transports; *t; t++) {
		if (strlen((*t)->scheme) == length && strncasecmp((*t)->scheme, scheme, length) == 0)
			return *t;
	}
	return NULL;
}

static enum status parse_port(struct endpoint *out, const char *text, const char *digits, struct error *err)
{
	uint32_t port = 0;

	for (const char *c = digits; *c; c++) {
		if (!isdigit((unsigned char)*c) || (port = port * 10 + (uint32_t)(*c - '0')) > UINT16_MAX)
			return error_set(err, ERR_USAGE,
					 "\"%s\": port \"%s\"; allowed: a number from 1 to 65535", text,
					 digits);
	}
	if (port == 0)
		return error_set(err, ERR_USAGE, "\"%s\": port \"%s\"; allowed: a number from 1 to 65535",
				 text, digits);
	out->port = (uint16_t)port;
	return OK;
}

/* An IPv6 address, with the zone that a link-local one needs ("fe80::1%wg0"). */
static bool is_ipv6(const char *host)
{
	char address[INET6_ADDRSTRLEN];
	const size_t length = strcspn(host, "%");
	struct in6_addr ignored;

	if (length >= sizeof address)
		return false;
	memcpy(address, host, length);
	address[length] = 0;
	if (inet_pton(AF_INET6, address, &ignored) != 1)
		return false;
	return !host[length] || (host[length + 1] && strlen(host + length + 1) < 16);
}

/* RFC 1123 labels, and the underscore that private zones use. */
static bool is_host_name(const char *host)
{
	size_t label = 0, length = strlen(host);

	if (length == 0 || length > HOST_NAME_MAX_LENGTH)
		return false;
	for (const char *c = host; *c; c++) {
		if (*c == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_') {
			return false;
		} else if (++label > LABEL_MAX) {
			return false;
		}
	}
	return true;
}

static enum status check_host(const char *text, const char *host, struct error *err)
{
	struct in_addr ignored;

	if (!*host)
		return error_set(err, ERR_USAGE,
				 "\"%s\": no host; allowed: an address, an IPv6 address in brackets, a name",
				 text);
	if (strspn(host, "0123456789.") == strlen(host)) {
		if (inet_pton(AF_INET, host, &ignored) == 1)
			return OK;
		return error_set(err, ERR_USAGE,
				 "\"%s\": \"%s\" is not an IPv4 address; allowed: four numbers from 0 to 255",
				 text, host);
	}
	if (!is_host_name(host))
		return error_set(err, ERR_USAGE,
				 "\"%s\": \"%s\" is no host name; allowed: letters, digits, '-', '_' and '.'",
				 text, host);
	return OK;
}

static enum status parse_bracketed(struct endpoint *out, const char *text, const char *rest,
				   struct error *err)
{
	const char *end = strchr(rest, ']');

	if (!end)
		return error_set(err, ERR_USAGE, "\"%s\": '[' without ']'; allowed: Udp/[2001:db8::1]:4739",
				 text);
	if ((size_t)(end - rest) > sizeof out->host)
		return error_set(err, ERR_USAGE, "\"%s\": no IPv6 address between the brackets", text);
	memcpy(out->host, rest + 1, (size_t)(end - rest - 1));
	out->host[end - rest - 1] = 0;
	if (!is_ipv6(out->host))
		return error_set(err, ERR_USAGE, "\"%s\": \"%s\" is not an IPv6 address", text, out->host);
	if (end[1] == ':')
		return parse_port(out, text, end + 2, err);
	if (end[1])
		return error_set(err, ERR_USAGE, "\"%s\": \"%s\" after ']'; allowed: nothing, or :PORT", text,
				 end + 1);
	return OK;
}

static enum status parse_host(struct endpoint *out, const char *text, const char *rest, struct error *err)
{
	const char *colon = strchr(rest, ':');
	const size_t length = colon ? (size_t)(colon - rest) : strlen(rest);

	out->port = out->type->default_port;
	if (*rest == '[')
		return parse_bracketed(out, text, rest, err);
	if (colon && strchr(colon + 1, ':'))
		return error_set(err, ERR_USAGE,
				 "\"%s\": more than one ':'; an IPv6 address goes in brackets: %s/[%s]", text,
				 out->type->scheme, rest);
	if (length >= sizeof out->host)
		return error_set(err, ERR_USAGE, "\"%s\": host of %zu octets; allowed: %d", text, length,
				 HOST_NAME_MAX_LENGTH);
	memcpy(out->host, rest, length);
	out->host[length] = 0;
	const enum status st = check_host(text, out->host, err);
	if (st != OK || !colon)
		return st;
	return parse_port(out, text, colon + 1, err);
}

static enum status parse_path(struct endpoint *out, const char *text, const char *path, struct error *err)
{
	if (!*path)
		return error_set(err, ERR_USAGE,
				 "\"%s\": no path; allowed: File/PATH, File/- for standard output", text);
	if (strlen(path) >= sizeof out->host)
		return error_set(err, ERR_USAGE, "\"%s\": path of %zu octets; allowed: %zu", text,
				 strlen(path), sizeof out->host - 1);
	memcpy(out->host, path, strlen(path) + 1);
	return OK;
}

enum status endpoint_parse(struct endpoint *out, const char *text, struct error *err)
{
	const char *slash = strchr(text, '/');
	const size_t scheme = slash ? (size_t)(slash - text) : strlen(text);

	*out = (struct endpoint){.type = find_transport(text, scheme)};
	if (!slash)
		return error_set(err, ERR_USAGE, "\"%s\": no transport in front of a '/'; %s", text, allowed);
	if (!out->type)
		return error_set(err, ERR_USAGE, "\"%s\": unknown transport \"%.*s\"; %s", text, (int)scheme,
				 text, allowed);
	return is_file(out->type) ? parse_path(out, text, slash + 1, err)
				  : parse_host(out, text, slash + 1, err);
}

void endpoint_print(const struct endpoint *endpoint, char *out, size_t size)
{
	const bool bracket = strchr(endpoint->host, ':');

	if (is_file(endpoint->type))
		snprintf(out, size, "%s/%s", endpoint->type->scheme, endpoint->host);
	else
		snprintf(out, size, "%s/%s%s%s:%u", endpoint->type->scheme, bracket ? "[" : "",
			 endpoint->host, bracket ? "]" : "", endpoint->port);
}
