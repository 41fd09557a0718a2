// SPDX-License-Identifier: GPL-2.0
/* Every packet that an interface receives, or that is to leave by it, is observed, and goes on unless a guard acts on it. */
#define EBPFNN_UNPREEMPTED
#include <ebpfnn/fields_skb.h>
#include <ebpfnn/guard.h>

SEC("tc")
int ebpfnn_tc_guard_ingress(struct __sk_buff *packet)
{
	return ebpfnn_guard_buffer(packet, EBPFNN_LINK_HEADER, EBPFNN_INGRESS, TC_ACT_UNSPEC);
}

SEC("tc")
int ebpfnn_tc_guard_egress(struct __sk_buff *packet)
{
	return ebpfnn_guard_buffer(packet, EBPFNN_LINK_HEADER, EBPFNN_EGRESS, TC_ACT_UNSPEC);
}

char LICENSE[] SEC("license") = "GPL";
