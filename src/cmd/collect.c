/* weir collect: the Collecting Process. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/command.h"
#include "config/settings.h"
#include "daemon/collector.h"
#include "transport/transport.h"

enum {
	OPT_PROFILE,
	OPT_LISTEN,
	OPT_STORE,
	OPT_HTTP,
	OPT_HTTP_REMOTE,
	OPT_HTTP_TOKEN,
	OPT_JSON,
	OPT_READ,
	OPT_KEEP_DAYS,
	OPT_KEEP_SIZE,
	OPT_SYNC,
	OPT_PARTITION_RECORDS,
	OPT_PARTITION_AGE,
	OPT_WORKERS,
	OPT_BUFFER,
	OPT_IGNORE_PORT,
	OPT_TLS_CERTIFICATE,
	OPT_TLS_KEY,
	OPT_TLS_CA,
	OPT_TLS_ALLOW,
	OPT_TLS_MINIMUM,
	OPT_TLS_ANONYMOUS,
	OPT_QUIET,
	OPT_VERBOSE,
};

static const struct command_option options[] = {
	[OPT_PROFILE] = {'p', "profile", "FILE", "take the object Tls from this profile"},
	[OPT_LISTEN] =
		{'l', "listen", "LISTEN",
		 "receive on Udp/HOST[:PORT], Tcp/…, Sctp/…, Tls/…, Dtls/… or DtlsSctp/…; may be repeated "
		 "(default Udp and Tcp, every address, port 4739)"},
	[OPT_STORE] = {'s', "store", "STORE",
		       "keep what is received in this folder (default: nothing is kept)"},
	[OPT_HTTP] = {0, "http", "ADDR:PORT",
		      "serve the page, its API, /metrics and /healthz here (default: not at all)"},
	[OPT_HTTP_REMOTE] = {0, "http-allow-remote", NULL,
			     "let --http be another address than a loopback one, for /metrics and /healthz"},
	[OPT_HTTP_TOKEN] = {0, "http-token-file", "FILE",
			    "ask for the token in this file's first line; needed for the page on an address "
			    "that is not of loopback"},
	[OPT_JSON] = {0, "json", "FILE", "print records as JSON Lines; - is standard output"},
	[OPT_READ] = {0, "read", "FILE",
		      "load this IPFIX file; may be repeated; without -l the program ends when it is loaded"},
	[OPT_KEEP_DAYS] = {0, "keep-days", "DAYS",
			   "remove partitions received longer ago (default 0 = never)"},
	[OPT_KEEP_SIZE] =
		{0, "keep-size", "OCTETS",
		 "remove the oldest partitions beyond this size; K, M, G, T allowed (default 0 = no bound)"},
	[OPT_SYNC] = {0, "sync", "MS", "bring the journal to disk every so many milliseconds (default 1000)"},
	[OPT_PARTITION_RECORDS] = {0, "partition-records", "N",
				   "write a partition at so many records (default 500000)"},
	[OPT_PARTITION_AGE] = {0, "partition-age", "S",
			       "or when the oldest record waits so many seconds (default 300)"},
	[OPT_WORKERS] = {0, "workers", "N", "receiving threads (default: one per core)"},
	[OPT_BUFFER] = {0, "receive-buffer", "OCTETS",
			"receive buffer of each UDP socket; K, M allowed (default 16M)"},
	[OPT_IGNORE_PORT] =
		{0, "ignore-port", NULL,
		 "the exporter's UDP port is no part of its session (templates and data from two ports)"},
	[OPT_TLS_CERTIFICATE] = {0, "tls-certificate", "FILE",
				 "certificate shown to exporters over Tls, Dtls and DtlsSctp (PEM)"},
	[OPT_TLS_KEY] = {0, "tls-key", "FILE", "its private key (PEM)"},
	[OPT_TLS_CA] = {0, "tls-ca", "FILE", "who may have signed the certificates of exporters (PEM)"},
	[OPT_TLS_ALLOW] = {0, "tls-allow", "NAME",
			   "let in only exporters whose certificate has this DNS name or common name; may be "
			   "repeated (default: every one that the CA signed)"},
	[OPT_TLS_MINIMUM] = {0, "tls-minimum", "VERSION", "1.2 or 1.3 (default 1.2)"},
	[OPT_TLS_ANONYMOUS] = {0, "tls-anonymous", NULL,
			       "exporters need no certificate, against RFC 7011 11.2"},
	[OPT_QUIET] = {'q', "quiet", NULL, "log errors only"},
	[OPT_VERBOSE] = {'v', "verbose", NULL, "log more"},
	{0},
};

struct collect {
	struct collector_options options;
	char store[FOLDER_MAX];
	struct settings settings; /* of which Tls counts */
	struct logger log;
};

