// SPDX-License-Identifier: GPL-2.0
/* The action "event": tells of the event, whatever it is, and lets it go on. */
#include <ebpfnn/alert.h>

/* Alerts a second, on each CPU. */
const volatile __u32 ebpfnn_alert_rate = 100;

int ebpfnn_act(struct ebpfnn_fields *fields, void *context, __u32 verdict)
{
	ebpfnn_alert(fields, verdict, ebpfnn_alert_rate);
	return EBPFNN_GO_ON;
}

char LICENSE[] SEC("license") = "GPL";
