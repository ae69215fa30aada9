#include "role/mesh.h"

#include "base/log.h"
#include "base/mem.h"
#include "ipc/parcel.h"
#include "loop/watch.h"
#include "sys/fd.h"
#include "sys/unixmsg.h"

#include <errno.h>
#include <stdlib.h>

enum {
	READS_MAX = 32,
	REST_MAX = 4096, /* datagrams that a socket may hold of a process that has ended; more than any does */
};

/* A datagram that the peer's socket had no room for. */
struct waiting {
	struct list link;
	int fd; /* -1: none */
	size_t len;
	size_t weight; /* as of the parcel: what counts against backlog_max */
	char data[];
};

/* Another process. */
struct peer {
	struct list link; /* mesh.peers */
	struct link line;
	struct mesh *mesh;
	struct watch watch;
	struct parcel *parcel; /* NULL: nothing since the last flush */
	struct list backlog;   /* struct waiting */
	uint64_t backlog_bytes;
	unsigned slot;
	uint64_t generation;
};

/* All processes of a slot. */
struct lane {
	struct link line;
	struct mesh *mesh;
	unsigned slot;
};

struct mesh {
	struct mesh_opts o;
	struct loop_hook hook;
	struct watch inbox;
	bool listens;
	struct list peers;
	struct lane *lanes[SLOTS_OWNERS];
	struct peer *last; /* who sent; NULL: not known */
	struct log_every complaints;
	char data[PARCEL_MAX] __attribute__((aligned(8)));
};

/* ---- to one process -------------------------------------------------------------------------- */

static void drop_waiting(struct peer *p, struct waiting *w)
{
	list_del(&w->link);
	p->backlog_bytes -= w->weight;
	fd_close(&w->fd);
	free(w);
}

static void drop_backlog(struct peer *p)
{
	for (struct list *it; (it = list_first(&p->backlog));)
		drop_waiting(p, LS_CONTAINER_OF(it, struct waiting, link));
}

/* 0; -EAGAIN: the socket is full; other negatives: nobody reads it any more. */
static int post(struct peer *p, const char *data, size_t len, int fd)
{
	struct str part = str_make(data, len);
	int r = unixmsg_send(p->watch.fd, &part, 1, &fd, fd >= 0);

	return r == -ENOBUFS || r == -ENOMEM ? -EAGAIN : r;
}

static void wait_for_room(struct peer *p, struct parcel *parcel)
{
	struct waiting *w = xalloc(sizeof *w + parcel->len);

	w->len = parcel->len;
	w->weight = parcel->weight;
	w->fd = parcel->fd;
	parcel->fd = -1;
	memcpy(w->data, parcel->data, parcel->len);
	list_append(&p->backlog, &w->link);
	p->backlog_bytes += w->weight;
	watch_set(&p->watch, WATCH_WRITE);
}

/* NULL: its slot has no reactor. */
static struct lane *lane_of(const struct peer *p)
{
	return p->slot < p->mesh->o.lanes ? p->mesh->lanes[p->slot] : NULL;
}

static bool lane_is_full(const struct lane *lane)
{
	LS_LIST_EACH (it, &lane->mesh->peers) {
		const struct peer *p = LS_CONTAINER_OF(it, struct peer, link);

		if (p->slot == lane->slot && p->line.full)
			return true;
	}
	return false;
}

static void set_full(struct peer *p, bool full)
{
	struct lane *lane = lane_of(p);
	bool was = lane && lane->line.full, peer_was = p->line.full;

	p->line.full = full;
	if (peer_was && !full && p->line.on_room)
		p->line.on_room(p->line.ctx);
	if (!lane)
		return;
	lane->line.full = lane_is_full(lane);
	if (was && !lane->line.full && lane->line.on_room)
		lane->line.on_room(lane->line.ctx);
}

/* Sends the parcel, or keeps it behind those that wait. */
static void send_parcel(struct peer *p)
{
	struct parcel *parcel = p->parcel;
	int r = -EAGAIN;

	if (list_empty(&p->backlog))
		r = post(p, parcel->data, parcel->len, parcel->fd);
	if (r == -EAGAIN) {
		wait_for_room(p, parcel);
		set_full(p, true);
	}
	/* else: it has left, or the process is gone, which the master will say */
	fd_close(&parcel->fd);
	free(parcel);
	p->parcel = NULL;
}

static void flush_peer(struct link *l)
{
	struct peer *p = LS_CONTAINER_OF(l, struct peer, line);

	if (p->parcel)
		send_parcel(p);
}

static void begin_parcel(struct peer *p)
{
	struct parcel_head me = { .slot = p->mesh->o.slot, .generation = p->mesh->o.generation };

	if (p->parcel)
		return;
	p->parcel = xalloc(sizeof *p->parcel);
	parcel_begin(p->parcel, &me);
}

