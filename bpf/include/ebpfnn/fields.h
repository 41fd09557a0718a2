/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fields: the named integers that a shell takes from an event. docs/events.md is the guide.
 *
 * A shell defines struct ebpfnn_fields, whose members are its fields: ebpfnn reads their names, types, units and help from the object's
 * BTF. Then it includes fields_observe.h. fields_xdp.h and fields_skb.h do all of it for packets, fields_current.h for events of threads;
 * fields_packet.h and fields_task.h have their structs alone, for observers.
 */
#ifndef EBPFNN_FIELDS_H
#define EBPFNN_FIELDS_H

#include <ebpfnn/vmlinux.h>

/* One field. The tag is kept in BTF (clang 14): the unit, a colon, and one line of help. */
#define EBPFNN_FIELD(type, name, unit, help) type name __attribute__((btf_decl_tag("ebpfnn:" unit ":" help)))

#endif
