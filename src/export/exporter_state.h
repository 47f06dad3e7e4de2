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
	void *ring_memory;
	struct session *session[COLLECTOR_MAX];
};

MUST_CHECK enum status exporter_check_options(const struct exporter_options *o, size_t smallest,
					      struct error *err);

/* How many collectors from `first` on are one session. */
uint32_t exporter_group_length(const struct exporter_options *o, uint32_t first);

/* Files are told packet time over a capture file, all others the real one. */
const struct moment *exporter_time_of(const struct exporter *e, const struct session *s);
