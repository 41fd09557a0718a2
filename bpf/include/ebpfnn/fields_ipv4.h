/* SPDX-License-Identifier: GPL-2.0 */
/* The fields of an IPv4 header (RFC 791), and a walk through its options. */
#ifndef EBPFNN_FIELDS_IPV4_H
#define EBPFNN_FIELDS_IPV4_H

#include <ebpfnn/fields_transport.h>

#define EBPFNN_MOST_OPTION_WORDS 10

enum { EBPFNN_END_OF_OPTIONS, EBPFNN_NO_OPERATION };

/* The options as they lie, in memory that an index may vary in: Linux 5.10 takes no such index into the stack. */
static __always_inline int ebpfnn_copy_options(EBPFNN_CONTEXT *packet, struct ebpfnn_observed *own, __u32 at, __u32 bytes)
{
	for (__u32 i = 0; i < EBPFNN_MOST_OPTION_WORDS && i * 4 < bytes; i++) {
		__u32 word;

		if (ebpfnn_read(packet, at + i * 4, &word, sizeof(word)))
			return ebpfnn_ends_early(&own->fields);
		((__u32 *)own->scratch)[i] = word;
	}
	return 0;
}

static __always_inline __u8 ebpfnn_option_byte(const struct ebpfnn_observed *own, __u32 i)
{
	asm volatile("" : "+r"(i)); /* or the compiler leaves the mask out, which the verifier needs */
	return own->scratch[i & (EBPFNN_SCRATCH - 1)];
}

/* Reads the option at ``i``. Returns its length, 0 where it contradicts itself or runs past ``bytes``. */
static __always_inline __u32 ebpfnn_parse_option(struct ebpfnn_observed *own, __u8 type, __u32 i, __u32 bytes)
{
	__u32 length = 1;

	if (type != EBPFNN_NO_OPERATION) {
		length = ebpfnn_option_byte(own, i + 1);
		if (length < 2 || i + length > bytes)
			return 0;
	}
	own->fields.option_kinds |= 1U << (type & 31);
	own->fields.options++;
	return length;
}

/* 0, or -1 where an option contradicts itself. */
__noinline int ebpfnn_parse_options(__u32 bytes)
{
	struct ebpfnn_observed *own = ebpfnn_own();

	if (!own)
		return -1;
	own->at = 0;
	for (__u32 turn = 0; turn <= EBPFNN_MAX_OPTIONS; turn++) {
		__u32 i = *(volatile __u64 *)&own->at, length;
		__u8 type;

		if (i >= bytes)
			return 0;
		type = ebpfnn_option_byte(own, i);
		if (type == EBPFNN_END_OF_OPTIONS)
			return 0;
		if (turn == EBPFNN_MAX_OPTIONS)
			break;
		length = ebpfnn_parse_option(own, type, i, bytes);
		if (!length)
			return ebpfnn_contradicts(&own->fields);
		own->at = i + length;
	}
	own->fields.unread = 1;
	return 0;
}

static __always_inline int ebpfnn_parse_ipv4(EBPFNN_CONTEXT *packet, struct ebpfnn_observed *own, __u32 offset)
{
	struct ebpfnn_fields *fields = &own->fields;
	__u32 header, fragment;
	struct ebpfnn_ipv4 ip;

	if (ebpfnn_read(packet, offset, &ip, sizeof(ip)))
		return ebpfnn_ends_early(fields);
	if (ip.version_and_length >> 4 != 4)
		return ebpfnn_contradicts(fields);
	fields->version = 4;
	fields->network_length = ebpfnn_net16(ip.length);
	fields->service = ip.service;
	fields->hops = ip.hops;
	fields->protocol = ip.protocol;
	fields->source = ebpfnn_net32(ip.source);
	fields->destination = ebpfnn_net32(ip.destination);
	fragment = ebpfnn_net16(ip.fragment);
	fields->fragment = fragment & 0x1fff ? EBPFNN_LATER_FRAGMENT : fragment & 0x2000 ? EBPFNN_FIRST_FRAGMENT : 0;
	header = (ip.version_and_length & 15) * 4;
	if (header < sizeof(ip))
		return ebpfnn_contradicts(fields);
	fields->network_header = header;
	if (header > sizeof(ip) && (ebpfnn_copy_options(packet, own, offset + sizeof(ip), header - sizeof(ip)) ||
				    ebpfnn_parse_options(header - sizeof(ip))))
		return -1;
	return fields->fragment == EBPFNN_LATER_FRAGMENT ? 0 : ebpfnn_parse_transport(packet, offset + header);
}

#endif
