// SPDX-License-Identifier: GPL-2.0
/*
 * The action "redirect" at XDP. The kernel drops what it cannot redirect, when the program has ended, so the interface is looked for before:
 * a look-up of a route that begins there fails at once if it has gone.
 */
#include <ebpfnn/built_for.h>

#define AF_INET 2
#define ENODEV 19

struct ebpfnn_fields;

/* struct bpf_fib_lookup (include/uapi/linux/bpf.h), as far as it is used. */
struct asked {
	__u8 family;
	__u8 unused[7];
	__u32 ifindex;
	__u32 rest[13];
};

const volatile __u32 ebpfnn_redirected;

int ebpfnn_act(struct ebpfnn_fields *fields, void *context, __u32 verdict)
{
	struct asked asked = {.family = AF_INET, .ifindex = ebpfnn_redirected};

	if (bpf_fib_lookup(context, &asked, sizeof(asked), 0) == -ENODEV)
		return EBPFNN_GO_ON;
	return bpf_redirect(ebpfnn_redirected, 0);
}

char LICENSE[] SEC("license") = "GPL";
