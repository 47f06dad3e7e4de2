#include "store/origin.h"

#include <stdlib.h>
#include <string.h>

const char *const reported_names[REPORTED_COUNT] = {
	[REPORTED_IGNORED_PACKETS] = "exporter_ignored_packets",
	[REPORTED_IGNORED_OCTETS] = "exporter_ignored_octets",
	[REPORTED_NOT_SENT_FLOWS] = "exporter_not_sent_flows",
	[REPORTED_NOT_SENT_PACKETS] = "exporter_not_sent_packets",
	[REPORTED_NOT_SENT_OCTETS] = "exporter_not_sent_octets",
};

void origin_fini(struct origin *o)
{
	free(o->sampling);
	free(o->interfaces);
	*o = (struct origin){0};
}

bool origin_set_sampling(struct origin *o, uint64_t selector, uint64_t num, uint64_t den)
{
	if (num == 0 || den == 0 || num > UINT32_MAX || den > UINT32_MAX || num < den)
		return false;
	for (uint32_t i = 0; i < o->sampling_count; i++) {
		if (o->sampling[i].selector == selector) {
			o->sampling[i].num = (uint32_t)num;
			o->sampling[i].den = (uint32_t)den;
			return true;
		}
	}
	if (o->sampling_count == ORIGIN_SELECTORS_MAX)
		return false;

	struct sampling *more = realloc(o->sampling, (o->sampling_count + 1) * sizeof *more);
	if (!more)
		return false;
	o->sampling = more;
	o->sampling[o->sampling_count++] =
		(struct sampling){.selector = selector, .num = (uint32_t)num, .den = (uint32_t)den};
	return true;
}

const struct sampling *origin_sampling(const struct origin *o, uint64_t selector)
{
	for (uint32_t i = 0; i < o->sampling_count; i++)
		if (o->sampling[i].selector == selector)
			return &o->sampling[i];
	/* Records that name no selector of a domain that has one only are its. */
	return selector == 0 && o->sampling_count == 1 ? o->sampling : NULL;
}

static uint32_t place_of(const struct origin *o, uint32_t index)
{
	uint32_t low = 0, high = o->interface_count;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;

		if (o->interfaces[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct interface_name *origin_interface(const struct origin *o, uint32_t index)
{
	const uint32_t i = place_of(o, index);

	return i < o->interface_count && o->interfaces[i].index == index ? &o->interfaces[i] : NULL;
}

bool origin_set_interface(struct origin *o, uint32_t index, struct span name)
{
	const uint32_t i = place_of(o, index);
	const bool known = i < o->interface_count && o->interfaces[i].index == index;

	if (name.length == 0 || name.length > ORIGIN_INTERFACE_NAME_MAX)
		return false;
	if (!known) {
		if (o->interface_count == ORIGIN_INTERFACES_MAX)
			return false;
		if (o->interface_count == o->interface_room) {
			const uint32_t room = o->interface_room ? 2 * o->interface_room : 8;
			struct interface_name *more = realloc(o->interfaces, room * sizeof *more);

			if (!more)
				return false;
			o->interfaces = more;
			o->interface_room = room;
		}
		memmove(o->interfaces + i + 1, o->interfaces + i,
			(o->interface_count - i) * sizeof *o->interfaces);
		o->interface_count++;
	}
	o->interfaces[i] = (struct interface_name){.index = index, .length = (uint8_t)name.length};
	memcpy(o->interfaces[i].name, name.data, name.length);
	return true;
}

void origin_report(struct origin *o, enum reported what, uint64_t total)
{
	const uint64_t last = o->reported_last[what];

	o->reported[what] += total >= last ? total - last : total;
	o->reported_last[what] = total;
}
