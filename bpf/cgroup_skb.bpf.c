// SPDX-License-Identifier: GPL-2.0
/* Runs the network on requests that the sockets of a cgroup receive or send, and passes all of them on. */
#include <ebpfnn/vmlinux.h>

#define EBPFNN_READ_ONLY
#include <ebpfnn/skb.h>

#define PASS 1

SEC("cgroup_skb/ingress")
int ebpfnn_cgroup_ingress(struct __sk_buff *packet)
{
	ebpfnn_watch_packet(packet);
	return PASS;
}

SEC("cgroup_skb/egress")
int ebpfnn_cgroup_egress(struct __sk_buff *packet)
{
	ebpfnn_watch_packet(packet);
	return PASS;
}

char LICENSE[] SEC("license") = "GPL";
