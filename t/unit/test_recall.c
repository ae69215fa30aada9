/* t/unit/test_recall.c — the part of a message that a worker holds goes to its successor, or the connection ends. */
#include "reactor/recall.c"

#include "tap.h"

#include "reactor_stub.h"

static struct conn *only_conn(void)
{
	uint32_t cursor = 0;

	return slots_next(&stub_reactor->conns, &cursor);
}

/* A connection of which `w` has taken `text`. */
static int connect_and_say(struct stub_worker *w, const char *text)
{
	int fd = stub_connect(STUB_LUA);

	stub_say(fd, text);
	stub_settle(w, NULL);
	return fd;
}

static bool ends_with(const struct stub_worker *w, const char *text)
{
	size_t len = strlen(text);

	return w->len >= len && memcmp(w->text + w->len - len, text, len) == 0;
}

static void waits_for_what_the_old_one_holds(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *old = stub_start(0), *next;
	int fd = connect_and_say(old, "be");

	next = stub_start(0);
	stub_say(fd, "gin");
	stub_settle(old, next);
	ok(strcmp(stub_types(old), "OPEN DATA RECALL BYE") == 0 && next->n == 0,
	   "the old one is asked (%s), the new one waits", stub_types(old));
	ok(list_linked(&only_conn()->stalled), "and the connection is not read");
	stub_up(next, FRAME_RETURN, stub_last(old, FRAME_RECALL), LS_STR("forged"));
	stub_settle(old, next);
	ok(next->n == 0, "what another process returns is ignored");
	stub_up(old, FRAME_RETURN, stub_last(old, FRAME_RECALL), LS_STR("be"));
	stub_settle(old, next);
	ok(strcmp(stub_types(next), "OPEN DATA DATA") == 0 && ends_with(next, "begin"), "the new one gets all of it");
	stub_up(old, FRAME_RETURN, stub_last(old, FRAME_RECALL), LS_STR("again"));
	stub_settle(old, next);
	ok(stub_count(next, FRAME_DATA) == 2, "a second RETURN is ignored");
	stub_gone(old);
	stub_say(fd, "!");
	stub_settle(next, NULL);
	ok(ends_with(next, "begin!") && strcmp(stub_heard(fd), "") == 0, "the old one's end ends nothing");
	close(fd);
	stub_gone(next);
	stub_end();
}

static void puts_input_in_front(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *old = stub_start(0), *next;
	int fd = connect_and_say(old, "1");
	static char rest[100000];
	struct conn *c = only_conn();

	next = stub_start(0);
	memset(rest, 'r', sizeof rest);
	/* As if it had been read before. */
	ok(conn_unread(c, LS_STR("3")) == 0 && conn_unread(c, LS_STR("2")) == 0 &&
	           conn_unread(c, (struct str){ 0 }) == 0,
	   "a buffer gets longer in front");
	stub_settle(old, next);
	stub_up(old, FRAME_RETURN, stub_last(old, FRAME_RECALL), str_make(rest, sizeof rest));
	stub_settle(old, next);
	ok(next->len == sizeof(struct frame_open) + sizeof rest + 2 && ends_with(next, "rrr23"), "in order");
	close(fd);
	stub_gone(old);
	stub_gone(next);
	stub_end();
}

static void ends_what_a_death_has_torn(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0), *next, *last;
	int fd = connect_and_say(w, "half"), other = stub_connect(STUB_EOF), waiting;

	stub_gone(w);
	next = stub_start(0);
	stub_settle(next, NULL);
	ok(strcmp(stub_heard(fd), "EOF") == 0, "the dead one's connection ends, although the policy is to keep");
	ok(stub_last(next, FRAME_CLOSED) &&
	           stub_last(next, FRAME_CLOSED)->arg == (CLOSE_BY_ERROR << 16 | CLOSE_WORKER_LOST),
	   "which the successor is told");
	waiting = stub_connect(STUB_LUA);
	close(stub_connect(STUB_LUA)); /* the other slot's */
	stub_say(waiting, "half");
	stub_settle(next, NULL);
	close(other);
	last = stub_start(0);
	stub_settle(NULL, last);
	stub_gone(next);
	stub_settle(last, NULL);
	ok(strcmp(stub_heard(waiting), "EOF") == 0, "so does that of one that dies before it returns what it holds");
	close(fd);
	close(waiting);
	stub_gone(last);
	stub_end();
}

static void asks_only_where_it_matters(void)
{
	stub_begin(DISPATCH_FIXED);

	struct stub_worker *old = stub_start(0), *next;
	int raw = stub_connect(STUB_RAW), skipped = stub_connect(STUB_RAW), shut = stub_connect(STUB_LUA);

	stub_say(raw, "raw");
	stub_say(shut, "last words");
	shutdown(shut, SHUT_WR);
	stub_settle(old, NULL);
	next = stub_start(0);
	stub_settle(old, next);
	ok(stub_count(old, FRAME_SHUT) == 1 && stub_count(old, FRAME_RECALL) == 0,
	   "not for other protocols, nor after the peer's end (%s)", stub_types(old));
	stub_up(old, FRAME_CLOSE, stub_last(old, FRAME_SHUT), (struct str){ 0 });
	stub_settle(old, next);
	ok(strcmp(stub_heard(shut), "EOF") == 0, "the old one closes it");
	close(raw);
	close(skipped);
	close(shut);
	stub_gone(old);
	stub_gone(next);
	stub_end();
}

static void blames_the_peer(void)
{
	static const struct {
		enum close_reason says;
		uint32_t told;
	} cases[] = {
		{ CLOSE_MALFORMED, CLOSE_BY_ERROR << 16 | CLOSE_MALFORMED },
		{ CLOSE_TOO_LARGE, CLOSE_BY_LIMIT << 16 | CLOSE_TOO_LARGE },
		{ CLOSE_HEARTBEAT, CLOSE_BY_SERVER << 16 | CLOSE_BY_APP },
		{ CLOSE_REASONS, CLOSE_BY_SERVER << 16 | CLOSE_BY_APP },
	};

	stub_begin(DISPATCH_FIXED);

	struct stub_worker *w = stub_start(0), *other = stub_start(1);

	for (size_t i = 0; i < LS_COUNT(cases); i++) {
		int fd = stub_connect(STUB_LUA);
		struct frame f = { .type = FRAME_CLOSE, .arg = cases[i].says };

		stub_settle(w, other);
		f.conn = only_conn()->pc.id;
		struct stub_worker *its = conn_id_slot(f.conn) % STUB_SLOTS ? other : w;

		link_send(its->line, &f, NULL, 0);
		stub_settle(w, other);
		ok(stub_last(its, FRAME_CLOSED) && stub_last(its, FRAME_CLOSED)->arg == cases[i].told,
		   "CLOSE with reason %u", cases[i].says);
		close(fd);
		stub_settle(w, other);
	}
	stub_gone(w);
	stub_gone(other);
	stub_end();
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	waits_for_what_the_old_one_holds();
	puts_input_in_front();
	ends_what_a_death_has_torn();
	asks_only_where_it_matters();
	blames_the_peer();
	return tap_done();
}
