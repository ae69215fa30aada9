/* t/unit/test_link_local.c — a link inside one process: order, budget, fullness, who may sleep, and its two ends' ends. */
#include "ipc/link_local.c"

#include "tap.h"

#include <stdio.h>
#include <string.h>

enum { QUEUE = 100000, HARD = 1000000 };

struct end {
	struct link *line;
	uint64_t next; /* conn of the frame that must come next */
	uint64_t bytes;
	unsigned wrong;
	unsigned rooms;
	int refuse;
};

static struct end reactor, worker;
static char pattern[1 << 20];

static int on_frame(void *ctx, const struct frame *f, struct str payload)
{
	struct end *e = ctx;

	if (e->refuse)
		return e->refuse;
	e->wrong += f->conn != e->next++ || f->len != payload.len || f->value != 9 || !(f->flags & FRAME_END);
	e->wrong += payload.len && memcmp(payload.p, pattern, payload.len) != 0;
	e->bytes += payload.len;
	return 0;
}

static void on_room(void *ctx)
{
	struct end *e = ctx;

	e->rooms++;
}

static void open_ends(const struct link_local_opts *o)
{
	reactor = worker = (struct end){ 0 };
	link_local_new(o, &reactor.line, &worker.line);
	reactor.line->on_frame = worker.line->on_frame = on_frame;
	reactor.line->on_room = worker.line->on_room = on_room;
	reactor.line->ctx = &reactor;
	worker.line->ctx = &worker;
}

static void open_usual(void)
{
	open_ends(&(struct link_local_opts){ .queue_max = QUEUE, .hard_max = HARD });
}

static void close_ends(void)
{
	link_close(reactor.line);
	link_close(worker.line);
}

static int send_one(struct end *e, uint64_t number, size_t len)
{
	struct frame f = { .type = FRAME_BODY, .flags = FRAME_END, .conn = number, .value = 9 };
	struct str parts[2] = { str_make(pattern, len / 3), str_make(pattern + len / 3, len - len / 3) };

	return link_send(e->line, &f, parts, 2);
}

static void keeps_order_both_ways(void)
{
	uint64_t there = 0, back = 0;

	open_usual();
	for (unsigned i = 0; i < 20000; i++) {
		send_one(&reactor, there++, i * 7919 % 3000);
		if (i % 3 == 0)
			send_one(&worker, back++, i * 31 % 200);
		if (i % 20 == 19) {
			link_drain(worker.line);
			link_drain(reactor.line);
		}
	}
	while (link_drain(worker.line) == 1 || link_drain(reactor.line) == 1)
		;
	ok(worker.next == there && worker.wrong == 0, "%llu frames there, in order and whole",
	   (unsigned long long)there);
	ok(reactor.next == back && reactor.wrong == 0, "%llu back", (unsigned long long)back);
	ok(reactor.line->sent == there && worker.line->received == there, "both ends count them");
	close_ends();
}

static void takes_long_frames_whole(void)
{
	open_ends(&(struct link_local_opts){ .queue_max = QUEUE, .hard_max = 1 << 22 });
	send_one(&reactor, 0, 0);
	send_one(&reactor, 1, 1 << 20);
	send_one(&reactor, 2, 65536 - 64 - 32);
	send_one(&reactor, 3, 65536 - 64 - 31);
	send_one(&reactor, 4, 1);
	link_drain(worker.line);
	ok(worker.next == 5 && worker.wrong == 0,
	   "an empty frame, one of a MiB, one that fills a chunk and one that does not fit");
	ok(reactor.line->piece_max >= 65536, "frames travel uncut");
	close_ends();
}

static void budgets_a_drain(void)
{
	open_ends(&(struct link_local_opts){
		.queue_max = QUEUE, .hard_max = HARD, .drain_frames = 10, .drain_bytes = 5000 });
	for (unsigned i = 0; i < 25; i++)
		send_one(&reactor, i, 8);
	ok(link_drain(worker.line) == 1 && worker.next == 10, "so many frames in one go");
	ok(link_drain(worker.line) == 1 && link_drain(worker.line) == 0 && worker.next == 25,
	   "the rest in the next ones");
	for (unsigned i = 25; i < 35; i++)
		send_one(&reactor, i, 2000);
	ok(link_drain(worker.line) == 1 && worker.next == 28, "and so many bytes");
	close_ends();
}

static void tells_room_once(void)
{
	uint64_t sent = 0;

	open_usual();
	while (!reactor.line->full)
		send_one(&reactor, sent++, 1000);
	ok(sent > 90 && sent < 105, "full after %llu frames of 1000 bytes", (unsigned long long)sent);
	link_flush(reactor.line);
	ok(reactor.rooms == 0, "no room while nobody takes any");
	link_drain(worker.line);
	ok(reactor.rooms == 0, "the peer's drain tells nothing by itself: no call from one side into the other");
	link_flush(reactor.line);
	link_flush(reactor.line);
	ok(reactor.rooms == 1 && !reactor.line->full, "the own flush does, once");
	close_ends();
}

static void refuses_beyond_the_limit(void)
{
	uint64_t sent = 0;

	open_usual();
	while (send_one(&reactor, sent, 5000) == 0)
		sent++;
	ok(sent * 5000 <= HARD && sent * 5000 > HARD * 9 / 10, "%llu frames of 5000 bytes, then -ENOBUFS",
	   (unsigned long long)sent);
	while (link_drain(worker.line) == 1)
		;
	ok(worker.next == sent && worker.wrong == 0, "what was taken arrives");
	close_ends();
}

