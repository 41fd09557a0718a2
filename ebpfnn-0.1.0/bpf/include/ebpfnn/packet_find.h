/* SPDX-License-Identifier: GPL-2.0 */
/* Whether a packet carries a request, and where. */
#ifndef EBPFNN_PACKET_FIND_H
#define EBPFNN_PACKET_FIND_H

#include <ebpfnn/packet_state.h>

/* Whether UDP at ``at`` carries a request for this network. */
static __always_inline int ebpfnn_is_request(EBPFNN_CONTEXT *packet, __u32 at)
{
	struct ebpfnn_request request;

	if (ebpfnn_load(packet, at, &request, sizeof(request)))
		return 0;
	return request.udp.destination == ebpfnn_net16(port) && request.udp.source &&
	       request.udp.length == ebpfnn_net16(sizeof(struct ebpfnn_udp) + ebpfnn_payload_bytes()) &&
	       request.header.magic == ebpfnn_net32(EBPFNN_MAGIC) && request.header.version == EBPFNN_VERSION &&
	       request.header.kind == EBPFNN_REQUEST && !request.header.scores &&
	       (!request.header.network || request.header.network == ebpfnn_net32(network_id));
}

/* An address that can be answered, and answer: 0.0.0.0, multicast and broadcast cannot. */
static __always_inline int ebpfnn_is_host(__u32 address)
{
	return address && (address & 0xff) < 224;
}

static __always_inline __u32 ebpfnn_find_ipv4(EBPFNN_CONTEXT *packet, __u32 offset)
{
	__u32 at = offset + sizeof(struct ebpfnn_ipv4);
	struct ebpfnn_ipv4 ip;

	if (ebpfnn_load(packet, offset, &ip, sizeof(ip)))
		return 0;
	if (ip.version_and_length != 0x45 || ip.protocol != 17 || ip.fragment & ~ebpfnn_net16(0x4000) ||
	    ip.length != ebpfnn_net16(sizeof(ip) + sizeof(struct ebpfnn_udp) + ebpfnn_payload_bytes()) ||
	    !ebpfnn_is_host(ip.source) || !ebpfnn_is_host(ip.destination) ||
	    ebpfnn_fold(ebpfnn_sum((const __u32 *)&ip, sizeof(ip), 0)) != 0xffff)
		return 0;
	return ebpfnn_is_request(packet, at) ? at : 0;
}

static __always_inline __u32 ebpfnn_find_ipv6(EBPFNN_CONTEXT *packet, __u32 offset)
{
	__u32 at = offset + sizeof(struct ebpfnn_ipv6);
	struct ebpfnn_ipv6 ip;

	if (ebpfnn_load(packet, offset, &ip, sizeof(ip)))
		return 0;
	if (ip.version >> 4 != 6 || ip.protocol != 17 ||
	    ip.length != ebpfnn_net16(sizeof(struct ebpfnn_udp) + ebpfnn_payload_bytes()) || (ip.source[0] & 0xff) == 0xff ||
	    (ip.destination[0] & 0xff) == 0xff || !(ip.source[0] | ip.source[1] | ip.source[2] | ip.source[3]))
		return 0;
	return ebpfnn_is_request(packet, at) ? at | 1U << 16 : 0;
}

/*
 * Where a request has its UDP header, with bit 16 set for IPv6; 0 for any other packet. ``protocol`` is the EtherType of what lies at
 * ``offset``, behind which up to two VLAN tags are looked.
 */
static __noinline __u32 ebpfnn_find(EBPFNN_CONTEXT *packet, __u32 offset, __u16 protocol)
{
	for (int tag = 0; tag < 2; tag++) {
		__u16 words[2];

		if (protocol != ebpfnn_net16(0x8100) && protocol != ebpfnn_net16(0x88a8))
			break;
		if (ebpfnn_load(packet, offset, words, sizeof(words)))
			return 0;
		protocol = words[1];
		offset += sizeof(words);
	}
	if (protocol == ebpfnn_net16(0x0800))
		return ebpfnn_find_ipv4(packet, offset);
	return protocol == ebpfnn_net16(0x86dd) ? ebpfnn_find_ipv6(packet, offset) : 0;
}

#endif
