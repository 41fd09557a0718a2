// SPDX-License-Identifier: GPL-2.0
/* The twin: a network in readable C (nn.h) as the body of ebpfnn_infer. ebpfnn/compiler/twin.py sizes and fills its maps. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/parameters.h>

int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)
{
	struct nn_workspace workspace = nn_workspace_of(result);
	struct nn_network network;
	int error = nn_find_network(&network);

	if (error)
		return error;
	nn_infer(&network, sample, &workspace);
	return nn_deliver(result, workspace.accumulators, nn_classes(&network));
}

char LICENSE[] SEC("license") = "GPL";
