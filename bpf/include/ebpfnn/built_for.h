/* SPDX-License-Identifier: GPL-2.0 */
/* What a shell was built for: the loader refuses another number than its own. */
#ifndef EBPFNN_BUILT_FOR_H
#define EBPFNN_BUILT_FOR_H

#include <ebpfnn/vmlinux.h>
#include <ebpfnn/abi.h>

const volatile __u32 ebpfnn_abi = EBPFNN_ABI;

#endif
