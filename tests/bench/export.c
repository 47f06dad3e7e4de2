/* What exporting costs: flow records to encoded records to messages, without a network; then to a UDP socket
 * on loopback. Prints records per CPU second.
 *
 * bench_export ENDPOINT [CERTIFICATE KEY CA NAME]: to that collector instead, waiting for it (export.py). */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "export/exporter.h"

enum { RECORDS = 4000000, KINDS = 4096, BATCH = 256, MESSAGE = 1400, CONNECT_MS = 20000 };

static uint64_t swallowed;

static enum status sink_open(struct transport **out, const struct endpoint *to,
			     const struct transport_options *options, struct error *err)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return ERR_MEMORY;
	(*out)->type = to->type;
	return OK;
}

static size_t sink_limit(struct transport *t)
{
	return MESSAGE;
}

static enum status sink_send(struct transport *t, struct span message, struct error *err)
{
	swallowed += message.length;
	return OK;
}

static uint32_t sink_generation(const struct transport *t)
{
	return 0;
}

static int sink_fd(const struct transport *t)
{
	return -1;
}

static void sink_close(struct transport *t)
{
	free(t);
}

static const struct transport_type sink = {
	.scheme = "Sink",
	.default_port = 1,
	.open = sink_open,
	.message_limit = sink_limit,
	.send = sink_send,
	.generation = sink_generation,
	.poll_fd = sink_fd,
	.close = sink_close,
};

static int64_t cpu_ns(void)
{
	return clock_read(CLOCK_PROCESS_CPUTIME_ID);
}

/* Records of every allowed layout, in an order that changes sets often, as real traffic does. */
static struct flow_record *make_records(void)
{
	static const uint8_t protocols[] = {6, 6, 6, 17, 17, 1, 132, 47};
	struct flow_record *r = calloc(KINDS, sizeof *r);

	for (uint32_t i = 0; r && i < KINDS; i++) {
		const uint32_t random = i * 2654435761u >> 8;

		r[i].key.source[0] = r[i].key.destination[0] = 10;
		r[i].key.source[3] = (uint8_t)random;
		r[i].key.source_port = (uint16_t)random;
		r[i].key.protocol = protocols[random % 8];
		r[i].key.kind = (uint8_t)(KIND_PORTS | (random & 0x100 ? KIND_IPV6 : 0));
		r[i].direction = random >> 10 & 1;
		r[i].octets = random;
		r[i].packets = 1 + random % 100;
		r[i].start_ms = 1700000000000;
		r[i].end_ms = r[i].start_ms + random % 1000;
		r[i].flow_id = i;
		r[i].interface = r[i].point_id = 3;
		r[i].end_reason = END_IDLE;
	}
	return r;
}

/* Templates go first: there is a session. */
static bool sent_something(const struct exporter *e)
{
	struct session_statistics statistics;

	exporter_session_statistics(e, 0, &statistics);
	return statistics.messages > 0;
}

static int run(const char *what, const struct endpoint *to, const struct flow_record *records, char **tls)
{
	struct exporter_options options = {.collector_count = 1, .domain = 1, .max_message = MESSAGE};
	struct mono_ns now = {NS_PER_S};
	struct wall_ns wall = wall_now();
	struct session_statistics statistics;
	struct exporter *e;
	struct error err;

	options.collector[0] = *to;
	options.packet_time = to->type->reliable; /* records that find no room wait */
	if (tls) {
		snprintf(options.tls.certificate, sizeof options.tls.certificate, "%s", tls[0]);
		snprintf(options.tls.key, sizeof options.tls.key, "%s", tls[1]);
		snprintf(options.tls.ca, sizeof options.tls.ca, "%s", tls[2]);
		snprintf(options.tls.server_name, sizeof options.tls.server_name, "%s", tls[3]);
	}
	if (exporter_new(&e, &options, NULL, NULL, &err) != OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (int i = 0; i < CONNECT_MS && to->type->secure && !sent_something(e); i++) {
		exporter_service(e, now, wall);
		poll(NULL, 0, 1);
	}
	const int64_t begin = cpu_ns();
	for (uint32_t i = 0; i < RECORDS; i++) {
		exporter_put(e, &records[i % KINDS]);
		if (i % BATCH == BATCH - 1) {
			now.ns += NS_PER_MS;
			exporter_service(e, now, wall);
		}
	}
	if (exporter_finish(e, now, wall, &err) != OK)
		fprintf(stderr, "%s\n", err.text);
	const double seconds = (double)(cpu_ns() - begin) / 1e9;
	exporter_session_statistics(e, 0, &statistics);
	printf("%-28s %6.2f M records per CPU second, %llu messages, %llu not sent\n", what,
	       RECORDS / seconds / 1e6, (unsigned long long)statistics.messages,
	       (unsigned long long)statistics.not_sent_flows);
	exporter_free(e);
	return 0;
}

static int run_to(int argc, char **argv, const struct flow_record *records)
{
	struct endpoint to;
	struct error err;

	if (!records || endpoint_parse(&to, argv[1], &err) != OK)
		return 1;
	return run(to.type->scheme, &to, records, argc == 6 ? argv + 2 : NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct endpoint nowhere = {.type = &sink, .port = 1}, udp = {.type = &udp_transport};
	struct flow_record *records = make_records();
	socklen_t length = sizeof a;
	if (argc > 1)
		return run_to(argc, argv, records);
	const int fd =
		socket(AF_INET, SOCK_DGRAM, 0); /* never read: its buffer fills, and the rest is dropped */

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!records || fd < 0 || bind(fd, (struct sockaddr *)&a, length) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &length) < 0)
		return 1;
	strcpy(udp.host, "127.0.0.1");
	udp.port = ntohs(a.sin_port);
	const int failed = run("encode, build messages", &nowhere, records, NULL) ||
			   run("… and send over UDP", &udp, records, NULL);
	free(records);
	return failed;
}