static int send_to_peer(struct link *l, const struct frame *f, const struct str *parts, int n)
{
	struct peer *p = LS_CONTAINER_OF(l, struct peer, line);
	uint64_t limit = p->mesh->o.backlog_max;
	int r;

	if (p->backlog_bytes >= (frame_is_notice(f->type) ? 2 * limit : limit))
		return -ENOBUFS;
	begin_parcel(p);
	r = parcel_add(p->parcel, f, parts, n);
	if (r == -ENOBUFS) {
		send_parcel(p);
		begin_parcel(p);
		r = parcel_add(p->parcel, f, parts, n);
	}
	p->line.sent += r == 0;
	return r;
}

static void on_writable(struct watch *w, int events LS_UNUSED)
{
	struct peer *p = LS_CONTAINER_OF(w, struct peer, watch);

	for (struct list *it; (it = list_first(&p->backlog));) {
		struct waiting *first = LS_CONTAINER_OF(it, struct waiting, link);
		int r = post(p, first->data, first->len, first->fd);

		if (r == -EAGAIN)
			return;
		drop_waiting(p, first);
	}
	watch_set(w, 0);
	set_full(p, false);
}

static int drain_nothing(struct link *l LS_UNUSED)
{
	return 0;
}

static bool may_sleep(struct link *l LS_UNUSED)
{
	return true;
}

static void close_nothing(struct link *l LS_UNUSED)
{
}

static const struct link_ops peer_ops = {
	.send = send_to_peer,
	.flush = flush_peer,
	.drain = drain_nothing,
	.sleep = may_sleep,
	.close = close_nothing,
};

/* ---- to a slot --------------------------------------------------------------------------------- */

/* The first failure counts; a slot without a process takes everything, since it has no connection. */
static int send_to_slot(struct link *l, const struct frame *f, const struct str *parts, int n)
{
	struct lane *lane = LS_CONTAINER_OF(l, struct lane, line);
	int code = 0;

	LS_LIST_EACH (it, &lane->mesh->peers) {
		struct peer *p = LS_CONTAINER_OF(it, struct peer, link);
		int r = p->slot == lane->slot ? link_send(&p->line, f, parts, n) : 0;

		if (code == 0)
			code = r;
	}
	return code;
}

static void flush_later(struct link *l LS_UNUSED)
{
}

static const struct link_ops lane_ops = {
	.send = send_to_slot,
	.flush = flush_later, /* the mesh flushes at the end of the turn */
	.drain = drain_nothing,
	.sleep = may_sleep,
	.close = close_nothing,
};

static void need_lane(struct mesh *m, unsigned slot)
{
	struct lane *lane = m->lanes[slot];

	if (lane || slot >= m->o.lanes)
		return;
	lane = m->lanes[slot] = xzalloc(sizeof *lane);
	lane->mesh = m;
	lane->slot = slot;
	lane->line.ops = &lane_ops;
	lane->line.piece_max = PARCEL_PAYLOAD_MAX;
	m->o.on_lane(m->o.ctx, slot, &lane->line);
}

void mesh_tell_lanes(struct mesh *m)
{
	for (unsigned i = 0; i < SLOTS_OWNERS; i++)
		if (m->lanes[i])
			m->o.on_lane(m->o.ctx, i, &m->lanes[i]->line);
}

/* ---- who is there ------------------------------------------------------------------------------ */

static struct peer *find(struct mesh *m, unsigned slot, uint64_t generation)
{
	LS_LIST_EACH (it, &m->peers) {
		struct peer *p = LS_CONTAINER_OF(it, struct peer, link);

		if (p->slot == slot && p->generation == generation)
			return p;
	}
	return NULL;
}

void mesh_add(struct mesh *m, unsigned slot, uint64_t generation, int fd, int board_fd)
{
	struct peer *p;

	if (find(m, slot, generation)) {
		fd_close(&fd);
		fd_close(&board_fd);
		return;
	}
	p = xzalloc(sizeof *p);
	p->mesh = m;
	p->slot = slot;
	p->generation = generation;
	p->line.ops = &peer_ops;
	p->line.piece_max = PARCEL_PAYLOAD_MAX;
	list_init(&p->backlog);
	if (watch_open(&p->watch, m->o.loop, fd, on_writable) < 0) {
		log_error("process %u cannot be reached from this one: its inbox cannot be watched", slot);
		fd_close(&fd);
		fd_close(&board_fd);
		free(p);
		return;
	}
	watch_set(&p->watch, 0);
	need_lane(m, slot);
	list_append(&m->peers, &p->link);
	if (lane_of(p))
		lane_of(p)->line.ends++;
	m->o.on_peer(m->o.ctx, slot, generation, &p->line, board_fd);
}

