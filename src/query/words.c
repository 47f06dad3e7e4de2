#include "query/words.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SOURCE                                                                                               \
	{                                                                                                    \
		"{sourceIPv4Address}", "{sourceIPv6Address}"                                                 \
	}
#define DESTINATION                                                                                          \
	{                                                                                                    \
		"{destinationIPv4Address}", "{destinationIPv6Address}"                                       \
	}
#define PEER(version)                                                                                        \
	"CASE {flowDirection} WHEN 1 THEN {destination" version "Address} WHEN 0 THEN {source" version       \
	"Address} END"
#define MILLISECONDS "(epoch_ms({flowEnd}) - epoch_ms({flowStart}))"
#define ICMP         "coalesce({icmpTypeCodeIPv4}, {icmpTypeCodeIPv6})"

#define PROTOCOL_WORD(word, text, is)                                                                        \
	{                                                                                                    \
		.name = word, .type = WORD_BARE, .sql = {{"{protocolIdentifier} = " is}}, .help = text       \
	}

const struct word words[] = {
	{.name = "src",
	 .also = "source",
	 .type = WORD_ADDRESS,
	 .sql = {SOURCE},
	 .help = "source address or prefix; before host, net, port, as: their source"},
	{.name = "dst",
	 .also = "destination",
	 .type = WORD_ADDRESS,
	 .sql = {DESTINATION},
	 .help = "destination address or prefix; before host, net, port, as: their destination"},
	{.name = "host",
	 .also = "ip",
	 .type = WORD_ADDRESS,
	 .sided = true,
	 .sql = {SOURCE, DESTINATION},
	 .help = "an address on either side"},
	{.name = "net",
	 .also = "prefix",
	 .type = WORD_ADDRESS,
	 .sided = true,
	 .sql = {SOURCE, DESTINATION},
	 .help = "a prefix on either side: net 10.0.0.0/8"},
	{.name = "peer",
	 .type = WORD_ADDRESS,
	 .sql = {{PEER("IPv4"), PEER("IPv6")}},
	 .help = "the far end: destination of egress, source of ingress"},
	{.name = "port",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED16,
	 .sided = true,
	 .sql = {{"{sourceTransportPort}"}, {"{destinationTransportPort}"}},
	 /* least() is by far slower: it compares texts made of its values */
	 .group = {"CASE WHEN {sourceTransportPort} <= {destinationTransportPort} OR "
		   "{destinationTransportPort} "
		   "IS NULL THEN {sourceTransportPort} ELSE {destinationTransportPort} END"},
	 .help = "a port on either side; in --by the lower one, as a rule the service's"},
	{.name = "srcport",
	 .also = "sport",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED16,
	 .sql = {{"{sourceTransportPort}"}},
	 .help = "source port"},
	{.name = "dstport",
	 .also = "dport",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED16,
	 .sql = {{"{destinationTransportPort}"}},
	 .help = "destination port"},
	{.name = "proto",
	 .also = "protocol",
	 .type = WORD_PROTOCOL,
	 .kind = COLUMN_UNSIGNED8,
	 .sql = {{"{protocolIdentifier}"}},
	 .help = "protocol by name or number: proto udp, proto 47"},
	PROTOCOL_WORD("tcp", "the same as proto tcp", "6"),
	PROTOCOL_WORD("udp", "the same as proto udp", "17"),
	PROTOCOL_WORD("sctp", "the same as proto sctp", "132"),
	PROTOCOL_WORD("icmp", "the same as proto icmp", "1"),
	PROTOCOL_WORD("icmp6", "the same as proto icmp6", "58"),
	{.name = "ipv4",
	 .also = "inet",
	 .type = WORD_BARE,
	 .sql = {{"coalesce({sourceIPv4Address}, {destinationIPv4Address}) IS NOT NULL"}},
	 .help = "records with IPv4 addresses"},
	{.name = "ipv6",
	 .also = "inet6",
	 .type = WORD_BARE,
	 .sql = {{"coalesce({sourceIPv6Address}, {destinationIPv6Address}) IS NOT NULL"}},
	 .help = "records with IPv6 addresses"},
	{.name = "flags",
	 .type = WORD_FLAGS,
	 .kind = COLUMN_UNSIGNED16,
	 .sql = {{"{tcpControlBits}"}},
	 .help = "TCP flags, all of them set, others do not matter: U A P R S F E C; = compares all eight"},
	{.name = "icmptype",
	 .also = "icmp-type",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED8,
	 .sql = {{"(" ICMP " // 256)"}},
	 .help = "ICMP or ICMPv6 type"},
	{.name = "icmpcode",
	 .also = "icmp-code",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED8,
	 .sql = {{"(" ICMP " % 256)"}},
	 .help = "ICMP or ICMPv6 code"},
	{.name = "tos",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED8,
	 .sql = {{"{ipClassOfService}"}},
	 .help = "the octet of DSCP and ECN"},
	{.name = "dscp",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED8,
	 .sql = {{"({ipClassOfService} // 4)"}},
	 .help = "DSCP, 0 to 63"},
	{.name = "octets",
	 .also = "bytes",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED64,
	 .sql = {{"{octetDeltaCount}"}},
	 .help = "octets of the record"},
	{.name = "packets",
	 .also = "pkts",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED64,
	 .sql = {{"{packetDeltaCount}"}},
	 .help = "packets of the record"},
	{.name = "duration",
	 .type = WORD_DURATION,
	 .sql = {{MILLISECONDS}},
	 .help = "from first to last packet, with its unit: duration > 5s"},
	{.name = "bps",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED64,
	 .sql = {{"({octetDeltaCount} * 8000.0 / nullif(" MILLISECONDS ", 0))"}},
	 .help = "bits per second; none where the duration is 0"},
	{.name = "pps",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED64,
	 .sql = {{"({packetDeltaCount} * 1000.0 / nullif(" MILLISECONDS ", 0))"}},
	 .help = "packets per second; none where the duration is 0"},
	{.name = "bpp",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED64,
	 .sql = {{"({octetDeltaCount} / nullif({packetDeltaCount}, 0))"}},
	 .help = "octets per packet"},
	{.name = "start",
	 .type = WORD_TIME,
	 .sql = {{"{flowStart}"}},
	 .help = "time of the first packet: start >= 2026-11-22T10:00:00Z"},
	{.name = "end", .type = WORD_TIME, .sql = {{"{flowEnd}"}}, .help = "time of the last packet"},
	{.name = "received",
	 .type = WORD_TIME,
	 .sql = {{"{receiveTime}"}},
	 .help = "time at which the collector had the record"},
	{.name = "time",
	 .type = WORD_BUCKET,
	 .sql = {{"{flowStart}"}},
	 .help = "only in --by: start of the flow in steps: time 5m"},
	{.name = "dir",
	 .also = "direction",
	 .type = WORD_DIRECTION,
	 .kind = COLUMN_UNSIGNED8,
	 .sql = {{"{flowDirection}"}},
	 .help = "ingress (in) or egress (out)"},
	{.name = "denied", .type = WORD_BARE, .sql = {{"{denied}"}}, .help = "refused by policy"},
	{.name = "rule",
	 .type = WORD_TEXT,
	 .sql = {{"{denialRuleName}"}},
	 .help = "name of the rule that refused"},
	{.name = "reason",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED8,
	 .sql = {{"{denialReason}"}},
	 .help = "why it was refused, by the numbers of denialReason: 1 dropped, 2 rejected, 3 no peer"},
	{.name = "endreason",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED8,
	 .sql = {{"{flowEndReason}"}},
	 .help = "why the record ended: 1 idle, 2 interim, 3 end seen, 4 forced, 5 want of room"},
	{.name = "if",
	 .also = "interface",
	 .type = WORD_INTERFACE,
	 .kind = COLUMN_UNSIGNED32,
	 .sided = true,
	 .sql = {{"{ingressInterface}", "{ingressInterface_name}"},
		 {"{egressInterface}", "{egressInterface_name}"}},
	 .group = {"coalesce({egressInterface}, {ingressInterface})"},
	 .help = "interface by number or name; in or out may stand in front"},
	{.name = "as",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED32,
	 .sided = true,
	 .sql = {{"{bgpSourceAsNumber}"}, {"{bgpDestinationAsNumber}"}},
	 .help = "number of an autonomous system"},
	{.name = "vlan",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED16,
	 .sql = {{"{vlanId}"}},
	 .help = "VLAN"},
	{.name = "exporter",
	 .type = WORD_EXPORTER,
	 .sql = {{"{exporterAddress}"}},
	 .help = "address that the record came from"},
	{.name = "domain",
	 .type = WORD_NUMBER,
	 .kind = COLUMN_UNSIGNED32,
	 .sql = {{"{observationDomainId}"}},
	 .help = "observation domain"},
	{.name = "any", .type = WORD_BARE, .sql = {{"true"}}, .help = "every record"},
};

