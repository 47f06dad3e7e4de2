#include "web/address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

bool web_address_is_loopback(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24) == 127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

enum status web_address_read(const char *text, struct sockaddr_storage *out, socklen_t *length,
			     struct error *err)
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
