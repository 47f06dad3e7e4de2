/* session.h: one collector's Transport Session (RFC 7011 sections 3.1, 8 and 10): its sequence number, which
 * templates it was sent, what is due, and the message being filled.
 *
 * Records stay in the ring until the message that holds them was sent and, where the transport can tell, has
 * reached the peer's transport; so a message that has to be made smaller, sent again, or given up, needs no
 * copy. Each flow record is counted once: as sent when its message is confirmed, as not sent when it was
 * given up or its connection broke and its place in the ring was needed before. session.c sends data,
 * control.c templates and options. */
#pragma once

#include "export/exporter.h"
#include "export/flight.h"
#include "export/group.h"
#include "export/options.h"
#include "export/ring.h"
#include "export/run.h"
#include "export/spool.h"
#include "message/writer.h"
#include "observe/interface_errors.h"

#define FLOW_TEMPLATES ((1ULL << FLOW_LAYOUT_COUNT) - 1)

enum { TEMPLATE_COUNT = FLOW_LAYOUT_COUNT + OPTIONS_COUNT };
_Static_assert(TEMPLATE_COUNT <= 64, "sets of templates are 64-bit words");

/* What all sessions of an exporter share; owned by the exporter. */
struct session_context {
	struct exporter_options options;
	const struct point_table *points;      /* NULL: none */
	const struct interface_errors *errors; /* NULL: none */
	const struct logger *log;
	struct ring *ring;
	struct record_selection *records;     /* which are exported; NULL: all */
	size_t smallest_message;              /* holds every record behind its template */
	uint64_t own_templates;               /* by layout number: with enterprise elements of ours */
	struct options_facts facts;           /* the device's part; a session adds its own */
	struct layout layout[TEMPLATE_COUNT]; /* flow layouts, then options layouts */
};

struct moment {
	struct mono_ns now;
	struct wall_ns wall;
};

#define ELEMENTS_DONE  UINT32_MAX
#define SELECTION_DONE UINT32_MAX

/* What has to be sent besides flow records. */
struct due {
	uint64_t templates;        /* by layout number */
	uint64_t flow_keys;        /* by flow layout number */
	uint32_t options;          /* by enum options_kind, but for flow keys and interfaces */
	uint32_t point, end;       /* interface records of these points */
	uint32_t rule, rule_end;   /* records of these rules */
	uint32_t error, error_end; /* records of interface errors: two for each interface */
	uint32_t elements;         /* how many of our own elements are described; ELEMENTS_DONE: all */
	uint32_t selection; /* how many options records of the selection were sent; SELECTION_DONE: all */
};

/* A message being filled. */
struct outgoing {
	struct message_writer writer;
	uint64_t templates; /* inside, by layout number */
	uint8_t buffer[IPFIX_MESSAGE_MAX];
};

/* How far the end of a session is. */
enum ending { ENDING_RECORDS, ENDING_OPTIONS, ENDING_CONNECTIONS, ENDED };

struct session {
	struct endpoint endpoint;    /* of the member in use, */
	struct transport *transport; /* and its transport */
	struct group group;
	struct session_statistics statistics;
	uint64_t sent_to;  /* ring position: all before it was sent, as far as can be known, or given up */
	uint64_t taken_to; /* … all before it was taken by the transport: those between are in flight */
	uint64_t built_to; /* … all before it is in `data` */
	struct flights flights;
	struct acknowledged acknowledged; /* on the connection that is up, or was last */
	struct flight building;           /* what `data` holds */
	uint32_t sequence;                /* Data Records sent or given up (RFC 7011 3.1, 10.2.2) */
	uint32_t last_export_time, last_domain;
	uint32_t generation;
	bool file;             /* the endpoint is a path */
	bool started;          /* what a session begins with is due */
	uint8_t copies_wanted; /* of a template in messages before or with its first data */
	uint64_t announced;    /* templates sent at least once … */
	uint64_t settled;      /* … and as often as wanted */
	uint64_t fresh_keys;   /* flow templates whose Flow Keys were not told yet */
	struct due due;
	int64_t refreshed_at;        /* mono ns: templates */
	int64_t options_at;          /* mono ns: options data */
	int64_t data_since;          /* mono ns: the first record went into `data` */
	int64_t credit_at;           /* mono ns: options messages may be sent again */
	uint32_t credit;             /* options messages that may be sent before */
	uint32_t messages_since;     /* data messages since the last refresh */
	bool lossy;                  /* records were given up, and it was logged */
	struct error failure;        /* the first error that cost records; empty: none */
	uint32_t watched;            /* events that the transport's descriptor is watched for */
	struct spool *spool;         /* NULL: none */
	uint64_t spool_size;         /* it was opened with */
	bool spool_failed;           /* the last write, and it was logged */
	int64_t away_since;          /* mono ns: no member takes records; 0: one does */
	int64_t spill_at;            /* mono ns: then to the spool again */
	int64_t replay_at;           /* mono ns: `replay_credit` was counted */
	int64_t replay_credit;       /* records of the spool that may be sent */
	enum ending ending;          /* ending.c … */
	int64_t end_until, end_most; /* mono ns: for the collector to take something, all; 0: not yet */
	bool leaving;                /* a reload took it away: its connections end … */
	struct session *successor;   /* … and then this one goes on; NULL: none. Owned */
	struct outgoing data, control, replay;
	struct run *run; /* NULL: messages go one by one. Owned */
};

