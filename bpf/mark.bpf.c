// SPDX-License-Identifier: GPL-2.0
/* The actions "mark" and "priority": write a number to the packet, which routing, queues and firewalls read, and let it go on. */
#include <ebpfnn/built_for.h>

struct ebpfnn_fields;

/* The bits of each number that change, and what they become. */
const volatile __u32 ebpfnn_mark, ebpfnn_mark_bits, ebpfnn_priority, ebpfnn_priority_bits;

int ebpfnn_act(struct ebpfnn_fields *fields, void *context, __u32 verdict)
{
	struct __sk_buff *packet = context;

	if (ebpfnn_mark_bits)
		packet->mark = (packet->mark & ~ebpfnn_mark_bits) | ebpfnn_mark;
	if (ebpfnn_priority_bits)
		packet->priority = (packet->priority & ~ebpfnn_priority_bits) | ebpfnn_priority;
	return EBPFNN_GO_ON;
}

char LICENSE[] SEC("license") = "GPL";
