/* live.c: the device over live interfaces: one event loop, phases visible. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "daemon/device.h"
#include "daemon/shards.h"
#include "observe/drop_reasons.h"

enum {
	TICK_MS = 250,           /* expiry and sending never wait longer */
	BATCHES_PER_TURN = 64,   /* then signals and timers get their turn */
	REFUSED_PER_BATCH = 4,   /* batches of refused frames for one of all frames */
	CATCH_UP_BATCHES = 32,   /* … of the source that follows the others */
	LAST_WORDS_MS = 100,     /* for the kernel to tell of what was seen or refused just now */
	CONTROL_EVERY_TICKS = 4, /* counters reach the exporter once a second */
	ACKNOWLEDGED_MS = 5      /* to look again whether the collector has taken what is in flight */
};

struct live {
	struct device *device;
	uv_loop_t loop;
	uv_poll_t packets[DEVICE_SOURCES_MAX];
	bool failed[DEVICE_SOURCES_MAX]; /* a source of refused frames that goes on no more */
	uv_timer_t tick, soon;
	uv_poll_t collectors; /* connections that have room again, spoke or ended */
	uv_async_t shards;    /* meters that run side by side have records, or ask */
	uv_idle_t more;       /* runs while the exporter has more to send than one turn takes */
	uv_signal_t terminate, interrupt, hangup;
	bool reload; /* at the next tick: a storm of signals is one reload */
	struct packet_batch batch;
	struct mono_ns read_to; /* time of the last packet read */
	uint32_t ticks;
	enum status status; /* of the first thing that failed */
	struct error error;
};

static void on_more(uv_idle_t *idle);
static void on_soon(uv_timer_t *timer);

/* Interfaces came, went or changed: close the flows of what is gone, tell the collectors. */
static void take_events(struct device *device, struct packet_source *source)
{
	struct point_event event;
	struct meter *meter;

	while (source->type->next_event && source->type->next_event(source, &event)) {
		for (uint32_t i = 0; event.change == POINT_DOWN && (meter = device_meter(device, i)); i++)
			meter_flush_point(meter, event.point);
		if (event.change != POINT_DOWN)
			device_interfaces_changed(device);
	}
}

static void serve_exporter(struct live *live)
{
	device_service(live->device, mono_now(), wall_now());
	if (device_busy(live->device))
		uv_idle_start(&live->more, on_more);
	else
		uv_idle_stop(&live->more);
	if (exporter_waits(live->device->exporter) && !uv_is_active((uv_handle_t *)&live->soon))
		uv_timer_start(&live->soon, on_soon, ACKNOWLEDGED_MS, 0);
}

static void on_more(uv_idle_t *idle)
{
	serve_exporter(idle->data);
}

static void on_soon(uv_timer_t *timer)
{
	serve_exporter(timer->data);
}

static void on_collectors(uv_poll_t *handle, int status, int events)
{
	serve_exporter(handle->data);
}

/* Without it the tick must do. */
static int start_collectors(struct live *live)
{
	const int fd = exporter_poll_fd(live->device->exporter);
	int r;

	live->soon.data = live->collectors.data = live;
	r = uv_timer_init(&live->loop, &live->soon);
	if (r < 0 || fd < 0)
		return r;
	r = uv_poll_init(&live->loop, &live->collectors, fd);
	return r < 0 ? r : uv_poll_start(&live->collectors, UV_READABLE, on_collectors);
}

static enum status read_batch(struct live *live, struct packet_source *source)
{
	struct device *device = live->device;
	enum status status;

	take_events(device, source);
	status = source->type->read(source, &live->batch, &live->error);
	if (status != OK)
		return status;
	if (device->peers && source == device->source[0])
		peer_check_batch(device->peers, &live->batch);
	if (live->batch.count > 0)
		live->read_to = live->batch.packet[live->batch.count - 1].time;
	meter_observe(device->meter, &live->batch);
	source->type->release(source, &live->batch);
	return OK;
}

/* Without a source of refused frames all else goes on. */
static enum status give_up(struct live *live, uint32_t i)
{
	log_warn(&live->device->log, "refused frames are not told of any more by %s: %s",
		 live->device->source[i]->type->name, live->error.text);
	live->failed[i] = true;
	if (!uv_is_closing((uv_handle_t *)&live->packets[i]))
		uv_poll_stop(&live->packets[i]);
	return AGAIN;
}

