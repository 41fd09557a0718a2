// SPDX-License-Identifier: GPL-2.0
/* Every frame that comes in at an interface is observed, and passes. */
#include <ebpfnn/fields_xdp.h>

SEC("xdp")
int ebpfnn_xdp_events(struct xdp_md *packet)
{
	ebpfnn_observe_frame(packet);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
