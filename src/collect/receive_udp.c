/* UDP: datagrams by recvmmsg into an arena, from there to the journal without another copy. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <xxhash.h>

#include "collect/receive_worker.h"

enum {
	/* A datagram's place in the arena. Not a power of two: 64 heads at the same offset of 64 KiB pages
	 * would fight for the same few lines of the cache. */
	PLACE = 65536 + 1472,
	WAYS = 8, /* senders that share a hash; the one unheard longest gives way */
	SETS = 1024,
	BATCHES_A_TURN = 8,
};

struct sender {
	struct journal_peer peer;
	uint64_t used; /* number of the batch that named it last; 0: free */
};

struct udp {
	struct listener listener;
	struct event_source source;
	uint8_t *arena;
	uint64_t batch; /* counts them */
	uint64_t seed;
	uint32_t drops; /* as the kernel last told; wraps */
	struct mmsghdr headers[JOURNAL_BATCH];
	struct iovec iov[JOURNAL_BATCH];
	struct sockaddr_storage from[JOURNAL_BATCH];
	struct sender senders[SETS][WAYS];
};

/* What the journal remembers of this sender; NULL when every place that it could have is named by the batch
 * in hand. */
static struct journal_peer *find_sender(struct udp *udp, const struct journal_session *session)
{
	struct {
		struct in6_addr address;
		uint32_t scope;
		uint32_t port;
	} key = {session->address, session->scope, session->port};
	struct sender *set = udp->senders[XXH3_64bits_withSeed(&key, sizeof key, udp->seed) % SETS];
	struct sender *oldest = &set[0];

	for (int i = 0; i < WAYS; i++) {
		const struct journal_session *known = &set[i].peer.session;
		if (set[i].used && known->port == session->port && known->scope == session->scope &&
		    memcmp(&known->address, &session->address, sizeof known->address) == 0) {
			set[i].used = udp->batch;
			return &set[i].peer;
		}
		if (set[i].used < oldest->used)
			oldest = &set[i];
	}
	if (oldest->used == udp->batch)
		return NULL;
	*oldest = (struct sender){.peer = {.session = *session}, .used = udp->batch};
	return &oldest->peer;
}

static void take_datagram(struct udp *udp, int i)
{
	struct listener *l = &udp->listener;
	const struct span octets = {udp->iov[i].iov_base, udp->headers[i].msg_len};
	struct journal_session session = {.transport = JOURNAL_UDP, .local_port = l->port};
	enum listener_counter refusal = message_refusal(octets.data, octets.length);

	session_from(&session, &udp->from[i]);
	if (refusal == LISTENER_COUNTERS && get_be16(octets.data + 2) != octets.length)
		refusal = REFUSED_LENGTH;
	if (refusal != LISTENER_COUNTERS) {
		listener_count(l, refusal, 1);
		say_refused(l, refusal, &session);
		return;
	}
	struct journal_peer *peer = find_sender(udp, &session);
	if (!peer) {
		worker_flush(l->worker); /* now nobody names the others */
		udp->batch++;
		peer = find_sender(udp, &session);
	}
	worker_take(l->worker, l, octets, peer);
}

/* One recvmmsg. Answers whether there may be more. */
static bool receive_batch(struct udp *udp)
{
	struct listener *l = &udp->listener;
	const int n = recvmmsg(l->fd, udp->headers, JOURNAL_BATCH, MSG_DONTWAIT, NULL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			listener_count(l, RECEIVE_ERRORS, 1);
		return false;
	}
	udp->batch++;
	for (int i = 0; i < n; i++) {
		take_datagram(udp, i);
		udp->headers[i].msg_hdr.msg_namelen = sizeof udp->from[i];
	}
	worker_flush(l->worker); /* before the arena is used again */
	return n == JOURNAL_BATCH;
}

static void udp_ready(struct event_source *source, uint32_t events)
{
	struct udp *udp = (struct udp *)(void *)((char *)source - offsetof(struct udp, source));

	for (int i = 0; i < BATCHES_A_TURN; i++) {
		if (!receive_batch(udp))
			return;
	}
	udp->listener.worker->more = true;
}

static void udp_drain(struct listener *l)
{
	udp_ready(&((struct udp *)l)->source, 0);
}

static void udp_tick(struct listener *l)
{
	datagram_count_drops(l, &((struct udp *)l)->drops);
}

static void udp_close(struct listener *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static void udp_free(struct listener *l)
{
	struct udp *udp = (struct udp *)l;

	free(udp->arena);
	free(udp);
}

static void prepare_headers(struct udp *udp)
{
	for (int i = 0; i < JOURNAL_BATCH; i++) {
		udp->iov[i] = (struct iovec){udp->arena + (size_t)i * PLACE, DATAGRAM_MAX};
		udp->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &udp->from[i],
			.msg_namelen = sizeof udp->from[i],
			.msg_iov = &udp->iov[i],
			.msg_iovlen = 1,
		};
	}
}

static enum status udp_open(struct listener **out, struct worker *w, const struct sockaddr_storage *address,
			    socklen_t length, struct error *err)
{
	struct udp *udp = calloc(1, sizeof *udp);

	if (!udp)
		return error_set(err, ERR_MEMORY, "no memory for a UDP listener");
	struct listener *l = *out = &udp->listener;
	l->type = &udp_listener;
	l->worker = w;
	l->fd = -1;
	udp->source.ready = udp_ready;
	udp->arena = malloc((size_t)JOURNAL_BATCH * PLACE); /* pages come when they are used */
	if (!udp->arena || getrandom(&udp->seed, sizeof udp->seed, 0) != sizeof udp->seed)
		return error_errno(err, "UDP socket");
	const enum status st = datagram_open(l, address, length, err);
	if (st != OK)
		return st;
	prepare_headers(udp);
	if (!worker_watch(w, l->fd, &udp->source))
		return error_errno(err, "epoll");
	datagram_enlarge_buffer(l);
	return OK;
}

const struct listener_type udp_listener = {
	.scheme = "Udp",
	.usage = "Udp/HOST[:PORT]",
	.default_port = 4739,
	.open = udp_open,
	.tick = udp_tick,
	.drain = udp_drain,
	.close = udp_close,
	.free = udp_free,
};
