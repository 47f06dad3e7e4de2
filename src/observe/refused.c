#include "observe/refused.h"

#include "base/span.h"

enum { IPV4_HEADER = 20, IPV6_HEADER = 40 };

static int find_up(const struct point_table *points, uint32_t ifindex)
{
	for (uint32_t i = 0; ifindex != 0 && i < points->count; i++)
		if (points->point[i].up && points->point[i].ifindex == ifindex)
			return (int)i;
	return -1;
}

int refused_point(const struct point_table *points, uint32_t in, uint32_t out, enum flow_direction *direction)
{
	const int point = find_up(points, in);

	*direction = point >= 0 ? DIRECTION_INGRESS : DIRECTION_EGRESS;
	return point >= 0 ? point : find_up(points, out);
}

uint32_t refused_length(const uint8_t *packet, uint32_t captured)
{
	uint32_t length = 0;

	if (captured >= IPV4_HEADER && packet[0] >> 4 == 4)
		length = get_be16(packet + 2);
	else if (captured >= IPV6_HEADER && packet[0] >> 4 == 6)
		length = IPV6_HEADER + get_be16(packet + 4);
	return length > captured ? length : captured;
}