/* A batch of all frames; before it what is known of refused ones, so that few of those are taken for flows
 * that come and go. Of two reports of one frame the second must find the first: the source that follows the
 * others does not overtake them when they are behind. OK: there was something. */
static enum status read_sources(struct live *live)
{
	struct device *device = live->device;
	struct mono_ns told = {INT64_MAX};
	enum status result = AGAIN;

	for (uint32_t i = device->source_count; i-- > 0;) {
		const bool follows = device->source[i]->type == &kfree_skb_source;
		const int most = i == 0 ? 1 : follows ? CATCH_UP_BATCHES : REFUSED_PER_BATCH;
		enum status status = OK;

		if (follows)
			kfree_skb_hold(device->source[i], told);
		for (int n = 0; n < most && status == OK && !live->failed[i]; n++) {
			status = read_batch(live, device->source[i]);
			if (status == OK)
				result = OK;
		}
		if (status == OK && i > 0 && live->read_to.ns < told.ns)
			told = live->read_to; /* there may be more */
		if (status != OK && status != AGAIN && i > 0)
			status = give_up(live, i);
		if (status != OK && status != AGAIN)
			return status;
	}
	return result;
}

static void on_packets(uv_poll_t *handle, int status, int events)
{
	struct live *live = handle->data;
	enum status read = OK;

	for (int n = 0; n < BATCHES_PER_TURN && read == OK; n++)
		read = read_sources(live);
	serve_exporter(live);
	if (read != OK && read != AGAIN) {
		live->status = read;
		uv_stop(&live->loop);
	}
}

/* Several meters read packets, each in a thread of its own; what is left to do here: */
static void look_after_source(struct live *live)
{
	struct device *device = live->device;

	shards_stop(device->shards);
	take_events(device, device->source[0]);
	shards_go(device->shards);
	shards_move(device->shards);
	serve_exporter(live);
}

static void on_interfaces(uv_poll_t *handle, int status, int events)
{
	look_after_source(handle->data);
}

static void on_shards(uv_async_t *handle)
{
	struct live *live = handle->data;

	if (shards_ask(live->device->shards)) {
		look_after_source(live);
		return;
	}
	shards_move(live->device->shards);
	serve_exporter(live);
}

static void tell(void *arg)
{
	(void)uv_async_send(arg);
}

/* The kernel dropped packets before we could read them: say so when it happens, with the sum so far. */
static void report_drops(struct device *device)
{
	for (uint32_t i = 0; i < device->source_count; i++) {
		struct source_statistics s;

		device_source_statistics(device, i, &s);
		if (s.dropped_packets > device->reported_drops[i])
			log_warn(&device->log,
				 "%" PRIu64 " packets lost in the kernel's %s (%" PRIu64
				 " since the start)%s",
				 s.dropped_packets - device->reported_drops[i],
				 i == 0 ? "ring" : "queue of refused frames", s.dropped_packets,
				 i == 0 ? "; RingSize is a setting" : "");
		if (i == 0)
			device_overload(device, s.dropped_packets - device->reported_drops[i]);
		device->reported_drops[i] = s.dropped_packets;
	}
}

/* Sessions of several domains to one collector differ in nothing but the local port: any is meant then. */
static void forget_port(struct sockaddr_storage *local)
{
	if (local->ss_family == AF_INET6)
		((struct sockaddr_in6 *)local)->sin6_port = 0;
	else
		((struct sockaddr_in *)local)->sin_port = 0;
}

/* What we send to collectors is not traffic of the overlay's users. Addresses are asked for again, because a
 * session may get a new one. */
static void exclude_sessions(struct device *device, const struct exporter *exporter)
{
	struct packet_source *source = device->source[0];

	for (uint32_t i = 0; source->type->exclude && i < exporter_session_count(exporter); i++) {
		for (uint32_t n = 0; exporter_session_member(exporter, i, n); n++) {
			struct sockaddr_storage local, remote;

			if (!exporter_session_addresses(exporter, i, n, &local, &remote))
				continue;
			if (device->domain_count > 0)
				forget_port(&local);
			(void)source->type->exclude(source, (struct sockaddr *)&local,
						    (struct sockaddr *)&remote);
		}
	}
}

static void exclude_own_traffic(struct device *device)
{
	struct exporter *exporter;

	for (uint32_t i = 0; (exporter = device_exporter(device, i)); i++)
		exclude_sessions(device, exporter);
}

