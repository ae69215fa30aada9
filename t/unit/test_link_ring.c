/* t/unit/test_link_ring.c — frames over a channel's rings: order, pieces, backlog, hostile peers, bells, and what a dead
 * peer never took.  Two links in this process stand for the two sides. */
#include "base/mem.h"

static void *scarce_alloc(size_t size);
#define try_alloc scarce_alloc
#include "ipc/link_ring.c"
#undef try_alloc

#include "tap.h"

#include "ipc/chan.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RING = 65536, PIECE = RING / 8 * 3, BACKLOG = 1 << 20, WHOLE = 300000, THREAD_FRAMES = 100000 };

/* What a side received. */
struct seen {
	struct frame f;
	uint64_t hash; /* of the payload */
};

struct end {
	struct link *line;
	struct seen seen[4096];
	unsigned n_seen;
	unsigned rooms;
	int refuse; /* on_frame returns this */
	_Atomic uint32_t asleep;
	int bell;
};

struct wire {
	struct chan_fds fds;
	struct chan master, worker;
	struct end down, up; /* the reactor's end and the worker's */
};

static struct wire w;

static uint64_t hash_of(struct str s)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (uint8_t)s.p[i]) * 0x100000001b3;
	return h;
}

static int on_frame(void *ctx, const struct frame *f, struct str payload)
{
	struct end *e = ctx;

	if (e->refuse)
		return e->refuse;
	if (e->n_seen < LS_COUNT(e->seen))
		e->seen[e->n_seen] = (struct seen){ .f = *f, .hash = hash_of(payload) };
	e->n_seen++;
	return f->len == payload.len ? 0 : -EINVAL;
}

static void on_room(void *ctx)
{
	struct end *e = ctx;

	e->rooms++;
}

