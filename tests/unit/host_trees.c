/* SPDX-License-Identifier: GPL-2.0 */
/* trees.h as a function of a shared library, for ctypes. */
#include <linux/types.h>

#include <ebpfnn/trees.h>

__u32 host_infer_trees(const struct nn_tree_forest *forest, const __u8 *sample, const struct nn_tree_workspace *workspace)
{
	nn_tree_infer(forest, sample, workspace);
	return nn_tree_label(workspace->scores, forest->labels);
}
