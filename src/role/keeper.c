#include "role/keeper.h"

#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/crew.h"
#include "role/fanout.h"
#include "role/peers.h"
#include "role/setup.h"
#include "sys/bell.h"
#include "sys/fd.h"
#include "sys/unixmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- processes ------------------------------------------------------------------------------- */

static struct keeper_gen *find(struct keeper *k, unsigned slot, uint64_t generation)
{
	LS_LIST_EACH (it, &k->gens) {
		struct keeper_gen *g = LS_CONTAINER_OF(it, struct keeper_gen, link);

		if (g->slot == slot && g->generation == generation)
			return g;
	}
	return NULL;
}

struct keeper_gen *keeper_by_pid(struct keeper *k, pid_t pid)
{
	LS_LIST_EACH (it, &k->gens) {
		struct keeper_gen *g = LS_CONTAINER_OF(it, struct keeper_gen, link);

		if (g->child.pid == pid)
			return g;
	}
	return NULL;
}

struct keeper_gen *keeper_newest(const struct keeper *k, unsigned slot)
{
	struct keeper_gen *found = NULL;

	LS_LIST_EACH (it, &k->gens) {
		struct keeper_gen *g = LS_CONTAINER_OF(it, struct keeper_gen, link);

		/* One that serves is worth more than one that is only being started. */
		if (g->slot == slot && (!found || g->attached >= found->attached))
			found = g;
	}
	return found;
}

static void free_gen(void *ctx)
{
	struct keeper_gen *g = ctx;

	if (g->chan.down.p)
		chan_close(&g->chan);
	if (g->board.up.p)
		chan_close(&g->board);
	chan_fds_close(&g->fds);
	fd_close(&g->control);
	fd_close(&g->inbox);
	fd_close(&g->child.pidfd);
	free(g);
}

static int map_gen(struct keeper *k, struct keeper_gen *g, struct err *err)
{
	uint32_t ring_size = (uint32_t)k->accepted->settings.ring_size;
	int r = chan_create(k->o.reactors, ring_size, &g->fds, err);

	if (r == 0 && k->o.reactors)
		r = chan_open_master(&g->chan, &g->fds, k->o.reactors, ring_size, err);
	if (r == 0)
		r = chan_open_board(&g->board, g->fds.up, err);
	return r;
}

/* What the slot's next process runs.  A user process may be asked for with a release that has been replaced in this moment. */
static struct release *release_of(const struct keeper *k, unsigned slot, uint64_t epoch)
{
	if (k->candidate && k->candidate->epoch == epoch)
		return k->candidate;
	return slot < k->n_slots && k->slots[slot].release->epoch >= epoch ? k->slots[slot].release : NULL;
}

static int fill_gen(struct keeper *k, struct keeper_gen *g, bool canary, pid_t manager, int pair[2], struct err *err)
{
	struct setup setup = {
		.slot = g->slot,
		.generation = g->generation,
		.release = release_of(k, g->slot, g->epoch),
		.chan = &g->fds,
		.ports = k->o.ports,
		.vault = &k->vault,
		.taskbox = k->o.taskbox,
		.reactors = k->o.reactors,
		.bells = k->bells,
		.shared_fd = k->shared_fd,
		.access_log = k->o.access_log,
		.canary = canary,
		.manager = manager,
	};
	int r;

	if (!setup.release)
		return err_set(err, -EINVAL, "there is no such slot or release");
	g->epoch = setup.release->epoch;
	r = vault_hold(&k->vault, &setup.release->settings.shared, err);
	if (r == 0)
		r = map_gen(k, g, err);
	if (r < 0)
		return r;
	r = unixmsg_pair(pair);
	if (r == 0)
		r = setup_send(&setup, pair[0]); /* it waits there until the process begins to read */
	if (r == 0) {
		g->control = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
		if (g->control < 0)
			r = -errno;
	}
	if (r == 0)
		r = peers_introduce(k, g, pair[0]);
	return r < 0 ? err_set(err, r, "a worker's control socket cannot be filled: %s", strerror(-r)) : 0;
}

int keeper_open(struct keeper *k, unsigned slot, uint64_t generation, uint64_t epoch, bool canary, pid_t manager,
                struct keeper_fds *out, struct err *err)
{
	struct keeper_gen *g = xzalloc(sizeof *g);
	int pair[2] = { -1, -1 };
	int up = -1, r;