static const char allowed[] = "allowed: Udp/HOST[:PORT], Tcp/…, Sctp/…, Tls/…, Dtls/…, DtlsSctp/…";

/* A LISTEN as people write it; a star as host is every address of both families. */
static enum status add_listen(struct collect *c, const char *text, struct error *err)
{
	struct receiver_options *r = &c->options.receiver;
	const char *slash = strchr(text, '/');
	char scheme[16], as_udp[300];
	struct endpoint endpoint;

	if (r->listens == RECEIVER_LISTENS)
		return error_set(err, ERR_LIMIT, "more than %d addresses", RECEIVER_LISTENS);
	if (!slash || (size_t)(slash - text) >= sizeof scheme)
		return error_set(err, ERR_USAGE, "\"%s\"; %s", text, allowed);
	memcpy(scheme, text, (size_t)(slash - text));
	scheme[slash - text] = '\0';

	const struct listener_type *type = listener_find(scheme);
	if (!type)
		return error_set(err, ERR_USAGE, "\"%s\": unknown transport \"%s\"; %s", text, scheme,
				 allowed);

	const bool any = slash[1] == '*';
	if (snprintf(as_udp, sizeof as_udp, "Udp/%s%s", any ? "[::]" : "", slash + 1 + any) >=
	    (int)sizeof as_udp)
		return error_set(err, ERR_USAGE, "\"%.40s…\": too long", text);
	const enum status st = endpoint_parse(&endpoint, as_udp, err);
	if (st != OK)
		return st;

	struct listen_address *l = &r->listen[r->listens++];
	const bool port = strrchr(slash, ':') && strrchr(slash, ':')[1] && !strchr(strrchr(slash, ':'), ']');
	l->type = type;
	l->port = port ? endpoint.port : listener_default_port(type);
	memcpy(l->host, endpoint.host, sizeof l->host);
	return OK;
}

/* A number with an optional K, M, G or T (powers of 1024). */
static enum status take_number(const char *text, bool sizes, uint64_t most, uint64_t *out, struct error *err)
{
	static const char units[] = "KMGT";
	char *end;
	const char *unit = NULL;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (sizes && *end)
		unit = strchr(units, toupper((unsigned char)*end));
	for (const char *u = units; unit && u <= unit; u++)
		*out = *out > most ? *out : *out * 1024;
	if (!isdigit((unsigned char)*text) || errno || end[unit != NULL] || *out > most)
		return error_set(err, ERR_USAGE, "\"%s\"; allowed: a number from 0 to %" PRIu64 "%s", text,
				 most, sizes ? ", with K, M, G or T" : "");
	return OK;
}

static enum status add_read(struct collect *c, const char *path, struct error *err)
{
	if (c->options.reads == COLLECTOR_READS)
		return error_set(err, ERR_LIMIT, "more than %d files", COLLECTOR_READS);
	c->options.read[c->options.reads++] = path;
	return OK;
}

static enum status take_count(struct collect *c, int option, const char *value, struct error *err)
{
	struct collector_options *o = &c->options;
	uint64_t n = 0;
	enum status st = OK;

	switch (option) {
	case OPT_KEEP_DAYS:
		st = take_number(value, false, 36500, &n, err);
		o->retain_ms = (int64_t)n * 86400 * 1000;
		break;
	case OPT_KEEP_SIZE: return take_number(value, true, 1ULL << 60, &o->retain_octets, err);
	case OPT_SYNC:
		st = take_number(value, false, 3600 * 1000, &n, err);
		o->sync_ns = (int64_t)n * NS_PER_MS;
		break;
	case OPT_PARTITION_RECORDS: return take_number(value, true, 100000000, &o->flush_records, err);
	case OPT_PARTITION_AGE:
		st = take_number(value, false, 86400, &n, err);
		o->flush_age_ms = (int64_t)n * 1000;
		break;
	case OPT_WORKERS:
		st = take_number(value, false, JOURNAL_WORKERS - 1, &n, err);
		o->workers = (uint32_t)n;
		break;
	default: st = take_number(value, true, 1 << 30, &n, err); o->receiver.receive_buffer = (uint32_t)n;
	}
	return st;
}

static enum status take_text(char *out, size_t size, const char *value, struct error *err)
{
	if (!*value || strlen(value) >= size)
		return error_set(err, ERR_USAGE, "\"%.40s\"; allowed: 1 to %zu octets", value, size - 1);
	memcpy(out, value, strlen(value) + 1);
	return OK;
}

