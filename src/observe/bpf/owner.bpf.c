/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * owner.bpf.c: whose sockets the packets of observed interfaces belong to.
 *
 * Who makes a socket is written into it (cgroup/sock_create). What a socket sends leads to it; for what
 * arrives it is looked up, at most once a second for each flow. An event is made when that is something new.
 * Sockets that were there before are nobody's.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "observe/bpf/owner.h"
#include "observe/bpf/read_flow.h"

const char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define LOOK_AGAIN_NS 1000000000ull
#define TELL_AGAIN_NS 8000000000ull /* the reader may have had to forget it */

enum { ETHERNET_HEADER = 14, OWN_NAMESPACE = -1 };

/* Events for which there was no room; each is tried again with the next packet. */
__u64 lost = 0;

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE); /* accepted sockets inherit */
	__type(key, int);
	__type(value, struct owner);
} sockets SEC(".maps");

struct flow_name {
	__u64 word[OWNED_KEY_WORDS];
};

struct owned {
	__u64 looked, told; /* ns */
	struct owner owner;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, OWNED_FLOWS);
	__type(key, struct flow_name);
	__type(value, struct owned);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, OWNER_RING_OCTETS);
} events SEC(".maps");

/* NOBODY: there is no socket that could be asked, which says nothing. STRANGER: it was there before us. */
enum finding { NOBODY, STRANGER, OWNED };

SEC("cgroup/sock_create")
int socket_made(struct bpf_sock *sk)
{
	struct owner *o = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (o) {
		o->process = (__u32)(bpf_get_current_pid_tgid() >> 32);
		o->user = (__u32)bpf_get_current_uid_gid();
		bpf_get_current_comm(o->name, sizeof o->name);
	}
	return 1;
}

static __always_inline enum finding ask(struct bpf_sock *sk, struct owner *out)
{
	const struct owner *o = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (!o || o->process == 0)
		return STRANGER;
	*out = *o;
	return OWNED;
}

static __always_inline enum finding find_sender(struct __sk_buff *skb, struct owner *out)
{
	struct bpf_sock *sk = skb->sk;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	return sk ? ask(sk, out) : NOBODY;
}

static __always_inline enum finding find_receiver(struct __sk_buff *skb, const struct cached_flow *f,
						  struct owner *out)
{
	struct bpf_sock_tuple to = {0};
	__u32 size;

	if (f->protocol != TCP && f->protocol != UDP)
		return NOBODY;
	if (f->kind & FLOW_CACHE_IPV6) {
		__builtin_memcpy(to.ipv6.saddr, f->source, 16);
		__builtin_memcpy(to.ipv6.daddr, f->destination, 16);
		to.ipv6.sport = f->source_port;
		to.ipv6.dport = f->destination_port;
		size = sizeof to.ipv6;
	} else {
		__builtin_memcpy(&to.ipv4.saddr, f->source, 4);
		__builtin_memcpy(&to.ipv4.daddr, f->destination, 4);
		to.ipv4.sport = f->source_port;
		to.ipv4.dport = f->destination_port;
		size = sizeof to.ipv4;
	}
	struct bpf_sock *sk = f->protocol == TCP ? bpf_sk_lookup_tcp(skb, &to, size, OWN_NAMESPACE, 0)
						 : bpf_sk_lookup_udp(skb, &to, size, OWN_NAMESPACE, 0);
	if (!sk)
		return NOBODY;
	const enum finding found = ask(sk, out);
	bpf_sk_release(sk);
	return found;
}

static __always_inline _Bool same(const struct owner *a, const struct owner *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

/* False: no room; it is tried again with the next packet. */
static __always_inline _Bool tell(const struct flow_name *name, const struct owner *owner)
{
	struct owner_event *e = bpf_ringbuf_reserve(&events, sizeof *e, 0);

	if (!e) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	__builtin_memcpy(e->key, name->word, sizeof e->key);
	e->owner = *owner;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 1;
}

/* A flow has an owner for as long as nobody else's socket is found for it: what the kernel itself sends at
 * the end of a connection, and what comes when the socket is closed, changes nothing. But a connection that
 * begins is another one. */
static __always_inline void settle(struct flow_name *name, struct owned *known, enum finding found,
				   struct owner *owner, _Bool begins, _Bool is_tcp, __u64 now)
{
	if (known && found != OWNED && !begins && (found == NOBODY || is_tcp)) {
		known->looked = now;
		return;
	}
	if (known && same(&known->owner, owner) &&
	    (owner->process == 0 || now - known->told < TELL_AGAIN_NS)) {
		known->looked = now;
		return;
	}
	if (!known && found != OWNED) { /* nothing to tell of, but to remember */
		struct owned nobody = {.looked = now};

		bpf_map_update_elem(&flows, name, &nobody, BPF_ANY);
		return;
	}
	if (!tell(name, owner))
		return;
	struct owned anew = {.looked = now, .told = now, .owner = *owner};
	bpf_map_update_elem(&flows, name, &anew, BPF_ANY);
}

static __always_inline int note(struct __sk_buff *skb, __u32 link_octets, _Bool egress)
{
	struct seen s = {.flow.kind = egress ? FLOW_CACHE_EGRESS : 0};
	struct owner owner = {0};
	struct flow_name name;
	enum finding found = NOBODY;

	if (egress && !skb->sk)
		return NEXT_PROGRAM;
	if (!read_frame(skb, &s, link_octets))
		return NEXT_PROGRAM;
	__builtin_memcpy(name.word, s.flow.word, sizeof name.word);
	const _Bool is_tcp = s.flow.protocol == TCP, begins = is_tcp && s.flow.tcp_flags & TCP_SYN;
	const __u64 now = bpf_ktime_get_coarse_ns();
	struct owned *known = bpf_map_lookup_elem(&flows, &name);

	if (egress) {
		found = find_sender(skb, &owner);
		if (found != OWNED && !known)
			return NEXT_PROGRAM; /* asking again costs nothing */
		if (found == OWNED && known && same(&known->owner, &owner) &&
		    now - known->told < TELL_AGAIN_NS)
			return NEXT_PROGRAM;
	} else {
		if (known && !begins && now - known->looked < LOOK_AGAIN_NS)
			return NEXT_PROGRAM;
		found = find_receiver(skb, &s.flow, &owner);
	}
	settle(&name, known, found, &owner, begins, is_tcp, now);
	return NEXT_PROGRAM;
}

SEC("tc")
int ethernet_ingress(struct __sk_buff *skb)
{
	return note(skb, ETHERNET_HEADER, 0);
}

SEC("tc")
int ethernet_egress(struct __sk_buff *skb)
{
	return note(skb, ETHERNET_HEADER, 1);
}

SEC("tc")
int ip_ingress(struct __sk_buff *skb)
{
	return note(skb, 0, 0);
}

SEC("tc")
int ip_egress(struct __sk_buff *skb)
{
	return note(skb, 0, 1);
}
