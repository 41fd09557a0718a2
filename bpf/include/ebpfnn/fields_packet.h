/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fields of packets, in host byte order; 0 if a packet does not have one. EBPFNN_OWN_FIELDS, if defined before, adds a
 * shell's own. fields_xdp.h and fields_skb.h fill them.
 */
#ifndef EBPFNN_FIELDS_PACKET_H
#define EBPFNN_FIELDS_PACKET_H

#include <ebpfnn/fields.h>

#ifndef EBPFNN_OWN_FIELDS
#define EBPFNN_OWN_FIELDS
#endif

#define EBPFNN_MAX_TAGS 2 /* of VLANs */
#define EBPFNN_MAX_EXTENSIONS 6 /* RFC 8200, 4.1 has six kinds in a packet, ESP left out, behind which all is encrypted */
#define EBPFNN_MAX_OPTIONS 16

/* Where a header can begin, and more: behind 22 bytes of link header, 40 of IPv6, and six extension headers of 2,056. */
#define EBPFNN_FARTHEST 0x3fff

enum { EBPFNN_INGRESS = 1, EBPFNN_EGRESS };
enum { EBPFNN_FIRST_FRAGMENT = 1, EBPFNN_LATER_FRAGMENT };
enum { EBPFNN_NO_HEADERS = 1, EBPFNN_NO_PAYLOAD };

struct ebpfnn_fields {
	EBPFNN_FIELD(__u64, time, "ns", "time of the event (CLOCK_MONOTONIC)");
	EBPFNN_FIELD(__u64, source_high, "address", "IPv6 source address, first 64 bits");
	EBPFNN_FIELD(__u64, source_low, "address", "IPv6 source address, last 64 bits");
	EBPFNN_FIELD(__u64, destination_high, "address", "IPv6 destination address, first 64 bits");
	EBPFNN_FIELD(__u64, destination_low, "address", "IPv6 destination address, last 64 bits");
	EBPFNN_FIELD(__u32, source, "address", "IPv4 source address");
	EBPFNN_FIELD(__u32, destination, "address", "IPv4 destination address");
	EBPFNN_FIELD(__u32, cpu, "number", "CPU that the event happened on");
	EBPFNN_FIELD(__u32, interface, "number", "index of the interface");
	EBPFNN_FIELD(__u32, length, "bytes", "length of the packet at this hook, link header included");
	EBPFNN_FIELD(__u32, network_length, "bytes", "length of the IP packet from its header");
	EBPFNN_FIELD(__u32, payload, "bytes", "data after the transport header, or after the IP header if there is none");
	EBPFNN_FIELD(__u32, option_kinds, "bits", "IPv4 options that were read: bit N for one of number N, the lowest five bits of its type");
	EBPFNN_FIELD(__u16, ethertype, "number", "EtherType after the VLAN tags");
	EBPFNN_FIELD(__u16, vlan, "id", "VLAN of the outer tag");
	EBPFNN_FIELD(__u16, vlan_inner, "id", "VLAN of the second tag");
	EBPFNN_FIELD(__u16, link_header, "bytes", "link header and VLAN tags; 0 at hooks without a link header");
	EBPFNN_FIELD(__u16, network_header, "bytes", "IP header, with IPv4 options or IPv6 extension headers");
	EBPFNN_FIELD(__u16, transport_header, "bytes", "TCP (with options), UDP, UDP-Lite, SCTP, ICMP or ICMPv6 header");
	EBPFNN_FIELD(__u16, source_port, "number", "TCP, UDP, UDP-Lite or SCTP source port");
	EBPFNN_FIELD(__u16, destination_port, "number", "TCP, UDP, UDP-Lite or SCTP destination port");
	EBPFNN_FIELD(__u16, tcp_window, "bytes", "TCP window from the header, not scaled");
	EBPFNN_FIELD(__u8, version, "number", "4 or 6 of IP; 0 for other packets");
	EBPFNN_FIELD(__u8, protocol, "number", "transport protocol, or the first IPv6 extension header that was not read");
	EBPFNN_FIELD(__u8, hops, "count", "IPv4 time to live or IPv6 hop limit");
	EBPFNN_FIELD(__u8, service, "bits", "IPv4 type of service or IPv6 traffic class");
	EBPFNN_FIELD(__u8, tcp_flags, "bits", "TCP: 1 FIN, 2 SYN, 4 RST, 8 PSH, 16 ACK, 32 URG, 64 ECE, 128 CWR");
	EBPFNN_FIELD(__u8, icmp_type, "number", "ICMP or ICMPv6 type");
	EBPFNN_FIELD(__u8, icmp_code, "number", "ICMP or ICMPv6 code");
	EBPFNN_FIELD(__u8, direction, "number", "1 received, 2 sent");
	EBPFNN_FIELD(__u8, tags, "count", "VLAN tags that were read, at most 2");
	EBPFNN_FIELD(__u8, extensions, "count", "IPv6 extension headers that were read, at most 6");
	EBPFNN_FIELD(__u8, options, "count", "IPv4 options that were read, at most 16, no-operations included");
	EBPFNN_FIELD(__u8, fragment, "number", "0 not a fragment, 1 first fragment, 2 later fragment");
	EBPFNN_FIELD(__u8, truncated, "number", "1: the headers are incomplete; 2: the payload is incomplete");
	EBPFNN_FIELD(__u8, malformed, "flag", "1: a header is invalid, and the headers behind it were not read");
	EBPFNN_FIELD(__u8, unread, "flag", "1: too many tags, extension headers or options; the rest was not read");
	EBPFNN_OWN_FIELDS
};

#endif
