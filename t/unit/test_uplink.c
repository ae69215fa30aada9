/* t/unit/test_uplink.c — worker processes as a reactor sees them: fullness, death, succession, draining, and what the
 * clients notice of it. */
#include "reactor/uplink.c"

#include "tap.h"

#include "ipc/link_local.h"
#include "reactor_stub.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD_REQUEST "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST_10 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* The oldest.  Ids begin with slot 0, and so with worker 0; the next connection belongs to worker 1, and so on. */
static struct conn *only_conn(void)
{
	uint32_t cursor = 0;

	return slots_next(&stub_reactor->conns, &cursor);
}

/* ---- a worker that lives ------------------------------------------------------------------------------------------------ */

static void answers_a_request(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0);
	int fd = stub_connect(STUB_HTTP);

	stub_say(fd, GET);
	stub_settle(w, NULL);
	ok(strcmp(stub_types(w), "REQUEST") == 0, "a request, and nothing of its connection");
	stub_respond(w, stub_last(w, FRAME_REQUEST), LS_STR("hi"), true);
	stub_settle(w, NULL);
	ok(begins(stub_heard(fd), "HTTP/1.1 200 ") && list_empty(&stub_reactor->uplinks[0].current->streams),
	   "its answer");
	close(fd);
	stub_settle(w, NULL);
	ok(strcmp(stub_types(w), "REQUEST") == 0 && reactor_connections(stub_reactor) == 0,
	   "nobody is told of the end");
	stub_gone(w);
	stub_end();
}

static void tells_of_raw_connections(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0);
	int fd = stub_connect(STUB_EOF);
	const struct frame *closed;

	stub_say(fd, "one\ntwo\n");
	stub_settle(w, NULL);
	ok(strcmp(stub_types(w), "OPEN DATA DATA") == 0 && !(w->seen[0].f.flags & FRAME_ADOPTED),
	   "OPEN, then its messages");
	stub_up(w, FRAME_SEND, stub_last(w, FRAME_DATA), LS_STR("answer"));
	stub_settle(w, NULL);
	ok(strcmp(stub_heard(fd), "answer") == 0, "an answer");
	shutdown(fd, SHUT_WR);
	stub_settle(w, NULL);
	ok(strcmp(stub_types(w), "OPEN DATA DATA SHUT") == 0, "the peer's half-close");
	stub_up(w, FRAME_SEND, stub_last(w, FRAME_DATA), LS_STR("last"));
	stub_up(w, FRAME_CLOSE, stub_last(w, FRAME_DATA), (struct str){ 0 });
	stub_settle(w, NULL);
	closed = stub_last(w, FRAME_CLOSED);
	ok(strcmp(stub_heard(fd), "lastEOF") == 0 && stub_count(w, FRAME_CLOSED) == 1,
	   "the last word leaves before the end");
	ok(closed && closed->arg >> 16 == CLOSE_BY_PEER, "CLOSED once, by the peer");
	stub_up(w, FRAME_SEND, stub_last(w, FRAME_DATA), LS_STR("late"));
	stub_settle(w, NULL);
	ok(stub_bad == 0, "frames for a connection that has ended are no fault");
	close(fd);
	stub_gone(w);
	stub_end();
}

/* Nobody asked to hear of its beginning: it takes no memory in a worker before it says something. */
static void tells_of_quiet_ones_late(void)
{
	struct stub_worker *w;
	int fds[2];

	stub_begin(DISPATCH_FIXED);
	stub_reactor->o.slots = 1;
	stub_reactor->o.workers = 1;
	stub_settings.ports[STUB_RAW].events = 1ULL << EVENT_receive | 1ULL << EVENT_close;
	w = stub_start(0);
	fds[0] = stub_connect(STUB_RAW);
	fds[1] = stub_connect(STUB_RAW);
	stub_settle(w, NULL);
	ok(w->n == 0, "a connection that says nothing is not told of");
	stub_say(fds[0], "hello");
	stub_settle(w, NULL);
	ok(strcmp(stub_types(w), "OPEN DATA") == 0, "with its first message it is");
	close(fds[1]);
	stub_settle(w, NULL);
	ok(strcmp(stub_types(w), "OPEN DATA CLOSED") == 0, "one that ends is told of by its end");
	stub_settings.ports[STUB_RAW].events = 1ULL << EVENT_receive;
	fds[1] = stub_connect(STUB_RAW);
	stub_settle(w, NULL);
	close(fds[1]);
	stub_settle(w, NULL);
	ok(stub_count(w, FRAME_CLOSED) == 1, "or not at all, where nobody wants to know");
	close(fds[0]);
	stub_gone(w);
	stub_end();
}

