/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parsers of fields share. Before it, include vmlinux.h, and define the macro EBPFNN_CONTEXT, the type of the context, and
 *
 *	static __always_inline int ebpfnn_read(EBPFNN_CONTEXT *packet, __u32 offset, void *to, __u32 bytes);
 *
 * which copies whole 32-bit words out of the packet, a number that the verifier knows, and returns 0, or something else where the packet
 * ends before.
 *
 * What forks much is a global function: the verifier walks each once, and not for each way that leads to it.
 */
#ifndef EBPFNN_FIELDS_READ_H
#define EBPFNN_FIELDS_READ_H

#ifndef EBPFNN_CONTEXT
#error "define EBPFNN_CONTEXT and ebpfnn_read() before the parsers of fields, or include fields_xdp.h or fields_skb.h"
#endif

#include <ebpfnn/fields_packet.h>
#include <ebpfnn/fields_observe.h>
#include <ebpfnn/packet_wire.h>

/* Both return what ends the parser. */
static __always_inline int ebpfnn_ends_early(struct ebpfnn_fields *fields)
{
	fields->truncated = EBPFNN_NO_HEADERS;
	return -1;
}

static __always_inline int ebpfnn_contradicts(struct ebpfnn_fields *fields)
{
	fields->malformed = 1;
	return -1;
}

#endif
