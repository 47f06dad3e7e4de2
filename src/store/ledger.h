/* ledger.h: every kind of loss, by Transport Session and observation domain, under the names that statistics,
 * the manifest and the view `ledger` share.
 *
 *   of a session      messages, octets, malformed_<reason>, templates_<outcome>, data_sets, data_records,
 *                     options_records, sets_without_template (and what became of them: sets_waiting,
 *                     sets_decoded_late, sets_given_up, sets_no_room, sets_cut), …
 *   of a domain       records, sequence_<event> (messages), sequence_lost (records), sequence_uncounted,
 *                     value_<fault>, exporter_<what the exporter says it lost>
 *   of the store      kernel_dropped, columns_left_out, elements_refused, input_damaged, sessions_forgotten
 */
#pragma once

#include "store/peer.h"

/* Of the whole store. */
struct ledger_totals {
	uint64_t kernel_dropped;     /* messages, as the receivers say */
	uint64_t columns_left_out;   /* fields without a column, once for each template and partition */
	uint64_t elements_refused;   /* type records with a name that cannot be used */
	uint64_t input_damaged;      /* places in the journal that were stepped over */
	uint64_t sessions_forgotten; /* idle ones that made room; their counters go on in `forgotten` */
	uint64_t unplaced;           /* records given up for want of memory */
	uint64_t swept;              /* files of unfinished work removed at a start */
	uint64_t partitions_aside;   /* that failed their checks */
};

/* Counters of sessions that are no longer kept. */
struct ledger_forgotten {
	struct session_stats session;
	struct waiting_stats waiting;
	struct origin origin; /* its counters only */
};

typedef void ledger_visitor(void *arg, const char *name, uint64_t *counter);

void ledger_visit_totals(struct ledger_totals *t, ledger_visitor *visit, void *arg);
/* Sequence events and losses of the whole session are left out: its domains have them. */
void ledger_visit_session(struct session_stats *s, ledger_visitor *visit, void *arg);
void ledger_visit_waiting(struct waiting_stats *w, ledger_visitor *visit, void *arg);
void ledger_visit_sequence(struct sequence_stats *s, ledger_visitor *visit, void *arg);
void ledger_visit_origin(struct origin *o, ledger_visitor *visit, void *arg);

/* The counters of a session that ends go to `sum`. */
void ledger_forget(struct ledger_forgotten *sum, const struct peer *peer);
