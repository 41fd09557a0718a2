// SPDX-License-Identifier: GPL-2.0
/* Every packet that a socket is shown is observed, and the socket keeps none. */
#include <ebpfnn/fields_skb.h>

#define DROP 0 /* the socket's copy: the packet itself goes on */
#define PACKET_OUTGOING 4

SEC("socket")
int ebpfnn_socket_events(struct __sk_buff *packet)
{
	ebpfnn_observe_buffer(packet, 0, packet->pkt_type == PACKET_OUTGOING ? EBPFNN_EGRESS : EBPFNN_INGRESS);
	return DROP;
}

char LICENSE[] SEC("license") = "GPL";
