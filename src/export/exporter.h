/* exporter.h: the Exporting Process (RFC 5470 section 5.5, RFC 7011): flow records in, IPFIX Messages out to
 * every collector, each with its own Transport Session, sequence, templates and timers.
 *
 * The seam to the Metering Process is a ring of encoded Data Records (export/ring.h): exporter_put encodes
 * and queues, exporter_service sends. Both are called from one thread today; the ring lets them live in two
 * processes. */
#pragma once

#include "base/error.h"
#include "base/log.h"
#include "meter/meter.h"
#include "observe/point.h"
#include "observe/source.h"
#include "transport/transport.h"

enum { COLLECTOR_MAX = 16, SPOOL_PATH_MAX = 256 };

struct exporter_options {
	struct endpoint collector[COLLECTOR_MAX];
	uint8_t group[COLLECTOR_MAX]; /* 0: by itself; else its failover group: neighbours with the same
					 number, the first is the primary */
	uint32_t collector_count;
	int64_t failover_hold_ns;          /* a better member that is back is left alone for so long */
	char spool_folder[SPOOL_PATH_MAX]; /* empty: no spool */
	uint64_t spool_size;               /* octets, of each collector or group */
	uint32_t spool_rate;               /* flow records a second that come back; 0: no bound */
	uint32_t domain;                   /* Observation Domain ID */
	uint32_t point_domain;             /* of the points that options records tell of (observe/point.h) */
	uint32_t forms;                    /* FORM_… of export/layout.h: what records have besides */
	const struct selection *selection; /* which packets are metered, to tell of it; outlives the exporter.
					      NULL: all */
	struct selector_chain records;     /* which records are exported; count 0: all */
	uint32_t enterprise;               /* Private Enterprise Number of our own elements; 0: WEIR_PEN */
	int64_t template_refresh_ns;       /* UDP: all templates again at least this often (0: 60 s) … */
	uint32_t template_refresh_messages; /* … and after this many messages (0: by time alone) */
	int64_t options_refresh_ns; /* statistics and interface options again, every transport; 0: with
				       the templates, and at the end */
	uint16_t max_message;       /* cap on a message's octets over the network; 0: none */
	bool packet_time; /* the times given to service and finish are those of a capture file: IPFIX files
			     carry them; to a collector over the network real time is told, which drives its
			     timers */
	int64_t reconnect_ns;   /* between tries to connect, over TCP, TLS and SCTP; 0: a minute */
	int64_t lifetime_ns;    /* SCTP: data that waited longer is given up; 0: never */
	struct tls_options tls; /* of the collectors over TLS and DTLS */
	uint32_t ring_octets;   /* size of the record ring, rounded up to a power of two; 0 = 4 MiB */
};

struct interface_errors;
struct owners;

/* What the device knows about itself, for the options records of RFC 7011 section 4 and the interface table.
 */
struct exporter_control {
	struct meter_statistics meter;
	struct source_statistics source;
	int64_t started_wall_ms;      /* of the device; 0: when the exporter was made, by its first service */
	int64_t idle_ns, interval_ns; /* the meter's timeouts, as in struct meter_options */
	const struct interface_errors *errors; /* borrowed until the exporter is freed; NULL: not told */
};

/* Counters of one collector's session since the start. */
struct session_statistics {
	uint64_t messages, octets;
	uint64_t data_records; /* flow and options data records handed to the transport, again ones too */
	uint64_t flow_records; /* … taken by the peer's transport, where ours can tell */
	uint64_t not_sent_flows, not_sent_packets, not_sent_octets; /* given up, or unsure */
	uint64_t unsure_flows; /* of flow_records and of not_sent_flows: acknowledged, perhaps never read */
	int64_t first_not_sent_ms, last_not_sent_ms; /* 0: never */
	uint64_t errors;                             /* sends that failed (ICMP refusal, no route …) */
	uint64_t template_refreshes;
	uint64_t switches;                        /* of a failover group, from one member to another */
	uint64_t spooled_flows;                   /* written to the spool … */
	uint64_t replayed_flows;                  /* … and sent from there, also what earlier runs wrote */
	uint64_t spool_octets;                    /* now */
	uint64_t spool_set_aside, spool_failures; /* files that were not believed; writes that failed */
};

struct exporter;
struct record_selector_item;

