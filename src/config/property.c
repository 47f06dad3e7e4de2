#include "config/property.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"

#define AT(member)                                                                                           \
	.offset = offsetof(struct settings, member), .size = sizeof(((struct settings *)0)->member),         \
	.scale = 1
#define AT_MS(member)                                                                                        \
	.offset = offsetof(struct settings, member), .size = sizeof(((struct settings *)0)->member),         \
	.scale = NS_PER_MS
#define TEXT_AT(member)                                                                                      \
	.offset = offsetof(struct settings, member), .size = sizeof(((struct settings *)0)->member)
#define DAY_MS 86400000

static const struct property_word directions[] = {
	[DIRECTIONS_BOTH] = {"Both", "records of what is sent and of what is received"},
	[DIRECTIONS_SENDING] = {"SendingToPeer", "only records of what this system sends (egress)"},
	[DIRECTIONS_RECEIVED] = {"ReceivedFromPeer", "only records of what this system receives (ingress)"},
	{NULL, NULL},
};

static const struct property_word overloads[] = {
	{"Drop", "packets that there is no time for are dropped by the kernel, and counted"},
	{"Sample", "while the kernel drops packets, one in 2 to 64 is looked at, and the others are counted"},
	{NULL, NULL},
};

static const struct property_word captures[] = {
	[CAPTURE_RING] = {"ring", "packets are read from a ring that the kernel fills"},
	[CAPTURE_EBPF] = {"ebpf",
			  "the kernel counts packets into flows (Linux 6.6); the ring where it cannot"},
	[CAPTURE_AUTO] = {"auto",
			  "the kernel counts packets where that is cheaper; the ring where it cannot"},
	{NULL, NULL},
};

static const struct property_word versions[] = {
	[TLS_AT_LEAST_1_2] = {"1.2", "TLS 1.2 or 1.3; DTLS 1.2"},
	[TLS_AT_LEAST_1_3] = {"1.3", "TLS 1.3 only, and no DTLS"},
	{NULL, NULL},
};

