// SPDX-License-Identifier: GPL-2.0
/*
 * A guard of connections in user space, for the showcase: packets come through a ring buffer, or by a mapped packet socket (TPACKET_V2). The rows
 * are those of connection.toml, the network is that of the guard in the kernel, and so are the times at which it runs and what is made of
 * its verdicts. The program flow_drop.bpf.c drops the packets of the connections that are written to its map.
 */
#include "flow_user.c"

#include <linux/if_packet.h>
#include <linux/perf_event.h>
#include <net/ethernet.h>
#include <poll.h>

#define FRAME 2048
#define FRAMES 16384
#define BLOCK (1 << 16)
#define WAIT_MS 20
#define BLOCKED 2 /* of `used` of a place */

struct watcher {
	struct user *user;
	const struct ring *ring; /* NULL: packets are in `frames` */
	uint8_t *frames;
	int fd, blocked; /* what tells that packets came; the map */
	uint8_t columns[FLOW_COLUMNS]; /* those that the network takes, in its order */
	uint32_t inputs;
	uint32_t spared; /* as verdicts have it: the number of the label plus 1 */
	int32_t margin;
	uint64_t lasting;
	uint32_t next;
	volatile uint32_t stop;
	uint64_t spent;
};

struct watcher *watcher_new(struct user *user, const struct ring *ring, int fd, int blocked, uint32_t spared,
			    int32_t margin, uint64_t lasting)
{
	struct watcher *made = calloc(1, sizeof(*made));

	if (!made)
		return NULL;
	*made = (struct watcher){.user = user, .ring = ring, .fd = fd, .blocked = blocked};
	made->spared = spared;
	made->margin = margin;
	made->lasting = lasting;
	return made;
}

void watcher_free(struct watcher *watcher)
{
	if (watcher->frames)
		munmap(watcher->frames, (size_t)FRAME * FRAMES);
	free(watcher);
}

/* Returns 0 if packets of the socket come to mapped memory from now on. */
int watcher_map(struct watcher *watcher)
{
	struct tpacket_req wanted = {BLOCK, (unsigned)((size_t)FRAME * FRAMES / BLOCK), FRAME, FRAMES};
	int version = TPACKET_V2;
	void *mapped;

	if (setsockopt(watcher->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(watcher->fd, SOL_PACKET, PACKET_RX_RING, &wanted, sizeof(wanted)))
		return -1;
	mapped = mmap(NULL, (size_t)FRAME * FRAMES, PROT_READ | PROT_WRITE, MAP_SHARED, watcher->fd, 0);
	watcher->frames = mapped == MAP_FAILED ? NULL : mapped;
	return watcher->frames ? 0 : -1;
}

/* Returns 0 if the network takes these columns. */
int watcher_columns(struct watcher *watcher, const uint8_t *columns, uint32_t count)
{
	if (count > FLOW_COLUMNS)
		return -1;
	memcpy(watcher->columns, columns, count);
	watcher->inputs = count;
	return 0;
}

static void judge(struct watcher *watcher, struct place *place)
{
	struct user *user = watcher->user;
	uint8_t all[64], sample[64] __attribute__((aligned(64))) = {0};
	int32_t scores[CLASSES];

	flow_sample(&place->state, (const __u64(*)[FLOW_BOUNDS])user->bounds, all);
	for (uint32_t i = 0; i < watcher->inputs; i++)
		sample[i] = all[watcher->columns[i]];
	infer(user->network, sample, scores);
	place->state.label = 1 + (scores[1] > scores[0]);
	place->margin = abs(scores[0] - scores[1]);
}

static int wanted(uint32_t number)
{
	static const uint32_t numbers[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 64, 128, 256};

	for (uint32_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (numbers[i] == number)
			return 1;
	return 0;
}

static void write_map(struct watcher *watcher, const struct flow_key *key, uint64_t until)
{
	union bpf_attr change = {.map_fd = watcher->blocked, .key = (uintptr_t)key, .value = (uintptr_t)&until};

	syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &change, sizeof(change));
}

static void watch_packet(struct watcher *watcher, const struct flow_packet *packet)
{
	struct user *user = watcher->user;
	struct flow_key key;
	struct place *place;
	uint32_t side;

	user->packets++;
	if (packet->flags & FLOW_RST)
		return;
	side = flow_key_of(&key, packet);
	place = place_of(user, &key);

	if (!place->used) {
		place->used = 1;
		place->key = key;
	}
	if (!place->state.number) {
		place->state.first = place->state.last = packet->time;
		place->state.side = side;
	}
	flow_step(&place->state, packet, side);
	if (wanted(place->state.number)) {
		judge(watcher, place);
		if (place->state.label != watcher->spared && place->margin >= watcher->margin) {
			write_map(watcher, &key, packet->time + watcher->lasting);
			place->used = BLOCKED;
		} else if (place->state.label == watcher->spared && place->used == BLOCKED) {
			write_map(watcher, &key, 0);
			place->used = 1;
		}
	}
	if (packet->flags & FLOW_FIN)
		memset(&place->state, 0, sizeof(place->state));
}

static void from_ring(struct watcher *watcher)
{
	const struct ring *ring = watcher->ring;
	uint64_t at = *ring->consumer, end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);

	while (at < end) {
		const uint32_t *header = (const uint32_t *)(ring->data + (at & (ring->size - 1)));
		uint32_t head = __atomic_load_n(header, __ATOMIC_ACQUIRE);
		const struct flow_packet *packet = (const void *)(header + 2);

		if (head >> 31)
			return; /* still written */
		if (packet->length)
			watch_packet(watcher, packet);
		at += ((head & 0x3fffffff) + 8 + 7) & ~7u;
		__atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);
	}
}

static void from_socket(struct watcher *watcher)
{
	for (;;) {
		struct tpacket2_hdr *frame = (void *)(watcher->frames + (size_t)watcher->next * FRAME);
		struct flow_packet packet;

		if (!(__atomic_load_n(&frame->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			return;
		if (!parse((uint8_t *)frame + frame->tp_mac, frame->tp_snaplen, &packet) && packet.destination_port != 0) {
			packet.length = frame->tp_len;
			watch_packet(watcher, &packet);
		}
		__atomic_store_n(&frame->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		watcher->next = (watcher->next + 1) % FRAMES;
	}
}

/* Takes what has come. */
void watcher_take(struct watcher *watcher)
{
	watcher->ring ? from_ring(watcher) : from_socket(watcher);
}

/* Takes packets until it is told to stop. */
void watcher_run(struct watcher *watcher)
{
	uint64_t begun = now_ns(CLOCK_THREAD_CPUTIME_ID);
	struct pollfd ready = {watcher->fd, POLLIN, 0};

	while (!watcher->stop) {
		poll(&ready, 1, WAIT_MS);
		watcher_take(watcher);
	}
	watcher->spent = now_ns(CLOCK_THREAD_CPUTIME_ID) - begun;
}

void watcher_stop(struct watcher *watcher)
{
	watcher->stop = 1;
}

uint64_t watcher_spent(const struct watcher *watcher)
{
	return watcher->spent;
}
