/* SPDX-License-Identifier: GPL-2.0 */
/* The fields of a transport header. */
#ifndef EBPFNN_FIELDS_TRANSPORT_H
#define EBPFNN_FIELDS_TRANSPORT_H

#include <ebpfnn/fields_read.h>

enum { EBPFNN_ICMP = 1, EBPFNN_TCP = 6, EBPFNN_UDP = 17, EBPFNN_ICMP6 = 58, EBPFNN_SCTP = 132, EBPFNN_UDPLITE = 136 };

struct ebpfnn_tcp {
	__u16 source;
	__u16 destination;
	__u32 sequence;
	__u32 acknowledged;
	__u8 words; /* of the header, in the upper four bits */
	__u8 flags;
	__u16 window;
	__u32 check_and_urgent;
};

static __always_inline int ebpfnn_parse_tcp(EBPFNN_CONTEXT *packet, struct ebpfnn_fields *fields, __u32 at)
{
	struct ebpfnn_tcp tcp;

	if (ebpfnn_read(packet, at, &tcp, sizeof(tcp)))
		return ebpfnn_ends_early(fields);
	fields->source_port = ebpfnn_net16(tcp.source);
	fields->destination_port = ebpfnn_net16(tcp.destination);
	fields->tcp_flags = tcp.flags;
	fields->tcp_window = ebpfnn_net16(tcp.window);
	if (tcp.words < 5 << 4)
		return ebpfnn_contradicts(fields);
	fields->transport_header = (tcp.words >> 4) * 4;
	return 0;
}

/* UDP, UDP-Lite and SCTP begin alike. */
static __always_inline int ebpfnn_parse_ports(EBPFNN_CONTEXT *packet, struct ebpfnn_fields *fields, __u32 at, __u32 header)
{
	__u16 ports[2];

	if (ebpfnn_read(packet, at, ports, sizeof(ports)))
		return ebpfnn_ends_early(fields);
	fields->source_port = ebpfnn_net16(ports[0]);
	fields->destination_port = ebpfnn_net16(ports[1]);
	fields->transport_header = header;
	return 0;
}

static __always_inline int ebpfnn_parse_icmp(EBPFNN_CONTEXT *packet, struct ebpfnn_fields *fields, __u32 at)
{
	__u8 icmp[4];

	if (ebpfnn_read(packet, at, icmp, sizeof(icmp)))
		return ebpfnn_ends_early(fields);
	fields->icmp_type = icmp[0];
	fields->icmp_code = icmp[1];
	fields->transport_header = 8;
	return 0;
}

/* 0, or -1 where the header is not whole. */
__noinline int ebpfnn_parse_transport(EBPFNN_CONTEXT *packet, __u32 at)
{
	struct ebpfnn_observed *own = ebpfnn_own();

	if (!own)
		return -1;
	switch (own->fields.protocol) {
	case EBPFNN_TCP:
		return ebpfnn_parse_tcp(packet, &own->fields, at);
	case EBPFNN_UDP:
	case EBPFNN_UDPLITE:
		return ebpfnn_parse_ports(packet, &own->fields, at, sizeof(struct ebpfnn_udp));
	case EBPFNN_SCTP:
		return ebpfnn_parse_ports(packet, &own->fields, at, 12);
	case EBPFNN_ICMP:
	case EBPFNN_ICMP6:
		return ebpfnn_parse_icmp(packet, &own->fields, at);
	default:
		return 0;
	}
}

#endif
