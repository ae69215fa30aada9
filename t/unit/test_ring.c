/* t/unit/test_ring.c — the ring keeps order, refuses what cannot fit, wakes who waits, and survives a hostile peer.
 *
 * White box: includes the file under test, prints TAP, exits 0 only if all held.
 */
#include "ipc/ring.c"

#include "tap.h"

#include "base/bits.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CAP = 4096, FRAMES = 1000000, HOSTILE_STATES = 200000, ROUNDS = 200000, LOST_MS = 10000 };

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
	struct frame f = { .len = ring_payload_max(CAP) + 1 };
	uint8_t payload[CAP] = { 0 };

	ok(ring_put(&tx, &f, payload) == -EMSGSIZE, "a frame over three eighths of the ring is refused for good");
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
	ok(ring_peek(&rx, &f, &lent) == 1 && ring_release(&rx),
	   "releasing a frame tells the consumer to ring the bell");
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

/* Whatever the consumer says it has released, the producer stays inside the ring. */
static void survives_a_hostile_consumer(void)
{
	static struct wire w;
	struct ring_tx tx = tx_of(&w);
	uint8_t payload[CAP];
	unsigned taken = 0;

	srand(8);
	memset(payload, 5, sizeof payload);
	for (int i = 0; i < HOSTILE_STATES; i++) {
		struct frame f = { .len = (uint32_t)rand() % (ring_payload_max(CAP) + 1) };

		atomic_store(&w.tail.tail, tx.head + (uint64_t)(rand() % 5 - 2) * (uint64_t)(rand() % (2 * CAP)));
		if (rand() % 50 == 0)
			atomic_store(&w.tail.tail, (uint64_t)rand() << 33);
		taken += ring_put(&tx, &f, payload) == 0;
		if (rand() % 4 == 0)
			ring_publish(&tx);
	}
	ok(taken > 0, "no hostile tail makes the writer leave the ring (%u frames)", taken);
}

/* From every position before the edge, a frame of every size: put, seen, released; nothing else in between. */
static void pads_at_the_edge(void)
{
	static struct wire w;
	uint8_t payload[CAP];
	uint32_t longest = ring_payload_max(CAP);
	bool sound = true;
	unsigned pads = 0;

	memset(payload, 9, sizeof payload);
	for (uint32_t start = 0; start < CAP; start += RING_ALIGN) {
		for (uint32_t len = 0; len <= longest; len += len < longest ? LS_MIN(1 + len / 3, longest - len) : 1) {
			struct ring_tx tx = tx_of(&w);
			struct ring_rx rx = rx_of(&w);
			struct frame f = { .len = len, .type = 2, .conn = start }, got = { 0 };
			const uint8_t *lent = NULL;

			tx.head = tx.tail_seen = rx.tail = start;
			atomic_store(&w.head.head, start);
			atomic_store(&w.tail.tail, start);
			sound &= ring_put(&tx, &f, payload) == 0 && ring_publish(&tx) && !ring_publish(&tx);
			sound &= ring_peek(&rx, &got, &lent) == 1 && got.len == len && got.conn == start;
			sound &= sound && (len == 0 || (lent[0] == 9 && lent[len - 1] == 9));
			ring_release(&rx);
			sound &= ring_peek(&rx, &got, &lent) == 0 && rx.tail == tx.head;
			pads += tx.head - start > frame_size(len);
		}
	}
	ok(sound && pads > 100, "frames before the edge, at it and behind it (%u with a filler)", pads);
}

static void fills_to_the_last_byte(void)
{
	static struct wire w;
	struct ring_tx tx = tx_of(&w);
	struct ring_rx rx = rx_of(&w);
	struct frame f = { .len = 96 }, got;
	uint8_t payload[96] = { 0 };
	const uint8_t *lent;
	unsigned put = 0, seen = 0;

	while (ring_put(&tx, &f, payload) == 0)
		put++;
	ok(put == CAP / 128, "%u frames of 128 bytes fill %d bytes", put, CAP);
	ok(ring_peek(&rx, &got, &lent) == 0, "unpublished frames are not there");
	ok(ring_publish(&tx) && !ring_publish(&tx), "publishing twice has nothing to tell");
	while (ring_peek(&rx, &got, &lent) == 1) {
		ring_release(&rx);
		seen++;
	}
	ok(seen == put, "all are seen");
	ok(ring_put(&tx, &f, payload) == 0 && atomic_load(&w.head.want) == 0, "what found room wants no bell any more");
}

