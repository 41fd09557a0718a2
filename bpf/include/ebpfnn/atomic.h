/* SPDX-License-Identifier: GPL-2.0 */
/* Additions that interrupts and other CPUs cannot come between. */
#ifndef EBPFNN_ATOMIC_H
#define EBPFNN_ATOMIC_H

#include <ebpfnn/vmlinux.h>

/*
 * Adds at once, whoever else does, and in its place. Relaxed, with barriers for the compiler: of anything stronger clang 22 makes an
 * instruction that also gives what was there before, which Linux before 5.12 does not know.
 */
static __always_inline void ebpfnn_add(__u64 *to, __u64 number)
{
	asm volatile("" ::: "memory");
	__atomic_fetch_add(to, number, __ATOMIC_RELAXED);
	asm volatile("" ::: "memory");
}

#endif
