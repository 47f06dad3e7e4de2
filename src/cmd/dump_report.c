#include "cmd/dump_report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <unistd.h>

#include "cmd/command.h"

int dump_fail(const struct dump_report *r, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "weir dump: %s: ", r->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_RUN_FAILED;
}

void dump_damage(struct dump_report *r, uint64_t length)
{
	if (!r->damage_places)
		r->damage_first = r->offset;
	if (!r->damage_open)
		r->damage_places++;
	r->damage_open = true;
	r->damage_octets += length;
}

void dump_progress(struct dump_report *r)
{
	const int64_t now = mono_now().ns;

	if (r->progress_at == 0)
		r->progress_at = now;
	if (now - r->progress_at < NS_PER_S || !isatty(STDERR_FILENO) || isatty(STDOUT_FILENO))
		return;
	r->progress_at = now;
	fprintf(stderr, "\r%" PRIu64 " records", r->session.data_records);
}

static int conclude_capture(const struct dump_report *r)
{
	const struct capture_stats *c = &r->capture;
	int status = EXIT_DONE;

	if (c->netflow5)
		dump_fail(r, "%" PRIu64 " datagrams of NetFlow version 5: not IPFIX, passed over",
			  c->netflow5);
	if (c->netflow9)
		dump_fail(r, "%" PRIu64 " datagrams of NetFlow version 9: not IPFIX, passed over",
			  c->netflow9);
	if (c->cut)
		status = dump_fail(r, "%" PRIu64 " frames were captured short", c->cut);
	if (c->stream_lost)
		status = dump_fail(r, "%" PRIu64 " octets of TCP connections are missing", c->stream_lost);
	if (c->stream_damage)
		status = dump_fail(r, "%" PRIu64 " octets of TCP connections hold no message",
				   c->stream_damage);
	if (c->refused)
		status = dump_fail(r, "%" PRIu64 " packets of more than %d sessions were left out",
				   c->refused, CAPTURE_SESSIONS_MAX);
	return status;
}

int dump_conclude(const struct dump_report *r)
{
	uint64_t malformed = 0;
	int status = EXIT_DONE;

	if (r->kind == DUMP_NOTHING)
		return EXIT_RUN_FAILED;
	if (r->kind == DUMP_CAPTURE)
		status = conclude_capture(r);
	for (int i = 1; i < MESSAGE_FAULT_COUNT; i++) {
		const uint64_t n = r->session.malformed[i];

		malformed += n;
		if (n)
			status = dump_fail(r, "%" PRIu64 " malformed message%s left out: %s", n,
					   n == 1 ? "" : "s", message_fault_text((enum message_fault)i));
	}
	if (r->session.messages + malformed == 0 && (r->kind == DUMP_CAPTURE || r->damage_octets))
		return dump_fail(r, r->kind == DUMP_CAPTURE ? "no IPFIX in this capture"
							    : "this is neither IPFIX nor a capture");
	if (r->damage_places)
		status = dump_fail(r,
				   "%" PRIu64 " octets in %" PRIu64
				   " places hold no message, the first at offset %" PRIu64,
				   r->damage_octets, r->damage_places, r->damage_first);
	if (r->session.sets_without_template)
		dump_fail(r, "%" PRIu64 " data sets passed over: their template is not there",
			  r->session.sets_without_template);
	return status;
}

static void print_counts(FILE *out, const char *key, const uint64_t *counts, int count,
			 const char *(*name)(int))
{
	const char *comma = "";

	fprintf(out, ",\"%s\":{", key);
	for (int i = 0; i < count; i++) {
		if (!counts[i])
			continue;
		fprintf(out, "%s\"%s\":%" PRIu64, comma, name(i), counts[i]);
		comma = ",";
	}
	fputc('}', out);
}

static const char *fault_name(int i)
{
	return message_fault_name((enum message_fault)i);
}

static const char *outcome_name(int i)
{
	return template_outcome_name((enum template_outcome)i);
}

static const char *value_name(int i)
{
	return value_fault_name((enum value_fault)i);
}

static const char *event_name(int i)
{
	return sequence_event_name((enum sequence_event)i);
}

static void print_capture(const struct capture_stats *c, FILE *out)
{
	fprintf(out,
		",\"capture\":{\"frames\":%" PRIu64 ",\"sessions\":%" PRIu64 ",\"notIpfix\":%" PRIu64
		",\"netflow5\":%" PRIu64 ",\"netflow9\":%" PRIu64 ",\"fragments\":%" PRIu64
		",\"cut\":%" PRIu64 ",\"streamLost\":%" PRIu64 ",\"streamDamage\":%" PRIu64
		",\"refused\":%" PRIu64 "}",
		c->frames, c->sessions, c->not_ipfix, c->netflow5, c->netflow9, c->fragments, c->cut,
		c->stream_lost, c->stream_damage, c->refused);
}

void dump_stats(const struct dump_report *r, FILE *out)
{
	const struct session_stats *s = &r->session;

	fprintf(out,
		"{\"messages\":%" PRIu64 ",\"octets\":%" PRIu64 ",\"sets\":%" PRIu64 ",\"dataSets\":%" PRIu64
		",\"dataRecords\":%" PRIu64 ",\"optionsRecords\":%" PRIu64 ",\"setsWithoutTemplate\":%" PRIu64
		",\"unknownSets\":%" PRIu64 ",\"damagedOctets\":%" PRIu64 ",\"lostRecords\":%" PRIu64
		",\"uncountedRecords\":%" PRIu64,
		s->messages, s->octets, s->sets, s->data_sets, s->data_records, s->options_records,
		s->sets_without_template, s->unknown_sets, r->damage_octets, s->sequence.lost,
		s->sequence.uncounted);
	print_counts(out, "templates", s->templates, TEMPLATE_OUTCOME_COUNT, outcome_name);
	print_counts(out, "malformed", s->malformed, MESSAGE_FAULT_COUNT, fault_name);
	print_counts(out, "sequence", s->sequence.events, SEQUENCE_EVENT_COUNT, event_name);
	print_counts(out, "values", r->values, VALUE_FAULT_COUNT, value_name);
	if (r->kind == DUMP_CAPTURE)
		print_capture(&r->capture, out);
	fputs("}\n", out);
}
