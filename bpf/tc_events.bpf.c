// SPDX-License-Identifier: GPL-2.0
/* Every packet that an interface receives, or that is to leave by it, is observed, and goes on its way. */
#define EBPFNN_UNPREEMPTED
#include <ebpfnn/fields_skb.h>

SEC("tc")
int ebpfnn_tc_ingress(struct __sk_buff *packet)
{
	ebpfnn_observe_buffer(packet, EBPFNN_LINK_HEADER, EBPFNN_INGRESS);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int ebpfnn_tc_egress(struct __sk_buff *packet)
{
	ebpfnn_observe_buffer(packet, EBPFNN_LINK_HEADER, EBPFNN_EGRESS);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
