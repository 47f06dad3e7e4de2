#include "decode/local.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* The length behind '/', `most` where there is none, -1 when it is no number from 0 to `most`. */
static int prefix_length(const char *text, int most)
{
	int length = 0;

	if (!text)
		return most;
	if (!*text || strlen(text) > 3)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		length = length * 10 + (*text - '0');
	}
	return length <= most ? length : -1;
}

static void make_mask(uint8_t *mask, size_t octets, int length)
{
	memset(mask, 0, octets);
	for (int bit = 0; bit < length; bit++)
		mask[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
}

enum status prefix_list_add(struct prefix_list *list, const char *text, struct error *err)
{
	char address[INET6_ADDRSTRLEN];
	uint8_t value[16], mask[16];
	const char *slash = strchr(text, '/');
	const size_t used = slash ? (size_t)(slash - text) : strlen(text);
	const bool ipv6 = strchr(text, ':') != NULL;
	const size_t octets = ipv6 ? 16 : 4;

	if (used >= sizeof address)
		return error_set(err, ERR_USAGE, "'%s' is not an address prefix", text);
	memcpy(address, text, used);
	address[used] = 0;
	if (inet_pton(ipv6 ? AF_INET6 : AF_INET, address, value) != 1)
		return error_set(err, ERR_USAGE,
				 "'%s' is not an address prefix such as 10.0.0.0/8 or fd00::/8", text);
	const int length = prefix_length(slash ? slash + 1 : NULL, ipv6 ? 128 : 32);
	if (length < 0)
		return error_set(err, ERR_USAGE, "'%s': the prefix length must be a number from 0 to %d",
				 text, ipv6 ? 128 : 32);
	make_mask(mask, octets, length);
	for (size_t i = 0; i < octets; i++)
		if (value[i] & ~mask[i])
			return error_set(err, ERR_USAGE, "'%s' has bits set behind its prefix length %d",
					 text, length);
	if ((ipv6 ? list->ipv6_count : list->ipv4_count) == PREFIX_MAX)
		return error_set(err, ERR_LIMIT, "'%s': more than %d local prefixes", text, PREFIX_MAX);
	if (ipv6) {
		memcpy(list->ipv6[list->ipv6_count].value, value, 16);
		memcpy(list->ipv6[list->ipv6_count++].mask, mask, 16);
	} else {
		memcpy(&list->ipv4[list->ipv4_count].value, value, 4);
		memcpy(&list->ipv4[list->ipv4_count++].mask, mask, 4);
	}
	return OK;
}

bool prefix_list_holds(const struct prefix_list *list, const uint8_t address[16], bool ipv6)
{
	uint64_t wide[2];
	uint32_t narrow;

	if (ipv6) {
		memcpy(wide, address, sizeof wide);
		for (uint32_t i = 0; i < list->ipv6_count; i++)
			if (((wide[0] & list->ipv6[i].mask[0]) == list->ipv6[i].value[0]) &
			    ((wide[1] & list->ipv6[i].mask[1]) == list->ipv6[i].value[1]))
				return true;
		return false;
	}
	memcpy(&narrow, address, sizeof narrow);
	for (uint32_t i = 0; i < list->ipv4_count; i++)
		if ((narrow & list->ipv4[i].mask) == list->ipv4[i].value)
			return true;
	return false;
}