static void takes_turns_between_reads(void)
{
	stub_begin(DISPATCH_ROUND);

	struct stub_worker *a = stub_start(0), *b = stub_start(1);
	int fd = stub_connect(STUB_HTTP);

	for (int i = 0; i < 20; i++) {
		unsigned before = stub_count(a, FRAME_REQUEST);

		stub_say(fd, GET);
		stub_settle(a, b);

		struct stub_worker *who = stub_count(a, FRAME_REQUEST) > before ? a : b;

		stub_respond(who, stub_last(who, FRAME_REQUEST), LS_STR("hi"), true);
		stub_settle(a, b);
	}
	ok(stub_count(a, FRAME_REQUEST) == 10 && stub_count(b, FRAME_REQUEST) == 10,
	   "round: a lone client meets each in turn (%u, %u)", stub_count(a, FRAME_REQUEST),
	   stub_count(b, FRAME_REQUEST));
	close(fd);
	stub_gone(a);
	stub_gone(b);
	stub_end();
}

/* ---- room ------------------------------------------------------------------------------------------------------------------- */

static char lines_of_text[400000];

static void stalls_while_the_worker_is_full(void)
{
	size_t sent = 0, all = sizeof lines_of_text - 1;

	for (size_t i = 0; i < all; i++)
		lines_of_text[i] = i % 100 == 99 ? '\n' : (char)('a' + i / 100 % 26);
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0);
	int fd = stub_connect(STUB_EOF);
	struct conn *c;

	for (int i = 0; i < 100; i++) {
		ssize_t n = send(fd, lines_of_text + sent, all - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		stub_turns(1);
	}
	c = only_conn();
	ok(list_linked(&c->stalled) && sent < all, "a full ring stalls the connection (%zu of %zu bytes went)", sent,
	   all);
	ok(c->bytes_in < STUB_RING + 2 * 65536 + 65536, "which is read no further");
	for (int i = 0; i < 1000 && w->len < all; i++) {
		ssize_t n = send(fd, lines_of_text + sent, all - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		stub_take(w);
		stub_turns(2);
	}
	/* The payload of OPEN comes first; a last line without its end is no message. */
	ok(w->len == sizeof(struct frame_open) + all / 100 * 100 &&
	           memcmp(w->text + sizeof(struct frame_open), lines_of_text, all / 100 * 100) == 0,
	   "with room all follows, in order");
	close(fd);
	stub_gone(w);
	stub_end();
}

/* A worker that takes nothing holds up its own connections and no other's. */
static void keeps_a_stopped_worker_apart(void)
{
	int fds[10];
	size_t before;

	stub_begin(DISPATCH_FIXED);

	struct stub_worker *stopped = stub_start(0), *b = stub_start(1);

	for (int i = 0; i < 10; i++)
		fds[i] = stub_connect(STUB_EOF);
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 10; i++)
			(void)!send(fds[i], lines_of_text, i % 2 ? 1000 : 50000, MSG_NOSIGNAL | MSG_DONTWAIT);
		stub_turns(1);
		stub_take(b);
	}
	stub_settle(NULL, b);
	ok(stub_reactor->uplinks[0].current->line->full, "the stopped worker's link is full");
	ok(board_get(&stub_board.bytes_in) < 5 * 30 * 1000 + STUB_RING + 5 * 131072, "and its clients are not read");
	ok(stub_count(b, FRAME_OPEN) == 5 && stub_count(b, FRAME_DATA) == 5 * 30 * 10, "the other's are served");
	before = stopped->n;
	stub_settle(stopped, b);
	ok(before == 0 && stub_count(stopped, FRAME_OPEN) == 5, "when it goes on it finds all that came");
	for (int i = 0; i < 10; i++)
		close(fds[i]);
	stub_gone(stopped);
	stub_gone(b);
	stub_end();
}

/* The frames that end something get through although all else is refused. */
static void closes_through_a_full_backlog(void)
{
	stub_begin(DISPATCH_FIXED);
	stub_settings.link_backlog_size = 1 << 20;

	struct stub_worker *w = stub_start(0);
	struct frame filler = { .type = FRAME_DATA };
	struct str bytes = str_make(lines_of_text, 20000);
	int fd = stub_connect(STUB_RAW);

	stub_settle(w, NULL);
	while (link_send(stub_reactor->uplinks[0].current->line, &filler, &bytes, 1) == 0)
		;
	close(fd);
	conn_kill(only_conn(), CLOSE_BY_SERVER, CLOSE_SHUTDOWN);
	stub_settle(w, NULL);
	ok(stub_count(w, FRAME_OPEN) == 1 && stub_count(w, FRAME_CLOSED) == 1,
	   "CLOSED comes for each OPEN, whatever waits");
	stub_gone(w);
	stub_end();
}

/* ---- death and succession ------------------------------------------------------------------------------------------------------ */

