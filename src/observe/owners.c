#include "observe/owners.h"

#ifdef WEIR_BPF

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "observe/bpf/flow_cache.h"
#pragma GCC diagnostic push /* bpftool's text, not ours */
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "observe/owner.skel.h"
#pragma GCC diagnostic pop

/* What the headers of libbpf 1.1 do not know yet (Linux 6.6). */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47 };

enum { INTERFACES_MAX = 64, WAYS = 4, SETS_LOG2 = 14, CGROUP2_MAGIC = 0x63677270 };

struct entry {
	__u64 key[OWNED_KEY_WORDS];
	struct flow_owner owner; /* process 0: the entry is free */
};

struct set {
	struct entry way[WAYS];
	uint32_t next; /* the oldest, when all are taken */
};

/* One interface whose packets are looked at. */
struct place {
	uint32_t ifindex;
	int link[2]; /* ingress, egress; -1: could not be */
};

struct owners {
	const struct logger *log;
	struct owner_bpf *bpf;
	struct bpf_link *created;
	struct ring_buffer *ring;
	struct users *users;
	uint64_t secret[OWNED_KEY_WORDS + 1];
	uint64_t told;
	bool said; /* that an interface is not looked at */
	uint32_t places;
	struct place place[INTERFACES_MAX];
	struct set set[1 << SETS_LOG2];
};

/* ---- what was told ---- */

static struct set *set_of(struct owners *o, const __u64 key[OWNED_KEY_WORDS])
{
	uint64_t h = o->secret[OWNED_KEY_WORDS];

	for (int i = 0; i < OWNED_KEY_WORDS; i++)
		h += (key[i] ^ (key[i] >> 32)) * o->secret[i];
	h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15ull;
	return &o->set[h >> (64 - SETS_LOG2)];
}

static struct entry *find(struct set *set, const __u64 key[OWNED_KEY_WORDS])
{
	for (int i = 0; i < WAYS; i++)
		if (set->way[i].owner.owner.process != 0 &&
		    memcmp(set->way[i].key, key, sizeof set->way[i].key) == 0)
			return &set->way[i];
	return NULL;
}

static struct entry *find_room(struct set *set)
{
	for (int i = 0; i < WAYS; i++)
		if (set->way[i].owner.owner.process == 0)
			return &set->way[i];
	return &set->way[set->next++ % WAYS];
}

static int take_event(void *owners, void *data, size_t size)
{
	struct owners *o = owners;
	struct owner_event event;

	if (size < sizeof event)
		return 0;
	memcpy(&event, data, sizeof event);
	struct set *set = set_of(o, event.key);
	struct entry *e = find(set, event.key);

	o->told++;
	if (!e && event.owner.process != 0)
		e = find_room(set);
	if (!e)
		return 0;
	memcpy(e->key, event.key, sizeof e->key);
	e->owner.owner = event.owner;
	e->owner.owner.name[OWNER_NAME - 1] = 0;
	if (event.owner.process != 0)
		users_name(o->users, event.owner.user, e->owner.user);
	return 0;
}

void owners_read(struct owners *o)
{
	(void)ring_buffer__consume(o->ring);
}

const struct flow_owner *owners_find(const struct owners *owners, const void *flow_key, uint8_t direction)
{
	struct owners *o = (struct owners *)(uintptr_t)owners; /* reads only */
	struct cached_flow key = {0};

	memcpy(key.word, flow_key, sizeof key.word);
	key.kind = (uint8_t)((key.kind & (FLOW_CACHE_IPV6 | FLOW_CACHE_PORTS)) |
			     (direction == DIRECTION_EGRESS ? FLOW_CACHE_EGRESS : 0));
	key.dscp = 0; /* there the meter has point and DSCP */
	const struct entry *e = find(set_of(o, key.word), key.word);

	return e ? &e->owner : NULL;
}

/* ---- interfaces ---- */

static void leave(struct owners *o, uint32_t i)
{
	for (int d = 0; d < 2; d++)
		if (o->place[i].link[d] >= 0)
			close(o->place[i].link[d]);
	o->place[i] = o->place[--o->places];
}

static bool is_up(const struct point_table *points, uint32_t ifindex)
{
	for (uint32_t i = 0; i < points->count; i++)
		if (points->point[i].up && points->point[i].ifindex == ifindex)
			return true;
	return false;
}

static bool has_ethernet(uint32_t ifindex)
{
	struct ifreq request = {0};
	auto_fd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || !if_indextoname(ifindex, request.ifr_name) || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		return false;
	return request.ifr_hwaddr.sa_family == ARPHRD_ETHER ||
	       request.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK;
}

static int attach_program(const struct bpf_program *program, uint32_t ifindex, int direction)
{
	return bpf_link_create(bpf_program__fd(program), (int)ifindex,
			       (enum bpf_attach_type)(direction ? TCX_EGRESS : TCX_INGRESS), NULL);
}

static void enter(struct owners *o, uint32_t ifindex)
{
	struct place *p = &o->place[o->places];
	const bool ethernet = has_ethernet(ifindex);

	if (o->places == INTERFACES_MAX)
		return;
	p->ifindex = ifindex;
	p->link[0] = attach_program(ethernet ? o->bpf->progs.ethernet_ingress : o->bpf->progs.ip_ingress,
				    ifindex, 0);
	p->link[1] = attach_program(ethernet ? o->bpf->progs.ethernet_egress : o->bpf->progs.ip_egress,
				    ifindex, 1);
	if (p->link[0] < 0 && p->link[1] < 0 && errno == ENODEV)
		return; /* gone already */
	o->places++;
	if ((p->link[0] < 0 || p->link[1] < 0) && !o->said) {
		log_warn(o->log, "process and user are not told at interface %u: %s", ifindex,
			 strerror(errno));
		o->said = true;
	}
}

