// SPDX-License-Identifier: GPL-2.0
/*
 * The action "redirect" at tc. The packet is sent as a clone, so that the program learns whether that was possible: a packet that the
 * interface does not take goes on here. One that has gone is told by an errno, one that is down by NET_XMIT_CN, as of a full queue.
 */
#include <ebpfnn/built_for.h>

struct ebpfnn_fields;

const volatile __u32 ebpfnn_redirected;

int ebpfnn_act(struct ebpfnn_fields *fields, void *context, __u32 verdict)
{
	if (bpf_clone_redirect(context, ebpfnn_redirected, 0))
		return EBPFNN_GO_ON;
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