MUST_CHECK enum status exporter_new(struct exporter **out, const struct exporter_options *options,
				    const struct point_table *points, const struct logger *log,
				    struct error *err);

/* A flow_sink: encode the record into the ring. When the ring is full it is drained through
 * exporter_service's path at once; what still finds no room is counted as not sent for every collector. */
void exporter_put(void *exporter, const struct flow_record *record);

/* exporter_put in two halves, for a meter in another thread: it encodes into a ring of its own, which reads
 * only what never changes in an exporter (false: no room); what it has encoded is queued by the exporter's
 * thread, after the first exporter_service. Not for refused frames, nor where
 * records are selected, nor with FORM_PROCESS. */
struct ring;
struct ring_view;
MUST_CHECK bool exporter_encode(const struct exporter *exporter, const struct flow_record *record,
				struct ring *ring);
void exporter_put_encoded(struct exporter *exporter, const struct ring_view *record);

/* Who knows process and user of a flow, for records with FORM_PROCESS; must outlive the exporter's last
 * record. NULL: nobody. */
void exporter_set_owners(struct exporter *exporter, const struct owners *owners);

/* Give control information anew; the next options refresh carries it. */
void exporter_control(struct exporter *exporter, const struct exporter_control *control);

/* The interface table changed: send it with the next message. */
void exporter_interfaces_changed(struct exporter *exporter);

/* Send what the ring holds; refresh templates and options that are due; send messages that have waited long
 * enough (one second) although not full. `now` drives timers, `wall` becomes Export Time. */
void exporter_service(struct exporter *exporter, struct mono_ns now, struct wall_ns wall);

/* The last service ended because it had sent its share, not because there was nothing left: serve the packet
 * sources, then call it again without waiting. */
bool exporter_busy(const struct exporter *exporter);

/* A descriptor that is readable when a collector's connection wants exporter_service: it has room again,
 * spoke or ended. Each service empties it. -1: there is none. The exporter's. */
int exporter_poll_fd(const struct exporter *exporter);

/* Records wait for what no descriptor tells: that the peer acknowledges what is in flight. Call
 * exporter_service again within milliseconds. */
bool exporter_waits(const struct exporter *exporter);

/* Go on with other options: sessions whose collectors and settings did not change are left as they are,
 * others end, in order, or begin. A session that is made anew because of its settings takes over what waits
 * for it. What is said of records (domain, enterprise number, …), ring and packet_time stay as they were. On
 * an error nothing has changed.
 */
MUST_CHECK enum status exporter_reload(struct exporter *exporter, const struct exporter_options *options,
				       struct error *err);

/* Send everything that is left, with a last set of statistics, whatever the timers say; then end the
 * connections, and wait until the collectors have read all of it, which they say by ending theirs. Over a
 * file an error that cost records is answered here. A collector that takes nothing is waited for two seconds,
 * one that does not end its side for five. */
MUST_CHECK enum status exporter_finish(struct exporter *exporter, struct mono_ns now, struct wall_ns wall,
				       struct error *err);

/* The same in steps, for several exporters at once: begin, then turns until it is done, with a wait between
 * them; then exporter_finish. */
void exporter_finish_begin(struct exporter *exporter, struct mono_ns now, struct wall_ns wall);
bool exporter_finish_turn(struct exporter *exporter);       /* true: done */
void exporter_finish_wait(const struct exporter *exporter); /* milliseconds, for one that is not done */

void exporter_free(struct exporter *exporter);

/* Selector `index` of the records (export/record_selection.h). False: there are no more. */
bool exporter_record_selector(const struct exporter *exporter, uint32_t index,
			      struct record_selector_item *out);

/* A session is a collector or a failover group. */
uint32_t exporter_session_count(const struct exporter *exporter);
void exporter_session_statistics(const struct exporter *exporter, uint32_t session,
				 struct session_statistics *out);

/* The member in use. */
const struct endpoint *exporter_session_endpoint(const struct exporter *exporter, uint32_t session);

/* All of them, in order of priority; NULL behind the last. */
const struct endpoint *exporter_session_member(const struct exporter *exporter, uint32_t session,
					       uint32_t member);

/* Local and remote address of a member of a session, to keep its own traffic out of the meter. false: not
 * known (yet), or a file. */
bool exporter_session_addresses(const struct exporter *exporter, uint32_t session, uint32_t member,
				struct sockaddr_storage *local, struct sockaddr_storage *remote);