void owners_follow(struct owners *o, const struct point_table *points)
{
	for (uint32_t i = o->places; i-- > 0;)
		if (!is_up(points, o->place[i].ifindex))
			leave(o, i);
	for (uint32_t i = 0; i < points->count; i++) {
		const uint32_t ifindex = points->point[i].ifindex;
		bool there = !points->point[i].up;

		for (uint32_t n = 0; n < o->places; n++)
			there |= o->place[n].ifindex == ifindex;
		if (!there)
			enter(o, ifindex);
	}
}

/* ---- open ---- */

static int open_cgroup2(const char *path)
{
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs about;

	if (fd < 0 || (fstatfs(fd, &about) == 0 && about.f_type == CGROUP2_MAGIC))
		return fd;
	close(fd);
	return -1;
}

/* The root of the groups, which every socket is below of. Where nobody has mounted it, as in what `ip netns
 * exec` shows, a mount of our own that nobody sees. */
static int open_root(void)
{
	int fd = open_cgroup2("/sys/fs/cgroup");

	if (fd < 0)
		fd = open_cgroup2("/sys/fs/cgroup/unified");
	if (fd >= 0)
		return fd;
	auto_fd system = fsopen("cgroup2", FSOPEN_CLOEXEC);
	if (system < 0 || fsconfig(system, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(system, FSMOUNT_CLOEXEC, 0);
}

/* Before anything counts on it: an interface that every namespace has. */
static enum status try_interface(const struct owners *o, struct error *err)
{
	enum { LOOPBACK = 1 };
	auto_fd link = attach_program(o->bpf->progs.ethernet_ingress, LOOPBACK, 0);

	if (link >= 0)
		return OK;
	if (errno == EPERM)
		return error_set(err, ERR_PERMISSION, "CAP_BPF and CAP_NET_ADMIN are needed");
	return error_set(err, ERR_UNSUPPORTED,
			 "the kernel does not take programs at an interface (tcx, Linux 6.6): %s",
			 strerror(errno));
}

static enum status load(struct owners *o, struct error *err)
{
	(void)libbpf_set_print(NULL); /* its own words on standard error: ours say it in one line */
	o->bpf = owner_bpf__open();
	if (!o->bpf)
		return error_errno(err, "the program for the kernel");
	const int error = -owner_bpf__load(o->bpf);
	if (error == EPERM)
		return error_set(err, ERR_PERMISSION, "CAP_BPF and CAP_NET_ADMIN are needed");
	if (error != 0)
		return error_set(err, ERR_UNSUPPORTED, "the kernel does not take the program: %s",
				 error == EACCES ? "not verified" : strerror(error));
	o->ring = ring_buffer__new(bpf_map__fd(o->bpf->maps.events), take_event, o, NULL);
	if (!o->ring)
		return error_errno(err, "memory shared with the kernel");
	return try_interface(o, err);
}

static enum status attach_root(struct owners *o, struct error *err)
{
	auto_fd root = open_root();

	if (root < 0)
		return error_errno(err, "the root of the control groups (cgroup2)");
	o->created = bpf_program__attach_cgroup(o->bpf->progs.socket_made, root);
	return o->created ? OK : error_errno(err, "a program at the control groups");
}

enum status owners_open(struct owners **out, const struct logger *log, struct error *err)
{
	struct owners *o = calloc(1, sizeof *o);
	enum status status = OK;

	*out = NULL;
	if (!o || !(o->users = users_new()))
		status = error_set(err, ERR_MEMORY, "no memory");
	else if (getrandom(o->secret, sizeof o->secret, 0) < 0)
		status = error_errno(err, "no random octets");
	for (int i = 0; status == OK && i <= OWNED_KEY_WORDS; i++)
		o->secret[i] |= 1;
	if (status == OK)
		status = load(o, err);
	if (status == OK)
		status = attach_root(o, err);
	if (status != OK) {
		owners_close(o);
		return status;
	}
	o->log = log;
	*out = o;
	return OK;
}

void owners_close(struct owners *o)
{
	if (!o)
		return;
	while (o->places > 0)
		leave(o, o->places - 1);
	(void)bpf_link__destroy(o->created);
	ring_buffer__free(o->ring);
	owner_bpf__destroy(o->bpf);
	users_free(o->users);
	free(o);
}

void owners_statistics(const struct owners *o, struct owners_statistics *out)
{
	*out = (struct owners_statistics){
		.told = o->told,
		.lost = __atomic_load_n(&o->bpf->bss->lost, __ATOMIC_RELAXED),
		.interfaces = o->places,
	};
}

#else

enum status owners_open(struct owners **out, const struct logger *log, struct error *err)
{
	*out = NULL;
	return error_set(err, ERR_UNSUPPORTED, "weir was built without it (clang, bpftool, libbpf)");
}

void owners_close(struct owners *o)
{
}

void owners_follow(struct owners *o, const struct point_table *points)
{
}

void owners_read(struct owners *o)
{
}

const struct flow_owner *owners_find(const struct owners *o, const void *flow_key, uint8_t direction)
{
	return NULL;
}

void owners_statistics(const struct owners *o, struct owners_statistics *out)
{
	*out = (struct owners_statistics){0};
}

#endif