static void answers_502_for_what_was_taken(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0), *next;
	int taken = stub_connect(STUB_HTTP), skipped = stub_connect(STUB_HTTP), half = stub_connect(STUB_HTTP);
	const char *text;

	stub_say(taken, GET);
	stub_settle(w, NULL);
	stub_say(half, GET);
	stub_settle(w, NULL);
	stub_respond(w, stub_last(w, FRAME_REQUEST), LS_STR("begun"), false);
	stub_settle(w, NULL);
	stub_say(taken, GET);
	stub_turns(4);
	stub_gone(w);
	stub_turns(4);
	ok(begins(stub_heard(taken), "HTTP/1.1 502 "), "a request it had taken: 502");
	text = stub_heard(half);
	ok(strstr(text, "begun") && strstr(text, "EOF") && !strstr(text, "\r\n0\r\n"),
	   "an answer that had begun is torn off");
	next = stub_start(0);
	stub_settle(next, NULL);
	ok(stub_count(next, FRAME_REQUEST) == 1, "a request it had not taken goes to its successor");
	stub_respond(next, stub_last(next, FRAME_REQUEST), LS_STR("late but right"), true);
	stub_settle(next, NULL);
	ok(strstr(stub_heard(taken), "late but right") != NULL, "which answers it");
	close(taken);
	close(skipped);
	close(half);
	stub_gone(next);
	stub_end();
}

static void published_answers_still_count(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0);
	int fd = stub_connect(STUB_HTTP);

	stub_say(fd, GET);
	stub_settle(w, NULL);
	stub_respond(w, stub_last(w, FRAME_REQUEST), LS_STR("my last words"), true);
	link_flush(w->line);
	stub_gone(w);
	stub_turns(3);
	ok(strstr(stub_heard(fd), "my last words") != NULL, "what it published before it died is an answer");
	close(fd);
	stub_end();
}

/* A large body that had not reached the worker wholly: head and pieces go to the successor, the rest follows them. */
static void moves_a_body_that_has_begun(enum settings_dispatch mode, bool reload)
{
	static char body[500000];
	size_t sent = 0;

	memset(body, 'b', sizeof body);
	stub_begin(mode);
	stub_settings.link_backlog_size = 1 << 20;

	struct stub_worker *w = stub_start(0), *other = stub_start(1), *next = NULL;
	/* The second connection's own slot is 1; in mode round its request may be with 0 all the same. */
	int first = stub_connect(STUB_HTTP), fd = mode == DISPATCH_ROUND ? stub_connect(STUB_HTTP) : first;
	const struct frame *request;

	stub_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
	for (int i = 0; i < 50; i++) {
		ssize_t n = send(fd, body + sent, sizeof body - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		stub_turns(1);
	}
	ok(sent > STUB_RING / 2 && sent < sizeof body, "a part of the body went to a worker that takes nothing");
	if (reload)
		next = stub_start(0);
	stub_turns(2);
	stub_gone(w);
	for (int i = 0; i < 20; i++) {
		ssize_t n = send(fd, body + sent, sizeof body - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		stub_turns(1);
	}
	ok(stub_count(other, FRAME_BODY) == 0 && reactor_connections(stub_reactor) > 0, "it waits for the successor");
	if (!next)
		next = stub_start(0);
	for (int i = 0; i < 500 && !(stub_last(next, FRAME_BODY) && stub_last(next, FRAME_BODY)->flags & FRAME_END);
	     i++) {
		ssize_t n = send(fd, body + sent, sizeof body - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		stub_turns(1);
		stub_take(next);
	}
	request = stub_last(next, FRAME_REQUEST);
	ok(request && next->len > sizeof body && memcmp(next->text + next->len - sizeof body, body, sizeof body) == 0,
	   "which gets all of it");
	if (request)
		stub_respond(next, request, LS_STR("thanks"), true);
	stub_settle(next, other);
	ok(strstr(stub_heard(fd), "thanks") != NULL, "and answers");
	close(first);
	if (fd != first)
		close(fd);
	stub_gone(next);
	stub_gone(other);
	stub_end();
}

/* What the client says after the death must wait for the slot that will have the request, whichever that is. */
static void waits_with_the_rest_of_a_body(void)
{
	stub_begin(DISPATCH_ROUND);

	struct stub_worker *w = stub_start(0), *other = stub_start(1), *next;
	int first = stub_connect(STUB_HTTP), fd = stub_connect(STUB_HTTP);

	stub_say(fd, POST_10 "01234");
	stub_turns(3);
	stub_gone(w);
	stub_say(fd, "56789");
	stub_turns(3);
	next = stub_start(0);
	stub_settle(next, other);
	ok(strcmp(stub_types(next), "REQUEST BODY BODY") == 0 && strcmp(next->text + next->len - 10, "0123456789") == 0,
	   "what comes after the death follows what came before it (%s)", stub_types(next));
	close(first);
	close(fd);
	stub_gone(next);
	stub_gone(other);
	stub_end();
}

/* The client leaves, or the server ends, while its request waits for a process. */
static void forgets_requests_nobody_waits_for(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0), *next;
	struct conn *c;
	int fds[40];

	for (int i = 0; i < 40; i++) {
		fds[i] = stub_connect(STUB_HTTP);
		stub_say(fds[i], i % 3 ? POST_10 "01234" : GET);
	}
	stub_turns(3);
	stub_gone(w);
	stub_turns(2);
	for (int i = 0; i < 40; i++)
		if (i % 3 == 1)
			stub_say(fds[i], "56789");
	stub_turns(3);
	for (int i = 0; i < 10; i++)
		shutdown(fds[i], SHUT_WR); /* half a body: 400; a whole request: it still waits */
	stub_turns(5);
	for (uint32_t cursor = 0; (c = slots_next(&stub_reactor->conns, &cursor)) && cursor < 32;)
		conn_kill(c, CLOSE_BY_SERVER, CLOSE_SHUTDOWN);
	stub_turns(3);
	next = stub_start(0);
	stub_settle(next, NULL);
	ok(stub_count(next, FRAME_REQUEST) == 4, "a successor gets only requests whose client still waits (%u)",
	   stub_count(next, FRAME_REQUEST));
	for (int i = 0; i < 32; i++)
		close(fds[i]);
	for (int i = 32; i < 40; i++)
		close(fds[i]);
	stub_gone(next);
	stub_end();
}

static void answers_503_when_nobody_comes(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0), *next;
	int waits = stub_connect(STUB_HTTP), other = stub_connect(STUB_HTTP), later, raw;

	stub_say(waits, GET);
	stub_turns(3);
	stub_gone(w);
	stub_turns(3);
	ok(strcmp(stub_heard(waits), "") == 0, "an untaken request waits");
	reactor_slot_failed(stub_reactor, 0, true);
	stub_turns(3);
	ok(begins(stub_heard(waits), "HTTP/1.1 503 "), "until its slot has failed: 503");
	reactor_slot_failed(stub_reactor, 1, true);
	later = stub_connect(STUB_HTTP);
	stub_say(later, GET);
	stub_turns(3);
	ok(begins(stub_heard(later), "HTTP/1.1 503 "), "with all slots, new ones get it at once");
	close(stub_connect(STUB_HTTP));
	raw = stub_connect(STUB_RAW);
	stub_turns(3);
	ok(strcmp(stub_heard(raw), "EOF") == 0, "raw ones are closed");
	next = stub_start(0);
	stub_say(later, GET);
	stub_settle(next, NULL);
	ok(stub_count(next, FRAME_REQUEST) == 1, "a process that comes after all serves again");
	close(waits);
	close(other);
	close(later);
	close(raw);
	stub_gone(next);
	stub_end();
}

static void keeps_raw_connections(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0), *next;
	int fd = stub_connect(STUB_EOF);

	stub_say(fd, "one\n");
	stub_settle(w, NULL);
	stub_say(fd, "two\n");
	stub_turns(3);
	stub_gone(w);
	stub_say(fd, "three\n");
	stub_turns(3);
	next = stub_start(0);
	stub_settle(next, NULL);
	ok(strcmp(stub_types(next), "OPEN DATA DATA") == 0 && next->seen[0].f.flags & FRAME_ADOPTED,
	   "a raw connection goes over to the successor");
	ok(strcmp(next->text + sizeof(struct frame_open), "two\nthree\n") == 0, "with what was not taken, in order");
	close(fd);
	stub_settle(next, NULL);
	ok(stub_count(next, FRAME_SHUT) == 1, "and ends there");
	stub_gone(next);
	stub_end();
}

