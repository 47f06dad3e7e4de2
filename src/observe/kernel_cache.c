#include "observe/kernel_cache.h"

#ifdef WEIR_BPF

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "observe/packet.h"
#pragma GCC diagnostic push /* bpftool's text, not ours */
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "observe/count.skel.h"
#pragma GCC diagnostic pop

/* What the headers of libbpf 1.1 do not know yet (Linux 6.6). */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47, TCX_FIRST = 1 << 3 };

enum { LOOPBACK = 1, ETHERNET_HEADER = 14, RING_OCTETS_LEAST = 1 << 16, OCTETS_LEAST = 1 << 16 };

struct kernel_cache {
	struct count_bpf *bpf;
	struct ring_buffer *ring;
	int link[2]; /* ingress, egress; -1: not attached */
	uint32_t processors, slots_log2;
	uint32_t generation;
	bool swapped; /* the other generation is to be collected */
	struct cached_flow *slots;
	uint64_t *lists;
	struct cache_control *control;
	const struct kernel_cache_sink *sink; /* while collecting */
};

static size_t slot_count(const struct kernel_cache *k)
{
	return (size_t)2 * k->processors << k->slots_log2;
}

/* ---- open ---- */

static enum status refused(int error, const char *what, struct error *err)
{
	if (error == EPERM)
		return error_set(err, ERR_PERMISSION, "CAP_BPF and CAP_NET_ADMIN are needed");
	if (error == ENODEV)
		return AGAIN;
	/* EACCES is the verifier's: it does not understand the program. */
	return error_set(err, ERR_UNSUPPORTED, "the kernel does not take %s (tcx, Linux 6.6): %s", what,
			 error == EACCES ? "not verified" : strerror(error));
}

static void size_maps(struct kernel_cache *k, uint32_t octets)
{
	const uint32_t least = octets < OCTETS_LEAST ? OCTETS_LEAST : octets;
	uint32_t ring = RING_OCTETS_LEAST;

	k->slots_log2 = FLOW_CACHE_SLOTS_LOG2_MIN;
	while (k->slots_log2 < FLOW_CACHE_SLOTS_LOG2_MAX && 2 * slot_count(k) * sizeof *k->slots <= least)
		k->slots_log2++;
	while (ring <= least / 2)
		ring *= 2;
	(void)bpf_map__set_max_entries(k->bpf->maps.slots, (uint32_t)slot_count(k));
	(void)bpf_map__set_max_entries(k->bpf->maps.lists, (uint32_t)slot_count(k));
	(void)bpf_map__set_max_entries(k->bpf->maps.control, 2 * k->processors);
	(void)bpf_map__set_max_entries(k->bpf->maps.events, ring);
	k->bpf->rodata->slots_log2 = k->slots_log2;
	k->bpf->rodata->wake_octets = ring / 4;
}

static enum status load(struct kernel_cache *k, const struct kernel_cache_options *options, struct error *err)
{
	const int processors = libbpf_num_possible_cpus();

	k->bpf = count_bpf__open();
	if (!k->bpf || processors < 1)
		return error_errno(err, "the program for the kernel");
	k->processors = (uint32_t)processors;
	size_maps(k, options->octets);
	k->bpf->rodata->processors = k->processors;
	k->bpf->rodata->link_octets = options->link == LINK_ETHERNET ? ETHERNET_HEADER : 0;
	k->bpf->rodata->idle_ns = (uint64_t)options->idle_ns;
	k->bpf->rodata->dscp_is_key = options->dscp_key;
	uint64_t secret[FLOW_CACHE_WORDS + 1];
	if (getrandom(secret, sizeof secret, 0) < 0)
		return error_errno(err, "no random octets");
	for (size_t i = 0; i <= FLOW_CACHE_WORDS; i++)
		k->bpf->rodata->secret[i] = secret[i] | 1;
	const int error = -count_bpf__load(k->bpf);
	return error == 0 ? OK : refused(error, "the program that counts", err);
}

