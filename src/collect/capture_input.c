#include "collect/capture_input.h"

#include <pcap/pcap.h>
#include <stdlib.h>

#include "collect/payload.h"
#include "collect/stream.h"

enum { BUCKETS = 1024, PORT_IPFIX = 4739 };

/* One Transport Session as seen from its source. */
struct peer {
	struct payload_flow flow;
	struct session *session;
	struct stream stream; /* TCP */
	struct peer *chain;
};

struct capture_input {
	pcap_t *pcap;
	int link;
	struct session_limits limits;
	struct capture_stats stats;
	struct stream_stats streams;
	struct session_stats ended; /* of sessions that are gone */
	const struct session_sink *sink;
	struct peer *current; /* whose stream is being read */
	int64_t now;
	struct peer *buckets[BUCKETS];
};

enum status capture_input_open(struct capture_input **out, FILE *file, const char *name,
			       const struct session_limits *limits, struct error *err)
{
	char text[PCAP_ERRBUF_SIZE];
	struct capture_input *in = calloc(1, sizeof *in);

	*out = NULL;
	if (!in)
		return error_set(err, ERR_MEMORY, "%s: no memory", name);
	in->limits = *limits;
	in->pcap = pcap_fopen_offline(file, text);
	if (!in->pcap) {
		free(in);
		return error_set(err, ERR_FORMAT, "%s: %s", name, text);
	}
	in->link = pcap_datalink(in->pcap);
	if (!payload_link_known(in->link)) {
		const char *link = pcap_datalink_val_to_name(in->link);

		error_set(err, ERR_UNSUPPORTED,
			  "%s: link type %d (%s) is not read here: Ethernet, RAW, NULL, LOOP, SLL, SLL2 are",
			  name, in->link, link ? link : "no name");
		capture_input_close(in);
		return ERR_UNSUPPORTED;
	}
	*out = in;
	return OK;
}

static void free_peer(struct peer *p)
{
	session_free(p->session);
	stream_fini(&p->stream);
	free(p);
}

struct capture_input *capture_input_close(struct capture_input *in)
{
	if (!in)
		return NULL;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct peer *p = in->buckets[i], *next; p; p = next) {
			next = p->chain;
			free_peer(p);
		}
	}
	pcap_close(in->pcap);
	free(in);
	return NULL;
}

static struct peer **bucket_of(struct capture_input *in, const struct payload_flow *flow)
{
	const uint8_t *octets = (const uint8_t *)flow;
	uint64_t h = in->limits.templates.seed;

	for (size_t i = 0; i < sizeof *flow; i++)
		h = (h ^ octets[i]) * 0x100000001b3u;
	return &in->buckets[(h ^ h >> 32) % BUCKETS];
}

/* NULL: there is none. */
static struct peer *find_peer(struct capture_input *in, const struct payload_flow *flow)
{
	struct peer *p = *bucket_of(in, flow);

	while (p && memcmp(&p->flow, flow, sizeof *flow) != 0)
		p = p->chain;
	return p;
}

/* NULL: over the limit, or no memory. */
static struct peer *add_peer(struct capture_input *in, const struct payload_flow *flow)
{
	struct peer **bucket = bucket_of(in, flow);
	struct peer *p = NULL;

	if (in->stats.sessions >= CAPTURE_SESSIONS_MAX || !(p = calloc(1, sizeof *p))) {
		in->stats.refused++;
		return NULL;
	}
	p->flow = *flow;
	p->chain = *bucket;
	*bucket = p;
	in->stats.sessions++;
	return p;
}

static void feed(struct capture_input *in, struct peer *p, enum template_rules rules, struct span message)
{
	if (!p->session && session_new(&p->session, rules, &in->limits) != OK) {
		in->stats.refused++;
		return;
	}
	session_message(p->session, message, in->now, in->sink);
}

