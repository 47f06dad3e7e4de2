#include "cmd/demo_show.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_OCTETS = 384, ENDPOINT_OCTETS = 64 };

#define HEADING                                                                                              \
	"  AGE  HOST  DIRECTION  PROTO   SOURCE                  DESTINATION             PACKETS     "       \
	"OCTETS  DENIED BY"

void show_init(struct show *show, FILE *out, const struct lab *lab)
{
	*show = (struct show){.out = out, .lab = lab, .terminal = isatty(fileno(out))};
	if (!show->terminal)
		fprintf(out, "%s\n", HEADING);
}

/* 1536 -> "1.5 KiB" */
static void octets_text(uint64_t octets, char *out, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)octets;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
		value /= 1024;
		unit++;
	}
	snprintf(out, size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static const char *protocol_text(const struct demo_flow *flow, char *room, size_t size)
{
	switch (flow->protocol) {
	case IPPROTO_TCP: return "TCP";
	case IPPROTO_UDP: return "UDP";
	case IPPROTO_ICMP: return "ICMP";
	case IPPROTO_ICMPV6: return "ICMPv6";
	default: snprintf(room, size, "%u", flow->protocol); return room;
	}
}

static bool is_icmp(const struct demo_flow *flow)
{
	return flow->protocol == (flow->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

/* "10.77.0.1:53", "[fd77::1]:53"; an ICMP flow has its type and code behind the destination. */
static void endpoint_text(const struct demo_flow *flow, bool source, char *out, size_t size)
{
	char address[INET6_ADDRSTRLEN];
	const uint16_t port = source ? flow->source_port : flow->destination_port;

	inet_ntop(flow->ipv6 ? AF_INET6 : AF_INET, source ? flow->source : flow->destination, address,
		  sizeof address);
	if (is_icmp(flow) && source)
		snprintf(out, size, "%s", address);
	else if (is_icmp(flow))
		snprintf(out, size, "%s type %u/%u", address, flow->icmp >> 8, flow->icmp & 0xff);
	else
		snprintf(out, size, flow->ipv6 ? "[%s]:%u" : "%s:%u", address, port);
}

/* "  trust requirement disk-encryption: dropped silently by a rule"; "" of a flow that was let through. */
static void denial_text(const struct demo_flow *flow, char *out, size_t size)
{
	static const char *const classes[CLASS_COUNT] = {
		[CLASS_OTHER] = "rule", [CLASS_ACL] = "access rule", [CLASS_TRUST] = "trust requirement"};
	static const char *const reasons[REASON_COUNT] = {
#define REASON(constant, number, status, text) [REASON_##constant] = (text),
		DENIAL_REASONS(REASON)
#undef REASON
	};

	out[0] = 0;
	if (flow->denied)
		snprintf(out, size, "  %s %s: %s",
			 classes[flow->policy < CLASS_COUNT ? flow->policy : CLASS_OTHER], flow->rule,
			 reasons[flow->reason < REASON_COUNT ? flow->reason : REASON_UNKNOWN]);
}

static void flow_line(const struct show *show, const struct demo_flow *flow, char *out, size_t size)
{
	char source[ENDPOINT_OCTETS], destination[ENDPOINT_OCTETS], octets[32], room[8], why[160];
	const double age = (double)(wall_ms(wall_now()) - (int64_t)flow->end_ms) / 1000;

	endpoint_text(flow, true, source, sizeof source);
	endpoint_text(flow, false, destination, sizeof destination);
	octets_text(flow->octets, octets, sizeof octets);
	denial_text(flow, why, sizeof why);
	snprintf(out, size, "%4.0f s  %-4s  %-9s  %-6s  %-22s  %-22s %8" PRIu64 " %10s%s", age < 0 ? 0 : age,
		 show->lab->host[flow->reporter].name, flow->egress ? "egress" : "ingress",
		 protocol_text(flow, room, sizeof room), source, destination, flow->packets, octets, why);
}

static void count_flow(struct show *show, const struct demo_flow *flow)
{
	show->direction[flow->egress]++;
	show->family[flow->ipv6]++;
	show->packets += flow->packets;
	show->octets += flow->octets;
	show->denied[flow->egress] += flow->denied;
	if (flow->protocol == IPPROTO_TCP)
		show->tcp++;
	else if (flow->protocol == IPPROTO_UDP)
		show->udp++;
	else if (is_icmp(flow))
		show->icmp++;
	else
		show->other++;
}

void show_flow(void *arg, const struct demo_flow *flow)
{
	struct show *show = arg;
	char line[LINE_OCTETS];

	count_flow(show, flow);
	show->row[show->count++ % SHOW_ROWS] = *flow;
	if (show->terminal)
		return;
	flow_line(show, flow, line, sizeof line);
	fprintf(show->out, "%s\n", line);
	fflush(show->out);
}

void show_redraw(const struct show *show, int64_t left_s)
{
	struct winsize window = {.ws_row = 24, .ws_col = 80};
	char line[LINE_OCTETS];

	if (!show->terminal)
		return;
	(void)ioctl(fileno(show->out), TIOCGWINSZ, &window); /* keeps 80 x 24 when it fails */
	const uint64_t rows = window.ws_row > 6 ? window.ws_row - 4u : 2;
	const uint64_t known = show->count < SHOW_ROWS ? show->count : SHOW_ROWS;
	const int width = window.ws_col > 20 ? window.ws_col - 1 : 80;

	/* To the top left corner, each line cleared behind its text, the rest of the screen cleared last. */
	fprintf(show->out, "\033[H%.*s\033[K\n%.*s\033[K\n", width,
		"weir demo: flows inside the overlay, newest first; Ctrl-C ends it", width, HEADING);
	for (uint64_t i = 0; i < known && i < rows; i++) {
		flow_line(show, &show->row[(show->count - 1 - i) % SHOW_ROWS], line, sizeof line);
		fprintf(show->out, "%.*s\033[K\n", width, line);
	}
	fprintf(show->out, "\033[J%" PRIu64 " flow records", show->count);
	if (left_s >= 0)
		fprintf(show->out, ", %" PRId64 " s to go", left_s);
	fflush(show->out);
}

static uint64_t malformed(const struct session_stats *stats)
{
	uint64_t sum = 0;

	for (int i = MESSAGE_FAULT_NONE + 1; i < MESSAGE_FAULT_COUNT; i++)
		sum += stats->malformed[i];
	return sum;
}

static void show_exporter(const struct show *show, const struct receiver *receiver, int host)
{
	const struct session_stats *s = receiver_stats(receiver, host);
	const uint64_t bad = malformed(s);

	fprintf(show->out,
		"  %-4s %6" PRIu64 " messages %7" PRIu64 " data records: ", show->lab->host[host].name,
		s->messages, s->data_records);
	if (s->messages == 0)
		fprintf(show->out, "nothing came\n");
	else if (s->sequence.lost || s->sequence.uncounted || bad || s->sets_without_template)
		fprintf(show->out,
			"%" PRIu64 " records missing, %" PRIu64 " malformed messages, %" PRIu64
			" sets before their template\n",
			s->sequence.lost + s->sequence.uncounted, bad, s->sets_without_template);
	else
		fprintf(show->out, "complete, no gap in the sequence\n");
}

void show_summary(const struct show *show, const struct receiver *receiver)
{
	char octets[32];

	octets_text(show->octets, octets, sizeof octets);
	fprintf(show->out,
		"\n%s%" PRIu64 " flow records: %" PRIu64 " ingress, %" PRIu64 " egress; %" PRIu64
		" IPv4, %" PRIu64 " IPv6; %" PRIu64 " TCP, %" PRIu64 " UDP, %" PRIu64 " ICMP",
		show->terminal ? "\n" : "", show->count, show->direction[0], show->direction[1],
		show->family[0], show->family[1], show->tcp, show->udp, show->icmp);
	if (show->other)
		fprintf(show->out, ", %" PRIu64 " other", show->other);
	fprintf(show->out, "; %" PRIu64 " packets, %s\n", show->packets, octets);
	fprintf(show->out, "  denied: %" PRIu64 " on ingress, %" PRIu64 " on egress\n", show->denied[0],
		show->denied[1]);
	for (int i = 0; i < LAB_HOSTS; i++)
		show_exporter(show, receiver, i);
	if (receiver->strangers)
		fprintf(show->out, "  %" PRIu64 " messages from strangers, left alone\n",
			receiver->strangers);
	fflush(show->out);
}
