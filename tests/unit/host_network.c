/* SPDX-License-Identifier: GPL-2.0 */
/* nn.h as a function of a shared library, for ctypes. */
#include <linux/types.h>

#include <ebpfnn/nn.h>

__u32 host_infer(const struct nn_network *network, const __u8 *sample, struct nn_workspace *workspace)
{
	nn_infer(network, sample, workspace);
	return nn_argmax(workspace->accumulators, nn_classes(network));
}