/* ---- the sleep protocol, as reactor.c and worker.c have it ------------------------------------------------------------ */

/* One side: it reads `rx`, writes `tx`, and sleeps on `bell`. */
struct side {
	struct ring_tx tx;
	struct ring_rx rx;
	_Atomic uint32_t asleep;
	struct side *peer;
	int bell;
	bool lost; /* it slept although there was something to do */
	uint64_t sleeps;
	uint32_t random;
};

static void ring_bell(struct side *of)
{
	uint64_t one = 1;

	(void)!write(of->bell, &one, sizeof one);
}

static void publish(struct side *s, bool wanted)
{
	if (ring_publish(&s->tx) && atomic_load_explicit(&s->peer->asleep, memory_order_relaxed))
		ring_bell(s->peer);
	if (wanted)
		ring_bell(s->peer);
}

/* Sleeps unless something has come; what is waited for may also be the peer's release. */
static void sleep_side(struct side *s)
{
	struct pollfd p = { .fd = s->bell, .events = POLLIN };
	struct frame f;
	const uint8_t *lent;
	uint64_t rings;

	s->random = s->random * 1664525 + 1013904223;
	for (unsigned spin = s->random >> 24; spin > 128; spin--)
		__builtin_ia32_pause();
	atomic_store_explicit(&s->asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (ring_peek(&s->rx, &f, &lent) == 0) {
		s->sleeps++;
		if (poll(&p, 1, LOST_MS) == 0)
			s->lost = true;
	}
	atomic_store_explicit(&s->asleep, 0, memory_order_relaxed);
	(void)!read(s->bell, &rings, sizeof rings);
}

/* Sends back what comes. */
static void *echo(void *arg)
{
	struct side *s = arg;
	struct frame f;
	const uint8_t *lent;

	for (uint64_t done = 0; done < ROUNDS && !s->lost;) {
		bool wanted = false, worked = false;

		while (ring_peek(&s->rx, &f, &lent) == 1 && ring_put(&s->tx, &f, lent) == 0) {
			wanted |= ring_release(&s->rx);
			worked = true;
			done++;
		}
		publish(s, wanted);
		if (!worked)
			sleep_side(s);
	}
	return NULL;
}

/* Bursts of random size: lone frames, and more than the ring holds, so that both kinds of waiting occur. */
static void drive(struct side *s)
{
	uint8_t payload[512] = { 0 };
	uint64_t sent = 0, back = 0;
	struct frame f;
	const uint8_t *lent;

	while (back < ROUNDS && !s->lost) {
		bool wanted = false, worked = false;
		uint64_t burst = sent + (s->random % 8 ? 1 : 1 + (s->random >> 8 & 31));

		f = (struct frame){ .len = (uint32_t)(sent % 8 ? 8 : 500), .conn = sent };
		for (; sent - back < 64 && sent < burst && sent < ROUNDS && ring_put(&s->tx, &f, payload) == 0;
		     f.conn = ++sent)
			worked = true;
		publish(s, false);
		while (ring_peek(&s->rx, &f, &lent) == 1) {
			s->lost |= f.conn != back++;
			wanted |= ring_release(&s->rx);
			worked = true;
		}
		publish(s, wanted);
		if (!worked || sent > back)
			sleep_side(s);
	}
}

static void loses_no_wake_up(void)
{
	static struct wire there, back;
	static struct side near, far;
	pthread_t thread;

	near = (struct side){ .tx = tx_of(&there), .rx = rx_of(&back), .peer = &far, .random = 1 };
	far = (struct side){ .tx = tx_of(&back), .rx = rx_of(&there), .peer = &near, .random = 2 };
	near.bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	far.bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pthread_create(&thread, NULL, echo, &far);
	drive(&near);
	pthread_join(thread, NULL);
	ok(!near.lost && !far.lost, "%d frames there and back, no wake-up lost (%llu and %llu sleeps)", ROUNDS,
	   (unsigned long long)near.sleeps, (unsigned long long)far.sleeps);
	close(near.bell);
	close(far.bell);
}

int main(void)
{
	keeps_order_between_threads();
	refuses_what_cannot_fit();
	asks_for_a_bell_when_full();
	survives_a_hostile_producer();
	survives_a_hostile_consumer();
	pads_at_the_edge();
	fills_to_the_last_byte();
	loses_no_wake_up();
	return tap_done();
}
