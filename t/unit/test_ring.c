/* t/unit/test_ring.c — the ring keeps order, refuses what cannot fit, wakes who waits, and survives a hostile peer.
 *
 * White box: includes the file under test, prints TAP, exits 0 only if all held.
 */
#include "ipc/ring.c"

#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { CAP = 4096, FRAMES = 1000000, HOSTILE_STATES = 200000 };

struct wire {
	struct ring_head head;
	struct ring_tail tail;
	uint8_t data[CAP];
};

static struct ring_tx tx_of(struct wire *w)
{
	return (struct ring_tx){ .own = &w->head, .peer = &w->tail, .data = w->data, .cap = CAP };
}

static struct ring_rx rx_of(struct wire *w)
{
	return (struct ring_rx){ .own = &w->tail, .peer = &w->head, .data = w->data, .cap = CAP };
}

/* Frame i carries i % 900 bytes of value i, so that the reader can tell any mix-up. */
static void *write_frames(void *arg)
{
	struct ring_tx tx = tx_of(arg);
	uint8_t payload[900];

	for (uint64_t i = 0; i < FRAMES; i++) {
		struct frame f = { .len = (uint32_t)(i % sizeof payload), .type = 1, .conn = i };

		memset(payload, (int)(i & 0xff), f.len);
		while (ring_put(&tx, &f, payload) == -EAGAIN)
			sched_yield();
		ring_publish(&tx);
	}
	return NULL;
}

static bool frame_is(const struct frame *f, const uint8_t *payload, uint64_t i)
{
	if (f->conn != i || f->len != i % 900)
		return false;
	for (uint32_t k = 0; k < f->len; k++)
		if (payload[k] != (uint8_t)i)
			return false;
	return true;
}

static void keeps_order_between_threads(void)
{
	static struct wire w;
	struct ring_rx rx = rx_of(&w);
	pthread_t writer;
	uint64_t seen = 0;
	bool sound = true;

	pthread_create(&writer, NULL, write_frames, &w);
	while (sound && seen < FRAMES) {
		struct frame f;
		const uint8_t *payload;
		int r = ring_peek(&rx, &f, &payload);

		if (r == 0) {
			sched_yield();
			continue;
		}
		sound = r == 1 && frame_is(&f, payload, seen++);
		ring_release(&rx);
	}
	pthread_join(writer, NULL);
	ok(sound, "a million frames of all lengths arrive whole and in order");
}

static void refuses_what_cannot_fit(void)
{
	static struct wire w;
	struct ring_tx tx = tx_of(&w);
	struct frame f = { .len = CAP / 4 + 1 };
	uint8_t payload[CAP / 4 + 1] = { 0 };

	ok(ring_put(&tx, &f, payload) == -EMSGSIZE, "a frame over a quarter of the ring is refused for good");
}

static void asks_for_a_bell_when_full(void)
{
	static struct wire w;
	struct ring_tx tx = tx_of(&w);
	struct ring_rx rx = rx_of(&w);
	struct frame f = { .len = 512 };
	uint8_t payload[512] = { 0 };
	const uint8_t *lent;

	while (ring_put(&tx, &f, payload) == 0)
		ring_publish(&tx);
	ok(atomic_load(&w.head.want) == 1, "a full ring notes that the producer waits");
	ok(ring_peek(&rx, &f, &lent) == 1 && ring_release(&rx), "releasing a frame tells the consumer to ring the bell");
	ok(ring_put(&tx, &f, payload) == 0, "then there is room");
}

/* Whatever stands in shared memory, peek stays inside the ring (run under ASan). */
static void survives_a_hostile_producer(void)
{
	static struct wire w;
	uint64_t touched = 0;

	srand(7);
	for (int i = 0; i < HOSTILE_STATES; i++) {
		uint64_t start = (uint64_t)(rand() % 1024) * RING_ALIGN;
		struct ring_rx rx = rx_of(&w);
		struct frame f;
		const uint8_t *payload;

		w.data[rand() % CAP] = (uint8_t)rand();
		rx.tail = start;
		atomic_store(&w.head.head, start + (uint64_t)(rand() % (2 * CAP)));
		if (ring_peek(&rx, &f, &payload) != 1)
			continue;
		for (uint32_t k = 0; k < f.len; k++)
			touched += payload[k];
		ring_release(&rx);
	}
	ok(touched > 0, "no hostile state makes the reader leave the ring");
}

int main(void)
{
	keeps_order_between_threads();
	refuses_what_cannot_fit();
	asks_for_a_bell_when_full();
	survives_a_hostile_producer();
	return tap_done();
}
