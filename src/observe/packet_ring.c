#include "observe/packet_ring.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Where the kernel puts the link address behind the header of a packet. */
enum {
	LINK_ADDRESS_AT =
		(sizeof(struct tpacket3_hdr) + TPACKET_ALIGNMENT - 1) / TPACKET_ALIGNMENT * TPACKET_ALIGNMENT
};

enum { BLOCK_OCTETS = 256 * 1024, BLOCK_OCTETS_MIN = 4096, BLOCKS_MIN = 4, FRAME_OCTETS = 2048 };

static struct tpacket_block_desc *block_at(const struct packet_ring *r, uint32_t block)
{
	return (struct tpacket_block_desc *)(r->map + (size_t)block * r->block_octets);
}

/* Blocks as large as the default while there are a few of them; a small ring has small blocks. */
static void size_blocks(struct packet_ring *r, uint32_t octets)
{
	const uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	const uint32_t least = page > BLOCK_OCTETS_MIN ? page : BLOCK_OCTETS_MIN;

	if (octets < RING_OCTETS_MIN)
		octets = RING_OCTETS_MIN;
	if (octets > RING_OCTETS_MAX)
		octets = RING_OCTETS_MAX;
	r->block_octets = BLOCK_OCTETS;
	while (r->block_octets > least && octets / r->block_octets < BLOCKS_MIN)
		r->block_octets /= 2;
	r->block_count = octets / r->block_octets;
	if (r->block_count < 2)
		r->block_count = 2;
}

static enum status share_memory(struct packet_ring *r, struct error *err)
{
	const size_t octets = (size_t)r->block_octets * r->block_count;
	struct tpacket_req3 request = {
		.tp_block_size = r->block_octets,
		.tp_block_nr = r->block_count,
		.tp_frame_size = FRAME_OCTETS, /* V3 packs tighter; this only has to divide a block */
		.tp_frame_nr = r->block_octets / FRAME_OCTETS * r->block_count,
		.tp_retire_blk_tov = RING_RETIRE_MS,
	};
	void *map;

	if (setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
		return error_errno(err, "packet ring of %zu octets", octets);
	map = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, 0);
	if (map == MAP_FAILED)
		return error_errno(err, "packet ring: mapping %zu octets", octets);
	r->map = map;
	return OK;
}

static enum status prepare(struct packet_ring *r, const struct packet_ring_options *options,
			   struct error *err)
{
	const int version = TPACKET_V3, on = 1;
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = options->deaf ? 0 : htobe16(ETH_P_ALL),
		.sll_ifindex = (int)options->ifindex,
	};
	enum status status;

	if (setsockopt(r->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0)
		return error_errno(err, "packet socket: TPACKET_V3");
	/* Must come before the ring. Without it super-packets count as one packet each. */
	r->segments = setsockopt(r->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) == 0;
	status = share_memory(r, err);
	if (status == OK)
		status = packet_ring_filter(r, options->filter, err);
	if (status != OK)
		return status;
	if (bind(r->fd, (struct sockaddr *)&address, sizeof address) < 0)
		return errno == ENODEV || errno == ENXIO
			       ? AGAIN
			       : error_errno(err, "packet socket: binding to interface index %u",
					     options->ifindex);
	return OK;
}

static enum status open_socket(int *fd, struct error *err)
{
	/* Protocol 0: deaf until it is bound. */
	*fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd >= 0)
		return OK;
	if (errno == EPERM || errno == EACCES)
		return error_set(err, ERR_PERMISSION,
				 "packet sockets need CAP_NET_RAW: run as root, or give the program that "
				 "capability");
	return error_errno(err, "packet socket");
}

enum status packet_ring_check_right(struct error *err)
{
	auto_fd fd = -1;

	return open_socket(&fd, err);
}

enum status packet_ring_open(struct packet_ring *r, const struct packet_ring_options *options,
			     struct error *err)
{
	enum status status;

	*r = (struct packet_ring){.fd = -1, .link = options->link, .floor = mono_now()};
	size_blocks(r, options->octets);
	status = open_socket(&r->fd, err);
	if (status == OK)
		status = prepare(r, options, err);
	if (status != OK)
		packet_ring_close(r);
	return status;
}

void packet_ring_close(struct packet_ring *r)
{
	if (r->map)
		munmap(r->map, (size_t)r->block_octets * r->block_count);
	if (r->fd >= 0)
		close(r->fd);
	r->map = NULL;
	r->fd = -1;
}

