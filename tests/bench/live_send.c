/* live_send INTERFACE PACKETS FLOWS OCTETS [RATE]: UDP packets of so many octets (IP) leave by the interface,
 * at RATE a second or as fast as the kernel can make them. Prints how many were made, in how many seconds,
 * and the CPU seconds of it, which hold most of what receiving them costs.
 *
 * Frames are addressed to nobody, so that the receiving end shows them to its meters and drops them. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"
#include "base/time.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "live.skel.h"
#pragma GCC diagnostic pop

enum { LIVE_FRAMES = 1 << 1, BATCH = 64, TURN = 8192, ETHERNET = 14, FRAME_MAX = 1514 };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void make_template(uint8_t *frame, uint32_t octets)
{
	static const uint8_t head[] = {2, 0, 0, 0, 9, 9, 2, 0, 0, 0, 1, 1, 8, 0};
	static const uint8_t to[4] = {192, 0, 2, 1};
	uint8_t *ip = frame + sizeof head;

	memset(frame, 0, FRAME_MAX);
	memcpy(frame, head, sizeof head);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)octets);
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 16, to, sizeof to);
	put_be16(ip + 22, 9);
	put_be16(ip + 24, (uint16_t)(octets - 20));
}

/* The other end of a veth takes such frames only with GRO, which makes it poll. */
static void want_gro(const char *interface)
{
	struct ethtool_value value = {.cmd = ETHTOOL_SGRO, .data = 1};
	struct ifreq request = {.ifr_data = (void *)&value};
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0)
		fail("GRO");
	close(fd);
}

static double cpu_seconds(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6 +
	       (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6;
}

static void send_frames(int program, const char *interface, uint64_t packets, uint32_t octets, double rate)
{
	uint8_t frame[FRAME_MAX];
	struct xdp_md context = {.data_end = ETHERNET + octets, .ingress_ifindex = if_nametoindex(interface)};
	const int64_t start = mono_now().ns;

	make_template(frame, octets);
	for (uint64_t sent = 0; sent < packets;) {
		const uint64_t left = packets - sent, n = left < TURN ? left : TURN;
		struct bpf_test_run_opts options = {
			.sz = sizeof options,
			.data_in = frame,
			.data_size_in = ETHERNET + octets,
			.ctx_in = &context,
			.ctx_size_in = sizeof context,
			.repeat = (int)n,
			.flags = LIVE_FRAMES,
			.batch_size = BATCH,
		};

		if (bpf_prog_test_run_opts(program, &options) != 0)
			fail("live frames");
		sent += n;
		const int64_t ahead =
			rate > 0 ? start + (int64_t)((double)sent / rate * 1e9) - mono_now().ns : 0;
		if (ahead > 0)
			usleep((useconds_t)(ahead / 1000));
	}
}

int main(int argc, char **argv)
{
	if (argc < 5 || argc > 6) {
		fprintf(stderr, "usage: live_send INTERFACE[,PEER] PACKETS FLOWS OCTETS [RATE]\n");
		return 2;
	}
	char *peer = strchr(argv[1], ',');
	const uint32_t octets = (uint32_t)strtoul(argv[4], NULL, 0);
	struct live_bpf *bpf = live_bpf__open();

	if (octets < 28 || octets > FRAME_MAX - ETHERNET || !bpf)
		fail("octets");
	if (peer) {
		*peer = 0;
		want_gro(peer + 1);
	}
	bpf->rodata->flows = (uint32_t)strtoul(argv[3], NULL, 0);
	if (live_bpf__load(bpf) != 0)
		fail("program");
	const int64_t start = mono_now().ns;
	const double before = cpu_seconds();
	send_frames(bpf_program__fd(bpf->progs.make_frame), argv[1], strtoull(argv[2], NULL, 0), octets,
		    argc > 5 ? strtod(argv[5], NULL) : 0);
	printf("%" PRIu64 " %.6f %.6f\n", (uint64_t)bpf->bss->made, (double)(mono_now().ns - start) / 1e9,
	       cpu_seconds() - before);
	live_bpf__destroy(bpf);
	return 0;
}