/* The worker's hook runs before the reactor's: what the reactor queues or takes in its own must not be slept over. */
static void nobody_sleeps_over_the_other(void)
{
	open_usual();
	ok(link_may_sleep(worker.line) && link_may_sleep(reactor.line), "an idle link lets both sleep");
	send_one(&worker, 0, 10);
	ok(!link_may_sleep(reactor.line), "a frame for the reactor keeps it awake");
	link_drain(reactor.line);
	send_one(&reactor, 0, 10);
	ok(!link_may_sleep(worker.line), "a frame for the worker keeps that awake");
	ok(!link_may_sleep(reactor.line), "and the reactor, whose hook comes last");
	link_drain(worker.line);
	ok(link_may_sleep(reactor.line), "no longer when it was taken");

	for (uint64_t i = 1; !worker.line->full; i++)
		send_one(&worker, i, 1000);
	link_flush(worker.line);
	link_drain(reactor.line);
	ok(!link_may_sleep(reactor.line), "the worker waits for room and there is room: its flush must come first");
	link_flush(worker.line);
	ok(worker.rooms == 1 && link_may_sleep(reactor.line), "then all may sleep");
	close_ends();
}

static void hands_on_what_the_receiver_says(void)
{
	open_usual();
	send_one(&reactor, 0, 10);
	send_one(&reactor, 0, 10);
	worker.refuse = -EBADMSG;
	ok(link_drain(worker.line) == -EBADMSG, "what on_frame refuses stops the drain");
	worker.refuse = 0;
	ok(link_drain(worker.line) == 0 && worker.next == 1, "the frame counts as taken");
	close_ends();
}

static void ends_in_any_order(void)
{
	open_usual();
	send_one(&reactor, 0, 100000);
	send_one(&worker, 0, 10);
	link_close(worker.line);
	ok(send_one(&reactor, 1, 10) == 0, "sending to an end that is closed does nothing");
	link_flush(reactor.line);
	ok(link_drain(reactor.line) == 0 && reactor.next == 1, "what it sent before still comes");
	ok(link_may_sleep(reactor.line), "and nothing more is waited for");
	link_close(reactor.line);

	open_usual();
	send_one(&worker, 0, 10);
	link_close(reactor.line);
	link_flush(worker.line);
	ok(link_may_sleep(worker.line), "nor the other way round");
	link_close(worker.line);
	link_close(NULL);
}

static unsigned returned;
static uint64_t last_token;

static void on_returned(void *ctx, uint64_t token)
{
	(void)ctx;
	returned++;
	last_token = token;
}

static int lend_one(uint64_t number, const char *bytes, size_t len, uint64_t token)
{
	struct frame f = { .type = FRAME_RESPONSE_BODY, .flags = FRAME_END, .conn = number, .value = 9 };

	return link_lend(worker.line, &f, str_make(bytes, len), token);
}

static void lends_large_payloads(void)
{
	open_usual();
	ok(!link_lends(worker.line, 1 << 20), "nothing is lent by an end that does not take it back");
	worker.line->on_returned = on_returned;
	ok(link_lends(worker.line, 65536) && !link_lends(worker.line, 100),
	   "a large payload is lent, a small one copied");
	returned = 0;
	send_one(&worker, 0, 10);
	ok(lend_one(1, pattern, 65536, 77) == 0 && send_one(&worker, 2, 500) == 0, "between frames that are copied");
	ok(returned == 0, "it is borrowed until the receiver has had it");
	link_drain(reactor.line);
	ok(reactor.next == 3 && reactor.wrong == 0 && reactor.bytes == 65536 + 510, "all arrive, in order and whole");
	ok(returned == 1 && last_token == 77, "then it is returned, once");
	link_flush(worker.line);

	uint64_t sent = 3;

	while (lend_one(sent, pattern, 65536, sent) == 0)
		sent++;
	ok(worker.line->full && sent - 3 <= HARD / 65536, "what is lent counts in the link's bounds: %llu frames",
	   (unsigned long long)sent - 3);
	while (link_drain(reactor.line) == 1)
		;
	ok(reactor.next == sent && returned == 1 + sent - 3, "each is returned");
	link_flush(worker.line);
	ok(!worker.line->full && worker.rooms == 1, "and there is room again");
	close_ends();
}

static void keeps_what_a_lender_leaves(void)
{
	char *bytes = malloc(65536);

	open_usual();
	worker.line->on_returned = on_returned;
	returned = 0;
	memcpy(bytes, pattern, 65536);
	lend_one(0, bytes, 65536, 1);
	lend_one(1, bytes, 65536, 2);
	link_close(worker.line);
	memset(bytes, 0, 65536);
	free(bytes);
	link_drain(reactor.line);
	ok(reactor.next == 2 && reactor.wrong == 0, "what was lent still arrives after the lender has gone");
	ok(returned == 0, "and is not returned to it");
	link_close(reactor.line);

	open_usual();
	worker.line->on_returned = on_returned;
	lend_one(0, pattern, 65536, 1);
	link_close(worker.line);
	link_close(reactor.line);
	ok(true, "nor does it leak when nobody takes it");

	open_usual();
	worker.line->on_returned = on_returned;
	link_close(reactor.line);
	ok(lend_one(0, pattern, 65536, 5) == 0 && returned == 1 && last_token == 5,
	   "lent to nobody, it is returned at once");
	link_close(worker.line);
}

int main(void)
{
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (char)(i * 31 + (i >> 9));
	keeps_order_both_ways();
	takes_long_frames_whole();
	budgets_a_drain();
	tells_room_once();
	refuses_beyond_the_limit();
	nobody_sleeps_over_the_other();
	hands_on_what_the_receiver_says();
	ends_in_any_order();
	lends_large_payloads();
	keeps_what_a_lender_leaves();
	return tap_done();
}