/* A message without sets that may follow the last one; 0: nothing was sent before, or no room. */
size_t session_empty_message(struct session *s, uint8_t *out, size_t size);

/* Why a turn ended. */
enum turn {
	TURN_IDLE,    /* nothing left to send now */
	TURN_BLOCKED, /* the transport takes nothing now */
	TURN_MORE,    /* the budget is used up: come again soon */
};

/* To the first of `count` members. */
MUST_CHECK enum status session_open(struct session *s, const struct session_context *context,
				    const struct endpoint *to, uint32_t count, struct error *err);
void session_close(struct session *s);
void session_end(struct session *s); /* with its successor; NULL: nothing to do */

/* A member's name, for people; the whole group's, of which a folder name is made. */
void session_name(const struct session *s, char *out, size_t size);

/* Send what is due and full. At most `budget` messages. `last`: also what waits for company, without pacing.
 */
enum turn session_turn(struct session *s, const struct session_context *context, struct moment t,
		       uint32_t budget, bool last);

/* Give up the waiting records before ring position `until` (or a little more: whole records). */
void session_give_up(struct session *s, const struct session_context *context, uint64_t until,
		     struct wall_ns wall);

/* The connection of the messages in flight is gone: what the ring still holds goes again, the rest is
 * counted. */
void session_flights_broken(struct session *s, const struct session_context *context, struct wall_ns wall);

/* ending.c: end the connections of all members in order. Then ask until it is true: they have ended, and what
 * became of the messages is known as far as it can be. */
void session_finish_connections(struct session *s, int64_t patience_ns);
bool session_connections_ended(struct session *s, const struct session_context *context, struct wall_ns wall);

/* They were left and may still arrive: counted as not sent, and not sent again. */
void session_flights_lost(struct session *s, const struct session_context *context, struct wall_ns wall);

/* What is waiting goes to the spool, or counts as not sent. */
void session_abandon_waiting(struct session *s, const struct session_context *context, struct wall_ns wall);

/* The end: likewise, also what is in flight. */
void session_abandon(struct session *s, const struct session_context *context, struct wall_ns wall);

/* Say in the log what was not sent. */
void session_log_outcome(const struct session *s, const struct session_context *context);

/* Flows that never were in the ring count as not sent. */
void session_count_lost(struct session *s, const struct session_context *context, uint64_t flows,
			uint64_t packets, uint64_t octets, struct wall_ns wall);

/* All options data is due: a last word, or news of interfaces. */
void session_options_due(struct session *s, const struct session_context *context);
void session_interfaces_due(struct session *s, const struct session_context *context);

/* failover.c: look how the members stand, and go to another one when it is time. */
void session_failover(struct session *s, const struct session_context *context, struct moment t);

/* spill.c: the spool of a reliable session. Open it when the options ask for one. */
bool session_wants_spool(const struct session *s);
MUST_CHECK enum status session_open_spool(struct session *s, const struct session_context *context,
					  struct error *err);
/* Records to the spool when nobody takes them; `all`: now, to make room in the ring or at the end. */
void session_spill(struct session *s, const struct session_context *context, struct moment t, bool all);
/* One message of the spool. OK: sent. AGAIN: not now. END: nothing, or it is not time. */
MUST_CHECK enum status session_replay(struct session *s, const struct session_context *context,
				      struct moment t);

/* Between session.c and control.c. */

/* A new connection knows nothing of the one before (RFC 7011 8.1). */
void session_restart(struct session *s, const struct session_context *context, struct moment t);

/* Learn how far the messages in flight have come. */
void session_confirm_flights(struct session *s, const struct session_context *context, struct wall_ns wall);
void session_release_flights(struct session *s, uint64_t until);

/* A record that the ring may hold; not: the ring is damaged. */
static inline bool session_knows_record(const struct session_context *context, const struct ring_view *v)
{
	return v->layout < FLOW_LAYOUT_COUNT && v->length <= context->layout[v->layout].record_length &&
	       v->length >= context->layout[v->layout].least_length;
}

/* Export Time of a message that is sent now. */
uint32_t session_export_time(struct session *s, struct wall_ns wall);

/* The data message begins again at the first record that was not sent. */
void session_restart_data(struct session *s);

/* The transport has a message with these records. */
void session_taken(struct session *s, struct flight *records);

/* Put a Data Record behind the templates that it needs. AGAIN: its template must go in a message before this
 * one. ERR_LIMIT: the message is full. */
MUST_CHECK enum status session_put(const struct session *s, const struct session_context *context,
				   struct outgoing *out, uint32_t layout, struct span record);
void session_begin_message(const struct session *s, struct outgoing *out);

/* OK: gone. AGAIN: later. ERR_LIMIT: too long by now. ERR_SYSTEM: lost. */
MUST_CHECK enum status session_send(struct session *s, const struct session_context *context,
				    struct outgoing *out, struct wall_ns wall);

bool control_is_due(const struct session *s, bool last);
void control_check_timers(struct session *s, const struct session_context *context, struct moment t);
/* One message of what is due. AGAIN: not now. OK: sent, or to be built again, or nothing to send. */
MUST_CHECK enum status control_send(struct session *s, const struct session_context *context, struct moment t,
				    bool last);