/* No flow has ended by then of which there may be packets to read. */
static struct mono_ns read_until(const struct packet_source *source)
{
	return source->type->read_until ? source->type->read_until(source) : mono_now();
}

/* Several meters look at the clock by themselves. */
static void advance(struct device *device)
{
	if (device->meter)
		meter_advance(device->meter, read_until(device->source[0]), wall_now().ns - mono_now().ns);
}

static void on_tick(uv_timer_t *timer)
{
	struct live *live = timer->data;
	struct device *device = live->device;

	if (device->shards)
		shards_stop(device->shards);
	if (live->reload)
		device_reload(device);
	live->reload = false;
	for (uint32_t i = 0; i < device->source_count; i++)
		take_events(device, device->source[i]);
	if (device->peers)
		peer_check_tick(device->peers);
	advance(device);
	if (++live->ticks % CONTROL_EVERY_TICKS == 0) {
		device_update_control(device);
		report_drops(device);
		exclude_own_traffic(device);
	}
	if (device->shards) {
		shards_go(device->shards);
		shards_move(device->shards);
	}
	serve_exporter(live);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct live *live = signal->data;

	log_info(&live->device->log, "%s: exporting the open flows", strsignal(number));
	uv_stop(&live->loop);
}

static void on_hangup(uv_signal_t *signal, int number)
{
	struct live *live = signal->data;

	live->reload = true;
}

static int start_polls(struct live *live)
{
	int r = 0;

	for (uint32_t i = 0; i < live->device->source_count && r >= 0; i++) {
		struct packet_source *source = live->device->source[i];

		live->packets[i].data = live;
		r = uv_poll_init(&live->loop, &live->packets[i], source->type->poll_fd(source));
		if (r >= 0)
			r = uv_poll_start(&live->packets[i], UV_READABLE,
					  live->device->shards ? on_interfaces : on_packets);
	}
	return r;
}

static int start_handles(struct live *live)
{
	int r;

	live->tick.data = live->more.data = live->terminate.data = live->interrupt.data = live;
	live->hangup.data = live->shards.data = live;
	if ((r = uv_timer_init(&live->loop, &live->tick)) < 0 ||
	    (r = uv_idle_init(&live->loop, &live->more)) < 0 ||
	    (r = uv_signal_init(&live->loop, &live->terminate)) < 0 ||
	    (r = uv_signal_init(&live->loop, &live->interrupt)) < 0 || (r = start_polls(live)) < 0 ||
	    (r = start_collectors(live)) < 0 ||
	    (r = uv_timer_start(&live->tick, on_tick, TICK_MS, TICK_MS)) < 0 ||
	    (r = uv_signal_start(&live->terminate, on_signal, SIGTERM)) < 0 ||
	    (r = uv_signal_start(&live->interrupt, on_signal, SIGINT)) < 0 ||
	    (r = uv_async_init(&live->loop, &live->shards, on_shards)) < 0 ||
	    (r = uv_signal_init(&live->loop, &live->hangup)) < 0 ||
	    (r = uv_signal_start(&live->hangup, on_hangup, SIGHUP)) < 0)
		return r;
	return 0;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	uv_close(handle, NULL);
}

/* Packets that were seen still count. The last of them lie in a block that the kernel hands over only when
 * its time is up (packet_ring.h), and a refusal may come after its frame: wait for both, then read until
 * there is none. Bounded, because new ones may keep coming. */
static void drain(struct live *live)
{
	const struct packet_source *all = live->device->source[0];

	(void)poll(NULL, 0, LAST_WORDS_MS);
	if (live->device->shards) {
		shards_stop(live->device->shards);
		take_events(live->device, live->device->source[0]);
		shards_end_live(live->device->shards);
		return;
	}
	if (all->type->hurry)
		all->type->hurry(live->device->source[0]);
	for (int n = 0; n < BATCHES_PER_TURN * 16 && read_sources(live) == OK; n++)
		;
}

static enum status start_shards(struct live *live, struct error *err)
{
	struct device *device = live->device;

	if (!device->shards)
		return OK;
	const enum status status =
		shards_start_live(device->shards, device->source[0], tell, &live->shards, err);
	if (status == OK)
		shards_go(device->shards);
	return status;
}