static void closes_raw_connections_by_policy(void)
{
	stub_begin(DISPATCH_FIXED);
	stub_settings.worker_error_policy = WORKER_ERROR_CLOSE;

	struct stub_worker *w = stub_start(0), *next;
	int fd = stub_connect(STUB_EOF);

	stub_say(fd, "one\n");
	stub_settle(w, NULL);
	stub_gone(w);
	stub_turns(3);
	ok(strcmp(stub_heard(fd), "EOF") == 0, "worker_error_policy close: it goes with its worker");
	next = stub_start(0);
	stub_settle(next, NULL);
	ok(strcmp(stub_types(next), "CLOSED") == 0, "whose successor hears of it");
	close(fd);
	stub_gone(next);
	stub_end();
}

static void tells_anew_what_nobody_heard(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0), *next;
	int fd = stub_connect(STUB_EOF), gone;

	gone = stub_connect(STUB_EOF);
	close(stub_connect(STUB_EOF));
	stub_say(fd, "one\n");
	stub_turns(3);
	stub_gone(w); /* it had taken nothing, not even OPEN */
	next = stub_start(0);
	stub_settle(next, NULL);
	ok(begins(stub_types(next), "OPEN") && !(stub_last(next, FRAME_OPEN)->flags & FRAME_ADOPTED),
	   "a connection of which nobody has heard is not adopted but new");
	close(fd);
	close(gone);
	stub_gone(next);
	stub_end();
}

static void tells_of_an_end_without_witness(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0), *next;
	int fd = stub_connect(STUB_EOF);

	stub_settle(w, NULL);
	stub_gone(w);
	close(fd);
	stub_turns(4);
	next = stub_start(0);
	stub_settle(next, NULL);
	ok(strcmp(stub_types(next), "CLOSED") == 0, "who ended while there was no process: the next is told (%s)",
	   stub_types(next));
	stub_gone(next);
	stub_end();
}

/* ---- reload -------------------------------------------------------------------------------------------------------------------- */

