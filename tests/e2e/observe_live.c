/* observe_live: opens the af_packet source and does what standard input says; test_observe.py drives it.
 *
 * Usage: observe_live [-i SPEC] [-r RING_OCTETS]. One command a line:
 *   totals            what was seen so far, per point, direction and protocol, then "end"
 *   points            the point table, then "end"
 *   statistics        the source's counters
 *   pause, resume     stop and go on reading packets (events too)
 *   exclude L LP R RP addresses and ports of a conversation
 *   quit
 * Events are printed as they come: "event up|down|changed POINT IFINDEX". */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/span.h"
#include "observe/source.h"

enum { TOTALS_MAX = 4096, COMMAND_OCTETS = 512 };

struct total {
	uint32_t point;
	uint8_t direction, link, protocol, version;
	uint64_t frames, packets, octets, supers;
};

struct driver {
	struct point_table points;
	struct packet_batch batch;
	struct packet_source *source;
	struct total total[TOTALS_MAX];
	uint32_t totals;
	bool paused, quit;
	int64_t last_ns, backwards; /* packets whose time was before that of the packet before, same batch */
	char line[COMMAND_OCTETS];
	size_t line_length;
};

/* Just enough of IP to say which packets these are; a frame that is not IP is version 0. */
static void look_at(const struct packet *p, struct total *t, uint32_t *header_octets)
{
	const uint32_t at = p->link == LINK_ETHERNET ? 14 : 0;
	const uint8_t *ip = p->data + at;

	if (p->captured < at + 40)
		return;
	t->version = ip[0] >> 4;
	if (p->link == LINK_ETHERNET && get_be16(p->data + 12) != 0x0800 && get_be16(p->data + 12) != 0x86dd)
		t->version = 0;
	t->protocol = t->version == 4 ? ip[9] : t->version == 6 ? ip[6] : 0;
	*header_octets = at + (t->version == 4 ? (ip[0] & 15U) * 4 : 40);
	if (t->protocol == IPPROTO_TCP && *header_octets + 20 <= p->captured)
		*header_octets += (uint32_t)(p->data[*header_octets + 12] >> 4) * 4;
	else if (t->protocol == IPPROTO_UDP)
		*header_octets += 8;
}

static void count(struct driver *d, const struct packet *p)
{
	struct total key = {.point = p->point, .direction = p->direction, .link = p->link};
	uint32_t header_octets = 0, i;

	look_at(p, &key, &header_octets);
	for (i = 0; i < d->totals; i++)
		if (d->total[i].point == key.point && d->total[i].direction == key.direction &&
		    d->total[i].protocol == key.protocol && d->total[i].version == key.version)
			break;
	if (i == d->totals) {
		if (i == TOTALS_MAX)
			abort();
		d->total[d->totals++] = key;
	}
	d->total[i].frames++;
	d->total[i].octets += p->length;
	d->total[i].supers += p->gso_size != 0;
	d->total[i].packets += p->gso_size ? (p->length - header_octets + p->gso_size - 1) / p->gso_size : 1;
}

static void print_events(struct driver *d)
{
	static const char *const change[] = {"up", "down", "changed"};
	struct point_event event;

	while (d->source->type->next_event(d->source, &event))
		printf("event %s %s %u\n", change[event.change], d->points.point[event.point].name,
		       d->points.point[event.point].ifindex);
}

static void read_packets(struct driver *d)
{
	struct error err;

	for (;;) {
		print_events(d);
		if (d->source->type->read(d->source, &d->batch, &err) != OK)
			return;
		for (uint32_t i = 0; i < d->batch.count; i++) {
			const struct packet *p = &d->batch.packet[i];

			if (!d->points.point[p->point].up || p->time.ns > mono_now().ns ||
			    p->captured > p->length)
				abort(); /* the contract is broken */
			count(d, p);
		}
		d->source->type->release(d->source, &d->batch);
	}
}

