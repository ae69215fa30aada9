/* t/unit/test_groups.c — membership begins and ends, what is published reaches each member once, slow ones are passed over. */
#include "reactor/groups.c"

#include "tap.h"

#include "reactor_stub.h"

static struct stub_worker *worker;

static conn_id newest(void)
{
	return stub_last(worker, FRAME_OPEN)->conn;
}

static int client(conn_id *id)
{
	int fd = stub_connect(STUB_RAW);

	stub_settle(worker, NULL);
	*id = newest();
	return fd;
}

static void change(conn_id id, enum frame_type type, const char *name)
{
	stub_up(worker, type, &(struct frame){ .conn = id }, str_from(name));
	stub_settle(worker, NULL);
}

static void publish(const char *name, struct str bytes, conn_id except)
{
	struct frame f = { .type = FRAME_PUBLISH, .arg = (uint32_t)strlen(name), .value = except };
	struct str parts[2] = { str_from(name), bytes };

	link_send(worker->line, &f, parts, 2);
	stub_settle(worker, NULL);
}

static void begin(void)
{
	stub_begin(DISPATCH_FIXED);
	stub_reactor->o.slots = 1;
	stub_reactor->o.workers = 1;
	worker = stub_start(0);
}

static void end(void)
{
	stub_gone(worker);
	stub_end();
}

static void members_get_what_is_published(void)
{
	conn_id a, b, c;
	int fds[3];

	begin();
	fds[0] = client(&a);
	fds[1] = client(&b);
	fds[2] = client(&c);
	change(a, FRAME_JOIN, "one");
	change(b, FRAME_JOIN, "one");
	change(b, FRAME_JOIN, "one");
	change(b, FRAME_JOIN, "two");
	publish("one", LS_STR("x"), 0);
	ok(strcmp(stub_heard(fds[0]), "x") == 0 && strcmp(stub_heard(fds[1]), "x") == 0 && *stub_heard(fds[2]) == '\0',
	   "members, each once, and nobody else");
	publish("one", LS_STR("y"), a);
	ok(*stub_heard(fds[0]) == '\0' && strcmp(stub_heard(fds[1]), "y") == 0, "all but one");
	change(b, FRAME_LEAVE, "one");
	change(b, FRAME_LEAVE, "none");
	publish("one", LS_STR("z"), 0);
	publish("two", LS_STR("w"), 0);
	ok(strcmp(stub_heard(fds[0]), "z") == 0 && strcmp(stub_heard(fds[1]), "w") == 0,
	   "who has left gets no more of it");
	ok(stub_reactor->groups.count == 2, "two groups");
	close(fds[0]);
	close(fds[1]);
	stub_settle(worker, NULL);
	stub_up(worker, FRAME_CLOSE, &(struct frame){ .conn = a }, (struct str){ 0 });
	stub_up(worker, FRAME_CLOSE, &(struct frame){ .conn = b }, (struct str){ 0 });
	stub_settle(worker, NULL);
	ok(stub_reactor->groups.count == 0, "they end with their last members");
	close(fds[2]);
	end();
}

static void large_ones_are_shared(void)
{
	enum { MEMBERS = 20, LEN = 20000 };
	conn_id ids[MEMBERS];
	int fds[MEMBERS];
	char *text = xalloc(LEN + 1);
	bool all = true;

	begin();
	memset(text, 'p', LEN);
	text[LEN] = '\0';
	for (unsigned i = 0; i < MEMBERS; i++) {
		fds[i] = client(&ids[i]);
		change(ids[i], FRAME_JOIN, "all");
	}
	publish("all", str_make(text, LEN), 0);
	for (unsigned i = 0; i < MEMBERS; i++) {
		all = all && strcmp(stub_heard(fds[i]), text) == 0;
		close(fds[i]);
	}
	ok(all, "every member got all of it");
	free(text);
	end();
}

static void slow_ones_are_passed_over(void)
{
	conn_id a, b;
	int fds[2];
	static char text[100000];
	size_t got = 0;

	begin();
	memset(text, 'q', sizeof text);
	stub_settings.ports[STUB_RAW].socket_buffer_size = 150000;
	fds[0] = client(&a);
	fds[1] = client(&b);
	change(a, FRAME_JOIN, "g");
	change(b, FRAME_JOIN, "g");
	for (unsigned i = 0; i < 20; i++) {
		publish("g", str_make(text, sizeof text), 0);
		got += strlen(stub_heard(fds[1]));
		stub_settle(worker, NULL);
		got += strlen(stub_heard(fds[1]));
	}
	ok(got == 20 * sizeof text, "the quick one got everything");
	ok(board_get(&stub_board.publish_skipped) > 0, "the slow one was passed over");
	ok(reactor_conn(stub_reactor, a)->pc.out.bytes <= 150000, "and what waits for it is bounded");
	stub_settings.ports[STUB_RAW].socket_buffer_policy = BUFFER_CLOSE;
	publish("g", str_make(text, sizeof text), 0);
	ok(!reactor_conn(stub_reactor, a) && reactor_conn(stub_reactor, b), "by the policy close it is closed");
	close(fds[0]);
	close(fds[1]);
	end();
}

static void limits_hold(void)
{
	struct frame bad = { .type = FRAME_PUBLISH, .arg = 5 };
	conn_id a;
	int fd;

	begin();
	stub_settings.ports[STUB_RAW].max_groups = 1;
	fd = client(&a);
	change(a, FRAME_JOIN, "one");
	change(a, FRAME_JOIN, "two");
	ok(stub_reactor->groups.count == 1, "max_groups");
	ok(groups_publish(stub_reactor, &bad, LS_STR("abcde")) == -EBADMSG, "a name without bytes");
	bad.arg = 0;
	ok(groups_publish(stub_reactor, &bad, LS_STR("abcde")) == -EBADMSG, "bytes without a name");
	close(fd);
	end();
}

static void one_hash_may_have_two_names(void)
{
	struct group *first, *second;

	begin();
	first = make(stub_reactor, LS_STR("a"));
	first->holds = 1;
	/* What a collision would make. */
	second = make(stub_reactor, LS_STR("b"));
	second->holds = 1;
	(void)map_del(&stub_reactor->groups, second->hash);
	second->hash = first->hash;
	second->twin = first;
	map_put(&stub_reactor->groups, first->hash, second);
	ok(find(stub_reactor, LS_STR("a")) == first, "both are found");
	let_go(stub_reactor, first);
	ok(!find(stub_reactor, LS_STR("a")) && map_get(&stub_reactor->groups, second->hash) == second,
	   "one goes, the other stays");
	let_go(stub_reactor, second);
	ok(stub_reactor->groups.count == 0, "both go");
	end();
}

int main(void)
{
	members_get_what_is_published();
	large_ones_are_shared();
	slow_ones_are_passed_over();
	limits_hold();
	one_hash_may_have_two_names();
	return tap_done();
}
