// SPDX-License-Identifier: GPL-2.0
/* Every packet that a cgroup's sockets receive or send is observed, and goes on its way. */
#include <ebpfnn/fields_skb.h>

#define PASS 1

SEC("cgroup_skb/ingress")
int ebpfnn_cgroup_ingress(struct __sk_buff *packet)
{
	ebpfnn_observe_buffer(packet, 0, EBPFNN_INGRESS);
	return PASS;
}

SEC("cgroup_skb/egress")
int ebpfnn_cgroup_egress(struct __sk_buff *packet)
{
	ebpfnn_observe_buffer(packet, 0, EBPFNN_EGRESS);
	return PASS;
}

char LICENSE[] SEC("license") = "GPL";