static void take_datagram(struct capture_input *in, const struct payload *d, bool cut)
{
	const uint16_t version = d->octets.length >= 2 ? get_be16(d->octets.data) : 0;
	const uint16_t count = d->octets.length >= 4 ? get_be16(d->octets.data + 2) : 0;

	if (version != IPFIX_VERSION) {
		in->stats.not_ipfix++;
		in->stats.netflow5 += version == 5 && d->octets.length == 24 + 48 * (size_t)count;
		in->stats.netflow9 += version == 9 && d->octets.length >= 24 && count;
		return;
	}
	if (cut) {
		in->stats.cut++;
		return;
	}

	struct peer *p = find_peer(in, &d->flow);
	if (!p)
		p = add_peer(in, &d->flow);
	if (p)
		feed(in, p, TEMPLATE_RULES_DATAGRAM, d->octets);
}

static void take_stream_message(void *arg, struct span message)
{
	struct capture_input *in = arg;

	feed(in, in->current, TEMPLATE_RULES_STREAM, message);
}

/* The connection begins (again): nothing of an earlier one between the same ports holds. */
static void begin_stream(struct capture_input *in, struct peer *p, uint32_t sequence, bool anywhere)
{
	if (p->session)
		session_stats_add(&in->ended, session_stats(p->session));
	p->session = session_free(p->session);
	stream_fini(&p->stream);
	stream_begin(&p->stream, sequence, anywhere);
}

static void take_segment(struct capture_input *in, const struct payload *segment, bool cut)
{
	const struct payload_flow *flow = &segment->flow;
	const bool known_port = flow->destination_port == PORT_IPFIX || flow->source_port == PORT_IPFIX;
	struct peer *p = find_peer(in, flow);
	uint32_t sequence = segment->sequence;

	if (!p && (segment->octets.length || segment->flags & TCP_SYN)) {
		p = add_peer(in, flow);
		if (!p)
			return;
		begin_stream(in, p, sequence + (segment->flags & TCP_SYN ? 1 : 0),
			     known_port && !(segment->flags & TCP_SYN));
	} else if (p && segment->flags & TCP_SYN && p->stream.base != sequence + 1) {
		begin_stream(in, p, sequence + 1, false);
	}
	if (segment->flags & TCP_SYN)
		sequence++;
	if (!p || segment->octets.length == 0)
		return;
	in->stats.cut += cut && !p->stream.other;
	in->current = p;
	if (stream_segment(&p->stream, sequence, segment->octets, &in->streams, take_stream_message, in) !=
	    OK)
		in->stats.refused++;
	in->stats.not_ipfix += p->stream.other;
}

static void take_frame(struct capture_input *in, struct span frame)
{
	struct payload payload;
	const enum payload_result result = payload_find(in->link, frame, &payload);

	in->stats.frames++;
	if (result == PAYLOAD_FRAGMENT)
		in->stats.fragments++;
	else if (result == PAYLOAD_NONE)
		in->stats.not_ipfix++;
	else if (payload.flow.protocol == 6)
		take_segment(in, &payload, result == PAYLOAD_CUT);
	else
		take_datagram(in, &payload, result == PAYLOAD_CUT);
}

enum status capture_input_run(struct capture_input *in, const struct session_sink *sink, struct error *err)
{
	struct pcap_pkthdr *header;
	const u_char *octets;
	int result;

	in->sink = sink;
	while ((result = pcap_next_ex(in->pcap, &header, &octets)) == 1) {
		in->now = header->ts.tv_sec * NS_PER_S + header->ts.tv_usec * 1000LL;
		take_frame(in, span_of(octets, header->caplen));
	}
	in->stats.stream_lost = in->streams.lost;
	in->stats.stream_damage = in->streams.damaged;
	return result == PCAP_ERROR_BREAK
		       ? OK
		       : error_set(err, ERR_FORMAT, "after frame %llu: %s",
				   (unsigned long long)in->stats.frames, pcap_geterr(in->pcap));
}

const struct capture_stats *capture_input_stats(const struct capture_input *in)
{
	return &in->stats;
}

void capture_input_sessions(const struct capture_input *in, struct session_stats *sum)
{
	*sum = in->ended;
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct peer *p = in->buckets[i]; p; p = p->chain)
			if (p->session)
				session_stats_add(sum, session_stats(p->session));
}
