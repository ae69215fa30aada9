#include "api/api_info.h"

#include "base/clock.h"
#include "lua/bind.h"
#include "worker/codes.h"
#include "worker/colleague.h"
#include "worker/runtime.h"

#include <unistd.h>

/* What all reactors and processes have counted; in base mode without those that are gone. */
struct sums {
	uint64_t accepted, closed, refused, requests, bytes_in, bytes_out, packets, packets_dropped;
	uint64_t connections[BOARD_PORTS];
	uint64_t coroutines, idle_workers, idle_tasks, tasking, queued;
};

static void add_reactor(struct sums *s, const struct board_reactor *b)
{
	s->accepted += board_get(&b->accepted);
	s->closed += board_get(&b->closed);
	s->refused += board_get(&b->refused);
	s->requests += board_get(&b->requests);
	s->bytes_in += board_get(&b->bytes_in);
	s->bytes_out += board_get(&b->bytes_out);
	s->packets += board_get(&b->packets);
	s->packets_dropped += board_get(&b->packets_dropped);
	for (unsigned i = 0; i < BOARD_PORTS; i++)
		s->connections[i] += board_get(&b->connections[i]);
}

static void add_process(struct sums *s, const struct board_worker *b, enum crew_kind kind)
{
	bool idle = board_get(&b->state) == BOARD_READY && board_get(&b->in_flight) == 0;

	s->coroutines += board_get(&b->coroutines);
	if (kind == CREW_WORKER) {
		s->idle_workers += idle;
		add_reactor(s, &b->reactor); /* all zero in process mode */
	} else if (kind == CREW_TASK) {
		s->idle_tasks += idle;
		s->tasking += board_get(&b->in_flight);
		s->queued += board_get(&b->queued);
	}
}

static struct sums count(const struct worker *w)
{
	struct sums s = { 0 };

	for (unsigned i = 0; i < w->o.n_reactors; i++)
		add_reactor(&s, chan_shared_board(w->o.reactors, i));
	add_process(&s, w->o.board, w->kind);
	LS_LIST_EACH (it, &w->colleagues) {
		const struct colleague *c = LS_CONTAINER_OF(it, struct colleague, link);

		add_process(&s, c->board, c->kind);
	}
	return s;
}

static void set(lua_State *L, const char *name, uint64_t value)
{
	lua_pushnumber(L, (lua_Number)value);
	lua_setfield(L, -2, name);
}

static void set_ports(lua_State *L, const struct settings *settings, const struct sums *s)
{
	lua_createtable(L, (int)settings->n_ports, 0);
	for (unsigned i = 0; i < settings->n_ports; i++) {
		lua_createtable(L, 0, 2);
		set(L, "port", settings_port_number(&settings->ports[i]));
		set(L, "connection_num", s->connections[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_setfield(L, -2, "ports");
}

/* Swoole's names, as far as there is such a thing here. */
int api_info_stats(lua_State *L)
{
	const struct worker *w = worker_current();
	const struct settings *settings = w->o.settings;
	struct sums s = count(w);

	lua_createtable(L, 0, 24);
	set(L, "connection_num", s.accepted > s.closed ? s.accepted - s.closed : 0);
	set(L, "accept_count", s.accepted);
	set(L, "close_count", s.closed);
	set(L, "abort_count", s.refused);
	set(L, "request_count", s.requests);
	set(L, "total_recv_bytes", s.bytes_in);
	set(L, "total_send_bytes", s.bytes_out);
	set(L, "packet_count", s.packets);
	set(L, "packet_drop_count", s.packets_dropped);
	set(L, "worker_num", settings->worker_num);
	set(L, "task_worker_num", settings->task_worker_num);
	set(L, "user_worker_num", settings->n_processes);
	set(L, "idle_worker_num", s.idle_workers);
	set(L, "task_idle_worker_num", s.idle_tasks);
	set(L, "tasking_num", s.tasking);
	set(L, "task_queue_num", s.queued);
	set(L, "coroutine_num", s.coroutines);
	set(L, "worker_request_count", board_get(&w->o.board->requests));
	set(L, "worker_coroutine_num", sched_count(w->sched));
	set(L, "worker_lua_bytes", state_bytes(w->L));
	set_ports(L, settings, &s);
	return 1;
}

/* ---- one process ----------------------------------------------------------------------------------------------------------- */

/* The argument at `idx`, else this process itself. */
static unsigned slot_of(lua_State *L, int idx, const char *method)
{
	const struct worker *w = worker_current();
	lua_Number slot = luaL_optnumber(L, idx, w->o.slot);

	if (!(slot >= 0 && slot < crew_count(w->o.settings)))
		state_error(L, "server:%s: there is no process %.14g; they are 0 to %d", method, slot,
		            (int)crew_count(w->o.settings) - 1);
	return (unsigned)slot;
}

/* NULL: no process of that slot is ready. */
static const struct board_worker *board_of(struct worker *w, unsigned slot)
{
	const struct colleague *c = slot == w->o.slot ? NULL : colleague_of_slot(w, slot);

	return slot == w->o.slot ? w->o.board : c ? c->board : NULL;
}

static int fail_absent(lua_State *L, unsigned slot)
{
	return bind_fail(L, CODE_WRONG_OPERATION, "no process of slot %d is ready now", (int)slot);
}

/* stop(worker_id): it is replaced once its work is done. */
int api_info_stop(lua_State *L)
{
	struct worker *w = worker_current();
	unsigned slot = slot_of(L, 2, "stop");
	struct frame f = { .type = FRAME_RETIRE };
	struct colleague *c;

	if (slot == w->o.slot) {
		if (w->o.on_retire)
			w->o.on_retire(w->o.ctx);
		return codes_push(L, 0);
	}
	c = colleague_of_slot(w, slot);
	if (!c)
		return fail_absent(L, slot);
	return codes_push(L, link_send(c->line, &f, NULL, 0) < 0 ? CODE_QUEUE_FULL : 0);
}

int api_info_worker_pid(lua_State *L)
{
	unsigned slot = slot_of(L, 2, "get_worker_pid");
	const struct board_worker *b = board_of(worker_current(), slot);

	if (!b)
		return fail_absent(L, slot);
	lua_pushnumber(L, (lua_Number)board_get(&b->pid));
	return 1;
}

int api_info_worker_status(lua_State *L)
{
	unsigned slot = slot_of(L, 2, "get_worker_status");
	const struct board_worker *b = board_of(worker_current(), slot);

	lua_pushstring(L, !b || board_get(&b->state) != BOARD_READY ? "exit"
	                  : board_get(&b->in_flight)                ? "busy"
	                                                            : "idle");
	return 1;
}