static void open_end(struct end *e, const struct chan *c, enum frame_dir receives, struct end *peer)
{
	*e = (struct end){ .bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	e->line = link_ring_new(&(struct link_ring_opts){
		.tx = chan_tx(c, 0),
		.rx = chan_rx(c, 0),
		.peer_asleep = &peer->asleep,
		.receives = receives,
		.backlog_max = BACKLOG,
		.whole_max = WHOLE,
	});
	e->line->on_frame = on_frame;
	e->line->on_room = on_room;
	e->line->ctx = e;
}

static void open_wire(void)
{
	struct err err;

	chan_create(1, RING, &w.fds, &err);
	chan_open_master(&w.master, &w.fds, 1, RING, &err);
	chan_open_worker(&w.worker, &w.fds, 1, RING, &err);
	chan_map_up(&w.master, &w.fds, &err);
	open_end(&w.down, &w.master, FRAME_UP, &w.up);
	open_end(&w.up, &w.worker, FRAME_DOWN, &w.down);
	self(w.down.line)->o.peer_bell = w.up.bell;
	self(w.up.line)->o.peer_bell = w.down.bell;
}

static void close_wire(void)
{
	link_close(w.down.line);
	link_close(w.up.line);
	close(w.down.bell);
	close(w.up.bell);
	chan_close(&w.master);
	chan_close(&w.worker);
	chan_fds_close(&w.fds);
}

static bool rings(struct end *e)
{
	uint64_t n;

	return read(e->bell, &n, sizeof n) == sizeof n;
}

static int drain(struct end *e)
{
	int r;

	while ((r = link_drain(e->line)) == 1)
		;
	link_flush(e->line);
	return r;
}

/* Until nothing moves any more. */
static void settle(void)
{
	for (int i = 0; i < 1000; i++) {
		link_flush(w.down.line);
		drain(&w.up);
		link_flush(w.up.line);
		drain(&w.down);
	}
}

static char pattern[1 << 20];

static struct str bytes(size_t len)
{
	return str_make(pattern, len);
}

static int send_one(struct end *e, enum frame_type type, uint64_t conn, struct str payload)
{
	struct frame f = { .type = (uint16_t)type, .conn = conn, .stream = type == FRAME_BODY ? 1 : 0 };

	return link_send(e->line, &f, &payload, 1);
}

/* ---- order and pieces ----------------------------------------------------------------------------------------------- */

static void keeps_order(void)
{
	bool sound = true;

	open_wire();
	for (unsigned i = 0; i < 1000; i++) {
		sound &= send_one(&w.down, FRAME_DATA, i, bytes(i % 700)) == 0;
		if (i % 50 == 49) {
			link_flush(w.down.line);
			sound &= drain(&w.up) == 0;
		}
	}
	settle();
	sound &= w.up.n_seen == 1000;
	for (unsigned i = 0; i < 1000 && sound; i++)
		sound &= w.up.seen[i].f.conn == i && w.up.seen[i].hash == hash_of(bytes(i % 700));
	ok(sound, "a thousand frames in order");
	ok(w.down.line->sent == 1000 && w.up.line->received == 1000, "both sides count them");
	close_wire();
}

static void nothing_before_the_flush(void)
{
	open_wire();
	send_one(&w.down, FRAME_DATA, 1, bytes(10));
	ok(drain(&w.up) == 0 && w.up.n_seen == 0, "a frame is not seen before the flush");
	ok(link_may_sleep(w.up.line), "and does not keep the peer awake");
	link_flush(w.down.line);
	ok(!link_may_sleep(w.up.line), "then it does");
	ok(drain(&w.up) == 0 && w.up.n_seen == 1, "and is seen");
	close_wire();
}

static void gathers_parts(void)
{
	struct frame f = { .type = FRAME_DATA };
	struct str parts[4] = { bytes(PIECE - 3), { NULL, 0 }, bytes(7), bytes(PIECE) };
	static char all[2 * PIECE + 4];

	open_wire();
	memcpy(mempcpy(mempcpy(all, pattern, PIECE - 3), pattern, 7), pattern, PIECE);
	ok(link_send(w.down.line, &f, parts, 4) == 0, "parts that are cut elsewhere than pieces");
	settle();
	ok(w.up.n_seen == 1 && w.up.seen[0].f.len == sizeof all &&
	           w.up.seen[0].hash == hash_of(str_make(all, sizeof all)),
	   "arrive as one");
	close_wire();
}

static void joins_what_must_be_whole(void)
{
	static const size_t lengths[] = { 0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5, 200000, WHOLE };

	for (unsigned i = 0; i < LS_COUNT(lengths); i++) {
		struct frame f = {
			.type = FRAME_REQUEST, .flags = FRAME_END, .conn = 7, .stream = 3, .arg = 5, .value = 77
		};
		struct str payload = bytes(LS_MAX(lengths[i], (size_t)1));
		const struct seen *s = &w.up.seen[0];

		open_wire();
		link_send(w.down.line, &f, &payload, 1);
		settle();
		ok(w.up.n_seen == 1 && s->f.len == payload.len && s->hash == hash_of(payload) && s->f.stream == 3 &&
		           s->f.arg == 5 && s->f.value == 77 && s->f.flags & FRAME_END && !(s->f.flags & FRAME_MORE),
		   "a REQUEST of %zu bytes is joined, END on it", payload.len);
		close_wire();
	}
}

static void hands_streams_on_in_pieces(void)
{
	struct frame f = { .type = FRAME_BODY, .flags = FRAME_END, .conn = 7, .stream = 3 };
	struct str payload = bytes(3 * PIECE + 5);
	uint64_t total = 0;
	bool sound = true;

	open_wire();
	link_send(w.down.line, &f, &payload, 1);
	settle();
	for (unsigned i = 0; i < w.up.n_seen; i++) {
		bool last = i == w.up.n_seen - 1;
		unsigned flags = w.up.seen[i].f.flags;

		total += w.up.seen[i].f.len;
		sound &= !!(flags & FRAME_END) == last && !!(flags & FRAME_MORE) == !last &&
		         !!(flags & FRAME_REST) == (i > 0);
	}
	ok(w.up.n_seen == 4 && sound && total == payload.len,
	   "a long BODY comes in pieces: MORE, REST, END on the last only");
	close_wire();
}

static void budgets_a_drain(void)
{
	open_wire();
	for (unsigned i = 0; i < 300; i++)
		send_one(&w.down, FRAME_DATA, i, bytes(8));
	link_flush(w.down.line);
	ok(link_drain(w.up.line) == 1 && w.up.n_seen == 256, "256 frames in one go");
	ok(link_drain(w.up.line) == 0 && w.up.n_seen == 300, "the rest in the next");
	close_wire();
}

/* ---- backlog ---------------------------------------------------------------------------------------------------------- */

static void keeps_what_does_not_fit(void)
{
	unsigned sent = 0;
	bool sound = true;

	open_wire();
	while (!w.down.line->full)
		send_one(&w.down, FRAME_DATA, sent++, bytes(1000));
	ok(sent > 50 && sent < 70, "a ring of 64 KiB holds %u frames of 1000 bytes", sent);
	for (unsigned i = 0; i < 100; i++)
		send_one(&w.down, FRAME_DATA, sent++, bytes(1000));
	link_flush(w.down.line);
	ok(w.down.rooms == 0 && w.down.line->full, "as long as nobody takes any, it stays full");
	settle();
	ok(w.down.rooms == 1 && !w.down.line->full, "room is told once");
	for (unsigned i = 0; i < sent && i < w.up.n_seen; i++)
		sound &= w.up.seen[i].f.conn == i;
	ok(w.up.n_seen == sent && sound, "%u frames in order", sent);
	close_wire();
}

static void limits_the_backlog(void)
{
	struct frame_closed closed = { 1, 2 };
	unsigned sent = 0;
	bool controls = true;

	open_wire();
	while (send_one(&w.down, FRAME_DATA, sent, bytes(1000)) == 0)
		sent++;
	ok(self(w.down.line)->backlog_bytes <= BACKLOG, "what waits is limited (%u frames)", sent);
	ok(send_one(&w.down, FRAME_DATA, 0, bytes(1000)) == -ENOBUFS, "then frames are refused");
	for (unsigned i = 0; i < 500; i++) {
		controls &= send_one(&w.down, FRAME_CLOSED, i, str_make(&closed, sizeof closed)) == 0;
		controls &= send_one(&w.down, FRAME_ABORT, i, bytes(0)) == 0;
	}
	controls &= send_one(&w.down, FRAME_BYE, 0, bytes(0)) == 0;
	ok(controls, "but not those that end something: the peer would wait for ever");
	settle();
	ok(w.up.n_seen == sent + 1001 && w.down.rooms == 1, "all that was taken arrives");
	for (unsigned i = 0; i < 100000; i++)
		controls &= send_one(&w.down, FRAME_ABORT, i, bytes(0)) == 0;
	ok(!controls && self(w.down.line)->backlog_bytes <= 2 * BACKLOG + 1000, "those are limited too");
	close_wire();
}

/* Refused in the middle of its pieces, a frame must not leave some of them behind. */
static void takes_all_pieces_or_none(void)
{
	unsigned whole = 0;

	open_wire();
	for (unsigned i = 0; i < 20; i++)
		whole += send_one(&w.down, FRAME_DATA, i, bytes(PIECE * 4 + 1)) == 0;
	settle();
	ok(whole > 10 && whole < 20 && w.up.n_seen == whole, "%u of 20 long frames were taken, those wholly", whole);
	close_wire();
}

static _Thread_local unsigned allocs_left = UINT32_MAX;

static void *scarce_alloc(size_t size)
{
	return allocs_left && allocs_left-- ? try_alloc(size) : NULL;
}

/* Nor when memory runs out between two of them, in the ring or behind it. */
static void takes_pieces_back_without_memory(void)
{
	bool sound = true;

	for (unsigned before = 0; before < 8; before++) {
		for (unsigned left = 0; left < 5; left++) {
			unsigned sent = 0, taken = 0;

			open_wire();
			for (unsigned i = 0; i < before; i++)
				taken += send_one(&w.down, FRAME_DATA, sent++, bytes(PIECE / 2)) == 0;
			allocs_left = left;
			taken += send_one(&w.down, FRAME_DATA, sent++, bytes(PIECE * 5)) == 0;
			allocs_left = UINT32_MAX;
			taken += send_one(&w.down, FRAME_DATA, sent++, bytes(3)) == 0;
			settle();
			sound &= w.up.n_seen == taken && !w.down.line->full && self(w.down.line)->backlog_bytes == 0;
			for (unsigned i = 0; i < w.up.n_seen; i++)
				sound &= w.up.seen[i].hash == hash_of(bytes(w.up.seen[i].f.len));
			close_wire();
		}
	}
	ok(sound, "nor when there is no memory for the rest of them");
}

static unsigned again;

static void on_room_send(void *ctx)
{
	struct end *e = ctx;

	e->rooms++;
	while (again && !e->line->full) {
		again--;
		send_one(e, FRAME_DATA, 5, bytes(1000));
	}
}

static void fills_up_again_on_room(void)
{
	open_wire();
	w.down.line->on_room = on_room_send;
	again = 300;
	on_room_send(&w.down);
	settle();
	ok(again == 0 && w.up.n_seen == 300 && w.down.rooms > 2,
	   "who sends on room goes on until all has left (%u times)", w.down.rooms);
	close_wire();
}

/* ---- bells ------------------------------------------------------------------------------------------------------------- */

static void rings_sleepers_only(void)
{
	open_wire();
	send_one(&w.down, FRAME_DATA, 1, bytes(8));
	link_flush(w.down.line);
	ok(!rings(&w.up), "no bell for a peer that is awake");
	atomic_store(&w.up.asleep, 1);
	link_flush(w.down.line);
	ok(!rings(&w.up), "nor when nothing is new");
	send_one(&w.down, FRAME_DATA, 2, bytes(8));
	link_flush(w.down.line);
	ok(rings(&w.up) && !rings(&w.up), "one bell for a sleeper");
	atomic_store(&w.up.asleep, 0);
	close_wire();
}

static void rings_who_waits_for_room(void)
{
	open_wire();
	while (!w.down.line->full)
		send_one(&w.down, FRAME_DATA, 1, bytes(1000));
	link_flush(w.down.line);
	atomic_store(&w.down.asleep, 1);
	link_drain(w.up.line);
	ok(!rings(&w.down), "released frames are told at the flush");
	link_flush(w.up.line);
	ok(rings(&w.down), "then the bell of the one who waits rings");
	link_flush(w.up.line);
	ok(!rings(&w.down), "once");
	close_wire();
}

/* ---- hostile peers ------------------------------------------------------------------------------------------------------- */

/* Puts a frame into the worker's ring as it is, without the link's care. */
static void put_raw(struct frame f, struct str payload)
{
	struct ring_tx *tx = &self(w.up.line)->tx;

	f.len = (uint32_t)payload.len;
	ring_put(tx, &f, payload.p);
	ring_publish(tx);
}

static void refuses_hostile_frames(void)
{
	static const struct {
		const char *what;
		struct frame first, second;
		size_t len;
	} rows[] = {
		{ "of the other direction", { .type = FRAME_OPEN }, { 0 }, 24 },
		{ "of no type", { .type = 1000 }, { 0 }, 0 },
		{ "with a payload it may not have", { .type = FRAME_CLOSE }, { 0 }, 1 },
		{ "too short", { .type = FRAME_SEND_FILE }, { 0 }, 16 },
		{ "whose pieces are of two types",
		  { .type = FRAME_RESPONSE, .flags = FRAME_MORE },
		  { .type = FRAME_SEND_FILE },
		  20 },
		{ "whose pieces are of two connections",
		  { .type = FRAME_RESPONSE, .flags = FRAME_MORE, .conn = 1 },
		  { .type = FRAME_RESPONSE, .conn = 2 },
		  20 },
		{ "whose pieces are of two streams",
		  { .type = FRAME_RESPONSE, .flags = FRAME_MORE, .stream = 1 },
		  { .type = FRAME_RESPONSE, .stream = 2 },
		  20 },
		{ "between the pieces of another",
		  { .type = FRAME_RESPONSE, .flags = FRAME_MORE, .stream = 1 },
		  { .type = FRAME_SEND },
		  20 },
	};

	for (unsigned i = 0; i < LS_COUNT(rows); i++) {
		open_wire();
		put_raw(rows[i].first, bytes(rows[i].len));
		if (rows[i].first.flags & FRAME_MORE)
			put_raw(rows[i].second, bytes(rows[i].len));
		ok(drain(&w.down) == -EBADMSG && w.down.n_seen == 0, "a frame %s", rows[i].what);
		close_wire();
	}
}

static void refuses_endless_pieces(void)
{
	int r = 0;
	unsigned pieces = 0;

	open_wire();
	while (r == 0 && pieces++ < 1000) {
		put_raw((struct frame){ .type = FRAME_RESPONSE, .flags = FRAME_MORE, .stream = 1 }, bytes(PIECE));
		r = drain(&w.down);
	}
	ok(r == -EBADMSG && pieces == WHOLE / PIECE + 1, "pieces beyond the longest frame");
	close_wire();

	open_wire();
	for (unsigned i = 0; i < 100; i++)
		put_raw((struct frame){ .type = FRAME_DONE, .flags = FRAME_MORE }, bytes(0));
	put_raw((struct frame){ .type = FRAME_DONE }, bytes(0));
	ok(drain(&w.down) == 0, "empty pieces are harmless");
	close_wire();
}

static void hands_on_what_the_receiver_says(void)
{
	open_wire();
	send_one(&w.up, FRAME_SEND, 1, bytes(10));
	send_one(&w.up, FRAME_SEND, 2, bytes(10));
	link_flush(w.up.line);
	w.down.refuse = -EBADMSG;
	ok(link_drain(w.down.line) == -EBADMSG, "what on_frame refuses stops the drain");
	w.down.refuse = 0;
	ok(link_drain(w.down.line) == 0 && w.down.n_seen == 1, "the frame counts as taken");
	close_wire();
}

static void survives_a_garbled_ring(void)
{
	uint32_t random = 3;
	unsigned refused = 0;

	for (unsigned i = 0; i < 2000; i++) {
		struct ring_tx *tx;
		int r = 0;

		open_wire();
		tx = &self(w.up.line)->tx;
		for (unsigned k = 0; k < 20; k++)
			send_one(&w.up, k % 3 ? FRAME_SEND : FRAME_RESPONSE, k, bytes(k * 50 + 1));
		link_flush(w.up.line);
		for (unsigned k = 0; k < 10; k++) {
			random = random * 1664525 + 1013904223;
			tx->data[(random >> 8) % 12000] = (uint8_t)random;
		}
		for (unsigned k = 0; k < 4 && r == 0; k++)
			r = drain(&w.down);
		refused += r < 0;
		close_wire();
	}
	ok(refused > 100, "garbled rings are read within bounds (%u of 2000 refused)", refused);
}

/* ---- the dead -------------------------------------------------------------------------------------------------------------- */

struct untaken {
	uint64_t conns[4096];
	unsigned n;
	unsigned stop_at;
	bool sound;
};

static bool note_untaken(void *ctx, const struct frame *f, struct str payload)
{
	struct untaken *u = ctx;

	u->sound &= payload.len == f->len && hash_of(payload) == hash_of(bytes(f->len));
	if (u->n < LS_COUNT(u->conns))
		u->conns[u->n] = f->conn;
	return ++u->n != u->stop_at;
}

static void finds_what_was_never_taken(void)
{
	static struct untaken u;
	unsigned sent = 0;
	uint64_t before;

	u = (struct untaken){ .sound = true };
	open_wire();
	self(w.up.line)->o.drain_frames = 10;
	while (self(w.down.line)->backlog_bytes < 20000)
		send_one(&w.down, FRAME_DATA, sent++, bytes(500));
	before = taken(self(w.down.line));
	link_flush(w.down.line);
	link_drain(w.up.line);
	ok(before == 0 && taken(self(w.down.line)) > 10 * 500, "the taken part moves on");
	link_ring_each_untaken(w.down.line, note_untaken, &u);
	for (unsigned i = 0; i < u.n; i++)
		u.sound &= u.conns[i] == i + 10;
	ok(u.n == sent - 10 && u.sound, "ten of %u were taken; the others, ring and backlog, stand in order", sent);
	u.n = 0;
	u.stop_at = 3;
	link_ring_each_untaken(w.down.line, note_untaken, &u);
	ok(u.n == 3, "it stops when told");
	close_wire();
}

static void finds_what_was_not_even_published(void)
{
	static struct untaken u;

	u = (struct untaken){ .sound = true };
	open_wire();
	send_one(&w.down, FRAME_DATA, 1, bytes(100));
	link_ring_each_untaken(w.down.line, note_untaken, &u);
	ok(u.n == 1, "a frame of this turn counts");
	close_wire();
}

static void survives_a_hostile_tail(void)
{
	static struct untaken u;
	uint32_t random = 9;

	open_wire();
	for (unsigned i = 0; i < 40; i++)
		send_one(&w.down, FRAME_DATA, i, bytes(500));
	link_flush(w.down.line);
	for (unsigned i = 0; i < 20000; i++) {
		random = random * 1664525 + 1013904223;
		atomic_store(&self(w.up.line)->rx.own->tail, i % 2 ? random >> 12 : random >> 16);
		u = (struct untaken){ .stop_at = 0 };
		link_ring_each_untaken(w.down.line, note_untaken, &u);
	}
	ok(true, "whatever tail a dead worker left, the walk stays inside");
	atomic_store(&self(w.up.line)->rx.own->tail, UINT64_MAX);
	u = (struct untaken){ .stop_at = 0 };
	link_ring_each_untaken(w.down.line, note_untaken, &u);
	ok(u.n == 0, "one that cannot be true means that all was taken");
	close_wire();
}

/* ---- two threads ------------------------------------------------------------------------------------------------------------- */

/* Echoes as a worker would: drains, answers, flushes, sleeps by the protocol. */
static int echo_frame(void *ctx, const struct frame *f, struct str payload)
{
	struct end *e = ctx;
	struct frame back = { .type = FRAME_SEND, .conn = f->conn };

	e->n_seen++;
	return link_send(e->line, &back, &payload, 1);
}

static bool sleep_end(struct end *e)
{
	struct pollfd p = { .fd = e->bell, .events = POLLIN };
	bool woken = true;
	uint64_t n;

	atomic_store_explicit(&e->asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (link_may_sleep(e->line))
		woken = poll(&p, 1, 10000) == 1;
	atomic_store_explicit(&e->asleep, 0, memory_order_relaxed);
	(void)!read(e->bell, &n, sizeof n);
	return woken;
}

static void *run_echo(void *arg)
{
	struct end *e = arg;
	bool woken = true;

	while (woken && (e->n_seen < THREAD_FRAMES || e->line->full)) {
		int left = link_drain(e->line);

		link_flush(e->line);
		if (left < 0)
			return NULL;
		if (left == 0 && (e->n_seen < THREAD_FRAMES || e->line->full))
			woken = sleep_end(e);
	}
	buf_trim();
	return NULL;
}

static size_t length_of(uint64_t i)
{
	return i % 1000 == 0 ? 2 * PIECE + 77 : i * 7919 % 2000;
}

static uint64_t echoed, echoed_bytes, echo_errors;
static uint64_t piece_of; /* bytes of the present frame seen so far */

static int count_echo(void *ctx, const struct frame *f, struct str payload)
{
	(void)ctx;
	echo_errors += f->conn != echoed || (payload.len && memcmp(payload.p, pattern + piece_of, payload.len) != 0);
	piece_of += payload.len;
	echoed_bytes += payload.len;
	if (!(f->flags & FRAME_MORE)) {
		echo_errors += piece_of != length_of(f->conn);
		piece_of = 0;
		echoed++;
	}
	return 0;
}

static void echoes_between_threads(void)
{
	pthread_t thread;
	uint64_t sent = 0;
	bool woken = true;

	open_wire();
	w.up.line->on_frame = echo_frame;
	w.down.line->on_frame = count_echo;
	pthread_create(&thread, NULL, run_echo, &w.up);
	while (echoed < THREAD_FRAMES && woken) {
		for (unsigned burst = 0;
		     burst < 64 && sent < THREAD_FRAMES && !w.down.line->full && sent - echoed < 300; burst++)
			if (send_one(&w.down, FRAME_DATA, sent, bytes(length_of(sent))) == 0)
				sent++;
		int left = link_drain(w.down.line);

		link_flush(w.down.line);
		if (left < 0)
			break;
		if (left == 0 && (w.down.line->full || sent == THREAD_FRAMES || sent - echoed >= 300) &&
		    echoed < THREAD_FRAMES)
			woken = sleep_end(&w.down);
	}
	pthread_join(thread, NULL);
	ok(woken && echoed == THREAD_FRAMES && echo_errors == 0,
	   "%d frames there and back between threads, whole and in order", THREAD_FRAMES);
	close_wire();
}

int main(void)
{
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (char)(i * 31 + (i >> 9));
	keeps_order();
	nothing_before_the_flush();
	gathers_parts();
	joins_what_must_be_whole();
	hands_streams_on_in_pieces();
	budgets_a_drain();
	keeps_what_does_not_fit();
	limits_the_backlog();
	takes_all_pieces_or_none();
	takes_pieces_back_without_memory();
	fills_up_again_on_room();
	rings_sleepers_only();
	rings_who_waits_for_room();
	refuses_hostile_frames();
	refuses_endless_pieces();
	hands_on_what_the_receiver_says();
	survives_a_garbled_ring();
	finds_what_was_never_taken();
	finds_what_was_not_even_published();
	survives_a_hostile_tail();
	echoes_between_threads();
	return tap_done();
}
