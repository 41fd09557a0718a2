// SPDX-License-Identifier: GPL-2.0
/* A socket's filter: the network runs on requests that the socket is shown, of which it keeps none. */
#include <ebpfnn/vmlinux.h>

#define EBPFNN_READ_ONLY
#include <ebpfnn/skb.h>

#define DROP 0 /* the socket's copy: the packet itself goes on */
#define PACKET_OUTGOING 4

SEC("socket")
int ebpfnn_socket_filter(struct __sk_buff *packet)
{
	if (packet->pkt_type != PACKET_OUTGOING)
		ebpfnn_watch_packet(packet);
	return DROP;
}

char LICENSE[] SEC("license") = "GPL";