static void says_bye_after_the_last_answer(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *old = stub_start(0), *next;
	int fd = stub_connect(STUB_HTTP), skipped = stub_connect(STUB_HTTP), second = stub_connect(STUB_HTTP);

	stub_say(fd, GET);
	stub_settle(old, NULL);
	next = stub_start(0);
	stub_say(second, GET);
	stub_settle(old, next);
	ok(stub_count(old, FRAME_BYE) == 0, "no BYE while an answer is owed");
	ok(stub_count(old, FRAME_REQUEST) == 1 && stub_count(next, FRAME_REQUEST) == 1,
	   "new requests go to the successor");
	stub_respond(old, stub_last(old, FRAME_REQUEST), LS_STR("old"), true);
	stub_settle(old, next);
	ok(strstr(stub_heard(fd), "old") && stub_count(old, FRAME_BYE) == 1, "then one BYE");
	ok(stub_count(next, FRAME_BYE) == 0, "for the old one only");
	stub_gone(old);
	stub_respond(next, stub_last(next, FRAME_REQUEST), LS_STR("new"), true);
	stub_settle(next, NULL);
	ok(strstr(stub_heard(second), "new") != NULL, "nobody notices that it leaves");
	close(fd);
	close(skipped);
	close(second);
	stub_gone(next);
	stub_end();
}

static void hands_raw_connections_over(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *old = stub_start(0), *next;
	int fd = stub_connect(STUB_EOF), skipped = stub_connect(STUB_HTTP), idle = stub_connect(STUB_EOF);

	stub_say(fd, "one\n");
	stub_settle(old, NULL);
	next = stub_start(0);
	stub_settle(old, next);
	ok(stub_count(old, FRAME_BYE) == 1 && next->n == 0, "a reload does not stir connections");
	stub_say(fd, "two\n");
	stub_settle(old, next);
	ok(strcmp(stub_types(next), "OPEN DATA") == 0 && next->seen[0].f.flags & FRAME_ADOPTED,
	   "their next message goes to the new one");
	stub_up(old, FRAME_SEND, &old->seen[0].f, LS_STR("from the old"));
	stub_settle(old, next);
	ok(strcmp(stub_heard(fd), "from the old") == 0, "the old one may still answer");
	conn_kill(reactor_conn(stub_reactor, stub_last(old, FRAME_OPEN)->conn), CLOSE_BY_SERVER, CLOSE_SHUTDOWN);
	stub_settle(old, next);
	ok(stub_count(old, FRAME_CLOSED) == 1 && stub_count(next, FRAME_CLOSED) == 0,
	   "an end is told to who knows the connection");
	stub_gone(old);
	conn_kill(reactor_conn(stub_reactor, stub_last(next, FRAME_OPEN)->conn), CLOSE_BY_SERVER, CLOSE_SHUTDOWN);
	stub_settle(next, NULL);
	ok(stub_count(next, FRAME_CLOSED) == 1, "each once");
	close(fd);
	close(skipped);
	close(idle);
	stub_gone(next);
	stub_end();
}

static unsigned drained;

static void on_drained(void *ctx LS_UNUSED)
{
	drained++;
}

static void drains(void)
{
	stub_begin(DISPATCH_FIXED);
	drained = 0;

	struct stub_worker *w = stub_start(0);
	int fd = stub_connect(STUB_HTTP), other = stub_connect(STUB_HTTP), idle = stub_connect(STUB_HTTP);

	stub_say(fd, GET);
	stub_settle(w, NULL);
	reactor_drain(stub_reactor, true, on_drained, NULL);
	stub_settle(w, NULL);
	ok(drained == 0 && strcmp(stub_heard(idle), "EOF") == 0, "idle connections are closed, the busy one stays");
	stub_respond(w, stub_last(w, FRAME_REQUEST), LS_STR("last"), true);
	stub_settle(w, NULL);
	ok(strstr(stub_heard(fd), "Connection: close\r\n") && drained == 1 && stub_count(w, FRAME_BYE) == 1,
	   "after its answer all is done, once");
	close(fd);
	close(other);
	close(idle);
	stub_gone(w);
	stub_end();
}

/* ---- flow ------------------------------------------------------------------------------------------------------------------------ */

static void pauses_and_resumes(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0);
	int fd = stub_connect(STUB_EOF), skipped = stub_connect(STUB_HTTP), web = stub_connect(STUB_HTTP);
	struct frame about;

	stub_settle(w, NULL);
	about = *stub_last(w, FRAME_OPEN);
	stub_up(w, FRAME_PAUSE, &about, (struct str){ 0 });
	stub_settle(w, NULL);
	stub_say(fd, "one\n");
	stub_settle(w, NULL);
	ok(stub_count(w, FRAME_DATA) == 0, "a paused connection is not read");
	stub_up(w, FRAME_RESUME, &about, (struct str){ 0 });
	stub_settle(w, NULL);
	ok(stub_count(w, FRAME_DATA) == 1, "a resumed one is");

	stub_say(web, POST_10 "01234");
	stub_settle(w, NULL);
	about = *stub_last(w, FRAME_REQUEST);
	stub_up(w, FRAME_PAUSE, &about, (struct str){ 0 });
	stub_say(web, "56789");
	stub_turns(2); /* the end of the body and the pause cross each other */
	stub_settle(w, NULL);
	stub_respond(w, &about, LS_STR("done"), true);
	stub_up(w, FRAME_PAUSE, &about, (struct str){ 0 });
	stub_settle(w, NULL);
	stub_heard(web);
	stub_say(web, GET);
	stub_settle(w, NULL);
	ok(stub_count(w, FRAME_REQUEST) == 2, "a pause lasts no longer than its request");
	close(fd);
	close(skipped);
	close(web);
	stub_gone(w);
	stub_end();
}

