// SPDX-License-Identifier: GPL-2.0
/* Every frame that comes in at an interface is observed, and passes unless a guard acts on it. */
#include <ebpfnn/fields_xdp.h>
#include <ebpfnn/guard.h>

SEC("xdp")
int ebpfnn_xdp_guard(struct xdp_md *packet)
{
	struct ebpfnn_observed *own = ebpfnn_enter();
	int code = XDP_PASS;

	if (!own)
		return XDP_PASS;
	if (!ebpfnn_extract(packet))
		code = ebpfnn_guard(&own->fields, packet, XDP_PASS);
	ebpfnn_leave(own);
	return code;
}

char LICENSE[] SEC("license") = "GPL";
