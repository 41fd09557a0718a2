// SPDX-License-Identifier: GPL-2.0
/*
 * The spec `flow-24` in user space, for `ebpfnn bench --spec flow-24`: packets come from a ring buffer that flow_to_ring of bench_flow.bpf.c fills,
 * or from a packet socket. Packets are made in batches by the thread that then takes them, so that a batch is all that a packet costs.
 * Nobody is woken up: a consumer that sleeps pays for that too.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "flow.h"

#define run run_dense
#include "autovec.c"
#undef run

#define STATES (1 << 17) /* twice as many as connections: half of the places stay free */
#define CLASSES 2
#define LONGEST 2048
#define BURST 64 /* packets of a batch that is sent */
#define BATCHES 256

/* A place of a hash table with linear probing. Connections are not deleted; one that ended begins again. */
struct place {
	struct flow_key key;
	struct flow_state state;
	uint64_t time;
	uint32_t used, verdict_number, verdict_label;
	int32_t margin;
};

struct user {
	const struct network *network;
	uint64_t bounds[FLOW_COLUMNS][FLOW_BOUNDS];
	struct place *places;
	uint32_t at_first; /* 0: the network runs at each packet */
	uint64_t packets, made;
};

struct user *user_new(const struct network *network, const uint64_t *bounds, uint32_t at_first)
{
	struct user *user = calloc(1, sizeof(*user));

	if (!user)
		return NULL;
	user->network = network;
	user->at_first = at_first;
	memcpy(user->bounds, bounds, sizeof(user->bounds));
	user->places = calloc(STATES, sizeof(*user->places));
	if (user->places)
		return user;
	free(user);
	return NULL;
}

void user_free(struct user *user)
{
	free(user->places);
	free(user);
}

static struct place *place_of(struct user *user, const struct flow_key *key)
{
	const uint64_t *words = (const uint64_t *)key;
	uint64_t hash = 0;

	for (uint32_t i = 0; i < sizeof(*key) / 8; i++)
		hash = (hash ^ words[i]) * FLOW_HASH;
	for (uint32_t i = hash >> 47;; i = (i + 1) % STATES) {
		struct place *place = &user->places[i];

		if (!place->used || !memcmp(&place->key, key, sizeof(*key)))
			return place;
	}
}

static void decide(struct user *user, struct place *place)
{
	uint8_t sample[64] __attribute__((aligned(64))) = {0};
	int32_t scores[CLASSES];

	flow_sample(&place->state, (const __u64(*)[FLOW_BOUNDS])user->bounds, sample);
	infer(user->network, sample, scores);
	place->state.label = 1 + (scores[1] > scores[0]);
	place->margin = abs(scores[0] - scores[1]);
	place->time = place->state.last;
	place->verdict_number = place->state.number;
	place->verdict_label = place->state.label;
}

/* Returns the verdict. */
static uint32_t take(struct user *user, const struct flow_packet *packet)
{
	struct flow_key key;
	uint32_t side = flow_key_of(&key, packet);
	struct place *place = place_of(user, &key);

	if (!place->used) {
		place->used = 1;
		place->key = key;
	}
	if (!place->state.number) {
		place->state.first = place->state.last = packet->time;
		place->state.side = side;
	}
	flow_step(&place->state, packet, side);
	if (!user->at_first || place->state.number == 1)
		decide(user, place);
	if (packet->flags & (FLOW_FIN | FLOW_RST)) {
		uint32_t label = place->state.label;

		memset(&place->state, 0, sizeof(place->state));
		place->state.label = label;
	}
	user->packets++;
	return place->state.label;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* A ring buffer of BPF (Documentation/bpf/ringbuf.rst): two pages with positions, and the data, mapped twice in a row. */
struct ring {
	uint64_t *consumer;
	uint64_t *producer;
	const uint8_t *data;
	uint64_t size;
	long page;
};

void ring_close(struct ring *ring)
{
	if (ring->consumer)
		munmap(ring->consumer, ring->page);
	if (ring->producer)
		munmap(ring->producer, ring->page + 2 * ring->size);
	free(ring);
}

struct ring *ring_open(int map, uint64_t size)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	void *positions, *records;

	if (!ring)
		return NULL;
	ring->size = size;
	ring->page = sysconf(_SC_PAGESIZE);
	positions = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	records = mmap(NULL, ring->page + 2 * size, PROT_READ, MAP_SHARED, map, ring->page);
	ring->consumer = positions == MAP_FAILED ? NULL : positions;
	ring->producer = records == MAP_FAILED ? NULL : records;
	ring->data = (const uint8_t *)ring->producer + ring->page;
	if (ring->consumer && ring->producer)
		return ring;
	ring_close(ring);
	return NULL;
}