const size_t word_count = sizeof words / sizeof words[0];

static bool same(const char *word, const char *name, size_t length)
{
	return word && strlen(word) == length && strncasecmp(word, name, length) == 0;
}

const struct word *word_find(const char *name, size_t length)
{
	for (size_t i = 0; i < word_count; i++)
		if (same(words[i].name, name, length) || same(words[i].also, name, length))
			return &words[i];
	return NULL;
}

static enum word_type type_of(enum column_kind kind)
{
	static const unsigned char of[COLUMN_KIND_COUNT] = {
		[COLUMN_UNSIGNED8] = WORD_NUMBER,  [COLUMN_UNSIGNED16] = WORD_NUMBER,
		[COLUMN_UNSIGNED32] = WORD_NUMBER, [COLUMN_UNSIGNED64] = WORD_NUMBER,
		[COLUMN_SIGNED8] = WORD_SIGNED,    [COLUMN_SIGNED16] = WORD_SIGNED,
		[COLUMN_SIGNED32] = WORD_SIGNED,   [COLUMN_SIGNED64] = WORD_SIGNED,
		[COLUMN_FLOAT32] = WORD_REAL,      [COLUMN_FLOAT64] = WORD_REAL,
		[COLUMN_BOOLEAN] = WORD_BOOLEAN,   [COLUMN_IPV4] = WORD_IPV4,
		[COLUMN_IPV6] = WORD_IPV6,         [COLUMN_TIME_MS] = WORD_TIME,
		[COLUMN_TIME_US] = WORD_TIME,      [COLUMN_TIME_NS] = WORD_TIME,
		[COLUMN_STRING] = WORD_TEXT,       [COLUMN_TEXT] = WORD_TEXT,
		[COLUMN_BLOB] = WORD_OCTETS,
	};

