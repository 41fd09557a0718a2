// SPDX-License-Identifier: GPL-2.0
/* Every packet that a cgroup's sockets receive or send is observed, and goes on unless a guard acts on it. */
#include <ebpfnn/fields_skb.h>
#include <ebpfnn/guard.h>

#define PASS 1

SEC("cgroup_skb/ingress")
int ebpfnn_cgroup_guard_ingress(struct __sk_buff *packet)
{
	return ebpfnn_guard_buffer(packet, 0, EBPFNN_INGRESS, PASS);
}

SEC("cgroup_skb/egress")
int ebpfnn_cgroup_guard_egress(struct __sk_buff *packet)
{
	return ebpfnn_guard_buffer(packet, 0, EBPFNN_EGRESS, PASS);
}

char LICENSE[] SEC("license") = "GPL";
