/* SPDX-License-Identifier: GPL-2.0 */
/* For actions that harm the thread that the event happens in. The shell of a guard of threads (guard_task.h) defines these. */
#ifndef EBPFNN_HIT_H
#define EBPFNN_HIT_H

/*
 * 1 if the current thread may be hit, 0 if it must be left alone, which is counted: it is not in the cgroup of the guard, or it is one of
 * those that are never hit.
 */
extern int ebpfnn_may_hit(void);

/* Counts the thread as hit, or as one that the kernel refused to be hit if ``error`` is not 0. Returns 0. */
extern int ebpfnn_hit(int error);

#endif
