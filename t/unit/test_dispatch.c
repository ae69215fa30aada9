/* t/unit/test_dispatch.c — which worker gets a message, whom to wait for, and when nobody will come. */
#include "reactor/dispatch.c"

#include "tap.h"

#include <string.h>

enum { SLOTS = 4 };

static struct settings settings;
static struct reactor reactor;
static struct uplink uplinks[SLOTS];
static struct uplink_gen gens[SLOTS];
static struct link lines[SLOTS];
static struct board_worker boards[SLOTS];
static struct conn conn;
static struct loop loop;

/* All slots have a process with room. */
static void begin(enum settings_dispatch mode)
{
	memset(uplinks, 0, sizeof uplinks);
	memset(gens, 0, sizeof gens);
	memset(lines, 0, sizeof lines);
	memset(boards, 0, sizeof boards);
	settings.dispatch_mode = (int)mode;
	reactor.settings = &settings;
	reactor.loop = &loop;
	reactor.uplinks = uplinks;
	reactor.o.workers = reactor.o.slots = SLOTS;
	reactor.turn = 0;
	conn = (struct conn){ .owner = &reactor.owner, .pc.proto = &proto_raw };
	for (unsigned i = 0; i < SLOTS; i++) {
		gens[i].line = &lines[i];
		gens[i].board = &boards[i];
		uplinks[i].current = &gens[i];
	}
}

static void set_slot(unsigned slot)
{
	conn.pc.id = (conn_id)slot << 24 | 77;
	dispatch_settle(&reactor, &conn);
}

static int chosen(void)
{
	int slot = -2;

	return dispatch_choose(&reactor, &conn, NULL, 0, &slot) == DISPATCH_HERE ? slot : -3;
}

static bool answers(enum dispatch_answer answer, int slot)
{
	int got = -2;

	return dispatch_choose(&reactor, &conn, NULL, 0, &got) == answer && (answer == DISPATCH_FAILED || got == slot);
}

static void fixed_keeps_to_the_connection(void)
{
	bool same = true;

	begin(DISPATCH_FIXED);
	for (unsigned i = 0; i < 100; i++) {
		set_slot(i);
		same &= chosen() == (int)(i % SLOTS) && chosen() == (int)(i % SLOTS);
	}
	ok(same, "fixed: always the same, spread over all");
	set_slot(6);
	lines[2].full = true;
	ok(answers(DISPATCH_WAIT, 2), "a full one is waited for");
	uplinks[2].current = NULL;
	ok(answers(DISPATCH_WAIT, 2), "so is one that is being started");
	uplinks[2].failed = true;
	ok(answers(DISPATCH_FAILED, 2), "but not one that will not come");
	conn.pc.proto = &proto_http1;
	ok(chosen() != 2 && chosen() >= 0, "a request may go to another then");
	conn.opened = 1;
	ok(answers(DISPATCH_FAILED, 2), "unless the app was told of its connection");
	conn.opened = 0;
	for (unsigned i = 0; i < SLOTS; i++)
		uplinks[i].failed = true, uplinks[i].current = NULL;
	ok(answers(DISPATCH_FAILED, 2), "or all will not come");
}

static void round_takes_turns(void)
{
	unsigned counts[SLOTS] = { 0 };

	begin(DISPATCH_ROUND);
	for (unsigned i = 0; i < 400; i++)
		counts[chosen()]++;
	ok(counts[0] == 100 && counts[1] == 100 && counts[2] == 100 && counts[3] == 100, "round: each in turn");
	lines[1].full = true;
	uplinks[3].current = NULL;
	uplinks[3].failed = true;
	memset(counts, 0, sizeof counts);
	for (unsigned i = 0; i < 400; i++)
		counts[chosen()]++;
	ok(counts[0] > 0 && counts[2] > 0 && counts[0] + counts[2] == 400, "those without room are left out");
	lines[0].full = lines[2].full = true;
	ok(answers(DISPATCH_WAIT, -1), "all full: anybody is waited for");
	for (unsigned i = 0; i < SLOTS; i++)
		uplinks[i].failed = true, uplinks[i].current = NULL;
	ok(answers(DISPATCH_FAILED, -1), "all failed: nobody");
	reactor.turn = UINT32_MAX;
	begin(DISPATCH_ROUND);
	reactor.turn = UINT32_MAX - 1;
	ok(chosen() >= 0 && chosen() >= 0 && chosen() >= 0, "the turn may wrap");
}

static void idle_takes_the_least_loaded(void)
{
	unsigned counts[SLOTS] = { 0 };

	begin(DISPATCH_IDLE);
	for (unsigned i = 0; i < 400; i++) {
		int slot = chosen();

		counts[slot]++;
		gens[slot].owed++;
	}
	ok(counts[0] == 100 && counts[3] == 100, "idle: even, when each has to answer");
	gens[0].owed = gens[1].owed = gens[2].owed = gens[3].owed = 5;
	gens[2].owed = 4;
	ok(chosen() == 2 && chosen() == 2, "who owes least");
	board_set(&boards[2].in_flight, 10);
	board_set(&boards[0].in_flight, 1);
	board_set(&boards[1].in_flight, 1);
	ok(chosen() == 3, "what other reactors gave it counts as well");
	lines[3].full = true;
	ok(chosen() != 3, "but not one without room");
	gens[0].board = NULL;
	ok(chosen() == 0, "base mode has no board");
	for (unsigned i = 0; i < SLOTS; i++)
		lines[i].full = true;
	ok(answers(DISPATCH_WAIT, -1), "all full: anybody is waited for");
}