enum status packet_ring_filter(const struct packet_ring *r, const struct sock_fprog *filter,
			       struct error *err)
{
	if (setsockopt(r->fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof *filter) < 0)
		return error_errno(err, "packet socket: filter of %u instructions", filter->len);
	return OK;
}

static uint16_t segment_octets(const uint8_t *frame)
{
	struct virtio_net_hdr header;

	memcpy(&header, frame - sizeof header, sizeof header);
	return header.gso_type == VIRTIO_NET_HDR_GSO_NONE ? 0 : header.gso_size;
}

static void describe(struct packet_ring *r, const struct tpacket3_hdr *header, int64_t to_wall,
		     struct mono_ns now, struct packet *p)
{
	const uint8_t *start = (const uint8_t *)header;
	const struct sockaddr_ll *link = (const struct sockaddr_ll *)(start + LINK_ADDRESS_AT);
	const int64_t stamp = header->tp_sec * NS_PER_S + header->tp_nsec;

	p->data = start + header->tp_mac;
	p->captured = header->tp_snaplen;
	p->length = header->tp_len;
	p->time = r->floor = packet_ring_time(stamp, to_wall, r->floor, now);
	p->gso_size = r->segments ? segment_octets(p->data) : 0;
	p->link = r->link;
	p->denial = 0;
	p->direction = link->sll_pkttype == PACKET_OUTGOING ? DIRECTION_EGRESS : DIRECTION_INGRESS;
}

/* Go to the next block that is ours. False: there is none. */
static bool begin_block(struct packet_ring *r)
{
	while (r->left == 0) {
		const struct tpacket_block_desc *b = block_at(r, r->block);
		const uint32_t status = __atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE);

		if (r->finished == r->block_count || !(status & TP_STATUS_USER))
			return false;
		r->losing |= (status & TP_STATUS_LOSING) != 0;
		r->left = b->hdr.bh1.num_pkts;
		r->offset = b->hdr.bh1.offset_to_first_pkt;
		if (r->left == 0) { /* nothing in it */
			r->finished++;
			r->block = (r->block + 1) % r->block_count;
		}
	}
	return true;
}

uint32_t packet_ring_read(struct packet_ring *r, uint16_t point, int64_t to_wall, struct mono_ns now,
			  struct packet *out, uint32_t max)
{
	uint32_t count = 0;

	while (count < max && begin_block(r)) {
		const uint8_t *block = (const uint8_t *)block_at(r, r->block);
		const struct tpacket3_hdr *header = (const struct tpacket3_hdr *)(block + r->offset);

		/* A slot that the kernel reserved and then gave up (a super-packet it cannot describe) still
		 * holds what was there a lap ago. It lacks this bit, and is among the drops. */
		if (header->tp_status & TP_STATUS_USER) {
			out[count].point = point;
			describe(r, header, to_wall, now, &out[count++]);
			r->read++;
		}
		r->offset += header->tp_next_offset;
		if (--r->left == 0) {
			r->finished++;
			r->block = (r->block + 1) % r->block_count;
		}
	}
	return count;
}

void packet_ring_release(struct packet_ring *r)
{
	uint32_t block = (r->block + r->block_count - r->finished) % r->block_count;

	for (; r->finished > 0; r->finished--) {
		__atomic_store_n(&block_at(r, block)->hdr.bh1.block_status, TP_STATUS_KERNEL,
				 __ATOMIC_RELEASE);
		block = (block + 1) % r->block_count;
	}
}

bool packet_ring_is_ready(const struct packet_ring *r)
{
	const uint32_t status =
		__atomic_load_n(&block_at(r, r->block)->hdr.bh1.block_status, __ATOMIC_ACQUIRE);

	return r->left > 0 || r->finished > 0 || (status & TP_STATUS_USER);
}

uint64_t packet_ring_count(struct packet_ring *r)
{
	struct tpacket_stats_v3 counted = {0}; /* the kernel's counters start anew at each reading */
	socklen_t length = sizeof counted;

	r->losing = false;
	if (r->fd < 0 || getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &counted, &length) < 0)
		return 0;
	r->written += counted.tp_packets - counted.tp_drops;
	r->dropped += counted.tp_drops;
	return counted.tp_drops;
}

bool packet_ring_lost_device(const struct packet_ring *r)
{
	struct sockaddr_ll address = {0};
	socklen_t length = sizeof address;
	int error;
	socklen_t error_length = sizeof error;

	(void)getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &error, &error_length);
	return getsockname(r->fd, (struct sockaddr *)&address, &length) == 0 && address.sll_ifindex < 0;
}
