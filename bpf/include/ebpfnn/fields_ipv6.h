/* SPDX-License-Identifier: GPL-2.0 */
/* The fields of an IPv6 header (RFC 8200), and a walk through its extension headers. */
#ifndef EBPFNN_FIELDS_IPV6_H
#define EBPFNN_FIELDS_IPV6_H

#include <ebpfnn/fields_transport.h>

enum {
	EBPFNN_HOP_BY_HOP = 0,
	EBPFNN_ROUTING = 43,
	EBPFNN_FRAGMENT = 44,
	EBPFNN_AUTHENTICATION = 51, /* RFC 4302 */
	EBPFNN_DESTINATION_OPTIONS = 60,
	EBPFNN_MOBILITY = 135, /* RFC 6275 */
	EBPFNN_HIP = 139,      /* RFC 7401 */
	EBPFNN_SHIM6 = 140,    /* RFC 5533 */
};

struct ebpfnn_extension {
	__u8 next;
	__u8 length;
	__u16 fragment; /* of a fragment header */
};

static __always_inline int ebpfnn_is_extension(__u8 protocol)
{
	switch (protocol) {
	case EBPFNN_HOP_BY_HOP:
	case EBPFNN_ROUTING:
	case EBPFNN_FRAGMENT:
	case EBPFNN_AUTHENTICATION:
	case EBPFNN_DESTINATION_OPTIONS:
	case EBPFNN_MOBILITY:
	case EBPFNN_HIP:
	case EBPFNN_SHIM6:
		return 1;
	default:
		return 0;
	}
}

static __always_inline __u32 ebpfnn_extension_bytes(__u8 protocol, __u32 length)
{
	if (protocol == EBPFNN_FRAGMENT)
		return 8;
	return protocol == EBPFNN_AUTHENTICATION ? (length + 2) * 4 : (length + 1) * 8;
}

/* Reads one extension header at ``at``. Returns where the next one begins, 0 where the packet ends before. */
static __always_inline __u32 ebpfnn_parse_extension(EBPFNN_CONTEXT *packet, struct ebpfnn_fields *fields, __u32 at)
{
	struct ebpfnn_extension extension;
	__u32 bytes;

	if (ebpfnn_read(packet, at, &extension, sizeof(extension)))
		return 0;
	bytes = ebpfnn_extension_bytes(fields->protocol, extension.length);
	if (fields->protocol == EBPFNN_FRAGMENT) {
		__u16 fragment = ebpfnn_net16(extension.fragment);

		/* One without an offset and without more to come is a whole packet (RFC 6946). */
		if (fragment & 0xfff8)
			fields->fragment = EBPFNN_LATER_FRAGMENT;
		else if (fragment & 1)
			fields->fragment = EBPFNN_FIRST_FRAGMENT;
	}
	fields->protocol = extension.next;
	fields->extensions++;
	fields->network_header += bytes;
	return at + bytes;
}

/* Where the transport header begins, 0 where none follows or the packet ends before. */
__noinline int ebpfnn_parse_extensions(EBPFNN_CONTEXT *packet, __u32 at)
{
	struct ebpfnn_observed *own = ebpfnn_own();
	struct ebpfnn_fields *fields = &own->fields;

	if (!own)
		return 0;
	for (int i = 0; i < EBPFNN_MAX_EXTENSIONS; i++) {
		asm volatile("" : "+r"(at));
		at &= EBPFNN_FARTHEST; /* the same in each turn, so that the verifier sees that ways met */
		if (!ebpfnn_is_extension(fields->protocol))
			return at;
		at = ebpfnn_parse_extension(packet, fields, at);
		if (!at) {
			ebpfnn_ends_early(fields);
			return 0;
		}
		if (fields->fragment == EBPFNN_LATER_FRAGMENT)
			return 0; /* data follow, whose headers were in the first one */
	}
	fields->unread = ebpfnn_is_extension(fields->protocol);
	return fields->unread ? 0 : at;
}

static __always_inline int ebpfnn_parse_ipv6(EBPFNN_CONTEXT *packet, struct ebpfnn_fields *fields, __u32 offset)
{
	struct ebpfnn_ipv6 ip;
	__u32 at;

	if (ebpfnn_read(packet, offset, &ip, sizeof(ip)))
		return ebpfnn_ends_early(fields);
	if (ip.version >> 4 != 6)
		return ebpfnn_contradicts(fields);
	fields->version = 6;
	fields->network_length = ip.length ? sizeof(ip) + ebpfnn_net16(ip.length) : 0;
	fields->service = ip.version << 4 | ip.flow[0] >> 4;
	fields->hops = ip.hops;
	fields->protocol = ip.protocol;
	fields->source_high = (__u64)ebpfnn_net32(ip.source[0]) << 32 | ebpfnn_net32(ip.source[1]);
	fields->source_low = (__u64)ebpfnn_net32(ip.source[2]) << 32 | ebpfnn_net32(ip.source[3]);
	fields->destination_high = (__u64)ebpfnn_net32(ip.destination[0]) << 32 | ebpfnn_net32(ip.destination[1]);
	fields->destination_low = (__u64)ebpfnn_net32(ip.destination[2]) << 32 | ebpfnn_net32(ip.destination[3]);
	fields->network_header = sizeof(ip);
	at = ebpfnn_is_extension(ip.protocol) ? ebpfnn_parse_extensions(packet, offset + sizeof(ip)) : offset + sizeof(ip);
	return at ? ebpfnn_parse_transport(packet, at) : -1;
}

#endif
