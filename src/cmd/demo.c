/* weir demo: a real WireGuard overlay between network namespaces, metered, exported, collected, shown. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/command.h"
#include "cmd/demo_lab.h"
#include "cmd/demo_page.h"
#include "cmd/demo_policy.h"
#include "cmd/demo_receive.h"
#include "cmd/demo_show.h"
#include "cmd/demo_traffic.h"
#include "web/address.h"

enum { OPT_SECONDS, OPT_HTTP };

static const struct command_option options[] = {
	[OPT_SECONDS] = {0, "seconds", "N", "end after so many seconds of traffic (default: at Ctrl-C)"},
	[OPT_HTTP] =
		{0, "http", "ADDR:PORT",
		 "show the page there while it runs; none = no page (default 127.0.0.1:8080, or another port "
		 "when that is taken)"},
	{0},
};

/* What ends a demo in good order: Ctrl-C, kill, and a terminal that is closed. */
static const int leave_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { LEAVE_SIGNALS = sizeof leave_signals / sizeof leave_signals[0] };

enum { REDRAW_MS = 250, LAST_RECORDS_MS = 5000, PATIENCE_MS = 3000 };

struct demo;

/* One `weir probe` in one system. */
struct metering {
	struct demo *demo;
	int host;
	struct child *child; /* NULL: it is gone */
};

struct demo {
	uv_loop_t loop;
	uv_signal_t leave[LEAVE_SIGNALS];
	uv_timer_t tick, deadline;
	struct children children;
	struct lab lab;
	struct receiver receiver;
	struct show show;
	struct demo_page page;
	const char *http; /* NULL: the usual address */
	struct traffic *traffic;
	struct metering metering[LAB_HOSTS];
	int profile;      /* memory file: the probes are not to find the machine's own */
	int64_t seconds;  /* 0: no end */
	uint64_t ends_at; /* uv_now */
	bool stop;        /* the user wants to leave, or the time is over */
	bool ending;      /* probes are expected to end */
	bool broken;      /* a probe or a tunnel ended by itself */
};

/* Programs the demo starts, and the Debian packages that have them. */
static const struct {
	const char *program, *package;
} needed[] = {
	{"ip", "iproute2"},   {"wg", "wireguard-tools"}, {"wireguard-go", "wireguard-go"},
	{"iperf3", "iperf3"}, {"ping", "iputils-ping"},  {"setpriv", "util-linux"},
	{"nft", "nftables"},
};

static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	char name[PATH_MAX];

	for (const char *at = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"; *at;) {
		const size_t length = strcspn(at, ":");

		if (snprintf(name, sizeof name, "%.*s/%s", (int)length, at, program) < (int)sizeof name &&
		    access(name, X_OK) == 0)
			return true;
		at += length + (at[length] == ':');
	}
	return false;
}

/* Says everything that is missing, so that one try is enough. */
static bool can_run(void)
{
	bool can = true;

	if (geteuid() != 0) {
		fprintf(stderr,
			"weir demo: it makes network namespaces and interfaces, which takes root: try "
			"'sudo weir demo'\n");
		can = false;
	}
	for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
		if (in_path(needed[i].program))
			continue;
		fprintf(stderr, "weir demo: no '%s' here: apt-get install %s\n", needed[i].program,
			needed[i].package);
		can = false;
	}
	return can;
}

static void on_leave(uv_signal_t *signal, int number)
{
	struct demo *demo = signal->data;

	demo->stop = true;
	uv_stop(&demo->loop);
}

static void on_deadline(uv_timer_t *timer)
{
	struct demo *demo = timer->data;

	demo->stop = true;
	uv_stop(&demo->loop);
}

static void on_tick(uv_timer_t *timer)
{
	struct demo *demo = timer->data;
	const uint64_t now = uv_now(&demo->loop);
	const int64_t left = demo->ends_at > now ? (int64_t)(demo->ends_at - now + 999) / 1000 : 0;

	show_redraw(&demo->show, demo->seconds ? left : -1);
	if (ferror(demo->show.out) && !demo->ending)
		on_deadline(timer); /* nobody reads any more */
}

static void on_probe_ended(void *arg, int64_t status, int signal)
{
	struct metering *metering = arg;
	struct demo *demo = metering->demo;
	char said[256] = "";

	child_said(metering->child, said, sizeof said);
	metering->child = NULL;
	/* A probe that was only just started may not listen to SIGTERM yet. */
	if (demo->ending && status == 0 && (signal == 0 || signal == SIGTERM))
		return;
	fprintf(stderr, "weir demo: the probe on %s ended with %s %" PRId64 "%s%s\n",
		demo->lab.host[metering->host].name, signal ? "signal" : "exit status",
		signal ? (int64_t)signal : status, said[0] ? ": " : "", said);
	demo->broken = true;
}