const struct property properties[] = {
	{"Enabled", PROPERTY_FLAG, .standard = 1, AT(enabled), .meaning = "the exporter may run",
	 .zero = "the exporter is switched off", .live = true},
	{"IpFixCollectors", PROPERTY_COLLECTORS, .meaning = "each of them gets every record",
	 .zero = "nobody gets records", .live = true},
	{"Direction", PROPERTY_WORD, .standard = DIRECTIONS_BOTH, AT(meter.directions), .words = directions,
	 .live = true},
	{"Interval", PROPERTY_NUMBER, "milliseconds", 1000, 30LL * DAY_MS, 0, AT_MS(meter.interval_ns),
	 .meaning = "a flow that goes on is reported this often, and at its end",
	 .zero = "a flow is reported once, at its end", .rule = "0 or a multiple of 60000", .live = true},
	{"ObservationPoints", PROPERTY_NAMES, .meaning = "interfaces that are observed",
	 .zero = "every overlay interface that is up"},
	{"ObservationPoints[].Name", PROPERTY_TEXT, "the name of an interface", TEXT_AT(one_point.name),
	 .meaning = "the interface", .zero = "an error"},
	{"ObservationPoints[].DomainId", PROPERTY_NUMBER, NULL, 1, UINT32_MAX, 1, AT(one_point.domain),
	 .meaning = "the Observation Domain of what is seen there"},
	{"ObservationPoints[].Selection", PROPERTY_CHAIN, TEXT_AT(one_point.selection),
	 .meaning = "what packets go through there", .zero = "every packet is metered"},
	{"Selection", PROPERTY_CHAIN, TEXT_AT(selection),
	 .meaning = "packets go through these selectors, in this order; what is left is metered",
	 .zero = "every packet is metered"},
	{"RecordSelection", PROPERTY_CHAIN, TEXT_AT(exporter.records), .of_records = true,
	 .meaning = "flow records go through these selectors, in this order; what is left is exported",
	 .zero = "every record is exported"},
	{"IdleTimeout", PROPERTY_NUMBER, "milliseconds", 0, DAY_MS, 15000, AT_MS(meter.idle_ns),
	 .meaning = "a flow ends when no packet came for this long",
	 .zero = "every packet is a flow of its own", .live = true},
	{"TcpLinger", PROPERTY_NUMBER, "milliseconds", 0, 60000, 1000, AT_MS(meter.linger_ns),
	 .meaning = "a TCP flow that was closed waits this long for its last packets",
	 .zero = "a TCP flow ends with the packet that closes it", .live = true},
	{"MaxFlows", PROPERTY_NUMBER, "flows", 16, 1 << 26, 1 << 20, AT(meter.max_flows),
	 .meaning = "open flows at most; about 112 octets of memory each, once used"},
	{"Shards", PROPERTY_NUMBER, "threads", 1, 64, 1, AT(shards),
	 .meaning = "threads that meter side by side, each with a flow table of its own",
	 .zero = "a thread for each processor meters"},
	{"Overload", PROPERTY_WORD, .standard = 0, AT(shed), .words = overloads},
	{"NflogGroups", PROPERTY_GROUPS, .meaning = "NFLOG groups that rules tell of refused frames by",
	 .zero = "refused frames are not told from others"},
	{"DeniedPrefixes", PROPERTY_PREFIXES, .meaning = "log prefixes that mean a refusal",
	 .zero = "acl: trust: drop: deny: reject:"},
	{"TraceRules", PROPERTY_FLAG, .standard = 0, AT(trace_rules),
	 .meaning = "the rules of other programs are traced: which of them refuse frames",
	 .zero = "rules that log nothing are not asked"},
	{"DropReasons", PROPERTY_FLAG, .standard = 0, AT(drop_reasons),
	 .meaning = "the kernel tells of all frames that it drops by policy (eBPF)",
	 .zero = "frames that the kernel drops without a log rule are not told of"},
	{"PeerCheck", PROPERTY_FLAG, .standard = 0, AT(peer_check),
	 .meaning = "frames to addresses that no WireGuard peer can be sent are told as refused",
	 .zero = "WireGuard is not asked for its peers"},
	{"MaxDeniedFlows", PROPERTY_NUMBER, "flows", 16, 1 << 24, 1 << 16, AT(max_denied),
	 .meaning = "open flows of refused frames at most, besides MaxFlows"},
	{"DscpKey", PROPERTY_FLAG, .standard = 0, AT(meter.dscp_key),
	 .meaning = "packets with another DSCP are another flow", .zero = "DSCP does not tell flows apart"},
	{"Biflows", PROPERTY_FLAG, .standard = 0, AT(biflows),
	 .meaning = "both directions of a conversation are one record, that of whoever began",
	 .zero = "each direction is a flow"},
	{"TotalCounters", PROPERTY_FLAG, .standard = 0, AT(totals),
	 .meaning = "records have counters since the flow began, too",
	 .zero = "records count since the record before"},
	{"Microseconds", PROPERTY_FLAG, .standard = 0, AT(microseconds),
	 .meaning = "start and end of flows in microseconds",
	 .zero = "start and end of flows in milliseconds"},
	{"ExtraFields", PROPERTY_OBJECT, .meaning = "what records have besides"},
	{"ExtraFields.Ttl", PROPERTY_FLAG, .standard = 0, AT(field_ttl),
	 .meaning = "TTL or hop limit: of the first packet, least, most", .zero = "no TTL"},
	{"ExtraFields.Mac", PROPERTY_FLAG, .standard = 0, AT(field_mac),
	 .meaning = "MAC addresses of the first packet", .zero = "no MAC addresses"},
	{"ExtraFields.Vlan", PROPERTY_FLAG, .standard = 0, AT(field_vlan),
	 .meaning = "VLAN of the first packet", .zero = "no VLAN"},
	{"ExtraFields.Process", PROPERTY_FLAG, .standard = 0, AT(field_process),
	 .meaning = "process and user of this system's sockets (Linux 6.6)", .zero = "no process, no user"},
	{"TemplateRefresh", PROPERTY_NUMBER, "milliseconds", 1000, DAY_MS, 60000,
	 AT_MS(exporter.template_refresh_ns),
	 .meaning = "templates are sent again at least this often, over UDP", .live = true},
	{"TemplateRefreshMessages", PROPERTY_NUMBER, "messages", 1, 1000, 1000,
	 AT(exporter.template_refresh_messages),
	 .meaning = "and after this many messages, whichever comes first", .live = true},
	{"OptionsRefresh", PROPERTY_NUMBER, "milliseconds", 1000, DAY_MS, 60000,
	 AT_MS(exporter.options_refresh_ns),
	 .meaning = "statistics and the interface table are sent again this often", .live = true},
	{"ReconnectInterval", PROPERTY_NUMBER, "milliseconds", 1000, DAY_MS, 60000,
	 AT_MS(exporter.reconnect_ns),
	 .meaning = "between two tries to connect, over TCP, TLS and SCTP; RFC 7011 wants a minute at least",
	 .live = true},
	{"FailoverHold", PROPERTY_NUMBER, "milliseconds", 0, DAY_MS, 60000, AT_MS(exporter.failover_hold_ns),
	 .meaning = "a better collector of a failover group is used again when it was back for this long",
	 .zero = "a better collector of a failover group is used again at once", .live = true},
	{"Spool", PROPERTY_OBJECT, .meaning = "where records wait while a reliable collector is away"},
	{"Spool.Folder", PROPERTY_TEXT, "the path of a folder", TEXT_AT(exporter.spool_folder),
	 .meaning = "records wait here", .zero = "records wait in memory only", .live = true},
	{"Spool.Size", PROPERTY_NUMBER, "octets", 1 << 20, 1LL << 36, 1 << 28, AT(exporter.spool_size),
	 .meaning = "on disk at most, for each collector or group; then the oldest go", .live = true},
	{"Spool.Rate", PROPERTY_NUMBER, "records a second", 1, 1 << 24, 20000, AT(exporter.spool_rate),
	 .meaning = "that waited are sent at most, besides new ones", .zero = "there is no bound",
	 .live = true},
	{"SctpLifetime", PROPERTY_NUMBER, "milliseconds", 0, DAY_MS, 0, AT_MS(exporter.lifetime_ns),
	 .meaning = "records that could not be sent over SCTP for this long are given up",
	 .zero = "records over SCTP are sent however long it takes", .live = true},
	{"MaxMessageSize", PROPERTY_NUMBER, "octets", 464, 65535, 1400, AT(exporter.max_message),
	 .meaning = "an IPFIX Message at most; less where the path to the collector takes less",
	 .live = true},
	{"EnterpriseNumber", PROPERTY_NUMBER, NULL, 1, UINT32_MAX, 32473, AT(exporter.enterprise),
	 .meaning = "whose our own information elements are; 32473 is the number for examples"},
	{"ObservationDomainId", PROPERTY_NUMBER, NULL, 0, UINT32_MAX, 0, AT(exporter.domain),
	 .meaning = "names this exporter in every message", .zero = "chosen at start"},
	{"Capture", PROPERTY_WORD, .standard = CAPTURE_RING, AT(capture), .words = captures},
	{"RingSize", PROPERTY_NUMBER, "octets", 65536, 1 << 30, 0, AT(ring_octets),
	 .meaning = "receive buffer of each interface", .zero = "the packet source chooses"},
	{"SnapLength", PROPERTY_NUMBER, "octets", 64, 2048, 0, AT(snap_octets),
	 .meaning = "kept of each packet for reading its headers", .zero = "the packet source chooses"},
	{"Tls", PROPERTY_OBJECT, .meaning = "how collectors over TLS and DTLS are spoken to"},
	{"Tls.Certificate", PROPERTY_TEXT, "the path of a PEM file", TEXT_AT(exporter.tls.certificate),
	 .meaning = "shown to the collector", .zero = "no TLS, no DTLS", .live = true},
	{"Tls.Key", PROPERTY_TEXT, "the path of a PEM file", TEXT_AT(exporter.tls.key),
	 .meaning = "the private key of the certificate", .zero = "no TLS, no DTLS", .live = true},
	{"Tls.Ca", PROPERTY_TEXT, "the path of a PEM file", TEXT_AT(exporter.tls.ca),
	 .meaning = "who may have signed the collector's certificate", .zero = "no TLS, no DTLS",
	 .live = true},
	{"Tls.ServerName", PROPERTY_TEXT, "a name", TEXT_AT(exporter.tls.server_name),
	 .meaning = "the name that the collector's certificate must be for",
	 .zero = "the collector's certificate must be for its host", .live = true},
	{"Tls.AllowedNames", PROPERTY_ALLOWED,
	 .meaning = "one of these must be the common name or a DNS name of the collector's certificate",
	 .zero = "the name of the host, or ServerName, counts", .live = true},
	{"Tls.MinimumVersion", PROPERTY_WORD, .standard = TLS_AT_LEAST_1_2, AT(exporter.tls.minimum),
	 .words = versions, .live = true},
};