	*g = (struct keeper_gen){
		.keeper = k,
		.slot = slot,
		.generation = generation,
		.epoch = epoch,
		.control = -1,
		.inbox = -1,
		.fds = { -1, -1, -1 },
		.child = { .pidfd = -1 },
	};
	list_init(&g->link);
	r = fill_gen(k, g, canary, manager, pair, err);
	if (r == 0) {
		up = fcntl(g->fds.up, F_DUPFD_CLOEXEC, 3);
		if (up < 0)
			r = err_set(err, -errno, "no descriptor is left for a worker: %s", strerror(errno));
	}
	if (r < 0) {
		fd_close(&pair[0]);
		fd_close(&pair[1]);
		free_gen(g);
		return r;
	}
	k->next_generation = LS_MAX(k->next_generation, generation + 1);
	list_append(&k->gens, &g->link);
	*out = (struct keeper_fds){ pair[0], pair[1], up };
	return 0;
}

void keeper_spawned(struct keeper *k, unsigned slot, uint64_t generation, pid_t pid, int pidfd)
{
	struct keeper_gen *g = find(k, slot, generation);

	if (!g || g->child.pid) {
		fd_close(&pidfd);
		return;
	}
	g->child = (struct child){ pid, pidfd };
}

/* ---- what the reactors are told -------------------------------------------------------------- */

static void on_all_attached(void *ctx)
{
	struct keeper_gen *g = ctx;

	g->keeper->o.on_attached(g->keeper->o.ctx, g->slot, g->generation);
}

void keeper_attach(struct keeper *k, unsigned slot, uint64_t generation)
{
	struct keeper_gen *g = find(k, slot, generation);
	struct err err;

	if (!g || g->attached)
		return;
	if (k->o.reactors && chan_map_up(&g->chan, &g->fds, &err) < 0) {
		log_error("%s %u (pid %d) is killed: %s", crew_title(&k->accepted->settings, slot), slot, g->child.pid,
		          err.text);
		spawn_signal(&g->child, SIGKILL);
		return;
	}
	g->attached = true;
	if (k->o.reactors == 0) {
		on_all_attached(g);
		return;
	}

	struct fanout *f = fanout_new(k->o.mailbox, k->o.reactors, on_all_attached, g);

	for (unsigned i = 0; i < k->o.reactors; i++)
		reactor_attach(k->reactors[i], slot, generation, &g->chan, fanout_answered, fanout_part(f, i));
}

static void add_totals(struct keeper *k, const struct keeper_gen *g)
{
	const struct board_reactor *b = &chan_board(&g->board)->reactor;

	k->gone.accepted += board_get(&b->accepted);
	k->gone.closed += board_get(&b->accepted); /* they ended with the process */
	k->gone.requests += board_get(&b->requests);
	k->gone.refused += board_get(&b->refused);
	k->gone.refused_address += board_get(&b->refused_address);
	k->gone.published += board_get(&b->published);
	k->gone.publish_skipped += board_get(&b->publish_skipped);
	k->gone.proxy_refused += board_get(&b->proxy_refused);
	k->gone.limited += board_get(&b->limited);
	k->gone.packets += board_get(&b->packets);
	k->gone.packets_dropped += board_get(&b->packets_dropped);
}

/* Tasks of the queue that no process of this server asked for: nobody else would tell. */
static void tell_lost_tasks(const struct keeper *k, const struct keeper_gen *g, int status)
{
	const struct board_worker *b = chan_board(&g->board);
	uint64_t lost = board_get(&b->fetched_outside) - board_get(&b->ended_outside);
	char how[96];

	if (lost)
		log_error("%s %u (pid %d) %s with %llu tasks from outside, which are lost",
		          crew_title(&k->accepted->settings, g->slot), g->slot, g->child.pid,
		          spawn_status_text(status, how, sizeof how), (unsigned long long)lost);
}

void keeper_gone(struct keeper *k, unsigned slot, uint64_t generation, int status, bool unexpected)
{
	struct keeper_gen *g = find(k, slot, generation);

	if (slot < k->n_slots && unexpected)
		k->slots[slot].restarts++;
	if (slot < k->n_slots)
		k->slots[slot].status = status;
	if (!g)
		return;
	list_del(&g->link);
	tell_lost_tasks(k, g, status);
	peers_forget(k, g, status);
	if (k->o.reactors == 0)
		add_totals(k, g);
	if (k->o.reactors == 0 || !g->attached) {
		free_gen(g);
		return;
	}

	struct fanout *f = fanout_new(k->o.mailbox, k->o.reactors, free_gen, g);

	for (unsigned i = 0; i < k->o.reactors; i++)
		reactor_gone(k->reactors[i], slot, generation, fanout_answered, fanout_part(f, i));
}