static enum status run_loop(struct live *live, struct error *err)
{
	enum status status;
	int r;

	if ((r = uv_loop_init(&live->loop)) < 0)
		return error_set(err, ERR_SYSTEM, "event loop: %s", uv_strerror(r));
	if ((r = start_handles(live)) < 0)
		status = error_set(err, ERR_SYSTEM, "event loop: %s", uv_strerror(r));
	else
		status = start_shards(live, err);
	if (status == OK) {
		uv_run(&live->loop, UV_RUN_DEFAULT);
		status = live->status;
		if (status != OK)
			error_set(err, status, "%s", live->error.text);
	}
	drain(live);
	uv_walk(&live->loop, close_handle, NULL);
	uv_run(&live->loop, UV_RUN_DEFAULT);
	uv_loop_close(&live->loop);
	return status;
}

static void interface_list(const struct settings *settings, char *out, size_t size)
{
	size_t used = 0;

	out[0] = 0;
	for (uint32_t i = 0; i < settings->point_count && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "", settings->point[i]);
}

/* A source of refused frames: without it the device does all else that it is for. */
static void open_refused(struct device *device, const struct packet_source_type *type, const char *spec)
{
	const struct settings *settings = device->settings;
	const struct source_options options = {
		.spec = spec,
		.points = &device->points,
		.log = &device->log,
		.prefixes = settings->prefixes.count ? &settings->prefixes : NULL,
	};
	struct error err = {0};

	if (type->open(&device->source[device->source_count], &options, &err) == OK)
		device->source_count++;
	else
		log_warn(&device->log, "refused frames are not told of by %s: %s", type->name, err.text);
}

static void group_list(const struct settings *settings, char *out, size_t size)
{
	size_t used = 0;

	out[0] = 0;
	for (uint32_t i = 0; i < settings->nflog_count && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%u", i ? "," : "",
					 settings->nflog_group[i]);
}

static void open_rule_counters(struct device *device)
{
	struct error err = {0};

	if (rule_counters_open(&device->rule_counters, &err) != OK)
		log_warn(&device->log, "rules are not told of: %s", err.text);
}

static enum status open_peer_check(struct device *device, struct error *err)
{
	struct error why = {0};

	if (interface_errors_open(&device->interface_errors, &why) != OK)
		log_warn(&device->log, "errors of interfaces are not told of: %s", why.text);
	return peer_check_new(&device->peers, &device->points, &device->log, err);
}

static enum status open_sources(struct device *device, struct error *err)
{
	char interfaces[SETTINGS_POINTS_MAX * (POINT_NAME_MAX + 1)], groups[NFLOG_GROUPS_MAX * 8];
	struct source_options options = {
		.spec = device->settings->point_count ? interfaces : NULL,
		.points = &device->points,
		.log = &device->log,
		.ring_octets = device->settings->ring_octets,
		.snap_octets = device->settings->snap_octets,
	};

	if (device->shards)
		shards_lanes(device->shards, &options.lanes, &options.share_factor);

	interface_list(device->settings, interfaces, sizeof interfaces);
	const enum status status = device_open_capture(device, &options, err);
	if (status != OK)
		return status;
	device->source_count = 1;
	group_list(device->settings, groups, sizeof groups);
	if (device->settings->drop_reasons)
		open_refused(device, &kfree_skb_source, NULL);
	if (device->settings->trace_rules)
		open_refused(device, &nft_trace_source, NULL);
	if (device->settings->nflog_count > 0)
		open_refused(device, &nflog_source, groups);
	if (device->source_count > 1) /* who may hear of refusals may read the counters too */
		open_rule_counters(device);
	return device->settings->peer_check ? open_peer_check(device, err) : OK;
}

enum status device_run_live(struct device *device, struct error *err)
{
	struct live *live = calloc(1, sizeof *live);
	enum status status, end;

	if (!live)
		return error_set(err, ERR_MEMORY, "out of memory");
	status = open_sources(device, err);
	if (status == OK) {
		live->device = device;
		exclude_own_traffic(device);
		device_interfaces_changed(device);
		status = run_loop(live, err);
		if (device->meter)
			meter_flush(device->meter);
		device_update_control(device);
		report_drops(device);
		end = device_finish(device, mono_now(), wall_now(), status == OK ? err : NULL);
		status = status == OK ? end : status;
	}
	free(live);
	return status;
}
