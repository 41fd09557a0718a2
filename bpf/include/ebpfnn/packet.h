/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The packet protocol, for shells whose events are packets: requests are found and checked, the network runs, replies are made.
 * docs/triggers.md has the layout byte for byte, ebpfnn/protocol.py is its twin.
 *
 * Include it after vmlinux.h, with EBPFNN_CONTEXT naming the context's type, and define after it what it declares: ebpfnn_load()
 * and ebpfnn_store() between packet and memory. Then call ebpfnn_find(), and for what that found ebpfnn_serve().
 *
 * Linux 5.10 keeps all of a call chain's frames within 512 bytes, of which a network takes 448: so what is known of a packet lies in a
 * map, and what needs a frame (ebpfnn_find) is not on the way to the network. Words are read as they lie: sums in ones' complement do
 * not mind the byte order (RFC 1071).
 */
#ifndef EBPFNN_PACKET_H
#define EBPFNN_PACKET_H

#define EBPFNN_SAMPLES_FROM_EVENTS
#include <ebpfnn/shell.h>

#define EBPFNN_MAGIC 0x65424e4e /* "eBNN" */
#define EBPFNN_VERSION 1
#define EBPFNN_MAX_PREFIXES 16
#define EBPFNN_LINK_HEADER 14

#define ebpfnn_net16 __builtin_bswap16
#define ebpfnn_net32 __builtin_bswap32

/* What a UDP payload begins with; all fields of these structs are in network byte order. */
struct ebpfnn_header {
	__u32 magic;
	__u8 version;
	__u8 kind;
	__u16 scores; /* of a reply: how many there are */
	__u32 network; /* CRC-32 of its name; of a request 0 for any */
	__u32 sequence;
};

enum { EBPFNN_REQUEST, EBPFNN_REPLY };

struct ebpfnn_reply {
	struct ebpfnn_header header;
	__u32 label;
	__u32 elapsed_ns;
	__s32 scores[EBPFNN_MAX_SCORES];
};

struct ebpfnn_ipv4 {
	__u8 version_and_length;
	__u8 service;
	__u16 length;
	__u16 id;
	__u16 fragment;
	__u8 hops;
	__u8 protocol;
	__u16 check;
	__u32 source;
	__u32 destination;
};

struct ebpfnn_ipv6 {
	__u8 version;
	__u8 flow[3];
	__u16 length;
	__u8 protocol;
	__u8 hops;
	__u32 source[4];
	__u32 destination[4];
};

struct ebpfnn_udp {
	__u16 source;
	__u16 destination;
	__u16 length;
	__u16 check;
};

/* What lies in front of the sample. */
struct ebpfnn_request {
	struct ebpfnn_udp udp;
	struct ebpfnn_header header;
};

/* Addresses as IPv6 has them, an IPv4 one behind ::ffff:0:0/96 (RFC 4291, 2.5.5.2). */
struct ebpfnn_prefix {
	__u32 address[4];
	__u32 mask[4];
};

/* The one element a CPU of the map "packets": what came in so far, and the request that is being served. */
struct ebpfnn_packets {
	__u64 answered; /* requests that the network ran for */
	__u64 damaged;  /* their UDP checksum was wrong */
	__u64 denied;   /* their source was not among the prefixes */
	__u64 nested;   /* they came while this CPU was at another one */
	__u64 busy;     /* requests that this CPU is at */
	__u64 sum;      /* of the request, its checksum left out */
	__u64 source;   /* for watchers: an IPv4 address, or the last 64 bits of an IPv6 one */
	__u32 partial;  /* whether the checksum is one that hardware was to complete */
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
} packets SEC(".maps");

/* The loader's: scores of the network, bytes of its sample, CRC-32 of its name. */
const volatile __u32 classes;
const volatile __u32 sample_bytes;
const volatile __u32 network_id;
/* The trigger's: where requests go to, and whose are served (nobody's is 0 prefixes: then all are). */
const volatile __u32 port;
const volatile __u32 prefixes;
const volatile struct ebpfnn_prefix allowed[EBPFNN_MAX_PREFIXES];
/* Whether replies are sent; whether checksums that nobody completed count as right; whether those stay so in a reply. */
const volatile __u32 answering;
const volatile __u32 takes_partial;
const volatile __u32 keeps_partial;