/* connect, receive and close of one connection must meet in one process. */
static void opened_connections_stay(void)
{
	begin(DISPATCH_IDLE);
	conn.opened = 1;
	set_slot(7);
	gens[3].owed = 1000;
	ok(chosen() == 3, "a connection the app was told of stays with its worker");
}

static unsigned home_of(const char *ip, unsigned slot)
{
	struct sock_addr addr;

	sock_parse(ip, 1, &addr, NULL);
	conn.pc.peer = sock_peer_of(&addr);
	set_slot(slot);
	return conn.home;
}

static void ip_keeps_to_the_address(void)
{
	unsigned used = 0;

	begin(DISPATCH_IP);
	for (unsigned i = 1; i < 64; i++) {
		char ip[32];

		snprintf(ip, sizeof ip, "10.0.0.%u", i);
		used |= 1u << home_of(ip, i);
	}
	ok(home_of("10.0.0.1", 1) == home_of("10.0.0.1", 2) && home_of("::1", 5) == home_of("::1", 6),
	   "ip: the same for one address");
	ok(used == 15, "and all are used");
	conn.pc.peer = (struct sock_peer){ .family = AF_UNIX };
	set_slot(6);
	ok(conn.home == 2, "clients of a unix socket go by their id");
}

static void least_gives_homes_by_load(void)
{
	unsigned counts[SLOTS] = { 0 };

	begin(DISPATCH_LEAST);
	for (unsigned i = 0; i < 40; i++) {
		set_slot(4 * i);
		counts[conn.home]++;
	}
	ok(counts[0] == 10 && counts[3] == 10, "least: idle connections spread evenly");
	gens[0].owed = gens[1].owed = gens[3].owed = 3;
	set_slot(0);
	ok(conn.home == 2 && chosen() == 2, "a new one goes to who has least to do");
	gens[2].owed = 100;
	ok(chosen() == 2, "and stays");
	conn.pc.proto = &proto_http1;
	ok(chosen() != 2, "but a request goes where there is less to do");
}

static void auto_prefers_the_home_that_has_nothing_to_do(void)
{
	begin(DISPATCH_AUTO);
	conn.pc.proto = &proto_http1;
	set_slot(7);
	ok(chosen() == 3 && chosen() == 3, "auto: a request goes to the home");
	gens[3].owed = 1;
	ok(chosen() != 3, "not while that has something to do");
	gens[0].owed = gens[1].owed = gens[2].owed = 1;
	board_set(&boards[0].busy_since_ms, 1);
	board_set(&boards[1].busy_since_ms, 1);
	board_set(&boards[2].busy_since_ms, 1);
	loop.now_ms = 1000;
	ok(chosen() == 3, "nor to one whose Lua does not come back");
}

static void bind_moves(void)
{
	begin(DISPATCH_UID);
	set_slot(1);
	ok(!dispatch_bind(&reactor, &conn, 5) && conn.home == 1, "uid: bound to the worker it is with");
	ok(dispatch_bind(&reactor, &conn, 7) && conn.home == 3 && uplinks[1].homes == 0 && uplinks[3].homes == 1,
	   "and to another one");
	begin(DISPATCH_AUTO);
	set_slot(1);
	ok(!dispatch_bind(&reactor, &conn, 7) && conn.home == 1, "other modes do not mind");
}

static int slot_of_bytes(struct port *port, const char *text)
{
	struct str part = str_from(text);
	int slot = -2;

	conn.pc.port = port;
	return dispatch_choose(&reactor, &conn, &part, 1, &slot) == DISPATCH_HERE ? slot : -3;
}

static void key_looks_into_the_message(void)
{
	static struct port port = { .dispatch_key = "bytes:1:2" };
	unsigned used = 0;

	begin(DISPATCH_KEY);
	set_slot(2);
	for (char a = 'a'; a <= 'z'; a++) {
		char text[] = { 'x', a, 'b', 'c', 0 };

		used |= 1u << slot_of_bytes(&port, text);
	}
	ok(used == 15, "key: all are used");
	ok(slot_of_bytes(&port, "1key-a") == slot_of_bytes(&port, "2key-b"), "the same bytes, the same worker");
	ok(slot_of_bytes(&port, "1") == 2, "without them the id chooses");
	ok(dispatch_choose(&reactor, &conn, NULL, 0, &(int){ 0 }) == DISPATCH_HERE,
	   "before there is a message nobody is waited for");
}

int main(void)
{
	ip_keeps_to_the_address();
	least_gives_homes_by_load();
	auto_prefers_the_home_that_has_nothing_to_do();
	bind_moves();
	key_looks_into_the_message();
	fixed_keeps_to_the_connection();
	round_takes_turns();
	idle_takes_the_least_loaded();
	opened_connections_stay();
	return tap_done();
}