static void acknowledges_output(void)
{
	static char big[1 << 20];
	struct str piece = { big, 16000 };
	uint64_t sent = 0, asked;

	stub_begin(DISPATCH_FIXED);
	stub_settings.ports[STUB_HTTP].socket_buffer_size = stub_settings.ports[STUB_RAW].socket_buffer_size = 200000;

	struct stub_worker *w = stub_start(0);
	int web = stub_connect(STUB_HTTP), skipped = stub_connect(STUB_HTTP), raw = stub_connect(STUB_RAW);

	stub_say(web, HEAD_REQUEST);
	stub_settle(w, NULL);

	struct frame request = *stub_last(w, FRAME_REQUEST), open = *stub_last(w, FRAME_OPEN);

	stub_respond(w, &request, (struct str){ 0 }, false);
	for (int i = 0; i < 10; i++)
		stub_up(w, FRAME_RESPONSE_BODY, &request, piece);
	stub_settle(w, NULL);
	ok(stub_last(w, FRAME_ACK) && stub_last(w, FRAME_ACK)->value > 110000 &&
	           stub_last(w, FRAME_ACK)->stream == request.stream,
	   "the body of an answer to HEAD leaves nowhere, and is acknowledged");

	for (int i = 0; i < 100 && sent < 180000; i++, sent += piece.len)
		stub_up(w, FRAME_SEND, &open, piece);
	stub_settle(w, NULL);
	asked = stub_last(w, FRAME_ACK)->stream == 0 ? stub_last(w, FRAME_ACK)->value : 0;
	for (int i = 0; i < 50; i++) {
		stub_heard(raw);
		stub_settle(w, NULL);
	}
	ok(stub_last(w, FRAME_ACK)->stream == 0 && stub_last(w, FRAME_ACK)->value >= sent - 50000 &&
	           stub_last(w, FRAME_ACK)->value >= asked,
	   "what a raw connection's peer has read is");
	close(web);
	close(skipped);
	close(raw);
	stub_gone(w);
	stub_end();
}

/* The bytes of a file wait on the disk: however many, they are no reason to cut its reader off. */
static void sends_bytes_behind_a_large_file(void)
{
	struct {
		struct frame_file file;
		char path[64];
	} payload = { .path = "/tmp/test_uplink.XXXXXX" };
	int made = mkstemp(payload.path);
	uint64_t heard = 0;

	if (ftruncate(made, 10 << 20) < 0)
		abort();
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0);
	int fd = stub_connect(STUB_RAW);

	stub_settle(w, NULL);

	struct frame open = *stub_last(w, FRAME_OPEN);

	stub_up(w, FRAME_SEND_FILE, &open, str_make(&payload, sizeof payload.file + strlen(payload.path)));
	stub_up(w, FRAME_SEND, &open, LS_STR("behind it"));
	for (int i = 0; i < 2000 && heard < (10 << 20) + 9 && reactor_connections(stub_reactor); i++) {
		char some[262144];
		ssize_t n;

		stub_settle(w, NULL);
		while ((n = recv(fd, some, sizeof some, 0)) > 0)
			heard += (uint64_t)n;
	}
	ok(heard == (10 << 20) + 9, "a file larger than any buffer, and bytes behind it (%llu)",
	   (unsigned long long)heard);
	unlink(payload.path);
	close(made);
	close(fd);
	stub_gone(w);
	stub_end();
}

/* ---- workers gone mad ---------------------------------------------------------------------------------------------------------------- */

static void puts_down_who_breaks_the_rules(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0), *other = stub_start(1);
	struct frame nonsense = { .type = FRAME_OPEN };
	struct str payload = str_make(lines_of_text, 24);
	int fd = stub_connect(STUB_HTTP), second = stub_connect(STUB_HTTP);

	stub_say(fd, GET);
	stub_say(second, GET);
	stub_settle(w, other);
	link_send(w->line, &nonsense, &payload, 1);
	link_send(w->line, &nonsense, &payload, 1);
	stub_settle(w, other);
	ok(stub_bad == 1, "a frame that may not come up is told once");
	stub_respond(other, stub_last(other, FRAME_REQUEST), LS_STR("well"), true);
	stub_settle(w, other);
	ok(strstr(stub_heard(second), "well") != NULL, "the other workers are served");
	stub_gone(w);
	stub_turns(3);
	ok(begins(stub_heard(fd), "HTTP/1.1 502 "), "its own requests get 502");
	close(fd);
	close(second);
	stub_gone(other);
	stub_end();
}