/* Copies between packet and memory: whole 32-bit words, a number that the verifier knows. 0, or not where the packet ends before. */
static __always_inline int ebpfnn_load(EBPFNN_CONTEXT *packet, __u32 offset, void *to, __u32 bytes);
static __always_inline int ebpfnn_store(EBPFNN_CONTEXT *packet, __u32 offset, const void *from, __u32 bytes);

/* The sample and what fills it up to whole words; what a reply takes; and the payload, which has room for either. */
static __always_inline __u32 ebpfnn_sample_bytes(void)
{
	return (sample_bytes + 3) & ~3U;
}

static __always_inline __u32 ebpfnn_reply_bytes(void)
{
	return sizeof(struct ebpfnn_reply) - 4 * (EBPFNN_MAX_SCORES - classes);
}

static __always_inline __u32 ebpfnn_payload_bytes(void)
{
	__u32 request = sizeof(struct ebpfnn_header) + ebpfnn_sample_bytes();

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

/* Whether UDP at ``at`` carries a request for this network. */
static __always_inline int ebpfnn_is_request(EBPFNN_CONTEXT *packet, __u32 at)
{
	struct ebpfnn_request request;

	if (ebpfnn_load(packet, at, &request, sizeof(request)))
		return 0;
	return request.udp.destination == ebpfnn_net16(port) && request.udp.source &&
	       request.udp.length == ebpfnn_net16(sizeof(struct ebpfnn_udp) + ebpfnn_payload_bytes()) &&
	       request.header.magic == ebpfnn_net32(EBPFNN_MAGIC) && request.header.version == EBPFNN_VERSION &&
	       request.header.kind == EBPFNN_REQUEST && !request.header.scores &&
	       (!request.header.network || request.header.network == ebpfnn_net32(network_id));
}

/* An address that can be answered, and answer: 0.0.0.0, multicast and broadcast cannot. */
static __always_inline int ebpfnn_is_host(__u32 address)
{
	return address && (address & 0xff) < 224;
}

static __always_inline __u32 ebpfnn_find_ipv4(EBPFNN_CONTEXT *packet, __u32 offset)
{
	__u32 at = offset + sizeof(struct ebpfnn_ipv4);
	struct ebpfnn_ipv4 ip;

	if (ebpfnn_load(packet, offset, &ip, sizeof(ip)))
		return 0;
	if (ip.version_and_length != 0x45 || ip.protocol != 17 || ip.fragment & ~ebpfnn_net16(0x4000) ||
	    ip.length != ebpfnn_net16(sizeof(ip) + sizeof(struct ebpfnn_udp) + ebpfnn_payload_bytes()) ||
	    !ebpfnn_is_host(ip.source) || !ebpfnn_is_host(ip.destination) ||
	    ebpfnn_fold(ebpfnn_sum((const __u32 *)&ip, sizeof(ip), 0)) != 0xffff)
		return 0;
	return ebpfnn_is_request(packet, at) ? at : 0;
}

static __always_inline __u32 ebpfnn_find_ipv6(EBPFNN_CONTEXT *packet, __u32 offset)
{
	__u32 at = offset + sizeof(struct ebpfnn_ipv6);
	struct ebpfnn_ipv6 ip;

	if (ebpfnn_load(packet, offset, &ip, sizeof(ip)))
		return 0;
	if (ip.version >> 4 != 6 || ip.protocol != 17 ||
	    ip.length != ebpfnn_net16(sizeof(struct ebpfnn_udp) + ebpfnn_payload_bytes()) || (ip.source[0] & 0xff) == 0xff ||
	    (ip.destination[0] & 0xff) == 0xff || !(ip.source[0] | ip.source[1] | ip.source[2] | ip.source[3]))
		return 0;
	return ebpfnn_is_request(packet, at) ? at | 1U << 16 : 0;
}

/*
 * Where a request has its UDP header, with bit 16 set for IPv6; 0 for any other packet. ``protocol`` is the EtherType of what lies at
 * ``offset``, behind which up to two VLAN tags are looked.
 */
static __noinline __u32 ebpfnn_find(EBPFNN_CONTEXT *packet, __u32 offset, __u16 protocol)
{
	for (int tag = 0; tag < 2; tag++) {
		__u16 words[2];

		if (protocol != ebpfnn_net16(0x8100) && protocol != ebpfnn_net16(0x88a8))
			break;
		if (ebpfnn_load(packet, offset, words, sizeof(words)))
			return 0;
		protocol = words[1];
		offset += sizeof(words);
	}
	if (protocol == ebpfnn_net16(0x0800))
		return ebpfnn_find_ipv4(packet, offset);
	return protocol == ebpfnn_net16(0x86dd) ? ebpfnn_find_ipv6(packet, offset) : 0;
}

/* Whether a source may ask. Without a branch on it, or the verifier walks what follows once for each prefix. */
static __always_inline int ebpfnn_is_allowed(const __u32 *source, int wide)
{
	__u32 found = !prefixes;

	for (__u32 i = 0; i < prefixes && i < EBPFNN_MAX_PREFIXES; i++) {
		__u64 differs = 0;

		for (int word = 0; word < 4; word++) {
			__u32 mapped = word == 3 ? source[0] : word == 2 ? 0xffff0000 : 0;
			__u32 own = wide ? source[word] : mapped;

			differs |= (own ^ allowed[i].address[word]) & allowed[i].mask[word];
		}
		found |= (differs - 1) >> 63; /* 1 where nothing differs */
	}
	return found;
}

/* Whether the checksum is right, and how. ``pseudo`` is the sum of the pseudo header (RFC 768, RFC 8200 8.1). */
static __always_inline int ebpfnn_is_intact(struct ebpfnn_packets *own, __u64 pseudo, int wide)
{
	__u16 check = own->request.udp.check;

	own->partial = 0;
	if (!check)
		return !wide;
	if (ebpfnn_fold(own->sum + check) == 0xffff)
		return 1;
	own->partial = takes_partial && check == ebpfnn_fold(pseudo);
	return own->partial;
}

/* Takes a request into memory: 0 where it may be served. */
static __noinline int ebpfnn_receive(EBPFNN_CONTEXT *packet, __u32 found, struct ebpfnn_packets *own, __u32 *sample)
{
	__u32 at = found & 0xffff, wide = found >> 16, filled = ebpfnn_sample_bytes();
	__u32 padding = ebpfnn_payload_bytes() - sizeof(struct ebpfnn_header) - filled;
	__u32 *from = own->addresses;
	__u64 pseudo, sum;

	if (wide ? ebpfnn_load(packet, at - 32, from, 32) : ebpfnn_load(packet, at - 8, from, 8))
		return -1;
	if (ebpfnn_load(packet, at, &own->request, sizeof(own->request)) ||
	    ebpfnn_load(packet, at + sizeof(own->request), sample, filled))
		return -1;
	if (padding && ebpfnn_load(packet, at + sizeof(own->request) + filled, own->padding, padding))
		return -1;
	if (!ebpfnn_is_allowed(from, wide)) {
		own->denied++;
		return -1;
	}
	own->source = wide ? (__u64)ebpfnn_net32(from[2]) << 32 | ebpfnn_net32(from[3]) : ebpfnn_net32(from[0]);
	pseudo = wide ? ebpfnn_sum(from, 32, 0) : ebpfnn_sum(from, 8, 0);
	pseudo += ebpfnn_net16(17) + own->request.udp.length;
	sum = ebpfnn_sum((const __u32 *)&own->request, sizeof(own->request), pseudo) - ((__u64)own->request.udp.check << 16);
	sum = ebpfnn_sum(sample, filled, sum);
	own->sum = ebpfnn_sum(own->padding, padding, sum);
	if (!ebpfnn_is_intact(own, pseudo, wide)) {
		own->damaged++;
		return -1;
	}
	return 0;
}

/* Global, so that the verifier walks the network once, and not for each way a packet can look. 0 where it ran. */
__noinline int ebpfnn_run_packet(__u64 source)
{
	__u32 only = 0;
	const void *sample = bpf_map_lookup_elem(&samples, &only);
	struct ebpfnn_result *result = bpf_map_lookup_elem(&results, &only);

	if (!sample || !result)
		return -ENOENT;
	ebpfnn_compute(sample, result, source);
	return result->status;
}

static __always_inline void ebpfnn_write_reply(struct ebpfnn_packets *own, const struct ebpfnn_result *result)
{
	struct ebpfnn_reply *reply = &own->reply;

	reply->header = own->request.header;
	reply->header.kind = EBPFNN_REPLY;
	reply->header.scores = ebpfnn_net16(classes);
	reply->header.network = ebpfnn_net32(network_id);
	reply->label = ebpfnn_net32(result->label);
	reply->elapsed_ns = ebpfnn_net32(result->elapsed_ns);
	for (__u32 i = 0; i < classes && i < EBPFNN_MAX_SCORES; i++)
		reply->scores[i] = ebpfnn_net32(result->scores[i]);
}

/* The checksum of the reply, whose other words are the request's. One to be completed stays as it is: it is of the pseudo header. */
static __always_inline void ebpfnn_check_reply(struct ebpfnn_packets *own)
{
	const __u32 *words = (const __u32 *)&own->reply;
	__u64 sum = own->sum;
	__u16 check;

	if (own->partial && keeps_partial)
		return;
	for (__u32 i = 0; i < ebpfnn_reply_bytes() / 4 && i < sizeof(own->reply) / 4; i++)
		sum += (__u64)words[i] + (__u32)~own->replaced[i];
	check = ~ebpfnn_fold(sum);
	own->request.udp.check = check ? check : 0xffff;
}

/* Turns the packet around: both addresses of each layer change places, which leaves IPv4's checksum as it is. 0 where it did. */
static __noinline int ebpfnn_turn(EBPFNN_CONTEXT *packet, __u32 found, struct ebpfnn_packets *own)
{
	__u32 at = found & 0xffff, *from = own->addresses, swapped[3], link[3];
	struct ebpfnn_udp *udp = &own->request.udp;
	__u16 source = udp->source;

	if (ebpfnn_load(packet, 0, link, sizeof(link)))
		return -1;
	swapped[0] = link[1] >> 16 | link[2] << 16;
	swapped[1] = link[2] >> 16 | link[0] << 16;
	swapped[2] = link[0] >> 16 | link[1] << 16;
	udp->source = udp->destination;
	udp->destination = source;
	if (ebpfnn_store(packet, 0, swapped, sizeof(swapped)) || ebpfnn_store(packet, at, udp, sizeof(*udp)))
		return -1;
	if (found >> 16)
		return ebpfnn_store(packet, at - 32, from + 4, 16) || ebpfnn_store(packet, at - 16, from, 16);
	return ebpfnn_store(packet, at - 8, from + 1, 4) || ebpfnn_store(packet, at - 4, from, 4);
}

static __noinline int ebpfnn_answer_packet(EBPFNN_CONTEXT *packet, __u32 found, struct ebpfnn_packets *own)
{
	__u32 only = 0, at = (found & 0xffff) + sizeof(struct ebpfnn_udp);
	struct ebpfnn_result *result = bpf_map_lookup_elem(&results, &only);

	if (!result || ebpfnn_load(packet, at, own->replaced, ebpfnn_reply_bytes()))
		return -1;
	ebpfnn_write_reply(own, result);
	ebpfnn_check_reply(own);
	if (ebpfnn_store(packet, at, &own->reply, ebpfnn_reply_bytes()))
		return -1;
	return ebpfnn_turn(packet, found, own);
}

static __always_inline int ebpfnn_serve_alone(EBPFNN_CONTEXT *packet, __u32 found, struct ebpfnn_packets *own)
{
	__u32 only = 0;
	__u32 *sample = bpf_map_lookup_elem(&samples, &only);

	if (!sample || ebpfnn_receive(packet, found, own, sample) || ebpfnn_run_packet(own->source))
		return -1;
	own->answered++;
	return 0;
}

/*
 * Runs the network for the request that ebpfnn_find() found; where the shell answers, the packet then is the reply. 0 where it did.
 *
 * A CPU serves one request at a time: another that comes in between (in process context, where interrupts and other threads do) is
 * passed on. Added first and looked at then, so that of two that meet none goes on rather than both; Linux 5.10 knows no exchange.
 */
static __always_inline int ebpfnn_serve(EBPFNN_CONTEXT *packet, __u32 found)
{
	__u32 only = 0;
	struct ebpfnn_packets *own = bpf_map_lookup_elem(&packets, &only);
	int refused = -1;

	if (!own)
		return -1;
	__sync_fetch_and_add(&own->busy, 1);
	if (*(volatile __u64 *)&own->busy == 1) {
		refused = ebpfnn_serve_alone(packet, found, own);
		if (!refused && answering)
			refused = ebpfnn_answer_packet(packet, found, own);
	} else {
		own->nested++;
	}
	__sync_fetch_and_add(&own->busy, -1);
	return refused;
}

#endif