static void print_totals(const struct driver *d)
{
	for (uint32_t i = 0; i < d->totals; i++) {
		const struct total *t = &d->total[i];

		printf("total %s %s %s %u %u %lu %lu %lu %lu\n", d->points.point[t->point].name,
		       t->direction == DIRECTION_EGRESS ? "egress" : "ingress",
		       t->link == LINK_ETHERNET ? "ethernet" : "ip", t->version, t->protocol, t->frames,
		       t->packets, t->octets, t->supers);
	}
	puts("end");
}

static void print_points(const struct driver *d)
{
	for (uint32_t i = 0; i < d->points.count; i++) {
		const struct observation_point *p = &d->points.point[i];

		printf("point %s %u %s %s\n", p->name, p->ifindex, p->up ? "up" : "down", p->description);
	}
	puts("end");
}

static void print_statistics(struct driver *d)
{
	struct source_statistics s;

	d->source->type->statistics(d->source, &s);
	printf("statistics %lu %lu %lu %ld %ld\n", s.packets, s.dropped_packets, s.octets,
	       s.first_drop_wall_ms, s.last_drop_wall_ms);
}

static void read_address(const char *address, const char *port, struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)atoi(port));
	} else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)atoi(port));
	} else {
		abort();
	}
}

static void exclude(struct driver *d, const char *line)
{
	char local[64], local_port[8], remote[64], remote_port[8];
	struct sockaddr_storage from = {0}, to = {0};

	if (sscanf(line, "exclude %63s %7s %63s %7s", local, local_port, remote, remote_port) != 4)
		abort();
	read_address(local, local_port, &from);
	read_address(remote, remote_port, &to);
	printf("excluded %d\n",
	       (int)d->source->type->exclude(d->source, (struct sockaddr *)&from, (struct sockaddr *)&to));
}

static void obey(struct driver *d, const char *line)
{
	if (strcmp(line, "totals") == 0)
		print_totals(d);
	else if (strcmp(line, "points") == 0)
		print_points(d);
	else if (strcmp(line, "statistics") == 0)
		print_statistics(d);
	else if (strcmp(line, "pause") == 0)
		d->paused = puts("paused") >= 0;
	else if (strcmp(line, "resume") == 0)
		d->paused = puts("resumed") < 0;
	else if (strncmp(line, "exclude ", 8) == 0)
		exclude(d, line);
	else
		d->quit = true;
}

static void read_commands(struct driver *d)
{
	const ssize_t octets = read(STDIN_FILENO, d->line + d->line_length, sizeof d->line - d->line_length);
	char *end;

	if (octets <= 0) {
		d->quit = true;
		return;
	}
	d->line_length += (size_t)octets;
	while ((end = memchr(d->line, '\n', d->line_length))) {
		*end = 0;
		obey(d, d->line);
		d->line_length -= (size_t)(end + 1 - d->line);
		memmove(d->line, end + 1, d->line_length);
	}
}

static int run(struct driver *d)
{
	puts("ready");
	while (!d->quit) {
		struct pollfd ready[] = {
			{.fd = STDIN_FILENO, .events = POLLIN},
			{.fd = d->paused ? -1 : d->source->type->poll_fd(d->source), .events = POLLIN},
		};

		fflush(stdout);
		if (poll(ready, 2, -1) < 0)
			return 1;
		if (ready[1].revents)
			read_packets(d);
		if (ready[0].revents)
			read_commands(d);
	}
	d->source->type->close(d->source);
	return 0;
}

int main(int argc, char **argv)
{
	struct driver *d = calloc(1, sizeof *d);
	const struct logger log = {.out = stderr, .level = LOG_DEBUG};
	struct source_options options = {.log = &log};
	struct error err;
	enum status status;
	int letter, result;

	if (!d)
		return 1;
	options.points = &d->points;
	while ((letter = getopt(argc, argv, "i:r:")) != -1) {
		if (letter == 'i')
			options.spec = optarg;
		else if (letter == 'r')
			options.ring_octets = (uint32_t)strtoul(optarg, NULL, 0);
		else
			return 2;
	}
	status = afpacket_source.open(&d->source, &options, &err);
	if (status != OK) {
		printf("failed %d %s\n", (int)status, err.text);
		free(d);
		return 1;
	}
	result = run(d);
	free(d);
	return result;
}