static uint32_t drain(struct user *user, const struct ring *ring)
{
	uint64_t at = *ring->consumer, end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	uint32_t verdicts = 0;

	while (at < end) {
		const uint32_t *header = (const uint32_t *)(ring->data + (at & (ring->size - 1)));
		uint32_t head = __atomic_load_n(header, __ATOMIC_ACQUIRE), length = head & 0x3fffffff;
		const struct flow_packet *packet = (const void *)(header + 2);

		if (head >> 31)
			break; /* still written */
		if (packet->length)
			verdicts += take(user, packet);
		at += (length + 8 + 7) & ~7u;
		__atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);
	}
	return verdicts;
}

/*
 * Runs the program on the frame in `batches` of `batch`, and takes what it sent. Returns the nanoseconds of the program by the kernel's
 * account, without its preparations for a batch, and those of this thread for the rest; 0 for an error.
 */
uint64_t ring_run(struct user *user, const struct ring *ring, int program, const void *frame, uint32_t length, uint32_t batch,
		  uint32_t batches)
{
	union bpf_attr attributes = {.test = {.prog_fd = program, .data_in = (uintptr_t)frame, .data_size_in = length, .repeat = batch}};
	uint64_t spent = 0, begun;

	for (uint32_t i = 0; i < batches; i++) {
		if (syscall(SYS_bpf, BPF_PROG_RUN, &attributes, sizeof(attributes.test)))
			return 0;
		begun = now_ns(CLOCK_THREAD_CPUTIME_ID);
		drain(user, ring);
		spent += now_ns(CLOCK_THREAD_CPUTIME_ID) - begun + (uint64_t)attributes.test.duration * batch;
	}
	return spent;
}

/* The same headers as bench_flow.bpf.c has. Returns 0 where there is a packet. */
static int parse(const uint8_t *frame, uint32_t length, struct flow_packet *packet)
{
	uint16_t numbers[3];
	uint32_t addresses[2], payload;

	if (length < 54 || frame[12] != 8 || frame[13] || frame[14] != 0x45 || frame[23] != 6 || frame[20] & 0x3f || frame[21])
		return -1;
	packet->time = now_ns(CLOCK_MONOTONIC);
	memcpy(addresses, frame + 26, sizeof(addresses));
	memcpy(numbers, frame + 34, sizeof(numbers));
	packet->source = ntohl(addresses[0]);
	packet->destination = ntohl(addresses[1]);
	packet->length = length;
	payload = (frame[16] << 8 | frame[17]) - 20 - (frame[46] >> 4) * 4;
	packet->payload = payload < 0xffff ? payload : 0;
	packet->source_port = ntohs(numbers[0]);
	packet->destination_port = ntohs(numbers[1]);
	packet->window = frame[48] << 8 | frame[49];
	packet->flags = frame[47];
	packet->hops = frame[22];
	return 0;
}

static int compare(const void *one, const void *other)
{
	uint64_t first = *(const uint64_t *)one, second = *(const uint64_t *)other;

	return first < second ? -1 : first > second;
}

static uint32_t receive(struct user *user, int receiver)
{
	uint8_t received[LONGEST];
	uint32_t count = 0;

	for (;; count++) {
		ssize_t size = recv(receiver, received, sizeof(received), MSG_DONTWAIT);
		struct flow_packet packet;

		if (size < 0)
			return count;
		if (!parse(received, size, &packet))
			take(user, &packet);
	}
}

/*
 * Sends the frame in `batches` of BURST by the socket `sender`, and takes what arrives at `receiver` (-1: nobody does). Returns the median
 * of the nanoseconds that a batch took, which those do not lengthen in which something else ran; 0 for an error.
 */
uint64_t socket_run(struct user *user, int sender, int receiver, void *frame, uint32_t length, uint32_t batches)
{
	struct iovec part = {frame, length};
	struct mmsghdr messages[BURST];
	uint64_t spent[BATCHES];

	if (!batches || batches > BATCHES)
		return 0;
	memset(messages, 0, sizeof(messages));
	for (uint32_t i = 0; i < BURST; i++) {
		messages[i].msg_hdr.msg_iov = &part;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	for (uint32_t i = 0; i < batches; i++) {
		uint64_t begun = now_ns(CLOCK_MONOTONIC);

		if (sendmmsg(sender, messages, BURST, 0) != BURST)
			return 0;
		if (receiver >= 0)
			receive(user, receiver);
		spent[i] = now_ns(CLOCK_MONOTONIC) - begun;
	}
	qsort(spent, batches, sizeof(*spent), compare);
	return spent[batches / 2];
}

uint64_t user_packets(const struct user *user)
{
	return user->packets;
}

/* One place that is used, for comparison: its key, and its verdict. Returns the number of the place behind it, 0 where there is none. */
uint32_t user_verdict(const struct user *user, uint32_t from, struct flow_key *key, uint64_t *time, int32_t *verdict)
{
	for (uint32_t i = from; i < STATES; i++) {
		const struct place *place = &user->places[i];

		if (!place->used)
			continue;
		*key = place->key;
		*time = place->time;
		verdict[0] = place->verdict_label;
		verdict[1] = place->margin;
		verdict[2] = place->verdict_number;
		return i + 1;
	}
	return 0;
}
