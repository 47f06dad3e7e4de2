/* What the collector tells over HTTP: /metrics and /healthz. Called in the server's thread; everything read
 * here is atomic or has its own reader. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/collector_state.h"
#include "web/exposition.h"

struct counter_row {
	enum listener_counter counter;
	const char *family, *reason, *help;
};

/* Rows of a family stand together. */
static const struct counter_row counters[] = {
	{RECEIVED_MESSAGES, "weir_receiver_messages_total", NULL, "messages handed to the journal"},
	{RECEIVED_OCTETS, "weir_receiver_octets_total", NULL, "octets of those"},
	{KERNEL_DROPS, "weir_receiver_kernel_drops_total", NULL,
	 "datagrams that the kernel dropped, the buffer being full"},
	{REFUSED_SHORT, "weir_receiver_refused_total", "short", "messages not taken, by reason"},
	{REFUSED_NETFLOW_V5, "weir_receiver_refused_total", "netflow_v5", NULL},
	{REFUSED_NETFLOW_V9, "weir_receiver_refused_total", "netflow_v9", NULL},
	{REFUSED_VERSION, "weir_receiver_refused_total", "version", NULL},
	{REFUSED_LENGTH, "weir_receiver_refused_total", "length", NULL},
	{RECEIVE_ERRORS, "weir_receiver_errors_total", "receive", "system calls that failed"},
	{ACCEPT_ERRORS, "weir_receiver_errors_total", "accept", NULL},
	{SESSIONS_ACCEPTED, "weir_receiver_sessions_accepted_total", NULL, "connections"},
	{SESSIONS_REFUSED_FULL, "weir_receiver_sessions_refused_total", "full",
	 "connections not taken, by reason"},
	{SESSIONS_REFUSED_SOURCE, "weir_receiver_sessions_refused_total", "source", NULL},
	{ENDED_BY_PEER, "weir_receiver_sessions_ended_total", "peer", "connections that ended, by reason"},
	{ENDED_BY_ERROR, "weir_receiver_sessions_ended_total", "error", NULL},
	{ENDED_IDLE, "weir_receiver_sessions_ended_total", "idle", NULL},
	{ENDED_HALF_MESSAGE, "weir_receiver_sessions_ended_total", "half_message", NULL},
	{ENDED_MALFORMED, "weir_receiver_sessions_ended_total", "malformed", NULL},
	{ENDED_NOT_STORED, "weir_receiver_sessions_ended_total", "not_stored", NULL},
	{ENDED_BY_STOP, "weir_receiver_sessions_ended_total", "stop", NULL},
	{CUT_SHORT, "weir_receiver_sessions_cut_short_total", NULL,
	 "connections that ended inside a message"},
	{HANDSHAKES_NO_CERTIFICATE, "weir_receiver_handshakes_failed_total", "no_certificate",
	 "handshakes of TLS and DTLS that came to nothing, by reason"},
	{HANDSHAKES_UNTRUSTED, "weir_receiver_handshakes_failed_total", "untrusted", NULL},
	{HANDSHAKES_WRONG_NAME, "weir_receiver_handshakes_failed_total", "name", NULL},
	{HANDSHAKES_EXPIRED, "weir_receiver_handshakes_failed_total", "expired", NULL},
	{HANDSHAKES_VERSION, "weir_receiver_handshakes_failed_total", "version", NULL},
	{HANDSHAKES_REFUSED, "weir_receiver_handshakes_failed_total", "by_exporter", NULL},
	{HANDSHAKES_FAILED, "weir_receiver_handshakes_failed_total", "other", NULL},
	{HANDSHAKES_TIMED_OUT, "weir_receiver_handshakes_failed_total", "timeout", NULL},
	{HANDSHAKES_CROWDED_OUT, "weir_receiver_handshakes_failed_total", "flood", NULL},
	{HANDSHAKES_REFUSED_SOURCE, "weir_receiver_handshakes_failed_total", "source", NULL},
	{COOKIES_ASKED, "weir_receiver_dtls_cookies_total", NULL,
	 "first words of strangers that were answered with a cookie"},
	{STRAY_RECORDS, "weir_receiver_dtls_stray_records_total", NULL, "records of no association"},
};

enum { COUNTERS = sizeof counters / sizeof counters[0] };

static void listen_text(const struct collector *c, uint32_t i, char *out, size_t size)
{
	const struct listen_address *l = &c->options->receiver.listen[i];
	const bool bracket = strchr(l->host, ':') != NULL;

	snprintf(out, size, "%s/%s%s%s:%u", listener_scheme(l->type), bracket ? "[" : "", l->host,
		 bracket ? "]" : "", receiver_port(c->receiver, i));
}

