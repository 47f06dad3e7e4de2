/* The filters that share frames out between rings, as the kernel runs them, against who decodes the frame. */
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "meter/shard.h"
#include "observe/share.h"

enum { FRAMES = 4000, FRAME_MOST = 128, LANES_MOST = 5 };

struct lane {
	int in, out;
};

static struct lane open_lane(const struct share *share, uint8_t link)
{
	struct sock_filter code[SHARE_PROGRAM_MAX + 1];
	const uint16_t used = share_program(share, link, code);
	const struct sock_fprog filter = {.len = (uint16_t)(used + 1), .filter = code};
	int pair[2];

	assert_in_range(used, 1, SHARE_PROGRAM_MAX);
	code[used] = (struct sock_filter){.code = BPF_RET | BPF_K, .k = UINT32_MAX};
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter), 0);
	return (struct lane){pair[1], pair[0]};
}

static bool is_kept(const struct lane *lane, const struct packet *packet)
{
	uint8_t got[FRAME_MOST];

	(void)!send(lane->in, packet->data, packet->captured,
		    0); /* the answer is the same when it is left out */
	return recv(lane->out, got, sizeof got, 0) >= 0;
}

/* A link header of Ethernet, mostly in front of IP. */
static uint32_t make_ethernet(uint8_t *at, uint64_t r, bool v6)
{
	static const uint16_t types[] = {0x8100, 0x88a8, 0x9100, 0x9200, 0x9300, 0x8847, 0x8848, 0x8864,
					 0x0806, 0x88cc, 20,     1500,   1501,   0x0800, 0x86dd};

	memset(at, 2, 12);
	put_be16(at + 12, r % 4 ? (v6 ? 0x86dd : 0x0800) : types[r / 4 % (sizeof types / sizeof *types)]);
	return 14;
}

static uint32_t make_frame(uint8_t *at, uint8_t link, uint64_t *state)
{
	const uint64_t r = random_next(state);
	const bool v6 = r & 1;
	uint8_t *ip = at;

	for (uint32_t i = 0; i < FRAME_MOST; i += 8) {
		const uint64_t octets = random_next(state);
		memcpy(at + i, &octets, 8);
	}
	if (link == LINK_ETHERNET)
		ip += make_ethernet(at, r >> 8, v6);
	if (r >> 32 & 7)
		ip[0] = v6 ? 0x60 : 0x45;
	if (r >> 36 & 3) {
		put_be16(ip + (v6 ? 4 : 2), 64);
		ip[v6 ? 6 : 9] = r >> 40 & 1 ? 17 : 6;
		put_be16(ip + 6, v6 ? get_be16(ip + 6) : 0);
	}
	return r >> 44 & 3 ? FRAME_MOST : 1 + (uint32_t)(r >> 48) % (FRAME_MOST - 1);
}

static void check_frame(const struct packet *packet, const struct lane *lane, const struct share *share,
			uint32_t flows[static 1])
{
	const struct shard_rule rule = {share->count, share->factor};
	const enum share_way way = share_way_of(packet);
	uint32_t kept = 0, last = 0;
	struct packet_facts facts;
	struct flow_key key;

	for (uint32_t i = 0; i < share->count; i++)
		if (is_kept(&lane[i], packet)) {
			kept++;
			last = i;
		}
	assert_int_equal(kept, way == SHARE_WALK ? share->count : 1);
	if (way == SHARE_FIRST)
		assert_int_equal(last, 0);
	if (decode_packet(packet, &key, &facts) != DECODE_FLOW || way == SHARE_WALK)
		return;
	assert_int_equal(way, SHARE_ADDRESSES);
	assert_int_equal(last, shard_of(&rule, &key));
	(*flows)++;
}

static void check_link(uint8_t link, uint32_t count)
{
	struct share share = {.count = count, .factor = 0x2545f491};
	struct lane lane[LANES_MOST];
	uint64_t state = 11 + count;
	uint32_t flows = 0;

	for (share.number = 0; share.number < count; share.number++)
		lane[share.number] = open_lane(&share, link);
	for (uint32_t i = 0; i < FRAMES; i++) {
		uint8_t frame[FRAME_MOST];
		const uint32_t length = make_frame(frame, link, &state);
		const struct packet packet = {
			.data = frame, .captured = length, .length = length, .link = link};

		check_frame(&packet, lane, &share, &flows);
	}
	assert_in_range(flows, FRAMES / 4, FRAMES);
	for (uint32_t i = 0; i < count; i++) {
		close(lane[i].in);
		close(lane[i].out);
	}
}

static void test_each_frame_has_one_ring(void **state)
{
	for (uint32_t count = 2; count <= LANES_MOST; count++) {
		check_link(LINK_IP, count);
		check_link(LINK_ETHERNET, count);
	}
}

static void test_one_ring_gets_all(void **state)
{
	struct sock_filter code[SHARE_PROGRAM_MAX];

	assert_int_equal(share_program(&(struct share){0}, LINK_IP, code), 0);
	assert_int_equal(share_program(&(struct share){.count = 1}, LINK_ETHERNET, code), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_frame_has_one_ring),
		cmocka_unit_test(test_one_ring_gets_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