/* One probe in every system, on the overlay interface, exporting over the underlay. */
static enum status start_probes(struct demo *demo, struct error *err)
{
	char program[PATH_MAX], words[PATH_MAX + 256], line[PATH_MAX + 256];
	const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

	if (n < 0)
		return error_errno(err, "/proc/self/exe");
	program[n] = 0;
	for (int i = 0; i < LAB_HOSTS; i++) {
		snprintf(words, sizeof words,
			 "%s probe -q -p /proc/%d/fd/%d -i {dev} -c Udp/" LAB_COLLECTOR
			 " --domain {n} --idle 1000 --template-refresh 5000",
			 program, (int)getpid(), demo->profile);
		if (lab_fill(&demo->lab, i, 0, words, line, sizeof line) < 0)
			return error_set(err, ERR_LIMIT, "'%s' grows too long", words);
		demo->metering[i] = (struct metering){.demo = demo, .host = i};
		const struct child_order order = {
			.netns = demo->lab.host[i].netns,
			.line = line,
			.service = true,
			.ended = on_probe_ended,
			.arg = &demo->metering[i],
		};
		const enum status status =
			children_start(&demo->children, &order, &demo->metering[i].child, err);
		if (status != OK)
			return status;
	}
	return OK;
}

static bool probes_run(const struct demo *demo)
{
	for (int i = 0; i < LAB_HOSTS; i++)
		if (demo->metering[i].child)
			return true;
	return false;
}

/* Probes export what is open when they are told to end; wait for that. */
static void end_probes(struct demo *demo)
{
	demo->ending = true;
	for (int i = 0; i < LAB_HOSTS; i++)
		child_stop(&demo->children, demo->metering[i].child);
	const uint64_t patience = uv_now(&demo->loop) + LAST_RECORDS_MS;
	while (probes_run(demo) && uv_now(&demo->loop) < patience)
		uv_run(&demo->loop, UV_RUN_ONCE); /* the tick wakes it */
	uv_run(&demo->loop, UV_RUN_NOWAIT);       /* what waits in the collector's socket */
}

/* Where the kernel has no nftables there is less to see. END: the user left. */
static enum status apply_policy(struct demo *demo, struct error *err)
{
	const enum status status = demo_policy_apply(&demo->lab, err);

	if (status == END)
		return END;
	if (status == OK)
		fprintf(stderr,
			"weir demo: a policy on %s refuses SNMP from bob, and logs to cyd, who does "
			"not meet the trust requirement disk-encryption\n",
			demo->lab.host[0].name);
	else
		fprintf(stderr, "weir demo: nothing will be refused, because there is no policy: %s\n",
			err->text);
	return OK;
}

static enum status play(struct demo *demo, struct error *err)
{
	fprintf(stderr, "weir demo: making a WireGuard overlay of %d systems …\n", LAB_HOSTS);
	enum status status = demo_page_open(&demo->page, &demo->children, demo->http, &demo->broken, err);
	if (status != OK)
		return status;
	status = lab_open(&demo->lab, &demo->children, &demo->broken, err);
	if (status != OK)
		return status;
	fprintf(stderr, "weir demo: %s; 10.77.0.1-%d and fd77::1-%d; a probe in each, collector at %s\n",
		demo->lab.kernel_wireguard ? "WireGuard of the kernel" : "wireguard-go", LAB_HOSTS, LAB_HOSTS,
		LAB_COLLECTOR);
	demo_page_tell(&demo->page);
	status = apply_policy(demo, err);
	if (status != OK)
		return status;
	show_init(&demo->show, stdout, &demo->lab);
	status = receiver_open(&demo->receiver, &demo->lab, show_flow, &demo->show, err);
	demo->receiver.page = &demo->page;
	if (status == OK)
		status = start_probes(demo, err);
	if (status == OK)
		status = traffic_start(&demo->traffic, &demo->lab, err);
	if (status != OK)
		return status;

