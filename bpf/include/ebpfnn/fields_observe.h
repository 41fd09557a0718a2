/* SPDX-License-Identifier: GPL-2.0 */
/* Where the fields of an event lie, and who is given them. Define struct ebpfnn_fields before it. */
#ifndef EBPFNN_FIELDS_OBSERVE_H
#define EBPFNN_FIELDS_OBSERVE_H

#include <ebpfnn/atomic.h>
#include <ebpfnn/built_for.h>

/* The least power of two that holds all options of an IPv4 header. */
#define EBPFNN_SCRATCH 64

/* The one element a CPU of the map "ebpfnn_fields": a network leaves too little stack for it. An observer sees the fields alone. */
struct ebpfnn_observed {
	struct ebpfnn_fields fields;
	__u64 busy;   /* events that this CPU is at */
	__u64 nested; /* events that came while this CPU was at another one, and were not observed */
	__u64 at;     /* the option that is read: of what lies in memory the verifier knows no value, and sees that ways met */
	__u8 scratch[EBPFNN_SCRATCH];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebpfnn_observed);
} ebpfnn_fields SEC(".maps");

/* Not 0: the clock is what the process that replays events wrote here before each of them, and not the kernel's. */
const volatile __u32 ebpfnn_replaying;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} ebpfnn_clock SEC(".maps");

/* The time of the event, in nanoseconds. */
static __always_inline __u64 ebpfnn_now(void)
{
	__u64 *clock;
	__u32 only = 0;

	if (!ebpfnn_replaying)
		return bpf_ktime_get_ns();
	clock = bpf_map_lookup_elem(&ebpfnn_clock, &only);
	return clock ? *clock : 0;
}

/*
 * The observer's: the linker puts one in its place when the shell is loaded. It returns the verdict. At a tracepoint or a function,
 * ``context`` has the event's own fields.
 */
extern int ebpfnn_observe(struct ebpfnn_fields *fields, void *context);

static __always_inline struct ebpfnn_observed *ebpfnn_own(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&ebpfnn_fields, &only);
}

/*
 * Of what belongs to a CPU. Where another thread may take the CPU in between, it takes an atomic operation, of some 6 ns: a shell whose
 * programs run with bottom halves off, as XDP's and tc's, defines EBPFNN_UNPREEMPTED before. An interrupt in between changes nothing: it
 * has ended, and left behind what it found, when the other goes on.
 */
static __always_inline void ebpfnn_add_here(__u64 *to, __u64 number)
{
#ifdef EBPFNN_UNPREEMPTED
	*(volatile __u64 *)to += number;
#else
	ebpfnn_add(to, number);
#endif
}

/*
 * The memory for an event, NULL where it must be passed over. Added first and looked at then, so that of two events that meet none is
 * observed rather than both; Linux 5.10 knows no exchange. Call ebpfnn_leave() for whatever is not NULL.
 */
static __always_inline struct ebpfnn_observed *ebpfnn_enter(void)
{
	struct ebpfnn_observed *own = ebpfnn_own();

	if (!own)
		return 0;
	ebpfnn_add_here(&own->busy, 1);
	if (*(volatile __u64 *)&own->busy == 1)
		return own;
	own->nested++;
	ebpfnn_add_here(&own->busy, -1);
	return 0;
}

static __always_inline void ebpfnn_leave(struct ebpfnn_observed *own)
{
	ebpfnn_add_here(&own->busy, -1);
}

#endif
