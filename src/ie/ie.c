#include "ie/ie.h"

#include <string.h>

static const struct {
	const char *name;
	uint8_t size;
} types[IE_TYPE_COUNT] = {
	[IE_OCTET_ARRAY] = {"octetArray", 0},
	[IE_UNSIGNED8] = {"unsigned8", 1},
	[IE_UNSIGNED16] = {"unsigned16", 2},
	[IE_UNSIGNED32] = {"unsigned32", 4},
	[IE_UNSIGNED64] = {"unsigned64", 8},
	[IE_SIGNED8] = {"signed8", 1},
	[IE_SIGNED16] = {"signed16", 2},
	[IE_SIGNED32] = {"signed32", 4},
	[IE_SIGNED64] = {"signed64", 8},
	[IE_FLOAT32] = {"float32", 4},
	[IE_FLOAT64] = {"float64", 8},
	[IE_BOOLEAN] = {"boolean", 1},
	[IE_MAC_ADDRESS] = {"macAddress", 6},
	[IE_STRING] = {"string", 0},
	[IE_DATE_TIME_SECONDS] = {"dateTimeSeconds", 4},
	[IE_DATE_TIME_MILLISECONDS] = {"dateTimeMilliseconds", 8},
	[IE_DATE_TIME_MICROSECONDS] = {"dateTimeMicroseconds", 8},
	[IE_DATE_TIME_NANOSECONDS] = {"dateTimeNanoseconds", 8},
	[IE_IPV4_ADDRESS] = {"ipv4Address", 4},
	[IE_IPV6_ADDRESS] = {"ipv6Address", 16},
	[IE_BASIC_LIST] = {"basicList", 0},
	[IE_SUB_TEMPLATE_LIST] = {"subTemplateList", 0},
	[IE_SUB_TEMPLATE_MULTI_LIST] = {"subTemplateMultiList", 0},
	[IE_UNSIGNED256] = {"unsigned256", 32},
};

const struct information_element *ie_find(uint32_t pen, uint16_t id)
{
	size_t low = 0, high = ie_registry_count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const struct information_element *ie = &ie_registry[middle];

		if (ie->pen == pen && ie->id == id)
			return ie;
		if (ie->pen < pen || (ie->pen == pen && ie->id < id))
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct information_element *ie_find_name(const char *name)
{
	for (size_t i = 0; i < ie_registry_count; i++)
		if (strcmp(ie_registry[i].name, name) == 0)
			return &ie_registry[i];
	return NULL;
}

uint8_t ie_type_size(enum ie_type type)
{
	return type < IE_TYPE_COUNT ? types[type].size : 0;
}

const char *ie_type_name(enum ie_type type)
{
	return type < IE_TYPE_COUNT ? types[type].name : "unknown";
}