bool keeper_has_ended(const struct keeper *k, unsigned slot)
{
	const struct userproc *p = crew_process(&k->slots[slot].release->settings, slot);

	return p && k->slots[slot].failed && !userproc_wants_successor(p, k->slots[slot].status);
}

void keeper_slot_failed(struct keeper *k, unsigned slot, bool failed)
{
	struct err err;

	if (slot >= k->n_slots || k->slots[slot].failed == failed)
		return;
	k->slots[slot].failed = failed;
	peers_tell_state(k, slot, failed);
	for (unsigned i = 0; i < k->o.reactors; i++)
		reactor_slot_failed(k->reactors[i], slot, failed);
	if (k->o.reactors)
		return;
	if (crew_kind(&k->accepted->settings, slot) != CREW_WORKER)
		return;
	if (failed)
		ports_close_set(k->o.ports, slot);
	else if (ports_reopen_set(k->o.ports, slot, &err) < 0)
		log_error("slot %u cannot listen again: %s", slot, err.text);
}

void keeper_forget_unfinished(struct keeper *k)
{
	LS_LIST_EACH_SAFE (it, after, &k->gens) {
		struct keeper_gen *g = LS_CONTAINER_OF(it, struct keeper_gen, link);

		if (g->attached)
			continue;
		/* One that was spawned but never announced sees the end of its control socket. */
		spawn_signal(&g->child, SIGKILL);
		keeper_gone(k, g->slot, g->generation, SIGKILL, false);
	}
	keeper_abandon(k);
}

/* ---- releases -------------------------------------------------------------------------------- */

void keeper_try(struct keeper *k, struct release *candidate)
{
	release_unref(k->candidate);
	k->candidate = candidate;
}

void keeper_abandon(struct keeper *k)
{
	release_unref(k->candidate);
	k->candidate = NULL;
	vault_settle(&k->vault, false);
}

static void on_all_reconfigured(void *ctx)
{
	struct keeper *k = ctx;

	release_unref(k->replaced);
	k->replaced = NULL;
	k->o.on_committed(k->o.ctx);
}

static void use_release(struct keeper *k, struct release *r, bool tasks_only)
{
	k->epoch = r->epoch;
	for (unsigned i = 0; i < k->n_slots; i++) {
		if (tasks_only && crew_kind(&r->settings, i) != CREW_TASK)
			continue;
		release_unref(k->slots[i].release);
		k->slots[i].release = release_ref(r);
	}
}

void keeper_commit(struct keeper *k, bool tasks_only)
{
	if (!k->candidate || k->replaced)
		return;
	use_release(k, k->candidate, tasks_only);
	if (tasks_only) {
		keeper_abandon(k);
		k->o.on_committed(k->o.ctx);
		return;
	}
	k->replaced = k->accepted;
	k->accepted = k->candidate;
	k->candidate = NULL;
	vault_settle(&k->vault, true);
	if (k->o.reactors == 0) {
		on_all_reconfigured(k);
		return;
	}

	struct fanout *f = fanout_new(k->o.mailbox, k->o.reactors, on_all_reconfigured, k);

	for (unsigned i = 0; i < k->o.reactors; i++)
		reactor_reconfigure(k->reactors[i], &k->accepted->settings, fanout_answered, fanout_part(f, i));
}

/* ---- connections ----------------------------------------------------------------------------- */

uint64_t keeper_connections(const struct keeper *k, unsigned i)
{
	const struct board_reactor *b = chan_shared_board(&k->shared, i);
	uint64_t accepted = board_get(&b->accepted), closed = board_get(&b->closed);
	/* What was handed over and has not arrived yet counts too; a reactor that accepts by itself is given nothing. */
	uint64_t begun = k->given[i] ? k->given[i] - LS_MIN(board_get(&b->refused), k->given[i]) : accepted;

	return begun > closed ? begun - closed : 0;
}

bool keeper_may_accept(const struct keeper *k)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < k->o.reactors; i++)
		all += keeper_connections(k, i);
	return all < k->accepted->settings.max_connection;
}

void keeper_give(struct keeper *k, int fd, const struct port *port, const struct sock_peer *peer)
{
	uint64_t least = UINT64_MAX;
	unsigned chosen = 0;

	for (unsigned i = 0; i < k->o.reactors; i++) {
		uint64_t n = keeper_connections(k, i);

		if (n < least) {
			least = n;
			chosen = i;
		}
	}
	/* Who counts the connections of an address must see all of them. */
	if (!port->proxy_protocol && (port->max_connection_per_address || port->accept_rate_per_address))
		chosen = (unsigned)(codec_hash(str_make(peer->ip, sizeof peer->ip / 2)) % k->o.reactors);
	k->given[chosen]++;
	reactor_give(k->reactors[chosen], fd, port, peer);
}

