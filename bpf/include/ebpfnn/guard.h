/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A shell whose events can be acted on: what the observer says is carried out by an action, which the linker puts in place. Include it
 * behind fields_xdp.h, fields_skb.h or fields_current.h.
 */
#ifndef EBPFNN_GUARD_H
#define EBPFNN_GUARD_H

#include <ebpfnn/abi.h>
#include <ebpfnn/fields_observe.h>

/* The action's: it returns what the program is to return, or EBPFNN_GO_ON. ``verdict`` is the label plus 1. */
extern int ebpfnn_act(struct ebpfnn_fields *fields, void *context, __u32 verdict);

/*
 * Has the event observed. Returns ``pass`` unless the event is acted on. Call it between ebpfnn_enter() and ebpfnn_leave(). Events that
 * are replayed are made up: nothing outside is to feel them.
 */
static __always_inline int ebpfnn_guard(struct ebpfnn_fields *fields, void *context, int pass)
{
	__u32 verdict = ebpfnn_observe(fields, context);
	int code;

	if (!(verdict & EBPFNN_ACT) || ebpfnn_replaying)
		return pass;
	code = ebpfnn_act(fields, context, verdict & (EBPFNN_ACT - 1));
	return code == EBPFNN_GO_ON ? pass : code;
}

#ifdef EBPFNN_FIELDS_SKB_H
static __always_inline int ebpfnn_guard_buffer(struct __sk_buff *packet, __u32 link_header, __u32 direction, int pass)
{
	struct ebpfnn_observed *own = ebpfnn_enter();
	int code = pass;

	if (!own)
		return pass;
	if (!ebpfnn_extract(packet, link_header, direction))
		code = ebpfnn_guard(&own->fields, packet, pass);
	ebpfnn_leave(own);
	return code;
}
#endif

#endif
