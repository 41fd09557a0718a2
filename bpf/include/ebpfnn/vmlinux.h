/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few kernel types, constants and helpers that ebpfnn's programs use, so that building them needs no kernel headers.
 * Everything here is ABI: it has the same layout and number in every kernel (include/uapi/linux/bpf.h, Linux 6.18).
 */
#ifndef EBPFNN_VMLINUX_H
#define EBPFNN_VMLINUX_H

#define ENOENT 2
#define TC_ACT_UNSPEC (-1)
#define TC_ACT_SHOT 2

/* If bpftool's vmlinux.h was included before, it has defined these types. */
#ifndef __VMLINUX_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_CGROUP_ARRAY = 8,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_F_RDONLY_PROG = 1U << 7,
	BPF_F_MMAPABLE = 1U << 10,
};

enum {
	BPF_F_INGRESS = 1U << 0, /* for bpf_redirect */
};

enum xdp_action {
	XDP_ABORTED = 0,
	XDP_PASS = 2,
	XDP_TX = 3,
};

/* The context of an XDP program: 32-bit fields that the kernel replaces by pointers into the packet. */
struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

/* The context of a raw tracepoint: the arguments as in the kernel's source; here for every event. */
struct bpf_raw_tracepoint_args {
	__u64 args[2];
};

/* The context of a program on a socket buffer: fields that the kernel translates. */
struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol; /* an EtherType, in network byte order */
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5]; /* the program's own, 0 before it runs */
};

struct bpf_pidns_info {
	__u32 pid; /* the thread id, as gettid(2) returns it in that namespace */
	__u32 tgid;
};

#endif

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))

/* A map definition is a struct whose member types contain all values; ebpfnn/obj/maps.py reads them from BTF. */
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static __u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static __u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_skb_store_bytes)(struct __sk_buff *packet, __u32 offset, const void *from, __u32 size,
					 __u64 flags) = (void *)9;
static __u64 (*const bpf_get_current_uid_gid)(void) = (void *)15;
static long (*const bpf_get_current_comm)(void *to, __u32 size) = (void *)16;
static long (*const bpf_clone_redirect)(struct __sk_buff *packet, __u32 ifindex, __u64 flags) = (void *)13;
static long (*const bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*const bpf_skb_load_bytes)(const void *packet, __u32 offset, void *to, __u32 size) = (void *)26;
static long (*const bpf_fib_lookup)(void *context, void *asked, int size, __u32 flags) = (void *)69;
static __u64 (*const bpf_get_current_task)(void) = (void *)35;
static long (*const bpf_current_task_under_cgroup)(void *map, __u32 index) = (void *)37;
static __u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*const bpf_send_signal)(__u32 signal) = (void *)109;
static long (*const bpf_probe_read_kernel)(void *to, __u32 size, const void *from) = (void *)113;
static long (*const bpf_ringbuf_output)(void *ringbuf, void *data, __u64 size, __u64 flags) = (void *)130;
static void *(*const bpf_ringbuf_reserve)(void *ringbuf, __u64 size, __u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *record, __u64 flags) = (void *)132;
static long (*const bpf_get_ns_current_pid_tgid)(__u64 dev, __u64 ino, struct bpf_pidns_info *ns, __u32 size) = (void *)120;

#endif
