/* Frames that the kernel drops for a reason that is policy, by the tracepoint kfree_skb: those that rules
 * drop without telling anybody, in any packet filter, and those that other parts of the kernel refuse.
 *
 * The kernel says why and not by which rule, so this source speaks last: what it knows is held back for
 * HOLD_NS, in which sources that know the rule have told of the frame. One thread. */
#include "observe/drop_reasons.h"
#include "observe/refused.h"
#include "observe/source.h"

#ifdef WEIR_BPF

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "observe/bpf/drop_event.h"
#pragma GCC diagnostic push /* bpftool's text, not ours */
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "observe/drop.skel.h"
#pragma GCC diagnostic pop

/* NFLOG groups tell within 50 ms (nflog.c). */
#define HOLD_NS (75 * NS_PER_MS)

struct kfree_skb {
	struct packet_source base;
	struct drop_bpf *bpf;
	struct ring_buffer *ring;
	int epoll; /* readable when the ring has got something, and when what is held is due */
	int timer;
	struct point_table *points;
	const struct logger *log;
	struct source_statistics counted;
	const struct drop_reason *reason[DROP_REASONS_MAX]; /* by the running kernel's number */
	uint32_t watched_count, watched[POINT_MAX];
	bool told_full;
	bool holding;
	struct drop_event held; /* taken out of the ring too early */
	struct packet_batch *batch;
	int64_t until;     /* events of later times stay */
	int64_t not_after; /* … and those that others are still to tell of */
	uint8_t payload[PACKET_BATCH_MAX][DROP_SNAP];
};

/* ---- frames ---- */

static void add(struct kfree_skb *s, const struct drop_event *e)
{
	enum flow_direction direction;
	const int point = refused_point(s->points, e->in, e->out, &direction);
	const struct drop_reason *reason = e->reason < DROP_REASONS_MAX ? s->reason[e->reason] : NULL;
	struct packet_batch *batch = s->batch;

	if (point < 0 || !reason || e->captured == 0 || e->captured > DROP_SNAP)
		return;
	uint8_t *payload = s->payload[batch->count];
	memcpy(payload, e->data, DROP_SNAP);
	batch->packet[batch->count] = (struct packet){
		.data = payload,
		.captured = e->captured,
		.length = refused_length(payload, e->captured),
		.time = {(int64_t)e->time},
		.point = (uint16_t)point,
		.gso_size = e->gso_size,
		.link = LINK_IP,
		.direction = (uint8_t)direction,
		.denial = denial_table_add(&s->points->denials, reason->reason, reason->kind, reason->rule),
	};
	s->counted.octets += batch->packet[batch->count].length;
	batch->count++;
}

/* Called by libbpf for each event; what it has handed over is gone from the ring, also when the answer is
 * that this was enough. */
static int take(void *source, void *data, size_t size)
{
	struct kfree_skb *s = source;
	const struct drop_event *e = data;

	if (size < sizeof *e)
		return 0;
	if ((int64_t)e->time > s->until || s->batch->count == PACKET_BATCH_MAX) {
		s->held = *e;
		s->holding = true;
		return -EAGAIN;
	}
	add(s, e);
	return 0;
}

