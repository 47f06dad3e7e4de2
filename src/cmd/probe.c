/* weir probe: the IPFIX Device. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "config/settings.h"
#include "daemon/device.h"
#include "decode/local.h"

enum {
	OPT_PROFILE,
	OPT_INTERFACE,
	OPT_COLLECTOR,
	OPT_READ,
	OPT_WRITE,
	OPT_LOCAL,
	OPT_STATS,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_FIRST_PROPERTY, /* from here on: one property of the profile each */
};

static const struct command_option options[] = {
	[OPT_PROFILE] = {'p', "profile", "PROFILE", "read settings from this file (default: none)"},
	[OPT_INTERFACE] = {'i', "interface", "IFACE",
			   "observe this interface; may be repeated (default: every overlay interface)"},
	[OPT_COLLECTOR] =
		{'c', "collector", "COLLECTOR",
		 "export to Udp/HOST[:PORT], Tcp/…, Sctp/…, Tls/…, Dtls/…, DtlsSctp/… or File/PATH; may be "
		 "repeated; replaces the profile's list"},
	[OPT_READ] = {'r', "read", "FILE",
		      "meter this pcap or pcapng file instead of interfaces; - is standard input"},
	[OPT_WRITE] = {'w', "write", "FILE",
		       "write the records to an IPFIX file, besides other collectors; - is standard output"},
	[OPT_LOCAL] = {0, "local", "PREFIX",
		       "with -r: packets from this prefix are egress, all others ingress; may be repeated"},
	[OPT_STATS] = {0, "stats", NULL,
		       "print all counters as one JSON object on standard output at the end"},
	[OPT_QUIET] = {'q', "quiet", NULL, "log errors only"},
	[OPT_VERBOSE] = {'v', "verbose", NULL, "log more"},
	[OPT_FIRST_PROPERTY] = {0, "direction", "WORD",
				"Both, SendingToPeer or ReceivedFromPeer (default Both)"},
	{0, "interval", "MS", "interim records of long flows, in milliseconds; 0 = none (default 0)"},
	{0, "idle", "MS", "a flow ends after so many milliseconds without a packet (default 15000)"},
	{0, "max-flows", "N", "open flows at most (default 1048576)"},
	{0, "shards", "N", "threads that meter side by side; 0 = one for each processor (default 1)"},
	{0, "domain", "N", "Observation Domain ID; 0 = choose (default 0)"},
	{0, "template-refresh", "MS",
	 "send templates again over UDP after so many milliseconds (default 60000)"},
	{0},
};

/* The property that an option sets, from OPT_FIRST_PROPERTY on; the profile's own table judges the value. */
static const char *const properties[] = {"Direction",      "Interval", "IdleTimeout",
					 "MaxFlows",       "Shards",   "ObservationDomainId",
					 "TemplateRefresh"};

struct probe {
	struct settings settings;
	struct prefix_list local;
	struct logger log;
	const char *profile, *read;
	bool stats, collectors_replaced, interfaces_replaced;
};

static enum status add_collector(struct probe *p, const char *text, struct error *err)
{
	struct exporter_options *e = &p->settings.exporter;

	if (!p->collectors_replaced)
		e->collector_count = 0;
	p->collectors_replaced = true;
	if (e->collector_count == COLLECTOR_MAX)
		return error_set(err, ERR_LIMIT, "more than %d collectors", COLLECTOR_MAX);
	e->group[e->collector_count] = 0;
	return endpoint_parse(&e->collector[e->collector_count++], text, err);
}

/* A file stands beside the collectors of the profile, it does not replace them. */
static enum status add_file(struct probe *p, const char *path, struct error *err)
{
	struct exporter_options *e = &p->settings.exporter;
	char text[sizeof e->collector[0].host + 8];

	if (e->collector_count == COLLECTOR_MAX)
		return error_set(err, ERR_LIMIT, "more than %d collectors", COLLECTOR_MAX);
	if (snprintf(text, sizeof text, "File/%s", path) >= (int)sizeof text)
		return error_set(err, ERR_LIMIT, "the path is longer than %zu octets",
				 sizeof e->collector[0].host - 1);
	e->group[e->collector_count] = 0;
	return endpoint_parse(&e->collector[e->collector_count++], text, err);
}

static enum status add_interface(struct probe *p, const char *name, struct error *err)
{
	struct settings *s = &p->settings;