static void ignores_foreign_streams(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0), *other = stub_start(1);
	int fd = stub_connect(STUB_HTTP);
	struct frame request;

	stub_say(fd, GET);
	stub_settle(w, other);
	request = *stub_last(w, FRAME_REQUEST);
	stub_respond(other, &request, LS_STR("stolen"), true);
	stub_up(other, FRAME_SEND, &request, LS_STR("smuggled"));
	stub_up(other, FRAME_RESPONSE_ABORT, &request, (struct str){ 0 });
	request.stream += 7;
	stub_respond(w, &request, LS_STR("unasked"), true);
	stub_settle(w, other);
	ok(strcmp(stub_heard(fd), "") == 0 && stub_bad == 0, "an answer by who was not asked goes nowhere");
	request.stream -= 7;
	stub_respond(w, &request, LS_STR("mine"), true);
	stub_settle(w, other);
	ok(strstr(stub_heard(fd), "mine") != NULL, "the right one's does not");
	close(fd);
	stub_gone(w);
	stub_gone(other);
	stub_end();
}

/* ---- base mode ------------------------------------------------------------------------------------------------------------------------- */

static struct link *base_line;
static unsigned base_answered;

static int on_base_frame(void *ctx LS_UNUSED, const struct frame *f, struct str payload LS_UNUSED)
{
	struct stub_worker w = { .line = base_line };

	if (!(f->flags & FRAME_END))
		return 0;
	base_answered++;
	return stub_respond(&w, f, LS_STR("hi"), true);
}

static bool base_before_sleep(void *ctx LS_UNUSED)
{
	bool more = link_drain(base_line) == 1;

	link_flush(base_line);
	return !link_may_sleep(base_line) || more;
}

static void on_stop(struct timer *t LS_UNUSED)
{
	loop_stop(&stub_loop);
}

/* The worker's hook runs before the reactor's.  What an answer sets free must not be slept over. */
static void base_mode_sleeps_over_nothing(void)
{
	struct link_local_opts local = { .queue_max = 1 << 20, .hard_max = 1 << 26 };
	struct loop_hook hook = { .before_sleep = base_before_sleep };
	struct link *reactor_end;
	struct timer stop;
	int fd;

	stub_begin(DISPATCH_FIXED);
	base_answered = 0;
	list_init(&hook.link);
	loop_add_hook_first(&stub_loop, &hook);
	link_local_new(&local, &reactor_end, &base_line);
	base_line->on_frame = on_base_frame;
	reactor_attach_link(stub_reactor, 0, 1, reactor_end);
	fd = stub_connect(STUB_HTTP);
	for (int i = 0; i < 40; i++)
		stub_say(fd, i % 2 ? GET : POST_10 "0123456789");
	timer_init(&stop, on_stop);
	timer_set(&stub_loop, &stop, 300);
	loop_run(&stub_loop);
	ok(base_answered == 40 && count(stub_heard(fd), "HTTP/1.1 200 ") == 40,
	   "forty pipelined requests are answered without any further event (%u)", base_answered);
	loop_del_hook(&stub_loop, &hook);
	link_close(base_line);
	close(fd);
	stub_end();
}

/* ---- the end ------------------------------------------------------------------------------------------------------------------------------ */

static void stops_with_connections_of_every_kind(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0);
	int fds[8];

	for (int i = 0; i < 8; i++)
		fds[i] = stub_connect(i < 5 ? STUB_HTTP : STUB_EOF);
	stub_say(fds[0], GET);
	stub_say(fds[4], "\x16 no HTTP"); /* 400, then it lingers */
	stub_say(fds[2], POST_10 "01");
	stub_say(fds[5], "one\ntw");
	stub_settle(w, NULL);
	ok(!list_empty(&stub_reactor->owner.lingering), "one lingers");
	stub_gone(w);
	stub_say(fds[0], GET);
	stub_turns(2);
	stub_end();
	ok(true, "nothing is left of any (a leak would be told)");
	for (int i = 0; i < 8; i++)
		close(fds[i]);
}

/* ---- all at random --------------------------------------------------------------------------------------------------------------------------- */

enum { CLIENTS = 24, STEPS = 6000 };

static uint32_t random_state = 11;

static unsigned some(unsigned below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % below;
}

static struct {
	int fd;
	unsigned port;
	unsigned asked; /* requests sent */
	unsigned got;   /* answers */
} clients[CLIENTS];

static struct stub_worker *workers[4]; /* per slot: the current and an old one */
static uint64_t answers_200, answers_502, answers_503;
static bool at_the_end; /* every request is answered */

static int on_random_frame(struct stub_worker *w, const struct frame *f, struct str payload)
{
	(void)payload;
	w->n = 0;
	w->len = 0;
	if (f->type == FRAME_REQUEST && (at_the_end || some(3)))
		stub_respond(w, f, LS_STR("hi"), true);
	if (f->type == FRAME_DATA && some(2))
		stub_up(w, FRAME_SEND, f, LS_STR("echo"));
	if (f->type == FRAME_RECALL && (at_the_end || some(2)))
		stub_up(w, FRAME_RETURN, f, some(2) ? LS_STR("th") : (struct str){ "", 0 });
	if (f->type == FRAME_SHUT)
		stub_up(w, FRAME_CLOSE, f, (struct str){ 0 });
	return 0;
}

