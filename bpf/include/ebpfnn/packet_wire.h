/* SPDX-License-Identifier: GPL-2.0 */
/* The layout of requests and replies in a packet, and the headers in front of them. ebpfnn/remote/protocol.py is its twin. */
#ifndef EBPFNN_PACKET_WIRE_H
#define EBPFNN_PACKET_WIRE_H

#include <ebpfnn/abi.h>

#define EBPFNN_MAGIC 0x65424e4e /* "eBNN" */
#define EBPFNN_VERSION 1
#define EBPFNN_MAX_PREFIXES 16
#define EBPFNN_LINK_HEADER 14
#define EBPFNN_HOPS 64

#define ebpfnn_net16 __builtin_bswap16
#define ebpfnn_net32 __builtin_bswap32

/* The beginning of a UDP payload; all fields of these structs are in network byte order. */
struct ebpfnn_header {
	__u32 magic;
	__u8 version;
	__u8 kind;
	__u16 scores; /* in a reply: how many there are */
	__u32 network; /* CRC-32 of its name; in a request, 0 for any */
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

#endif
