/* SPDX-License-Identifier: GPL-2.0 */
/* State of the shells of packet.h for the current packet, variables that are set at load time, and checksums. */
#ifndef EBPFNN_PACKET_STATE_H
#define EBPFNN_PACKET_STATE_H

#ifndef EBPFNN_CONTEXT
#error "define EBPFNN_CONTEXT, ebpfnn_load() and ebpfnn_store() before packet.h, or include skb.h"
#endif

/* Samples come with the packets. */
#ifndef EBPFNN_SAMPLES_FROM_EVENTS
#ifdef EBPFNN_SHELL_H
#error "include packet.h or skb.h in place of shell.h"
#endif
#define EBPFNN_SAMPLES_FROM_EVENTS
#endif

#include <ebpfnn/vmlinux.h>
#include <ebpfnn/packet_wire.h>
#include <ebpfnn/shell.h>

/* The headers in front of the sample. */
struct ebpfnn_request {
	struct ebpfnn_udp udp;
	struct ebpfnn_header header;
};

/* Addresses as IPv6; an IPv4 address is mapped to ::ffff:0:0/96 (RFC 4291, 2.5.5.2). */
struct ebpfnn_prefix {
	__u32 address[4];
	__u32 mask[4];
};

/* The element of each CPU in the map "ebpfnn_packets": counters, and the request that is being served. */
struct ebpfnn_packets {
	__u64 answered; /* requests for which the network ran */
	__u64 damaged;  /* their UDP checksum was wrong */
	__u64 denied;   /* their source was not among the prefixes */
	__u64 nested;   /* they interrupted another request on this CPU */
	__u64 busy;     /* requests that this CPU is serving */
	__u64 sum;      /* of the request, without its checksum */
	__u64 source;   /* for watchers: an IPv4 address, or the last 64 bits of an IPv6 one */
	__u32 partial;  /* whether the checksum is partial: hardware was to complete it */
	__u32 addresses[8];
	struct ebpfnn_request request;
	__u32 padding[(8 + 4 * EBPFNN_MAX_SCORES) / 4];
	__u32 replaced[sizeof(struct ebpfnn_reply) / 4];
	struct ebpfnn_reply reply;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebpfnn_packets);
} ebpfnn_packets SEC(".maps");

/*
 * The sequence number of requests that are checks, or 0 for none. Checks are neither counted nor reported to watchers. The number is
 * random, and set only while a network is being checked, so that no other client sends it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ebpfnn_check SEC(".maps");

/* Set by the loader: scores of the network, bytes of its sample, CRC-32 of its name. */
const volatile __u32 ebpfnn_classes;
const volatile __u32 ebpfnn_sample_bytes;
const volatile __u32 ebpfnn_network_id;
/* Set by the trigger: the port of requests, and the prefixes that are served (0 prefixes: everybody). */
const volatile __u32 ebpfnn_port;
const volatile __u32 ebpfnn_prefixes;
const volatile struct ebpfnn_prefix ebpfnn_allowed[EBPFNN_MAX_PREFIXES];
/* Whether packets may come from this machine itself: on the loopback interface, and if no replies are sent. */
const volatile __u32 ebpfnn_loopback;
/* Whether replies are sent; whether partial checksums are accepted; whether they stay partial in a reply. */
const volatile __u32 ebpfnn_answering;
const volatile __u32 ebpfnn_takes_partial;
const volatile __u32 ebpfnn_keeps_partial;

/* The sample, padded to whole words; the size of a reply; and the payload, which fits both. */
static __always_inline __u32 ebpfnn_filled_bytes(void)
{
	return (ebpfnn_sample_bytes + 3) & ~3U;
}

static __always_inline __u32 ebpfnn_reply_bytes(void)
{
	return sizeof(struct ebpfnn_reply) - 4 * (EBPFNN_MAX_SCORES - ebpfnn_classes);
}

static __always_inline __u32 ebpfnn_payload_bytes(void)
{
	__u32 request = sizeof(struct ebpfnn_header) + ebpfnn_filled_bytes();

	return request > ebpfnn_reply_bytes() ? request : ebpfnn_reply_bytes();
}

static __always_inline __u64 ebpfnn_sum(const __u32 *words, __u32 bytes, __u64 sum)
{
	for (__u32 i = 0; i < bytes / 4; i++)
		sum += words[i];
	return sum;
}

static __always_inline __u16 ebpfnn_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

#endif