	uv_timer_start(&demo->tick, on_tick, REDRAW_MS, REDRAW_MS);
	if (demo->seconds) {
		uv_update_time(&demo->loop);
		demo->ends_at = uv_now(&demo->loop) + (uint64_t)demo->seconds * 1000;
		uv_timer_start(&demo->deadline, on_deadline, (uint64_t)demo->seconds * 1000, 0);
	}
	if (!demo->stop)
		uv_run(&demo->loop, UV_RUN_DEFAULT);
	traffic_stop(demo->traffic);
	end_probes(demo);
	show_summary(&demo->show, &demo->receiver);
	return OK;
}

static int demo_init(struct demo *demo)
{
	const int answer = uv_loop_init(&demo->loop);

	if (answer < 0)
		return answer;
	for (int i = 0; i < LEAVE_SIGNALS; i++) {
		uv_signal_init(&demo->loop, &demo->leave[i]);
		demo->leave[i].data = demo;
		uv_signal_start(&demo->leave[i], on_leave, leave_signals[i]);
	}
	signal(SIGPIPE, SIG_IGN); /* a reader that leaves is seen in on_tick */
	uv_timer_init(&demo->loop, &demo->tick);
	uv_timer_init(&demo->loop, &demo->deadline);
	demo->tick.data = demo->deadline.data = demo;
	return 0;
}

/* Everything that was made goes, in the order that lets each part say goodbye. */
static void demo_fini(struct demo *demo)
{
	traffic_stop(demo->traffic);
	demo->ending = demo->page.ending = true;
	children_end(&demo->children, PATIENCE_MS);
	demo_page_close(&demo->page);
	receiver_close(&demo->receiver);
	for (int i = 0; i < LEAVE_SIGNALS; i++)
		uv_close((uv_handle_t *)&demo->leave[i], NULL);
	uv_close((uv_handle_t *)&demo->tick, NULL);
	uv_close((uv_handle_t *)&demo->deadline, NULL);
	uv_run(&demo->loop, UV_RUN_DEFAULT);
	uv_loop_close(&demo->loop);
	traffic_free(demo->traffic);
	lab_close(&demo->lab);
}

static int make_profile(void)
{
	static const char text[] = "{\"FlowMetadata\": {\"NflogGroups\": [" DEMO_NFLOG_GROUP "]}}\n";
	const int fd = memfd_create("profile", MFD_CLOEXEC);

	return fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1 ? fd : -1;
}

static int run_demo(int64_t seconds, const char *http)
{
	auto_fd profile = make_profile();
	auto_fd home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct demo *demo = calloc(1, sizeof *demo);
	struct error err = {""};

	if (!demo || home < 0 || profile < 0 || demo_init(demo) < 0) {
		fprintf(stderr, "weir demo: cannot start: %s\n", strerror(errno));
		free(demo);
		return EXIT_RUN_FAILED;
	}
	demo->seconds = seconds;
	demo->http = http;
	demo->page.socket = -1;
	demo->profile = profile;
	demo->children = (struct children){.loop = &demo->loop, .home = home, .stop = &demo->stop};
	const enum status status = play(demo, &err);
	demo_fini(demo);
	const bool good = (status == OK || status == END) && !demo->broken;
	if (status != OK && status != END)
		fprintf(stderr, "weir demo: %s\n", err.text);
	free(demo);
	return good ? EXIT_DONE : EXIT_RUN_FAILED;
}

static int run(struct invocation *invocation)
{
	const char *value, *http = NULL;
	char *end;
	int64_t seconds = 0;
	int option;

	while ((option = command_next(invocation, &value)) >= 0) {
		if (option == OPT_HTTP) {
			struct sockaddr_storage address;
			socklen_t length;
			struct error err;

			http = value;
			if (web_address_read(http, &address, &length, &err) != OK)
				return command_usage_error(invocation, "--http: %s", err.text);
			continue;
		}
		errno = 0;
		seconds = strtoll(value, &end, 10);
		if (errno || end == value || *end || seconds < 1 || seconds > 86400)
			return command_usage_error(
				invocation, "--seconds wants a number from 1 to 86400, not '%s'", value);
	}
	if (option == -2)
		return EXIT_WRONG_USAGE;
	if (value)
		return command_usage_error(invocation, "no operand is taken, '%s' was given", value);
	return can_run() ? run_demo(seconds, http) : EXIT_RUN_FAILED;
}

const struct command command_demo = {
	.name = "demo",
	.summary = "show a real WireGuard overlay, metered, exported, collected",
	.synopsis = "[--seconds N] [--http ADDR:PORT]",
	.notes = "Needs root. All it makes lives in network namespaces of its own and is gone when it ends.",
	.options = options,
	.run = run,
};
