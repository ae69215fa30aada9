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

/* All slots have a process with room. */
static void begin(enum settings_dispatch mode)
{
	memset(uplinks, 0, sizeof uplinks);
	memset(gens, 0, sizeof gens);
	memset(lines, 0, sizeof lines);
	memset(boards, 0, sizeof boards);
	settings.dispatch_mode = (int)mode;
	reactor.settings = &settings;
	reactor.uplinks = uplinks;
	reactor.o.slots = SLOTS;
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
}

static int chosen(void)
{
	int slot = -2;

	return dispatch_choose(&reactor, &conn, &slot) == DISPATCH_HERE ? slot : -3;
}

static bool answers(enum dispatch_answer answer, int slot)
{
	int got = -2;

	return dispatch_choose(&reactor, &conn, &got) == answer && (answer == DISPATCH_FAILED || got == slot);
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

int main(void)
{
	fixed_keeps_to_the_connection();
	round_takes_turns();
	idle_takes_the_least_loaded();
	opened_connections_stay();
	return tap_done();
}
