/* SPDX-License-Identifier: GPL-2.0 */
/* The fields of packets in socket buffers, whose bytes may lie anywhere. Call ebpfnn_observe_buffer(). */
#ifndef EBPFNN_FIELDS_SKB_H
#define EBPFNN_FIELDS_SKB_H

#include <ebpfnn/vmlinux.h>

#define EBPFNN_CONTEXT struct __sk_buff

static __always_inline int ebpfnn_read(struct __sk_buff *packet, __u32 offset, void *to, __u32 bytes)
{
	return bpf_skb_load_bytes(packet, offset, to, bytes);
}

#include <ebpfnn/fields_parse.h>

/*
 * ``link_header`` is 14 where the packet begins with Ethernet's, 0 where it begins behind that. Global, so that the verifier walks it
 * once, and not the observer for each way a packet can look. Returns 0 where there are fields.
 */
__noinline int ebpfnn_extract(struct __sk_buff *packet, __u32 link_header, __u32 direction)
{
	struct ebpfnn_observed *own = ebpfnn_own();
	__u16 link[2];

	if (!own)
		return -1;
	__builtin_memset(&own->fields, 0, sizeof(own->fields));
	own->fields.ethertype = ebpfnn_net16(packet->protocol);
	if (link_header) {
		if (bpf_skb_load_bytes(packet, EBPFNN_LINK_HEADER - sizeof(link), link, sizeof(link)))
			return -1;
		own->fields.ethertype = ebpfnn_net16(link[1]);
	}
	own->fields.link_header = link_header;
	own->fields.length = packet->len;
	own->fields.interface = packet->ifindex;
	own->fields.direction = direction;
	if (packet->vlan_present)
		ebpfnn_take_tag(&own->fields, packet->vlan_tci);
	ebpfnn_parse(packet, own);
	return 0;
}

/* Has the packet observed. Returns the verdict, 0 where the packet was passed over. */
static __always_inline int ebpfnn_observe_buffer(struct __sk_buff *packet, __u32 link_header, __u32 direction)
{
	struct ebpfnn_observed *own = ebpfnn_enter();
	int verdict = 0;

	if (!own)
		return 0;
	if (!ebpfnn_extract(packet, link_header, direction))
		verdict = ebpfnn_observe(&own->fields, packet);
	ebpfnn_leave(own);
	return verdict;
}

#endif
