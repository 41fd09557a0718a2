// SPDX-License-Identifier: GPL-2.0
/* A socket filter: runs the network on requests that the socket receives, and keeps none of them. */
#include <ebpfnn/vmlinux.h>

#define EBPFNN_READ_ONLY
#include <ebpfnn/skb.h>

#define DROP 0 /* the socket's copy: the packet itself is passed on */
#define PACKET_OUTGOING 4

SEC("socket")
int ebpfnn_socket_filter(struct __sk_buff *packet)
{
	if (packet->pkt_type != PACKET_OUTGOING)
		ebpfnn_watch_packet(packet);
	return DROP;
}

char LICENSE[] SEC("license") = "GPL";
