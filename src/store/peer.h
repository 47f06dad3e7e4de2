/* peer.h: one Transport Session to the loader: what the Collecting Process remembers of it (session.h), its
 * templates as they came, with their plans, and its observation domains. */
#pragma once

#include "collect/session.h"
#include "store/input.h"
#include "store/origin.h"
#include "store/plan.h"

struct peer_template {
	uint32_t domain;
	uint16_t id; /* 0: a free place */
	bool options;
	uint32_t export_time;
	int64_t learned_ms;
	struct plan *plan; /* NULL: no data yet */
	uint8_t *record;   /* the template record, header included */
	uint32_t length;
};

/* Data sets without a template. */
struct waiting_stats {
	uint64_t sets, octets; /* that wait now */
	uint64_t decoded;      /* sets whose template came */
	uint64_t given_up;     /* sets whose template did not come in time */
	uint64_t no_room;      /* sets that found the waiting room full */
	uint64_t cut;          /* sets that were not laid out as the template that came */
};

struct peer {
	struct input_peer key;
	struct session *session;
	struct peer_template *templates; /* open addressing */
	uint32_t template_count, template_slots;
	struct origin **origins;
	uint32_t origin_count, origin_room, origin_last;
	struct waiting_stats waiting;
	uint64_t unplaced;  /* records that no memory could be had for */
	bool news;          /* a template came with the present message */
	bool kept;          /* it is in the table */
	struct peer *chain; /* private to the loader: same bucket; newer and older use */
	struct peer *newer, *older;
	uint64_t epoch; /* of the last batch that has records of it */
	uint32_t index; /* in the manifest that is being written */
};

MUST_CHECK enum status peer_new(struct peer **out, const struct input_peer *key,
				const struct session_limits *limits);
struct peer *peer_free(struct peer *p);

/* The rules that hold for templates of the session. */
enum template_rules peer_rules(uint8_t transport);

/* NULL: no memory. */
struct origin *peer_origin(struct peer *p, uint32_t domain);

/* NULL: none. */
struct peer_template *peer_template_find(const struct peer *p, uint32_t domain, uint16_t id);

/* As session_sink.template says. True: what stands for the store has changed. */
bool peer_template_note(struct peer *p, const struct message_header *header,
			const struct template_record *record, enum template_outcome outcome, int64_t now_ms);

/* Templates not given since `before_ms` end, here and in the session. True: there were some. */
bool peer_expire(struct peer *p, int64_t before_ms);

/* The plan of a template. Borrowed. NULL: no memory. *made grows by the fields of a plan that was not there.
 */
struct plan *peer_plan(struct peer *p, const struct template *t, const struct elements *elements,
		       uint64_t *made);

/* Drop plans, so that their memory goes with the batch. */
void peer_drop_plans(struct peer *p);