	if (!p->interfaces_replaced)
		s->point_count = 0;
	p->interfaces_replaced = true;
	if (s->point_count == SETTINGS_POINTS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d interfaces", SETTINGS_POINTS_MAX);
	if (name[0] == 0 || strlen(name) >= POINT_NAME_MAX || strchr(name, ','))
		return error_set(err, ERR_USAGE, "'%s' is not the name of an interface", name);
	memcpy(s->point[s->point_count++], name, strlen(name) + 1);
	return OK;
}

static enum status take_option(struct probe *p, int option, const char *value, struct error *err)
{
	switch (option) {
	case OPT_INTERFACE: return add_interface(p, value, err);
	case OPT_COLLECTOR: return add_collector(p, value, err);
	case OPT_LOCAL: return prefix_list_add(&p->local, value, err);
	case OPT_READ: p->read = value; return OK;
	case OPT_STATS: p->stats = true; return OK;
	case OPT_QUIET: p->log.level = LOG_ERROR; return OK;
	case OPT_VERBOSE: p->log.level = LOG_DEBUG; return OK;
	case OPT_PROFILE:
	case OPT_WRITE: return OK; /* taken in their own passes */
	default: return settings_set(&p->settings, properties[option - OPT_FIRST_PROPERTY], value, err);
	}
}

static int load_profile(struct probe *p, const char *path)
{
	struct error err;
	const enum status status = settings_load(&p->settings, path, &err);

	if (status != OK)
		log_error(&p->log, "%s", err.text);
	return status == OK ? EXIT_DONE : EXIT_WRONG_USAGE;
}

/* A copy of the invocation is walked, so that it can be walked again. */
static bool has_option(struct invocation walk, int wanted)
{
	const char *value;
	int option;

	while ((option = command_next(&walk, &value)) >= 0)
		if (option == wanted)
			return true;
	return false;
}

/* The options are walked three times, so that the profile comes first, then what overrides it, and the files
 * last, wherever they stand on the line. */
enum pass { PASS_PROFILE, PASS_OPTIONS, PASS_FILES };

static int walk_options(struct probe *p, struct invocation walk, enum pass pass)
{
	const char *value;
	struct error err;
	enum status status = OK;
	int option;

	while ((option = command_next(&walk, &value)) >= 0) {
		if (pass == PASS_PROFILE && option == OPT_PROFILE && load_profile(p, value) != EXIT_DONE)
			return EXIT_WRONG_USAGE;
		if (pass == PASS_FILES && option == OPT_WRITE)
			status = add_file(p, value, &err);
		else if (pass == PASS_OPTIONS)
			status = take_option(p, option, value, &err);
		if (status != OK)
			return command_usage_error(&walk, "--%s: %s", options[option].name, err.text);
	}
	if (option == -2)
		return EXIT_WRONG_USAGE;
	if (value)
		return command_usage_error(&walk, "'%s' is not an option", value);
	return EXIT_DONE;
}

static int parse(struct probe *p, struct invocation *invocation)
{
	int r = EXIT_DONE;

	settings_init(&p->settings);
	if (has_option(*invocation, OPT_READ) || has_option(*invocation, OPT_PROFILE) ||
	    access(PROFILE_DEFAULT_PATH, R_OK) != 0)
		r = EXIT_DONE;
	else
		r = load_profile(p, PROFILE_DEFAULT_PATH);
	for (int pass = PASS_PROFILE; pass <= PASS_FILES && r == EXIT_DONE; pass++)
		r = walk_options(p, *invocation, (enum pass)pass);
	if (r != EXIT_DONE)
		return r;
	if (p->read && p->interfaces_replaced)
		return command_usage_error(
			invocation, "-r and -i exclude each other: a capture file has its own interfaces");
	const bool local = p->local.ipv4_count + p->local.ipv6_count > 0;
	if (local && !p->read)
		return command_usage_error(
			invocation,
			"--local goes with -r: on a live interface the kernel knows the direction");
	p->settings.meter.local = local ? &p->local : NULL;
	p->settings.exporter.packet_time = p->read != NULL;
	return EXIT_DONE;
}

/* The same again, from the same words and what the profile says now. */
struct again {
	struct invocation invocation;
	const struct probe *first;
};

static bool read_again(void *arg, struct settings *out)
{
	struct again *again = arg;
	struct probe p = {.log = again->first->log};
	struct invocation walk = again->invocation;

	if (parse(&p, &walk) != EXIT_DONE)
		return false;
	*out = p.settings;
	return true;
}

static int run(struct invocation *invocation)
{
	const struct invocation fresh = *invocation;
	struct probe p = {.log = {.out = stderr, .level = LOG_INFO}};
	struct device device;
	struct error err = {0};
	enum status status;
	const int usage = parse(&p, invocation);

	if (usage != EXIT_DONE)
		return usage;
	if (!p.settings.enabled || p.settings.exporter.collector_count == 0) {
		log_warn(&p.log, "the exporter is off: %s",
			 !p.settings.enabled ? "Enabled is false"
					     : "no collector is named (IpFixCollectors, -c, -w)");
		return EXIT_DONE;
	}
	if (p.settings.meter.interval_ns % (60 * NS_PER_S) != 0)
		log_warn(&p.log,
			 "Interval %" PRId64 " is neither 0 nor a multiple of 60000 ms, as the documented "
			 "rule asks; honoured all the same",
			 (int64_t)(p.settings.meter.interval_ns / NS_PER_MS));
	signal(SIGPIPE, SIG_IGN); /* a reader of -w - that leaves is an error of that file, not our end */
	status = device_init(&device, &p.settings, &p.log, &err);
	if (status == OK) {
		struct again again = {fresh, &p};

		device.reader = read_again;
		device.reader_arg = &again;
		status = p.read ? device_run_capture(&device, p.read, &err) : device_run_live(&device, &err);
		if (p.stats)
			device_report(&device, stdout);
		device_fini(&device);
	}
	if (status != OK)
		log_error(&p.log, "%s", err.text);
	return status == OK ? EXIT_DONE : status == ERR_USAGE ? EXIT_WRONG_USAGE : EXIT_RUN_FAILED;
}

const struct command command_probe = {
	.name = "probe",
	.summary = "meter packets into flows and export them as IPFIX",
	.synopsis = "[-p PROFILE] [-i IFACE]… [-c COLLECTOR]… | -r FILE [-w OUT.ipfix] [-c COLLECTOR]… "
		    "[--local PREFIX]…",
	.notes = "Runs until SIGTERM or SIGINT, then exports every open flow; SIGHUP reads the profile "
		 "again. Needs CAP_NET_RAW on live "
		 "interfaces.",
	.options = options,
	.run = run,
};
