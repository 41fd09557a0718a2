// SPDX-License-Identifier: GPL-2.0
/* Traffic control: runs the network on requests that an interface receives or is about to send, and sends each back. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/skb.h>

/* 0, or BPF_F_INGRESS if the program sees outgoing packets: then the sender of the request is on this side. */
const volatile __u32 way_back;

SEC("tc")
int ebpfnn_tc(struct __sk_buff *packet)
{
	__u16 link[EBPFNN_LINK_HEADER / 2];
	__u32 found;

	if (bpf_skb_load_bytes(packet, 0, link, sizeof(link)) || ebpfnn_is_of_group(link))
		return TC_ACT_UNSPEC; /* too short, or to or from a group */
	found = ebpfnn_find(packet, EBPFNN_LINK_HEADER, link[6]);
	if (!found || ebpfnn_serve(packet, found) || !ebpfnn_answering)
		return TC_ACT_UNSPEC;
	return bpf_redirect(packet->ifindex, way_back);
}

char LICENSE[] SEC("license") = "GPL";
