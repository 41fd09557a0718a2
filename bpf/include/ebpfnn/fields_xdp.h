/* SPDX-License-Identifier: GPL-2.0 */
/* The fields of frames at XDP. Call ebpfnn_observe_frame(). */
#ifndef EBPFNN_FIELDS_XDP_H
#define EBPFNN_FIELDS_XDP_H

#include <ebpfnn/fields_packet.h>

#define EBPFNN_CONTEXT struct xdp_md
#define EBPFNN_UNPREEMPTED

/*
 * Older verifiers (5.10, 6.1) take a check against the end only of an offset that they know to be below 64 KiB, and only for the register
 * that was checked. So the compiler may know neither.
 */
static __always_inline int ebpfnn_read(struct xdp_md *packet, __u32 offset, void *to, __u32 bytes)
{
	const __u32 *from;

	asm volatile("" : "+r"(offset));
	from = (void *)(long)packet->data + (offset & EBPFNN_FARTHEST);
	asm volatile("" : "+r"(from));
	if ((void *)from + bytes > (void *)(long)packet->data_end)
		return -1;
	for (__u32 i = 0; i < bytes / 4; i++)
		((__u32 *)to)[i] = from[i];
	return 0;
}

#include <ebpfnn/fields_parse.h>

/* Global, so that the verifier walks it once, and not the observer for each way a packet can look. Returns 0 where there are fields. */
__noinline int ebpfnn_extract(struct xdp_md *packet)
{
	struct ebpfnn_observed *own = ebpfnn_own();
	const __u16 *link = (void *)(long)packet->data;

	if (!own)
		return -1;
	__builtin_memset(&own->fields, 0, sizeof(own->fields));
	if ((void *)link + EBPFNN_LINK_HEADER > (void *)(long)packet->data_end)
		return -1; /* no driver passes such a frame on */
	own->fields.ethertype = ebpfnn_net16(link[6]);
	own->fields.link_header = EBPFNN_LINK_HEADER;
	own->fields.length = packet->data_end - packet->data;
	own->fields.interface = packet->ingress_ifindex;
	own->fields.direction = EBPFNN_INGRESS;
	ebpfnn_parse(packet, own);
	return 0;
}

/* Has the frame observed. Returns the verdict, 0 where the frame was passed over. */
static __always_inline int ebpfnn_observe_frame(struct xdp_md *packet)
{
	struct ebpfnn_observed *own = ebpfnn_enter();
	int verdict = 0;

	if (!own)
		return 0;
	if (!ebpfnn_extract(packet))
		verdict = ebpfnn_observe(&own->fields, packet);
	ebpfnn_leave(own);
	return verdict;
}

#endif