/* ---- reactors -------------------------------------------------------------------------------- */

struct bad_worker {
	struct post post;
	struct keeper *keeper;
	unsigned slot;
	uint64_t generation;
	char why[128];
};

static void on_bad_worker_here(struct post *p)
{
	struct bad_worker *bad = LS_CONTAINER_OF(p, struct bad_worker, post);
	struct keeper_gen *g = find(bad->keeper, bad->slot, bad->generation);

	if (g) {
		log_error("%s %u (pid %d) is killed: %s", crew_title(&bad->keeper->accepted->settings, g->slot),
		          g->slot, g->child.pid, bad->why);
		spawn_signal(&g->child, SIGKILL);
	}
	free(bad);
}

/* In the reactor's thread. */
static void on_bad_worker(void *ctx, unsigned slot, uint64_t generation, const char *why)
{
	struct bad_worker *bad = xzalloc(sizeof *bad);

	bad->post.fn = on_bad_worker_here;
	bad->keeper = ctx;
	bad->slot = slot;
	bad->generation = generation;
	str_copy(str_from(why), bad->why, sizeof bad->why);
	mailbox_post(bad->keeper->o.mailbox, &bad->post);
}

static int open_shared(struct keeper *k, struct err *err)
{
	int r = k->shared_fd = chan_shared_create(k->o.reactors);

	if (r >= 0)
		r = chan_shared_map(k->shared_fd, true, &k->shared);
	for (unsigned i = 0; i < k->o.reactors && r >= 0; i++)
		r = k->bells[i] = bell_new();
	return r < 0 ? err_set(err, r, "the reactors' shared memory cannot be made: %s", strerror(-r)) : 0;
}

int keeper_init(struct keeper *k, const struct keeper_opts *o, struct err *err)
{
	*k = (struct keeper){ .o = *o, .accepted = release_ref(o->release), .next_generation = 1, .shared_fd = -1 };
	list_init(&k->gens);
	k->n_slots = crew_count(&o->release->settings);
	k->slots = xzalloc(k->n_slots * sizeof *k->slots);
	use_release(k, o->release, false);
	k->reactors = xzalloc((o->reactors + 1) * sizeof(struct reactor *));
	k->given = xzalloc((o->reactors + 1) * sizeof *k->given);
	k->bells = xzalloc((o->reactors + 1) * sizeof *k->bells);
	for (unsigned i = 0; i < o->reactors; i++)
		k->bells[i] = -1;
	if (vault_hold(&k->vault, &o->release->settings.shared, err) < 0)
		return err->code;
	vault_settle(&k->vault, true);
	return o->reactors ? open_shared(k, err) : 0;
}

int keeper_start_reactors(struct keeper *k, struct err *err)
{
	for (unsigned i = 0; i < k->o.reactors; i++) {
		struct reactor_opts opts = {
			.settings = &k->accepted->settings,
			.id = i,
			.board = chan_shared_board(&k->shared, i),
			.bell = k->bells[i],
			.access_log = k->o.access_log,
			.workers = (unsigned)k->accepted->settings.worker_num,
			.slots = k->n_slots,
			.share = k->o.reactors, /* the keeper shares connections out evenly */
			.on_bad_worker = on_bad_worker,
			.ctx = k,
		};

		k->reactors[i] = reactor_start(&opts, err);
		if (!k->reactors[i])
			return err->code;
	}
	return 0;
}

void keeper_stop_reactors(struct keeper *k)
{
	for (unsigned i = 0; i < k->o.reactors; i++) {
		reactor_stop(k->reactors[i]);
		k->reactors[i] = NULL;
	}
}

void keeper_fini(struct keeper *k)
{
	for (struct list *it; (it = list_shift(&k->gens));)
		free_gen(LS_CONTAINER_OF(it, struct keeper_gen, link));
	for (unsigned i = 0; i < k->o.reactors; i++)
		fd_close(&k->bells[i]);
	if (k->shared.p)
		shm_unmap(&k->shared);
	fd_close(&k->shared_fd);
	vault_fini(&k->vault);
	release_unref(k->accepted);
	release_unref(k->candidate);
	release_unref(k->replaced);
	for (unsigned i = 0; i < k->n_slots; i++)
		release_unref(k->slots[i].release);
	free(k->slots);
	free(k->reactors);
	free(k->given);
	free(k->bells);
}
