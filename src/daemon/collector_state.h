/* collector_state.h: the running collector, as its metrics see it. */
#pragma once

#include "daemon/board.h"
#include "daemon/collector.h"
#include "daemon/file_feed.h"
#include "daemon/keeper.h"
#include "daemon/roles.h"
#include "web/server.h"

enum {
	LAG_MAX_S = 300,    /* of the loader: then it is unwell */
	SILENCE_MAX_S = 60, /* a role that does not turn for so long is stuck */
};

struct collector {
	const struct collector_options *options;
	char scratch[64]; /* the folder of a collector without a store; "": none */
	const char *store;
	struct board *board;
	struct role_context context;
	struct keeper_options keeper_options;
	struct keeper keeper;
	struct journal_recovery recovery;
	struct journal *journal;
	uint32_t workers; /* receivers; one more writer of the journal reads files */
	struct receiver *receiver;
	struct file_feed *files;
	struct web_server *web;
	_Atomic bool stopping;
	uint64_t told[LISTENER_COUNTERS]; /* what the log has said */
	struct mono_ns told_at[LISTENER_COUNTERS];
	struct {
		uint64_t beats;
		struct mono_ns since;
	} seen[ROLE_COUNT];
	_Atomic uint32_t silent_s[ROLE_COUNT];
};

extern const struct web_route collector_routes[];

/* collector_page.c: what of the table is the page's and its questions'. */
void collector_get_page(void *arg, const struct web_request *request, struct web_answer *out);
void collector_get_api(void *arg, const struct web_request *request, struct web_answer *out);

/* Seconds between the receipt of what the loader reads now and the present; 0: it has read what is accepted.
 */
double collector_lag(const struct collector *c, enum role role);

/* NULL: well; else why not, into `why`. */
const char *collector_fault(const struct collector *c, char why[FAULT_MAX]);
