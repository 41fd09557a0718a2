// SPDX-License-Identifier: GPL-2.0
/* Events that happen in a thread, whoever's it is: tracepoints, functions and timers. Each is observed. */
#include <ebpfnn/fields_current.h>

SEC("tracepoint")
int ebpfnn_tracepoint_events(void *context)
{
	ebpfnn_observe_task(context);
	return 0;
}

SEC("raw_tracepoint")
int ebpfnn_raw_events(void *context)
{
	ebpfnn_observe_task(context);
	return 0;
}

SEC("kprobe")
int ebpfnn_probe_events(void *context)
{
	ebpfnn_observe_task(context);
	return 0;
}

SEC("?fentry")
int ebpfnn_fentry_events(void *context)
{
	ebpfnn_observe_task(context);
	return 0;
}

SEC("?fexit")
int ebpfnn_fexit_events(void *context)
{
	ebpfnn_observe_task(context);
	return 0;
}

SEC("?lsm")
int ebpfnn_lsm_events(void *context)
{
	ebpfnn_observe_task(context);
	return 0;
}

SEC("perf_event")
int ebpfnn_perf_events(void *context)
{
	ebpfnn_observe_task(context);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