const size_t property_count = sizeof properties / sizeof *properties;

const char *property_leaf(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

const struct property *property_find(const char *name)
{
	for (size_t i = 0; i < property_count; i++)
		if (strcmp(properties[i].name, name) == 0)
			return &properties[i];
	return NULL;
}

enum { DISTANCE_LENGTH = 64 };

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned edit_distance(const char *a, const char *b)
{
	unsigned rows[3][DISTANCE_LENGTH];
	unsigned *two_back = rows[0], *back = rows[1], *row = rows[2];
	const size_t a_length = strnlen(a, DISTANCE_LENGTH - 1), b_length = strnlen(b, DISTANCE_LENGTH - 1);

	for (size_t j = 0; j <= b_length; j++)
		back[j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			const int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);

			row[j] = least(least(back[j], row[j - 1]) + 1, back[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
			    tolower((unsigned char)a[i - 2]) == y)
				row[j] = least(row[j], two_back[j - 2] + 1);
		}
		unsigned *const free_row = two_back;
		two_back = back;
		back = row;
		row = free_row;
	}
	return back[b_length];
}

static size_t common_prefix(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && tolower((unsigned char)a[n]) == tolower((unsigned char)b[n]))
		n++;
	return n;
}

static bool same_object(const char *a, const char *b)
{
	const size_t length = (size_t)(property_leaf(a) - a);

	return length == (size_t)(property_leaf(b) - b) && memcmp(a, b, length) == 0;
}