/* Over what the profile says. */
static enum status take_tls(struct collect *c, int option, const char *value, struct error *err)
{
	struct tls_options *tls = &c->settings.exporter.tls;

	switch (option) {
	case OPT_TLS_CERTIFICATE: return take_text(tls->certificate, sizeof tls->certificate, value, err);
	case OPT_TLS_KEY: return take_text(tls->key, sizeof tls->key, value, err);
	case OPT_TLS_CA: return take_text(tls->ca, sizeof tls->ca, value, err);
	case OPT_TLS_MINIMUM: return settings_set(&c->settings, "Tls.MinimumVersion", value, err);
	default:
		if (tls->allowed_count == TLS_NAMES_MAX)
			return error_set(err, ERR_LIMIT, "more than %d names", TLS_NAMES_MAX);
		return take_text(tls->allowed[tls->allowed_count++], TLS_NAME_MAX, value, err);
	}
}

static enum status take_option(struct collect *c, int option, const char *value, struct error *err)
{
	switch (option) {
	case OPT_PROFILE: return OK; /* read already */
	case OPT_LISTEN: return add_listen(c, value, err);
	case OPT_STORE: c->options.store = command_folder(c->store, value); return OK;
	case OPT_HTTP: c->options.http = value; return OK;
	case OPT_HTTP_REMOTE: c->options.http_remote = true; return OK;
	case OPT_HTTP_TOKEN: c->options.http_token_file = value; return OK;
	case OPT_JSON: c->options.json = value; return OK;
	case OPT_READ: return add_read(c, value, err);
	case OPT_IGNORE_PORT: c->options.ignore_port = true; return OK;
	case OPT_TLS_ANONYMOUS: c->options.receiver.tls_anonymous = true; return OK;
	case OPT_QUIET: c->log.level = LOG_ERROR; return OK;
	case OPT_VERBOSE: c->log.level = LOG_DEBUG; return OK;
	case OPT_TLS_CERTIFICATE:
	case OPT_TLS_KEY:
	case OPT_TLS_CA:
	case OPT_TLS_ALLOW:
	case OPT_TLS_MINIMUM: return take_tls(c, option, value, err);
	default: return take_count(c, option, value, err);
	}
}

/* The profile comes first, wherever it stands: options override it. */
static enum status load_profile(struct collect *c, struct invocation invocation)
{
	struct error err = {""};
	const char *value;
	int option;

	while ((option = command_next(&invocation, &value)) >= 0) {
		if (option == OPT_PROFILE && settings_load(&c->settings, value, &err) != OK) {
			log_error(&c->log, "%s", err.text);
			return ERR_USAGE;
		}
	}
	return option == -2 ? ERR_USAGE : OK;
}

static int run(struct invocation *invocation)
{
	struct collect c = {.log = {.out = stderr, .level = LOG_INFO}};
	struct error err = {""};
	const char *value;
	int option;

	settings_init(&c.settings);
	c.options.log = &c.log;
	c.options.receiver.tls = &c.settings.exporter.tls;
	if (load_profile(&c, *invocation) != OK)
		return EXIT_WRONG_USAGE;
	while ((option = command_next(invocation, &value)) >= 0)
		if (take_option(&c, option, value, &err) != OK)
			return command_usage_error(invocation, "--%s: %s", options[option].name, err.text);
	if (option == -2)
		return EXIT_WRONG_USAGE;
	if (value)
		return command_usage_error(invocation, "'%s' is not an option", value);
	if (!c.options.receiver.listens && !c.options.reads &&
	    (add_listen(&c, "Udp/*", &err) != OK || add_listen(&c, "Tcp/*", &err) != OK))
		return command_usage_error(invocation, "%s", err.text);

	const enum status status = collector_run(&c.options, &err);
	if (status != OK)
		log_error(&c.log, "%s", err.text);
	return status == OK ? EXIT_DONE : status == ERR_USAGE ? EXIT_WRONG_USAGE : EXIT_RUN_FAILED;
}

const struct command command_collect = {
	.name = "collect",
	.summary = SUMMARY_COLLECT,
	.synopsis = "[-l LISTEN]… [-s STORE] [--http ADDR:PORT] [--json FILE|-] [--read FILE]…",
	.notes = "Runs until SIGTERM or SIGINT; then everything received is brought to disk first. Without "
		 "-s nothing "
		 "is\nkept: records are printed (--json) or only counted (--http).",
	.options = options,
	.run = run,
};