static void put_receivers(const struct collector *c, struct text *out)
{
	struct receiver_statistics s[RECEIVER_LISTENS];
	char name[RECEIVER_LISTENS][320];
	const uint32_t listens = c->receiver ? c->options->receiver.listens : 0;

	for (uint32_t i = 0; i < listens; i++) {
		receiver_statistics_read(c->receiver, i, &s[i]);
		listen_text(c, i, name[i], sizeof name[i]);
	}
	for (unsigned k = 0; listens && k < COUNTERS; k++) {
		const struct counter_row *row = &counters[k];

		if (row->help)
			exposition_family(out, row->family, "counter", row->help);
		for (uint32_t i = 0; i < listens; i++) {
			const struct label labels[] = {
				{"listen", name[i]}, {row->reason ? "reason" : NULL, row->reason}, {0}};
			exposition_sample(out, row->family, labels, s[i].count[row->counter]);
		}
	}
	if (!listens)
		return;
	exposition_family(out, "weir_receiver_sessions_open", "gauge", "connections now");
	for (uint32_t i = 0; i < listens; i++)
		exposition_sample(out, "weir_receiver_sessions_open",
				  (struct label[]){{"listen", name[i]}, {0}}, s[i].open_sessions);
	exposition_family(out, "weir_receiver_buffer_octets", "gauge",
			  "receive buffer that the kernel granted per socket");
	for (uint32_t i = 0; i < listens; i++)
		exposition_sample(out, "weir_receiver_buffer_octets",
				  (struct label[]){{"listen", name[i]}, {0}}, s[i].receive_buffer);
}

/* One number of each worker's journal. */
struct journal_row {
	const char *family, *type, *help;
	uint64_t (*of)(const struct journal_statistics *s);
};

static uint64_t storing(const struct journal_statistics *s)
{
	return s->state == JOURNAL_STORING;
}
static uint64_t messages(const struct journal_statistics *s)
{
	return s->messages;
}
static uint64_t octets(const struct journal_statistics *s)
{
	return s->octets;
}
static uint64_t cuts(const struct journal_statistics *s)
{
	return s->cuts;
}
static uint64_t segments(const struct journal_statistics *s)
{
	return s->segments;
}
static uint64_t syncs(const struct journal_statistics *s)
{
	return s->syncs;
}
static uint64_t sync_alarms(const struct journal_statistics *s)
{
	return s->sync_alarms;
}
static uint64_t mark_alarms(const struct journal_statistics *s)
{
	return s->watermark_alarms;
}
static uint64_t end_segment(const struct journal_statistics *s)
{
	return s->end.segment;
}
static uint64_t end_offset(const struct journal_statistics *s)
{
	return s->end.offset;
}
static uint64_t mark_segment(const struct journal_statistics *s)
{
	return s->watermark.segment;
}
static uint64_t mark_offset(const struct journal_statistics *s)
{
	return s->watermark.offset;
}

static const struct journal_row journal_rows[] = {
	{"weir_journal_storing", "gauge", "1: what is received is stored; 0: the disk refuses", storing},
	{"weir_journal_messages_total", "counter", "messages appended", messages},
	{"weir_journal_octets_total", "counter", "octets appended", octets},
	{"weir_journal_cuts_total", "counter", "appends cut back to a message edge", cuts},
	{"weir_journal_segments_total", "counter", "segments begun", segments},
	{"weir_journal_syncs_total", "counter", "syncs that succeeded", syncs},
	{"weir_journal_sync_alarms_total", "counter", "syncs that failed: their segments take no more",
	 sync_alarms},
	{"weir_journal_watermark_alarms_total", "counter", "watermarks that could not be written",
	 mark_alarms},
	{"weir_journal_end_segment", "gauge", "segment that is written", end_segment},
	{"weir_journal_end_offset", "gauge", "octets in it", end_offset},
	{"weir_journal_watermark_segment", "gauge", "accepted is what lies below: segment", mark_segment},
	{"weir_journal_watermark_offset", "gauge", "accepted is what lies below: offset in it", mark_offset},
};

static void worker_text(uint32_t worker, char out[16])
{
	snprintf(out, 16, "%" PRIu32, worker);
}