static void *map_memory(const struct bpf_map *map, size_t octets)
{
	void *memory = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int take_event(void *cache, void *data, size_t size);

static enum status share_memory(struct kernel_cache *k, struct error *err)
{
	k->slots = map_memory(k->bpf->maps.slots, slot_count(k) * sizeof *k->slots);
	k->lists = map_memory(k->bpf->maps.lists, slot_count(k) * sizeof *k->lists);
	k->control = map_memory(k->bpf->maps.control, 2 * k->processors * sizeof *k->control);
	k->ring = ring_buffer__new(bpf_map__fd(k->bpf->maps.events), take_event, k, NULL);
	if (!k->slots || !k->lists || !k->control || !k->ring)
		return error_errno(err, "memory shared with the kernel");
	return OK;
}

static enum status attach(struct kernel_cache *k, uint32_t ifindex, struct error *err)
{
	const struct bpf_link_create_opts first = {.sz = sizeof first, .flags = TCX_FIRST};

	/* In front of programs that may take the packet away, and behind those that may change it. */
	k->link[0] = bpf_link_create(bpf_program__fd(k->bpf->progs.count_ingress), (int)ifindex,
				     (enum bpf_attach_type)TCX_INGRESS, &first);
	if (k->link[0] >= 0)
		k->link[1] = bpf_link_create(bpf_program__fd(k->bpf->progs.count_egress), (int)ifindex,
					     (enum bpf_attach_type)TCX_EGRESS, NULL);
	return k->link[1] >= 0 ? OK : refused(errno, "programs at an interface", err);
}

enum status kernel_cache_open(struct kernel_cache **out, const struct kernel_cache_options *options,
			      struct error *err)
{
	struct kernel_cache *k = calloc(1, sizeof *k);
	enum status status;

	*out = NULL;
	if (!k)
		return error_set(err, ERR_MEMORY, "no memory");
	k->link[0] = k->link[1] = -1;
	(void)libbpf_set_print(NULL); /* its own words on standard error: ours say it in one line */
	status = load(k, options, err);
	if (status == OK)
		status = share_memory(k, err);
	if (status == OK)
		status = attach(k, options->ifindex, err);
	if (status == OK)
		*out = k;
	else
		kernel_cache_close(k);
	return status;
}

void kernel_cache_detach(struct kernel_cache *k)
{
	for (int i = 0; i < 2; i++)
		if (k->link[i] >= 0) {
			close(k->link[i]);
			k->link[i] = -1;
		}
}

bool kernel_cache_is_attached(const struct kernel_cache *k)
{
	/* Headers of libbpf 1.1 do not know that what follows is the index of the interface, 0 without one.
	 */
	struct {
		struct {
			uint32_t type, id, prog_id, padding;
		} head;
		uint32_t ifindex, place;
	} info = {0};
	uint32_t length = sizeof info;

	return k->link[0] >= 0 && bpf_obj_get_info_by_fd(k->link[0], &info, &length) == 0 &&
	       info.ifindex != 0;
}

void kernel_cache_close(struct kernel_cache *k)
{
	if (!k)
		return;
	kernel_cache_detach(k);
	ring_buffer__free(k->ring);
	if (k->slots)
		munmap(k->slots, slot_count(k) * sizeof *k->slots);
	if (k->lists)
		munmap(k->lists, slot_count(k) * sizeof *k->lists);
	if (k->control)
		munmap(k->control, 2 * k->processors * sizeof *k->control);
	count_bpf__destroy(k->bpf);
	free(k);
}

static bool is_real_time(void)
{
	return access("/sys/kernel/realtime", F_OK) == 0;
}

enum status kernel_cache_check(struct error *err)
{
	const struct kernel_cache_options options = {
		.ifindex = LOOPBACK, .link = LINK_ETHERNET, .idle_ns = 1};
	struct kernel_cache *k;

	if (is_real_time())
		return error_set(err, ERR_UNSUPPORTED, "not on a real-time kernel");
	enum status status = kernel_cache_open(&k, &options, err);
	kernel_cache_close(k);
	return status == OK ? kernel_cache_wait(err) : status;
}

/* ---- taking out ---- */

int kernel_cache_fd(const struct kernel_cache *k)
{
	return ring_buffer__epoll_fd(k->ring);
}

static bool is_empty(const struct kernel_cache *k)
{
	const struct cache_control *c = &k->control[k->generation * k->processors];
	uint64_t any = 0;

	for (uint32_t i = 0; i < k->processors; i++)
		any |= __atomic_load_n(&c[i].listed, __ATOMIC_RELAXED);
	return any == 0;
}

bool kernel_cache_swap(struct kernel_cache *k)
{
	if (is_empty(k))
		return false;
	k->generation ^= 1;
	k->swapped = true;
	__atomic_store_n(&k->bpf->bss->generation, k->generation, __ATOMIC_SEQ_CST);
	return true;
}

void kernel_cache_apart(struct kernel_cache *k, bool apart)
{
	__atomic_store_n(&k->bpf->bss->apart, apart, __ATOMIC_RELAXED);
}

enum status kernel_cache_wait(struct error *err)
{
	/* Programs run inside of RCU, and this waits for all of it. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
		return error_set(err, ERR_UNSUPPORTED, "membarrier(2): %s", strerror(errno));
	return OK;
}

static int take_event(void *cache, void *data, size_t size)
{
	const struct kernel_cache *k = cache;
	const uint32_t *event = data;

	if (size >= sizeof(struct cache_event_flow) && *event == CACHE_EVENT_FLOW)
		k->sink->flow(k->sink->arg, &((const struct cache_event_flow *)data)->flow);
	else if (size >= sizeof(struct cache_event_frame) && *event == CACHE_EVENT_FRAME)
		k->sink->frame(k->sink->arg, data);
	return 0;
}

static void collect_table(struct kernel_cache *k, uint32_t table)
{
	struct cached_flow *slots = k->slots + ((size_t)table << k->slots_log2);
	const uint64_t *list = k->lists + ((size_t)table << k->slots_log2);
	const uint64_t count = k->control[table].listed, mask = ((uint64_t)1 << k->slots_log2) - 1;

	for (uint64_t i = 0; i < count && i <= mask; i++) {
		struct cached_flow *slot = &slots[list[i] & mask];

		if (slot->packets > 0)
			k->sink->flow(k->sink->arg, slot);
		slot->packets = 0;
		slot->listed = 0;
	}
	k->control[table].listed = 0;
}

void kernel_cache_collect(struct kernel_cache *k, const struct kernel_cache_sink *sink)
{
	k->sink = sink;
	if (k->swapped)
		for (uint32_t i = 0; i < k->processors; i++)
			collect_table(k, (k->generation ^ 1) * k->processors + i);
	k->swapped = false;
	(void)ring_buffer__consume(k->ring);
}

void kernel_cache_statistics(const struct kernel_cache *k, struct kernel_cache_statistics *out)
{
	*out = (struct kernel_cache_statistics){0};
	for (uint32_t i = 0; i < 2 * k->processors; i++) {
		out->frames += __atomic_load_n(&k->control[i].frames, __ATOMIC_RELAXED);
		out->octets += __atomic_load_n(&k->control[i].octets, __ATOMIC_RELAXED);
		out->lost += __atomic_load_n(&k->control[i].lost, __ATOMIC_RELAXED);
	}
}

#else

static enum status not_built(struct error *err)
{
	return error_set(err, ERR_UNSUPPORTED, "weir was built without it (clang, bpftool, libbpf)");
}

enum status kernel_cache_check(struct error *err)
{
	return not_built(err);
}

enum status kernel_cache_open(struct kernel_cache **out, const struct kernel_cache_options *options,
			      struct error *err)
{
	*out = NULL;
	return not_built(err);
}

void kernel_cache_close(struct kernel_cache *k)
{
}

void kernel_cache_detach(struct kernel_cache *k)
{
}

bool kernel_cache_is_attached(const struct kernel_cache *k)
{
	return false;
}

int kernel_cache_fd(const struct kernel_cache *k)
{
	return -1;
}

bool kernel_cache_swap(struct kernel_cache *k)
{
	return false;
}

void kernel_cache_apart(struct kernel_cache *k, bool apart)
{
}

enum status kernel_cache_wait(struct error *err)
{
	return not_built(err);
}

void kernel_cache_collect(struct kernel_cache *k, const struct kernel_cache_sink *sink)
{
}

void kernel_cache_statistics(const struct kernel_cache *k, struct kernel_cache_statistics *out)
{
	*out = (struct kernel_cache_statistics){0};
}

#endif
