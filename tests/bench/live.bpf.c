/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * live.bpf.c: the kernel as a generator of frames: run again and again over live frames, this program gives
 * each a flow in turn and sends it out of the interface it is told it came in by. */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

const char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 flows = 1;

__u64 made = 0;

SEC("xdp")
int make_frame(struct xdp_md *ctx)
{
	__u8 *at = (void *)(long)ctx->data;

	if (at + 14 + 20 + 8 > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	/* In an order that a cache cannot foresee: a multiplier that has no divisor in common with any count.
	 */
	const __u64 turn = made++;
	const __u32 flow = (__u32)((turn * 2654435761u) % flows);
	*(__u32 *)(at + 26) = bpf_htonl(0x0a000000 | flow >> 12);
	*(__u16 *)(at + 34) = bpf_htons(1024 + (flow & 0xfff));
	return XDP_TX;
}