	return (enum word_type)of[kind];
}

/* What the view has beside elements and base columns. */
static const struct column view_columns[] = {
	{"sourceAddress", COLUMN_STRING}, {"destinationAddress", COLUMN_STRING},
	{"flowStart", COLUMN_TIME_US},    {"flowEnd", COLUMN_TIME_US},
	{"denied", COLUMN_BOOLEAN},
};

static bool find_in(struct column *out, const struct column *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(list[i].name, name) == 0) {
			*out = list[i];
			return true;
		}
	return false;
}

static const struct information_element *element_named(const char *name)
{
	for (size_t i = 0; i < ie_registry_count; i++)
		if (strcasecmp(ie_registry[i].name, name) == 0)
			return &ie_registry[i];
	return NULL;
}

/* e<PEN>.<id>, both without a zero in front. */
static bool is_unknown_element(const char *name)
{
	unsigned pen, id;
	char again[COLUMN_NAME_MAX];

	if (sscanf(name, "e%10u.%5u", &pen, &id) != 2)
		return false;
	snprintf(again, sizeof again, "e%u.%u", pen, id);
	return strcmp(again, name) == 0;
}

/* The kind that column.h gives to <name>_<word>. */
static bool derived_kind(const char *word, enum column_kind base, enum column_kind *out)
{
	if (strcmp(word, "scaled") == 0)
		*out = COLUMN_UNSIGNED64;
	else if (strcmp(word, "time") == 0)
		*out = COLUMN_TIME_MS;
	else if (strcmp(word, "name") == 0)
		*out = COLUMN_STRING;
	else if (word[0] >= '1' && word[0] <= '9' && strlen(word) <= 4 &&
		 strspn(word, "0123456789") == strlen(word))
		*out = base;
	else
		return false;
	return true;
}

