/* SPDX-License-Identifier: GPL-2.0 */
/* A packet's headers, from its network header or the VLAN tags in front of that to its payload. fields_read.h says what goes before. */
#ifndef EBPFNN_FIELDS_PARSE_H
#define EBPFNN_FIELDS_PARSE_H

#include <ebpfnn/fields_ipv4.h>
#include <ebpfnn/fields_ipv6.h>

static __always_inline int ebpfnn_is_tag(__u16 ethertype)
{
	return ethertype == 0x8100 || ethertype == 0x88a8;
}

static __always_inline void ebpfnn_take_tag(struct ebpfnn_fields *fields, __u16 tag)
{
	if (fields->tags++)
		fields->vlan_inner = tag & 0xfff;
	else
		fields->vlan = tag & 0xfff;
}

static __always_inline int ebpfnn_parse_tags(EBPFNN_CONTEXT *packet, struct ebpfnn_fields *fields)
{
	for (int i = 0; i < EBPFNN_MAX_TAGS; i++) {
		__u16 words[2];

		if (!ebpfnn_is_tag(fields->ethertype))
			return 0;
		if (fields->tags == EBPFNN_MAX_TAGS)
			break; /* the first was taken out of the packet */
		if (ebpfnn_read(packet, fields->link_header, words, sizeof(words)))
			return ebpfnn_ends_early(fields);
		ebpfnn_take_tag(fields, ebpfnn_net16(words[0]));
		fields->ethertype = ebpfnn_net16(words[1]);
		fields->link_header += sizeof(words);
	}
	fields->unread = ebpfnn_is_tag(fields->ethertype);
	return 0;
}

static __always_inline int ebpfnn_parse_network(EBPFNN_CONTEXT *packet, struct ebpfnn_observed *own)
{
	switch (own->fields.ethertype) {
	case 0x0800:
		return ebpfnn_parse_ipv4(packet, own, own->fields.link_header);
	case 0x86dd:
		return ebpfnn_parse_ipv6(packet, &own->fields, own->fields.link_header);
	default:
		return 0;
	}
}

/* What follows from several headers. */
static __always_inline void ebpfnn_compare_lengths(struct ebpfnn_fields *fields)
{
	__u32 headers = fields->network_header + fields->transport_header;

	if (fields->network_length > headers)
		fields->payload = fields->network_length - headers;
	else if (fields->network_length && fields->network_length < headers)
		fields->malformed = 1;
	if (fields->link_header + headers > fields->length)
		fields->truncated = EBPFNN_NO_HEADERS;
	else if (!fields->truncated && fields->link_header + fields->network_length > fields->length)
		fields->truncated = EBPFNN_NO_PAYLOAD;
}

/* The shell has set length, interface, direction, link_header and ethertype, and the tag if one was taken out of the packet. */
static __always_inline void ebpfnn_parse(EBPFNN_CONTEXT *packet, struct ebpfnn_observed *own)
{
	own->fields.time = ebpfnn_now();
	own->fields.cpu = bpf_get_smp_processor_id();
	if (!ebpfnn_parse_tags(packet, &own->fields))
		ebpfnn_parse_network(packet, own);
	ebpfnn_compare_lengths(&own->fields);
}

#endif
