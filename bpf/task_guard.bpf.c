// SPDX-License-Identifier: GPL-2.0
/* Events that happen in a thread, observed, and acted on in that thread. Whatever the action returns, they go on, but for those of LSM. */
#include <ebpfnn/guard_task.h>

#define MOST_ERRNO 4095 /* MAX_ERRNO (include/linux/err.h) */

SEC("tracepoint")
int ebpfnn_tracepoint_guard(void *context)
{
	ebpfnn_guard_task(context);
	return 0;
}

SEC("raw_tracepoint")
int ebpfnn_raw_guard(void *context)
{
	ebpfnn_guard_task(context);
	return 0;
}

SEC("kprobe")
int ebpfnn_probe_guard(void *context)
{
	ebpfnn_guard_task(context);
	return 0;
}

SEC("?fentry")
int ebpfnn_fentry_guard(void *context)
{
	ebpfnn_guard_task(context);
	return 0;
}

SEC("?fexit")
int ebpfnn_fexit_guard(void *context)
{
	ebpfnn_guard_task(context);
	return 0;
}

/* A security hook is denied what the action returns, if that is an error. */
SEC("?lsm")
int ebpfnn_lsm_guard(void *context)
{
	int code = ebpfnn_guard_task(context);

	return code < 0 && code >= -MOST_ERRNO ? code : 0;
}

SEC("perf_event")
int ebpfnn_perf_guard(void *context)
{
	ebpfnn_guard_task(context);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
