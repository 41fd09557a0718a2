/* SPDX-License-Identifier: GPL-2.0 */
/* Whether a packet carries a request that can be answered, and where. */
#ifndef EBPFNN_PACKET_FIND_H
#define EBPFNN_PACKET_FIND_H

#include <ebpfnn/packet_state.h>

/* Whether UDP at ``at`` carries a request for this network. */
static __always_inline int ebpfnn_is_request(EBPFNN_CONTEXT *packet, __u32 at)
{
	struct ebpfnn_request request;

	if (ebpfnn_load(packet, at, &request, sizeof(request)))
		return 0;
	return request.udp.destination == ebpfnn_net16(ebpfnn_port) && request.udp.source &&
	       request.udp.length == ebpfnn_net16(sizeof(struct ebpfnn_udp) + ebpfnn_payload_bytes()) &&
	       request.header.magic == ebpfnn_net32(EBPFNN_MAGIC) && request.header.version == EBPFNN_VERSION &&
	       request.header.kind == EBPFNN_REQUEST && !request.header.scores &&
	       (!request.header.network || request.header.network == ebpfnn_net32(ebpfnn_network_id));
}

/* Whether two hosts can be sender and receiver of a packet. They are equal only on the loopback interface. */
static __always_inline int ebpfnn_are_two(__u32 differ)
{
	return differ || ebpfnn_loopback;
}

/*
 * Whether an address is that of a host: not in 0/8 or 127/8, no group, no broadcast (RFC 1122, 3.2.1.3). A subnet's broadcast address
 * cannot be recognized without the netmask. A reply to it goes to one station only, because its hardware address is not a group's.
 */
static __always_inline int ebpfnn_is_host(__u32 address)
{
	__u32 first = address & 0xff;

	return first && first < 224 && (first != 127 || ebpfnn_loopback);
}

/* The same for IPv6: not ::, ::1, a group, or an IPv4-mapped address, which no packet contains (RFC 4291, 2.5 and 2.7). */
static __always_inline int ebpfnn_is_host6(const __u32 *address)
{
	if ((address[0] & 0xff) == 0xff)
		return 0;
	if (address[0] | address[1])
		return 1;
	if (address[2])
		return address[2] != 0xffff0000;
	return address[3] && (address[3] != ebpfnn_net32(1) || ebpfnn_loopback);
}

static __always_inline __u32 ebpfnn_find_ipv4(EBPFNN_CONTEXT *packet, __u32 offset)
{
	__u32 at = offset + sizeof(struct ebpfnn_ipv4);
	struct ebpfnn_ipv4 ip;

	if (ebpfnn_load(packet, offset, &ip, sizeof(ip)))
		return 0;
	if (ip.version_and_length != 0x45 || ip.protocol != 17 || ip.fragment & ~ebpfnn_net16(0x4000) ||
	    ip.length != ebpfnn_net16(sizeof(ip) + sizeof(struct ebpfnn_udp) + ebpfnn_payload_bytes()) ||
	    !ebpfnn_is_host(ip.source) || !ebpfnn_is_host(ip.destination) || !ebpfnn_are_two(ip.source ^ ip.destination) ||
	    ebpfnn_fold(ebpfnn_sum((const __u32 *)&ip, sizeof(ip), 0)) != 0xffff)
		return 0;
	return ebpfnn_is_request(packet, at) ? at : 0;
}

static __always_inline __u32 ebpfnn_find_ipv6(EBPFNN_CONTEXT *packet, __u32 offset)
{
	__u32 at = offset + sizeof(struct ebpfnn_ipv6);
	const __u32 *from, *to;
	struct ebpfnn_ipv6 ip;

	if (ebpfnn_load(packet, offset, &ip, sizeof(ip)))
		return 0;
	if (ip.version >> 4 != 6 || ip.protocol != 17 ||
	    ip.length != ebpfnn_net16(sizeof(struct ebpfnn_udp) + ebpfnn_payload_bytes()))
		return 0;
	from = ip.source;
	to = ip.destination;
	if (!ebpfnn_is_host6(from) || !ebpfnn_is_host6(to) ||
	    !ebpfnn_are_two((from[0] ^ to[0]) | (from[1] ^ to[1]) | (from[2] ^ to[2]) | (from[3] ^ to[3])))
		return 0;
	return ebpfnn_is_request(packet, at) ? at | 1U << 16 : 0;
}

/* Whether a frame that begins with these words is to or from a group on the link. A reply would go back there. */
static __always_inline int ebpfnn_is_of_group(const __u16 *link)
{
	return (link[0] | link[3]) & 1;
}

/*
 * The offset of a request's UDP header, with bit 16 set for IPv6; 0 for any other packet. ``protocol`` is the EtherType of the header
 * at ``offset``. Up to two VLAN tags there are skipped.
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