static void free_peer(struct watch *w)
{
	free(LS_CONTAINER_OF(w, struct peer, watch));
}

static void remove_peer(struct peer *p)
{
	if (lane_of(p))
		lane_of(p)->line.ends--;
	if (p->mesh->last == p)
		p->mesh->last = NULL;
	list_del(&p->link);
	drop_backlog(p);
	p->line.on_room = NULL;
	set_full(p, false);
	if (p->parcel)
		fd_close(&p->parcel->fd);
	free(p->parcel);
	watch_close(&p->watch, free_peer);
}

/* ---- what comes -------------------------------------------------------------------------------- */

static void complain(struct mesh *m, const struct parcel_head *from)
{
	uint64_t swallowed;

	if (log_every_due(&m->complaints, 10000, &swallowed))
		log_warn("what process %u sent here makes no sense and is dropped (%llu more)", from->slot,
		         (unsigned long long)swallowed);
}

/* Frames of one process come in rows. */
static struct peer *sender(struct mesh *m, const struct parcel_head *from)
{
	if (!m->last || m->last->generation != from->generation)
		m->last = find(m, from->slot, from->generation);
	return m->last;
}

static void on_frame(void *ctx, const struct parcel_head *from, const struct frame *f, struct str payload)
{
	struct mesh *m = ctx;
	struct peer *p;
	int r = -EBADMSG;

	if (frame_check(f, FRAME_SIDE) == 0)
		r = m->o.on_side(m->o.ctx, from->slot, from->generation, f, payload);
	else if (frame_check(f, FRAME_DOWN) == 0) {
		r = m->o.on_down(m->o.ctx, f, payload);
	} else if (frame_check(f, FRAME_UP) == 0) {
		p = sender(m, from);
		r = m->o.on_up(m->o.ctx, p ? &p->line : NULL, f, payload);
	}
	if (r < 0)
		complain(m, from);
}

static void read_inbox(struct mesh *m, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		struct parcel_head from = { 0 };
		int fd = -1, n_fds = 1;
		ssize_t n = unixmsg_recv(m->inbox.fd, m->data, sizeof m->data, &fd, &n_fds);

		if (n < 0 && n != -EMSGSIZE)
			return;
		if (n == -EMSGSIZE ||
		    parcel_read(str_make(m->data, (size_t)n), n_fds ? fd : -1, m->o.whole_max, &from, on_frame, m) < 0)
			complain(m, &from);
		if (n > 0 && n_fds)
			fd_close(&fd);
	}
}

static void on_readable(struct watch *w, int events LS_UNUSED)
{
	read_inbox(LS_CONTAINER_OF(w, struct mesh, inbox), READS_MAX);
}

void mesh_remove(struct mesh *m, unsigned slot, uint64_t generation, pid_t pid, int status)
{
	struct peer *p = find(m, slot, generation);

	if (!p)
		return;
	/* The last it sent may stand in the inbox. */
	if (m->listens)
		read_inbox(m, REST_MAX);
	remove_peer(p);
	m->o.on_gone(m->o.ctx, slot, generation, pid, status);
}

/* ---- life ---------------------------------------------------------------------------------------- */

static bool before_sleep(void *ctx)
{
	struct mesh *m = ctx;

	LS_LIST_EACH (it, &m->peers)
		flush_peer(&LS_CONTAINER_OF(it, struct peer, link)->line);
	return false;
}

struct mesh *mesh_new(const struct mesh_opts *o)
{
	struct mesh *m = xzalloc(sizeof *m);

	m->o = *o;
	list_init(&m->peers);
	m->hook = (struct loop_hook){ .before_sleep = before_sleep, .ctx = m };
	list_init(&m->hook.link);
	return m;
}

int mesh_listen(struct mesh *m, int inbox)
{
	int r = m->listens ? -EALREADY : watch_open(&m->inbox, m->o.loop, inbox, on_readable);

	if (r < 0) {
		fd_close(&inbox);
		return r;
	}
	m->listens = true;
	watch_set(&m->inbox, WATCH_READ);
	/* Behind those of worker and reactor, which send in theirs. */
	loop_add_hook(m->o.loop, &m->hook);
	return 0;
}

void mesh_free(struct mesh *m)
{
	if (!m)
		return;
	LS_LIST_EACH_SAFE (it, after, &m->peers)
		remove_peer(LS_CONTAINER_OF(it, struct peer, link));
	if (m->listens) {
		loop_del_hook(m->o.loop, &m->hook);
		watch_close(&m->inbox, NULL);
	}
	loop_turn(m->o.loop, false); /* watches end in their close callbacks */
	for (unsigned i = 0; i < SLOTS_OWNERS; i++)
		free(m->lanes[i]);
	free(m);
}
