#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/prefix.h"

static bool bit_behind(const struct policy_prefix *p, unsigned octets)
{
	for (unsigned bit = p->length; bit < octets * 8; bit++)
		if (p->address[bit / 8] >> (7 - bit % 8) & 1)
			return true;
	return false;
}

bool policy_prefix_parse(struct policy_prefix *out, const char *text)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	const size_t n = slash ? (size_t)(slash - text) : strlen(text);
	struct policy_prefix p = {.family = memchr(text, ':', n) ? AF_INET6 : AF_INET};
	const unsigned octets = p.family == AF_INET6 ? 16 : 4;
	unsigned long length = octets * 8;

	if (n >= sizeof address)
		return false;
	memcpy(address, text, n);
	address[n] = 0;
	if (inet_pton(p.family, address, p.address) != 1)
		return false;
	if (slash) {
		char *end;

		length = strtoul(slash + 1, &end, 10);
		if (!isdigit((unsigned char)slash[1]) || *end || length > octets * 8)
			return false;
	}
	p.length = (uint8_t)length;
	if (bit_behind(&p, octets))
		return false;
	*out = p;
	return true;
}

bool policy_prefix_is_host(const struct policy_prefix *p)
{
	return p->length == (p->family == AF_INET6 ? 128 : 32);
}

void policy_prefix_text(const struct policy_prefix *p, char *out, size_t size)
{
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(p->family, p->address, address, sizeof address);
	if (policy_prefix_is_host(p))
		snprintf(out, size, "%s", address);
	else
		snprintf(out, size, "%s/%u", address, p->length);
}

bool policy_prefix_covers(const struct policy_prefix *wide, const struct policy_prefix *narrow)
{
	const unsigned whole = wide->length / 8, rest = wide->length % 8;

	return wide->family == narrow->family && wide->length <= narrow->length &&
	       memcmp(wide->address, narrow->address, whole) == 0 &&
	       (rest == 0 || (wide->address[whole] ^ narrow->address[whole]) >> (8 - rest) == 0);
}

static int compare(const void *a, const void *b)
{
	const struct policy_prefix *x = a, *y = b;
	const int family = (x->family == AF_INET6) - (y->family == AF_INET6);
	const int address = memcmp(x->address, y->address, sizeof x->address);

	return family ? family : address ? address : x->length - y->length;
}

/* Two prefixes are one inside the other or apart, so what is covered comes right behind what covers it. */
uint32_t policy_prefixes_tidy(struct policy_prefix *prefixes, uint32_t count)
{
	uint32_t kept = 0;

	if (count > 0)
		qsort(prefixes, count, sizeof *prefixes, compare);
	for (uint32_t i = 0; i < count; i++)
		if (kept == 0 || !policy_prefix_covers(&prefixes[kept - 1], &prefixes[i]))
			prefixes[kept++] = prefixes[i];
	return kept;
}

bool policy_name_is_good(const char *name)
{
	const size_t length = strlen(name);

	if (!isalpha((unsigned char)name[0]) || length >= POLICY_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isascii(name[i]) || (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i])))
			return false;
	return true;
}
