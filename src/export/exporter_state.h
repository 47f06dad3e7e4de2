/* exporter_state.h: the inside of an exporter, for exporter.c and reload.c. */
#pragma once

#include "export/session.h"

struct exporter {
	struct session_context context;
	struct moment last; /* given to the last service: what files are told */
	struct moment real; /* what collectors over the network are told */
	uint32_t session_count;
	bool busy;
	bool waits; /* for acknowledgements */
	int watch;  /* epoll over the connections, edge-triggered: nothing that nobody reads makes it spin */
	bool waited_in_vain; /* for collectors that take nothing: not again before they take something */
	bool told_enterprise;
	const struct owners *owners; /* borrowed; NULL: nobody knows */
	void *ring_memory;
	struct session *session[COLLECTOR_MAX];
	uint32_t leaving_count; /* sessions that a reload took away, until their connections have ended; one
				   that another follows is in session[] until then */
	struct session *leaving[COLLECTOR_MAX];
};

/* For a collector that reads what it was sent and ends its side: it may be busy, but something has to move.
 */
#define FINISH_PATIENCE_NS (5 * NS_PER_S)

MUST_CHECK enum status exporter_check_options(const struct exporter_options *o, size_t smallest,
					      struct error *err);

/* How many collectors from `first` on are one session. */
uint32_t exporter_group_length(const struct exporter_options *o, uint32_t first);

/* reload.c: serve the sessions that leave, and let those go that are done. true: some are not. */
bool exporter_serve_leaving(struct exporter *e);

void exporter_set_time(struct exporter *e, struct mono_ns now, struct wall_ns wall);

/* What every session is done with may be overwritten. */
void exporter_release_ring(struct exporter *e);

/* Files are told packet time over a capture file, all others the real one. */
const struct moment *exporter_time_of(const struct exporter *e, const struct session *s);