static void put_journal(const struct collector *c, struct text *out)
{
	const uint32_t count = journal_workers(c->journal);
	char worker[16];
	struct journal_statistics s;

	for (size_t k = 0; k < sizeof journal_rows / sizeof journal_rows[0]; k++) {
		const struct journal_row *row = &journal_rows[k];

		exposition_family(out, row->family, row->type, row->help);
		for (uint32_t i = 0; i < count; i++) {
			journal_statistics_read(journal_writer_of(c->journal, i), &s);
			worker_text(i, worker);
			exposition_sample(out, row->family, (struct label[]){{"worker", worker}, {0}},
					  row->of(&s));
		}
	}
	exposition_family(out, "weir_journal_not_stored_messages_total", "counter",
			  "messages that the disk refused");
	for (uint32_t i = 0; i < count; i++) {
		journal_statistics_read(journal_writer_of(c->journal, i), &s);
		worker_text(i, worker);
		for (unsigned k = 0; k < JOURNAL_REASONS; k++)
			exposition_sample(out, "weir_journal_not_stored_messages_total",
					  (struct label[]){{"worker", worker},
							   {"reason", journal_reason_names[k]},
							   {0}},
					  s.not_stored_messages[k]);
	}
}

static void put_recovery(const struct collector *c, struct text *out)
{
	const struct journal_recovery *r = &c->recovery;
	const struct {
		const char *what;
		uint64_t count;
	} rows[] = {{"segments", r->segments},
		    {"messages", r->messages},
		    {"cut_octets", r->cut_octets},
		    {"cut_segments", r->cut_segments},
		    {"damaged", r->damaged},
		    {"set_aside", r->set_aside},
		    {"swept", r->swept},
		    {"chain_breaks", r->chain_breaks},
		    {"sync_alarms", r->sync_alarms},
		    {"lost_workers", r->lost}};

	exposition_family(out, "weir_journal_recovery", "gauge", "what the start found in the journal");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		exposition_sample(out, "weir_journal_recovery", (struct label[]){{"what", rows[i].what}, {0}},
				  rows[i].count);
}

/* A number of each role. */
static void put_roles(const struct collector *c, struct text *out, const char *family, const char *type,
		      const char *help, size_t offset)
{
	exposition_family(out, family, type, help);
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		const struct role_board *r = &c->board->role[i];

		if (r->wanted)
			exposition_sample(
				out, family, (struct label[]){{"role", role_names[i]}, {0}},
				atomic_load(
					(const _Atomic uint64_t *)(const void *)((const char *)r + offset)));
	}
}

static void put_processes(const struct collector *c, struct text *out)
{
	exposition_family(out, "weir_process_up", "gauge", "1: the process runs");
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (c->board->role[i].wanted)
			exposition_sample(out, "weir_process_up",
					  (struct label[]){{"role", role_names[i]}, {0}},
					  atomic_load(&c->board->role[i].up));
	put_roles(c, out, "weir_process_starts_total", "counter", "starts; more than one: it had died",
		  offsetof(struct role_board, starts));
	put_roles(c, out, "weir_process_read_messages_total", "counter", "messages read from the journal",
		  offsetof(struct role_board, messages));
	put_roles(c, out, "weir_process_read_octets_total", "counter", "octets of those",
		  offsetof(struct role_board, octets));
	exposition_family(out, "weir_process_lag_seconds", "gauge",
			  "age of the message it reads; 0: it has read all");
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (c->board->role[i].wanted)
			exposition_seconds(out, "weir_process_lag_seconds",
					   (struct label[]){{"role", role_names[i]}, {0}},
					   collector_lag(c, (enum role)i));
}

static void put_loader(const struct collector *c, struct text *out)
{
	const struct role_board *r = &c->board->role[ROLE_LOADER];
	char worker[16];

	exposition_family(out, "weir_loader_flushes_total", "counter",
			  "steps that made partitions and position true");
	exposition_sample(out, "weir_loader_flushes_total", NULL, atomic_load(&r->flushes));
	exposition_family(out, "weir_loader_flush_failures_total", "counter",
			  "such steps that failed and were tried again");
	exposition_sample(out, "weir_loader_flush_failures_total", NULL, atomic_load(&r->flush_failures));
	exposition_family(out, "weir_loader_kept_segment", "gauge",
			  "in partitions is what lies below: segment");
	for (uint32_t i = 0; i < c->board->workers; i++) {
		worker_text(i, worker);
		exposition_sample(out, "weir_loader_kept_segment", (struct label[]){{"worker", worker}, {0}},
				  atomic_load(&r->kept[i]) >> 32);
	}
	exposition_family(out, "weir_loader_kept_offset", "gauge",
			  "in partitions is what lies below: offset in it");
	for (uint32_t i = 0; i < c->board->workers; i++) {
		worker_text(i, worker);
		exposition_sample(out, "weir_loader_kept_offset", (struct label[]){{"worker", worker}, {0}},
				  atomic_load(&r->kept[i]) & UINT32_MAX);
	}
}

