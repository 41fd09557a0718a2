/* SPDX-License-Identifier: GPL-2.0 */
/* How often something happens in a second, on one CPU. */
#ifndef EBPFNN_RATE_H
#define EBPFNN_RATE_H

#include <ebpfnn/vmlinux.h>

#define EBPFNN_SECOND 1000000000ULL

/* Of one CPU: the second that it counts in, and what was let through in it. */
struct ebpfnn_rate {
	__u64 second;
	__u64 passed;
};

/* Whether at most ``most`` pass in the second of ``time``, this one included. */
static __always_inline int ebpfnn_within(struct ebpfnn_rate *rate, __u64 time, __u64 most)
{
	__u64 second = time / EBPFNN_SECOND;

	if (rate->second != second) {
		rate->second = second;
		rate->passed = 0;
	}
	if (rate->passed >= most)
		return 0;
	rate->passed++;
	return 1;
}

#endif