const struct property *property_nearest(const char *name, unsigned *distance)
{
	const struct property *best = NULL;
	unsigned best_distance = 0;

	for (size_t i = 0; i < property_count; i++) {
		const struct property *p = &properties[i];
		const unsigned d = edit_distance(name, p->name);

		if (!same_object(name, p->name))
			continue;
		if (!best || d < best_distance ||
		    (d == best_distance && common_prefix(name, p->name) > common_prefix(name, best->name))) {
			best = p;
			best_distance = d;
		}
	}
	if (distance)
		*distance = best_distance;
	return best;
}

struct selector_chain *property_chain(const struct property *p, struct settings *settings)
{
	return (struct selector_chain *)((char *)settings + p->offset);
}

bool property_in_list(const struct property *p)
{
	return strstr(p->name, "[]") != NULL;
}

char *property_text(const struct property *p, struct settings *settings)
{
	return (char *)settings + p->offset;
}

void property_set(const struct property *p, struct settings *settings, int64_t value)
{
	char *member = (char *)settings + p->offset;

	value *= p->scale;
	switch (p->size) {
	case sizeof(uint8_t): *(uint8_t *)member = (uint8_t)value; break;
	case sizeof(uint16_t): *(uint16_t *)member = (uint16_t)value; break;
	case sizeof(uint32_t): *(uint32_t *)member = (uint32_t)value; break;
	case sizeof(int64_t): *(int64_t *)member = value; break;
	}
}

int64_t property_get(const struct property *p, const struct settings *settings)
{
	const char *member = (const char *)settings + p->offset;

	switch (p->size) {
	case sizeof(uint8_t): return *(const uint8_t *)member / p->scale;
	case sizeof(uint16_t): return *(const uint16_t *)member / p->scale;
	case sizeof(uint32_t): return *(const uint32_t *)member / p->scale;
	case sizeof(int64_t): return *(const int64_t *)member / p->scale;
	}
	return 0;
}

static void allowed_words(const struct property *p, char *out, size_t size)
{
	size_t used = 0;

	for (const struct property_word *w = p->words; w->word && used < size; w++)
		used += (size_t)snprintf(out + used, size - used, "%s\"%s\"",
					 w == p->words ? "" : (w[1].word ? ", " : " or "), w->word);
}

void property_allowed(const struct property *p, char *out, size_t size)
{
	switch (p->type) {
	case PROPERTY_FLAG: snprintf(out, size, "true or false"); break;
	case PROPERTY_WORD: allowed_words(p, out, size); break;
	case PROPERTY_NUMBER:
		snprintf(out, size, "%s%lld to %lld%s%s%s", p->zero && p->minimum > 0 ? "0 or " : "",
			 (long long)p->minimum, (long long)p->maximum, p->unit ? " (" : "",
			 p->unit ? p->unit : "", p->unit ? ")" : "");
		break;
	case PROPERTY_COLLECTORS: snprintf(out, size, "a list of collectors [ \"Udp/HOST:PORT\", … ]"); break;
	case PROPERTY_GROUPS: snprintf(out, size, "a list of numbers from 0 to 65535 [ 5, … ]"); break;
	case PROPERTY_PREFIXES: snprintf(out, size, "a list of prefixes [ \"acl:=acl\", … ]"); break;
	case PROPERTY_NAMES: snprintf(out, size, "a list of interfaces [ \"wg0\", … ]"); break;
	case PROPERTY_TEXT: snprintf(out, size, "a string (%s)", p->unit); break;
	case PROPERTY_ALLOWED:
		snprintf(out, size, "a list of names in certificates [ \"flows.example\", … ]");
		break;
	case PROPERTY_CHAIN: snprintf(out, size, "a list of selectors [ \"Count/1/100\", … ]"); break;
	case PROPERTY_OBJECT: snprintf(out, size, "an object { … }"); break;
	}
}