bool word_element(struct column *out, enum word_type *type, const char *name, size_t length)
{
	char plain[COLUMN_NAME_MAX], *mark;
	bool reverse = false;

	if (length >= sizeof plain || length == 0)
		return false;
	memcpy(plain, name, length);
	plain[length] = '\0';
	*out = (struct column){.kind = COLUMN_BLOB};
	if (find_in(out, base_columns, BASE_COLUMN_COUNT, plain) ||
	    find_in(out, view_columns, sizeof view_columns / sizeof view_columns[0], plain)) {
		*type = type_of((enum column_kind)out->kind);
		return true;
	}
	mark = strchr(plain, '_');
	if (mark)
		*mark++ = '\0';
	if (is_unknown_element(plain)) {
		snprintf(out->name, sizeof out->name, "%s", plain);
	} else {
		const struct information_element *e = element_named(plain);

		if (!e && strncasecmp(plain, "reverse", 7) == 0) {
			reverse = true;
			e = element_named(plain + 7);
		}
		if (!e || (size_t)snprintf(out->name, sizeof out->name, "%s%s", reverse ? "reverse" : "",
					   e->name) >= sizeof out->name)
			return false;
		if (reverse)
			out->name[7] = (char)toupper((unsigned char)out->name[7]);
		out->kind = (uint8_t)column_kind_of((enum ie_type)e->type);
	}
	if (mark) {
		enum column_kind kind;
		const size_t used = strlen(out->name);

		if (!derived_kind(mark, (enum column_kind)out->kind, &kind) ||
		    used + strlen(mark) + 2 > sizeof out->name)
			return false;
		snprintf(out->name + used, sizeof out->name - used, "_%s", mark);
		out->kind = (uint8_t)kind;
	}
	*type = type_of((enum column_kind)out->kind);
	return true;
}

/* Letters to add, leave out or change to get from one to the other, in any case. */
static unsigned distance(const char *a, size_t a_length, const char *b)
{
	enum { LONGEST = 48 };
	unsigned row[LONGEST + 1];
	const size_t b_length = strlen(b);

	if (a_length > LONGEST || b_length > LONGEST)
		return LONGEST;
	for (unsigned j = 0; j <= b_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			const unsigned above = row[j];
			const bool equal =
				tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
			unsigned best = diagonal + !equal;

			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[b_length];
}

static void nearer(const char **best, unsigned *best_distance, const char *name, size_t length,
		   const char *candidate)
{
	const size_t other = candidate ? strlen(candidate) : 0;

	if (!candidate || other >= length + *best_distance || length >= other + *best_distance)
		return; /* the lengths alone are too far apart */
	const unsigned d = distance(name, length, candidate);
	if (d < *best_distance) {
		*best = candidate;
		*best_distance = d;
	}
}

const char *word_nearest(const char *name, size_t length, const char *const *more)
{
	const char *best = NULL;
	unsigned best_distance = length < 3 ? 2 : length < 8 ? 3 : 5;

	for (; more && *more; more++)
		nearer(&best, &best_distance, name, length, *more);
	for (size_t i = 0; i < word_count; i++) {
		nearer(&best, &best_distance, name, length, words[i].name);
		nearer(&best, &best_distance, name, length, words[i].also);
	}
	for (size_t i = 0; i < ie_registry_count; i++)
		nearer(&best, &best_distance, name, length, ie_registry[i].name);
	return best;
}

const char *word_side_name(const struct word *w, enum side side)
{
	const bool interface = w && w->type == WORD_INTERFACE;

	if (side == SIDE_EITHER)
		return "";
	return side == SIDE_SOURCE ? (interface ? "in" : "src") : (interface ? "out" : "dst");
}

void word_column_sql(struct sql *sql, const char *name, enum column_kind kind, const struct schema *schema)
{
	if (schema && schema_find(schema, name) < 0)
		sql_format(sql, "CAST(NULL AS %s)", column_sql_type(kind));
	else
		sql_name(sql, name);
}

void word_sql(struct sql *sql, const char *text, const struct schema *schema)
{
	for (;;) {
		const size_t plain = strcspn(text, "{");
		char name[COLUMN_NAME_MAX];
		struct column column;
		enum word_type type;

		sql_format(sql, "%.*s", (int)plain, text);
		text += plain;
		if (!*text)
			return;
		const size_t length = strcspn(++text, "}");
		snprintf(name, sizeof name, "%.*s", (int)length, text);
		if (!word_element(&column, &type, name, strlen(name))) { /* an element that has yet to come */
			snprintf(column.name, sizeof column.name, "%s", name);
			column.kind = COLUMN_STRING;
		}
		word_column_sql(sql, column.name, (enum column_kind)column.kind, schema);
		text += length + (text[length] == '}');
	}
}
