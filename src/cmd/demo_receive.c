#include "cmd/demo_receive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COLLECTOR_PORT = 4739, FIELDS_MAX = 64 };

/* Put the octets of one field where it belongs; other elements are not shown. */
static void take_field(struct demo_flow *flow, uint16_t element, struct span value)
{
	const uint64_t number = value.length <= 8 ? get_be(value.data, value.length) : 0;

	switch (element) {
	case IE_sourceIPv4Address:
	case IE_sourceIPv6Address:
		flow->ipv6 = value.length == 16;
		memcpy(flow->source, value.data, value.length <= 16 ? value.length : 16);
		break;
	case IE_destinationIPv4Address:
	case IE_destinationIPv6Address:
		memcpy(flow->destination, value.data, value.length <= 16 ? value.length : 16);
		break;
	case IE_sourceTransportPort: flow->source_port = (uint16_t)number; break;
	case IE_destinationTransportPort: flow->destination_port = (uint16_t)number; break;
	case IE_icmpTypeCodeIPv4:
	case IE_icmpTypeCodeIPv6: flow->icmp = (uint16_t)number; break;
	case IE_protocolIdentifier: flow->protocol = (uint8_t)number; break;
	case IE_flowDirection: flow->egress = number == 1; break;
	case IE_packetDeltaCount: flow->packets = number; break;
	case IE_octetDeltaCount: flow->octets = number; break;
	case IE_flowStartMilliseconds: flow->start_ms = number; break;
	case IE_flowEndMilliseconds: flow->end_ms = number; break;
	case IE_forwardingStatus: flow->denied = true; break;
	default: break;
	}
}

static void take_our_field(struct demo_flow *flow, uint16_t element, struct span value)
{
	const uint8_t number = value.length == 1 ? value.data[0] : 0;

	switch (element) {
	case IE_denialReason: flow->reason = number; break;
	case IE_denialClass: flow->policy = number; break;
	case IE_denialRuleName:
		snprintf(flow->rule, sizeof flow->rule, "%.*s", (int)value.length, (const char *)value.data);
		break;
	default: break;
	}
}

static void on_data(void *arg, const struct message_header *header, const struct template *template,
		    const struct template_store *store, struct span records, uint32_t count)
{
	struct receiver *receiver = arg;
	struct record_reader reader = record_reader_over(template, records);
	struct field_place places[FIELDS_MAX];
	struct span record;

	if (template->scope_count > 0 || template->field_count > FIELDS_MAX)
		return;
	while (record_next(&reader, &record, places) == OK) {
		struct demo_flow flow = {.reporter = receiver->host};

		for (uint16_t i = 0; i < template->field_count; i++)
			if (template->fields[i].pen == 0)
				take_field(&flow, template->fields[i].id,
					   record_field(template, record, places, i));
			else if (template->fields[i].pen == WEIR_PEN)
				take_our_field(&flow, template->fields[i].id,
					       record_field(template, record, places, i));
		receiver->sink(receiver->arg, &flow);
	}
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct receiver *receiver = handle->data;

	*out = uv_buf_init((char *)receiver->buffer, sizeof receiver->buffer);
}

/* The systems of the lab are 198.51.100.1 and up. */
static int host_of(const struct sockaddr *from)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;

	if (from->sa_family != AF_INET)
		return -1;
	const uint32_t number = ntohl(v4->sin_addr.s_addr) & 0xff;
	return number >= 1 && number <= LAB_HOSTS ? (int)number - 1 : -1;
}

static void on_message(uv_udp_t *handle, ssize_t got, const uv_buf_t *buffer, const struct sockaddr *from,
		       unsigned flags)
{
	struct receiver *receiver = handle->data;
	const struct session_sink sink = {.arg = receiver, .data = on_data};

	if (got <= 0 || !from)
		return;
	receiver->host = host_of(from);
	if (receiver->host < 0) {
		receiver->strangers++;
		return;
	}
	if (receiver->page)
		demo_page_copy(receiver->page, buffer->base, (size_t)got);
	/* What is malformed is counted by the session and shown in the summary. */
	(void)session_message(receiver->session[receiver->host], span_of(buffer->base, (size_t)got),
			      mono_now().ns, &sink);
}

enum status receiver_open(struct receiver *receiver, struct lab *lab, demo_flow_sink *sink, void *arg,
			  struct error *err)
{
	const struct session_limits limits = session_limits_default(0);
	struct sockaddr_in at;
	int room = 4 << 20;

	*receiver = (struct receiver){.sink = sink, .arg = arg};
	uv_udp_init(lab->children->loop, &receiver->socket);
	receiver->socket.data = receiver;
	for (int i = 0; i < LAB_HOSTS; i++)
		if (session_new(&receiver->session[i], TEMPLATE_RULES_DATAGRAM, &limits) != OK)
			return error_set(err, ERR_MEMORY, "no memory for the collector");
	const int fd = lab_socket(lab, lab->fabric, AF_INET, SOCK_DGRAM);
	if (fd < 0)
		return error_errno(err, "socket for the collector");
	int answer = uv_udp_open(&receiver->socket, fd);
	if (answer < 0)
		close(fd);
	uv_ip4_addr(LAB_COLLECTOR, COLLECTOR_PORT, &at);
	if (answer == 0)
		answer = uv_udp_bind(&receiver->socket, (const struct sockaddr *)&at, 0);
	if (answer == 0)
		answer = uv_udp_recv_start(&receiver->socket, give_buffer, on_message);
	if (answer < 0)
		return error_set(err, ERR_SYSTEM, "collector at %s: %s", LAB_COLLECTOR, uv_strerror(answer));
	(void)uv_recv_buffer_size((uv_handle_t *)&receiver->socket, &room); /* the default does as well */
	return OK;
}

void receiver_close(struct receiver *receiver)
{
	if (receiver->socket.data && !uv_is_closing((uv_handle_t *)&receiver->socket))
		uv_close((uv_handle_t *)&receiver->socket, NULL);
	for (int i = 0; i < LAB_HOSTS; i++)
		receiver->session[i] = session_free(receiver->session[i]);
}

const struct session_stats *receiver_stats(const struct receiver *receiver, int host)
{
	return session_stats(receiver->session[host]);
}
