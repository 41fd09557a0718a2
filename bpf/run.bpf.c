// SPDX-License-Identifier: GPL-2.0
/* BPF_PROG_RUN runs the network: through a SYSCALL program, or an XDP one where the kernel has no SYSCALL programs. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/shell.h>

struct run_context {
	__u32 slot;
};

SEC("syscall")
int ebpfnn_run(struct run_context *context)
{
	ebpfnn_answer(context->slot);
	return 0;
}

/* The "packet" is a struct run_context, padded to the length of an Ethernet header. */
SEC("xdp")
int ebpfnn_run_xdp(struct xdp_md *packet)
{
	struct run_context *context = (void *)(long)packet->data;

	if ((void *)(context + 1) > (void *)(long)packet->data_end)
		return XDP_ABORTED;
	ebpfnn_answer(context->slot);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