/* The ring's descriptor tells only of what comes anew; this, of what is in it already. */
static void set_timer(struct kfree_skb *s)
{
	struct itimerspec when = {0};

	if (s->holding) {
		const int64_t due = (int64_t)s->held.time + HOLD_NS;

		when.it_value.tv_sec = due / NS_PER_S;
		when.it_value.tv_nsec = due % NS_PER_S;
	}
	(void)timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static enum status drops_read(struct packet_source *source, struct packet_batch *batch, struct error *err)
{
	struct kfree_skb *s = (struct kfree_skb *)source;
	const int64_t now = mono_now().ns;
	struct epoll_event events[2];

	(void)epoll_wait(s->epoll, events, 2, 0); /* so that it waits for the next one */
	batch->count = 0;
	batch->to_wall = wall_now().ns - now;
	s->batch = batch;
	s->until = now - HOLD_NS < s->not_after ? now - HOLD_NS : s->not_after;
	if (s->holding && (int64_t)s->held.time <= s->until) {
		add(s, &s->held);
		s->holding = false;
	}
	if (!s->holding)
		(void)ring_buffer__consume(s->ring);
	set_timer(s);
	s->counted.packets += batch->count;
	return batch->count > 0 ? OK : AGAIN;
}

static void drops_release(struct packet_source *source, struct packet_batch *batch)
{
	batch->count = 0;
}

static void drops_statistics(struct packet_source *source, struct source_statistics *out)
{
	struct kfree_skb *s = (struct kfree_skb *)source;
	const uint64_t lost = __atomic_load_n(&s->bpf->bss->lost, __ATOMIC_RELAXED);

	if (lost > s->counted.dropped_packets) {
		s->counted.last_drop_wall_ms = wall_ms(wall_now());
		if (s->counted.first_drop_wall_ms == 0)
			s->counted.first_drop_wall_ms = s->counted.last_drop_wall_ms;
		s->counted.dropped_packets = lost;
	}
	*out = s->counted;
}

static int drops_poll_fd(const struct packet_source *source)
{
	return ((const struct kfree_skb *)source)->epoll;
}

/* No events of its own; it is where the kernel's side follows the interfaces. */
static int drops_next_event(struct packet_source *source, struct point_event *event)
{
	struct kfree_skb *s = (struct kfree_skb *)source;
	const int map = bpf_map__fd(s->bpf->maps.interfaces);
	const uint8_t yes = 1;
	uint32_t count = 0, up[POINT_MAX];

	for (uint32_t i = 0; i < s->points->count; i++)
		if (s->points->point[i].up)
			up[count++] = s->points->point[i].ifindex;
	if (count == s->watched_count && memcmp(up, s->watched, count * sizeof up[0]) == 0)
		return 0;
	for (uint32_t i = 0; i < s->watched_count; i++)
		(void)bpf_map_delete_elem(map, &s->watched[i]);
	for (uint32_t i = 0; i < count; i++)
		if (bpf_map_update_elem(map, &up[i], &yes, BPF_ANY) != 0 && !s->told_full) {
			log_warn(s->log, "kfree_skb: no room for all interfaces: %s", strerror(errno));
			s->told_full = true;
		}
	memcpy(s->watched, up, count * sizeof up[0]);
	s->watched_count = count;
	return 0;
}

/* ---- open ---- */

static void drops_close(struct packet_source *source)
{
	struct kfree_skb *s = (struct kfree_skb *)source;

	if (!s)
		return;
	ring_buffer__free(s->ring);
	drop_bpf__destroy(s->bpf);
	if (s->timer >= 0)
		close(s->timer);
	if (s->epoll >= 0)
		close(s->epoll);
	free(s);
}

/* The numbers that the running kernel gives to the reasons of our table. */
static enum status read_reasons(struct kfree_skb *s, struct error *err)
{
	struct btf *btf = btf__load_vmlinux_btf();
	uint32_t found = 0;

	if (!btf)
		return error_set(
			err, ERR_UNSUPPORTED,
			"the kernel does not describe its types (no BTF in /sys/kernel/btf/vmlinux)");
	const int id = btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	for (uint32_t i = 0; type && i < btf_vlen(type); i++) {
		const struct btf_enum *e = &btf_enum(type)[i];
		const char *name = btf__name_by_offset(btf, e->name_off);

		if (name && e->val >= 0 && e->val < DROP_REASONS_MAX)
			s->reason[e->val] = drop_reason_find(name);
		found += name && e->val >= 0 && e->val < DROP_REASONS_MAX && s->reason[e->val];
	}
	btf__free(btf);
	return found > 0 ? OK
			 : error_set(err, ERR_UNSUPPORTED,
				     "the kernel gives no reasons for drops (Linux 5.17)");
}

static enum status load(struct kfree_skb *s, struct error *err)
{
	struct stat netns;

	(void)libbpf_set_print(NULL); /* its own words on standard error: ours say it in one line */
	enum status status = read_reasons(s, err);
	if (status != OK)
		return status;
	s->bpf = drop_bpf__open();
	if (!s->bpf || stat("/proc/self/ns/net", &netns) != 0)
		return error_errno(err, "the program for the kernel");
	s->bpf->rodata->netns = (uint32_t)netns.st_ino;
	for (uint32_t i = 0; i < DROP_REASONS_MAX; i++)
		s->bpf->rodata->wanted[i] = s->reason[i] != NULL;
	int error = -drop_bpf__load(s->bpf);
	if (error == 0)
		error = -drop_bpf__attach(s->bpf);
	if (error == EPERM || error == EACCES)
		return error_set(err, ERR_PERMISSION, "CAP_BPF and CAP_PERFMON are missing");
	if (error != 0)
		return error_set(err, ERR_UNSUPPORTED, "the kernel does not take its program: %s",
				 strerror(error));
	return OK;
}

static enum status watch_ring(struct kfree_skb *s, struct error *err)
{
	const int map = bpf_map__fd(s->bpf->maps.events);
	struct epoll_event edge = {.events = EPOLLIN | EPOLLET}, level = {.events = EPOLLIN};

	s->ring = ring_buffer__new(map, take, s, NULL);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (!s->ring || s->epoll < 0 || s->timer < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, map, &edge) != 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->timer, &level) != 0)
		return error_errno(err, "a ring from the kernel");
	return OK;
}

static enum status drops_open(struct packet_source **out, const struct source_options *options,
			      struct error *err)
{
	struct kfree_skb *s = calloc(1, sizeof *s);
	enum status status;

	*out = NULL;
	if (!s)
		return error_set(err, ERR_MEMORY, "no memory");
	s->base.type = &kfree_skb_source;
	s->points = options->points;
	s->log = options->log;
	s->not_after = INT64_MAX;
	s->epoll = s->timer = -1;
	status = load(s, err);
	if (status == OK)
		status = watch_ring(s, err);
	if (status == OK) {
		(void)drops_next_event(&s->base, NULL);
		log_info(s->log, "refused frames are told of by kfree_skb");
		*out = &s->base;
	} else {
		drops_close(&s->base);
	}
	return status;
}

void kfree_skb_hold(struct packet_source *source, struct mono_ns after)
{
	((struct kfree_skb *)source)->not_after = after.ns;
}

const struct packet_source_type kfree_skb_source = {
	.name = "kfree_skb",
	.description = "frames that the kernel drops for a reason that is policy, by eBPF",
	.open = drops_open,
	.poll_fd = drops_poll_fd,
	.read = drops_read,
	.release = drops_release,
	.next_event = drops_next_event,
	.statistics = drops_statistics,
	.close = drops_close,
};

#else

static enum status not_built(struct packet_source **out, const struct source_options *options,
			     struct error *err)
{
	*out = NULL;
	return error_set(err, ERR_UNSUPPORTED, "weir was built without it (clang, bpftool, libbpf)");
}

void kfree_skb_hold(struct packet_source *source, struct mono_ns after)
{
}

const struct packet_source_type kfree_skb_source = {
	.name = "kfree_skb",
	.description = "not built in",
	.open = not_built,
};

#endif