static void random_client(unsigned i)
{
	static const char *const says[] = { GET, GET GET, POST_10 "0123456789", POST_10 "012", "one\ntwo\nth" };
	const char *text;

	if (clients[i].fd < 0 && some(3) == 0) {
		clients[i].port = some(STUB_PORTS);
		clients[i].fd = stub_connect(clients[i].port);
		clients[i].asked = clients[i].got = 0;
	}
	if (clients[i].fd < 0)
		return;
	if (some(3) == 0)
		stub_say(clients[i].fd, clients[i].port == STUB_HTTP ? says[some(4)] : says[4]);
	text = stub_heard(clients[i].fd);
	answers_200 += count(text, "HTTP/1.1 200 ");
	answers_502 += count(text, "HTTP/1.1 502 ");
	answers_503 += count(text, "HTTP/1.1 503 ");
	if (strstr(text, "EOF") || some(20) == 0) {
		close(clients[i].fd);
		clients[i].fd = -1;
	}
}

static void random_worker(unsigned slot)
{
	struct stub_worker **now = &workers[slot], **old = &workers[slot + 2];

	switch (some(6)) {
	case 0:
		if (*old)
			stub_gone(*old);
		*old = *now;
		*now = stub_start(slot);
		(*now)->on_frame = on_random_frame;
		break;
	case 1:
		if (*now)
			stub_gone(*now);
		*now = NULL;
		break;
	case 2:
		if (*old)
			stub_gone(*old);
		*old = NULL;
		break;
	default:
		if (!*now)
			reactor_slot_failed(stub_reactor, slot, some(2));
		break;
	}
}

static void survives_anything(enum settings_dispatch mode)
{
	stub_begin(mode);
	stub_settings.ports[STUB_HTTP].linger_time = 3;
	stub_settings.worker_error_policy = (int)some(2);
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	memset(workers, 0, sizeof workers);
	answers_200 = answers_502 = answers_503 = 0;
	at_the_end = false;
	for (unsigned step = 0; step < STEPS; step++) {
		random_client(some(CLIENTS));
		if (some(30) == 0)
			random_worker(some(2));
		if (some(2))
			stub_turns(1);
		for (unsigned i = 0; i < 4; i++)
			if (workers[i] && some(3) == 0)
				stub_take(workers[i]);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		if (clients[i].fd >= 0)
			close(clients[i].fd);
	for (unsigned i = 0; i < 4; i++)
		if (workers[i])
			stub_gone(workers[i]);
	at_the_end = true;
	for (unsigned i = 0; i < 2; i++)
		(workers[i] = stub_start(i))->on_frame = on_random_frame;
	for (unsigned i = 0; i < 200 && reactor_connections(stub_reactor); i++)
		stub_settle(workers[0], workers[1]);
	ok(reactor_connections(stub_reactor) == 0 && stub_bad == 0 &&
	           board_get(&stub_board.accepted) == board_get(&stub_board.closed),
	   "mode %d: %d random steps; %llu × 200, %llu × 502, %llu × 503; all %llu connections have ended", mode, STEPS,
	   (unsigned long long)answers_200, (unsigned long long)answers_502, (unsigned long long)answers_503,
	   (unsigned long long)board_get(&stub_board.accepted));
	for (unsigned i = 0; i < 2; i++)
		ok(list_empty(&stub_reactor->uplinks[i].stalled) && list_empty(&stub_reactor->uplinks[i].orphans) &&
		           stub_reactor->uplinks[i].current->owed == 0,
		   "nothing is left at slot %u", i);
	for (unsigned i = 0; i < 2; i++)
		stub_gone(workers[i]);
	stub_end();
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	answers_a_request();
	tells_of_raw_connections();
	tells_of_quiet_ones_late();
	takes_turns_between_reads();
	stalls_while_the_worker_is_full();
	keeps_a_stopped_worker_apart();
	closes_through_a_full_backlog();
	answers_502_for_what_was_taken();
	published_answers_still_count();
	moves_a_body_that_has_begun(DISPATCH_FIXED, false);
	moves_a_body_that_has_begun(DISPATCH_ROUND, false);
	moves_a_body_that_has_begun(DISPATCH_FIXED, true);
	waits_with_the_rest_of_a_body();
	forgets_requests_nobody_waits_for();
	answers_503_when_nobody_comes();
	keeps_raw_connections();
	closes_raw_connections_by_policy();
	tells_anew_what_nobody_heard();
	tells_of_an_end_without_witness();
	says_bye_after_the_last_answer();
	hands_raw_connections_over();
	drains();
	pauses_and_resumes();
	acknowledges_output();
	sends_bytes_behind_a_large_file();
	puts_down_who_breaks_the_rules();
	ignores_foreign_streams();
	base_mode_sleeps_over_nothing();
	stops_with_connections_of_every_kind();
	for (int mode = DISPATCH_ROUND; mode <= DISPATCH_IDLE; mode++)
		survives_anything((enum settings_dispatch)mode);
	return tap_done();
}