static void put_printer(const struct collector *c, struct text *out)
{
	const struct role_board *r = &c->board->role[ROLE_PRINTER];

	exposition_family(out, "weir_json_records_total", "counter",
			  "records decoded for --json, or only counted");
	exposition_sample(out, "weir_json_records_total", NULL, atomic_load(&r->records));
	exposition_family(out, "weir_json_dropped_messages_total", "counter",
			  "messages not printed: the reader is too slow");
	exposition_sample(out, "weir_json_dropped_messages_total", NULL, atomic_load(&r->skipped_messages));
	exposition_family(out, "weir_json_dropped_octets_total", "counter", "octets of those");
	exposition_sample(out, "weir_json_dropped_octets_total", NULL, atomic_load(&r->skipped_octets));
}

static void get_metrics(void *arg, const struct web_request *request, struct web_answer *answer)
{
	const struct collector *c = arg;
	struct text *out = &answer->body;

	answer->type = "text/plain; version=0.0.4; charset=utf-8";
	exposition_family(out, "weir_build_info", "gauge", "always 1");
	exposition_sample(out, "weir_build_info", (struct label[]){{"version", WEIR_VERSION}, {0}}, 1);
	put_receivers(c, out);
	put_journal(c, out);
	put_recovery(c, out);
	put_processes(c, out);
	if (c->board->role[ROLE_LOADER].wanted)
		put_loader(c, out);
	if (c->board->role[ROLE_ASKER].wanted) {
		exposition_family(out, "weir_web_queries_active", "gauge",
				  "questions over HTTP that are being answered");
		exposition_sample(out, "weir_web_queries_active", NULL, atomic_load(&c->board->asking));
	}
	if (c->board->role[ROLE_PRINTER].wanted)
		put_printer(c, out);
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (c->board->role[i].wanted)
			page_get(&c->board->role[i].metrics, out);
}

double collector_lag(const struct collector *c, enum role role)
{
	const struct role_board *r = &c->board->role[role];
	const int64_t last = atomic_load(&r->last_received_ms);

	for (uint32_t i = 0; i < c->board->workers; i++) {
		struct journal_statistics s;

		journal_statistics_read(journal_writer_of(c->journal, i), &s);
		if (atomic_load(&r->read[i]) < board_position(s.watermark.segment, s.watermark.offset)) {
			const int64_t lag = last ? wall_ms(wall_now()) - last : 0;
			return lag > 0 ? (double)lag / 1000 : 0;
		}
	}
	return 0;
}

static const char *role_fault(const struct collector *c, enum role role, char why[FAULT_MAX])
{
	const struct role_board *r = &c->board->role[role];
	const uint32_t silent = atomic_load(&c->silent_s[role]);

	if (!r->wanted || atomic_load(&r->done))
		return NULL;
	if (atomic_load(&r->failing)) {
		snprintf(why, FAULT_MAX, "%s: %.*s", role_names[role], FAULT_MAX - 32, r->fault);
		return why;
	}
	if (silent > SILENCE_MAX_S) {
		snprintf(why, FAULT_MAX, "%s: no sign of life for %" PRIu32 " s", role_names[role], silent);
		return why;
	}
	if (role == ROLE_LOADER && collector_lag(c, role) > LAG_MAX_S) {
		snprintf(why, FAULT_MAX, "%s: %.0f s behind", role_names[role], collector_lag(c, role));
		return why;
	}
	return NULL;
}

const char *collector_fault(const struct collector *c, char why[FAULT_MAX])
{
	for (uint32_t i = 0; i < journal_workers(c->journal); i++) {
		struct journal_statistics s;

		journal_statistics_read(journal_writer_of(c->journal, i), &s);
		if (s.state == JOURNAL_STOPPED) {
			snprintf(why, FAULT_MAX, "storing stopped: the disk refuses what is received");
			return why;
		}
	}
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (role_fault(c, (enum role)i, why))
			return why;
	if (atomic_load(&c->stopping)) {
		snprintf(why, FAULT_MAX, "stopping");
		return why;
	}
	return NULL;
}

static void get_health(void *arg, const struct web_request *request, struct web_answer *answer)
{
	char why[FAULT_MAX];
	const char *fault = collector_fault(arg, why);

	answer->status = fault ? 503 : 200;
	text_string(&answer->body, fault ? fault : "ok");
	text_char(&answer->body, '\n');
}

const struct web_route collector_routes[] = {
	{"/healthz", get_health, false},        {"/metrics", get_metrics, false},
	{"/api/v1/", collector_get_api, true},  {"/", collector_get_page, true},
	{"/assets/", collector_get_page, true}, {0},
};
