/* Groups of connections: what is published to one is copied once and leaves through every member.
 *
 * A group exists in each reactor that has a member of it, as long as it has one.  Membership ends with the connection. */
#include "reactor/core.h"

#include "base/codec.h"

#include <errno.h>
#include <stdlib.h>

/* Up to this a copy into the connection's last buffer is cheaper than a segment of its own. */
enum { SMALL = 512 };

struct group {
	struct group *twin; /* another one whose name has the same hash */
	uint64_t hash;
	struct list members; /* struct member.in_group */
	unsigned holds;      /* members, and those who look at the list now */
	size_t len;
	char name[];
};

struct member {
	struct list in_group;
	struct member *next; /* of the same connection */
	struct group *group;
	struct conn *conn;
};

/* ---- finding ------------------------------------------------------------------------------------------------------------------- */

static struct group *find(struct reactor *r, struct str name)
{
	struct group *g = map_get(&r->groups, codec_hash(name));

	while (g && !str_eq(str_make(g->name, g->len), name))
		g = g->twin;
	return g;
}

static struct group *make(struct reactor *r, struct str name)
{
	struct group *g = try_alloc(sizeof *g + name.len);

	if (!g)
		return NULL;
	g->hash = codec_hash(name);
	g->twin = map_get(&r->groups, g->hash);
	g->holds = 0;
	g->len = name.len;
	memcpy(g->name, name.p, name.len);
	list_init(&g->members);
	map_put(&r->groups, g->hash, g);
	return g;
}

static void let_go(struct reactor *r, struct group *g)
{
	struct group *first = map_get(&r->groups, g->hash);

	if (--g->holds > 0)
		return;
	if (first != g) {
		while (first->twin != g)
			first = first->twin;
		first->twin = g->twin;
	} else if (g->twin) {
		map_put(&r->groups, g->hash, g->twin);
	} else {
		(void)map_del(&r->groups, g->hash);
	}
	free(g);
}

/* ---- membership ------------------------------------------------------------------------------------------------------------------ */

static void tell_refusal(struct reactor *r, const struct conn *c, const char *why)
{
	char address[SOCK_TEXT_MAX];
	uint64_t swallowed;

	if (log_every_due(&r->refusals, 10000, &swallowed))
		log_warn("a connection of %s cannot join a group: %s (%llu more)", sock_peer_text(&c->pc.peer, address),
		         why, (unsigned long long)swallowed);
}

static bool may_join(struct reactor *r, const struct conn *c, struct str name)
{
	uint64_t n = 0;

	for (const struct member *m = c->groups; m; m = m->next, n++)
		if (str_eq(str_make(m->group->name, m->group->len), name))
			return false;
	if (n < c->pc.port->max_groups)
		return true;
	tell_refusal(r, c, "it is in max_groups already");
	return false;
}

void groups_join(struct conn *c, struct str name)
{
	struct reactor *r = reactor_of(c);
	struct member *m;
	struct group *g;

	if (!c->pc.proto->stateful || !may_join(r, c, name))
		return;
	g = find(r, name);
	if (!g)
		g = make(r, name);
	if (!g) {
		tell_refusal(r, c, "out of memory");
		return;
	}
	g->holds++;
	m = pool_try_get(&r->member_pool);
	if (!m) {
		let_go(r, g);
		tell_refusal(r, c, "out of memory");
		return;
	}
	*m = (struct member){ .next = c->groups, .group = g, .conn = c };
	c->groups = m;
	list_append(&g->members, &m->in_group);
}

static void drop(struct reactor *r, struct member *m)
{
	list_del(&m->in_group);
	let_go(r, m->group);
	pool_put(&r->member_pool, m);
}

void groups_leave(struct conn *c, struct str name)
{
	struct member *before = NULL;

	for (struct member *m = c->groups; m; before = m, m = m->next) {
		if (!str_eq(str_make(m->group->name, m->group->len), name))
			continue;
		if (before)
			before->next = m->next;
		else
			c->groups = m->next;
		drop(reactor_of(c), m);
		return;
	}
}

void groups_leave_all(struct conn *c)
{
	for (struct member *m; (m = c->groups);) {
		c->groups = m->next;
		drop(reactor_of(c), m);
	}
}

/* ---- publishing ------------------------------------------------------------------------------------------------------------------ */

static void release_shared(void *arg)
{
	buf_unref(arg);
}

static int append(struct conn *c, struct buf *shared)
{
	int code;

	if (shared->len <= SMALL)
		return chain_append(proto_out(&c->pc), buf_str(shared));
	code = chain_append_borrowed(proto_out(&c->pc), buf_str(shared), release_shared, buf_ref(shared));
	if (code < 0)
		buf_unref(shared);
	return code;
}

/* It reads too slowly for what it is sent. */
static void pass_over(struct reactor *r, struct conn *c)
{
	char address[SOCK_TEXT_MAX];
	bool close = c->pc.port->socket_buffer_policy == BUFFER_CLOSE;
	uint64_t swallowed;

	board_add(&r->o.board->publish_skipped, 1);
	if (log_every_due(&r->complaints, 10000, &swallowed))
		log_warn("%s has not read what waits for it, socket_buffer_size is used up; %s (%llu more)",
		         sock_peer_text(&c->pc.peer, address),
		         close ? "its connection is closed" : "it does not get what is published",
		         (unsigned long long)swallowed);
	if (close)
		conn_kill(c, CLOSE_BY_LIMIT, CLOSE_BUFFER_FULL);
}

static uint64_t waiting(const struct conn *c)
{
	return chain_memory(&c->pc.out) + (c->pc.behind ? chain_memory(c->pc.behind) : 0);
}

static void deliver(struct reactor *r, struct conn *c, struct publication *p)
{
	struct buf *shared;

	if (c->state != CONN_OPEN || c->pc.close_when_sent)
		return;
	shared = c->pc.proto->publish ? c->pc.proto->publish(&c->pc, p) : p->forms[0];
	if (!shared || waiting(c) + shared->len > c->pc.port->socket_buffer_size || append(c, shared) < 0)
		pass_over(r, c);
	else
		conn_touch(c);
}

static void deliver_all(struct reactor *r, struct group *g, struct publication *p, conn_id except)
{
	struct list *it, *next;

	g->holds++; /* whoever is closed for being slow leaves it */
	for (it = g->members.next; it != &g->members; it = next) {
		struct conn *c = LS_CONTAINER_OF(it, struct member, in_group)->conn;

		next = it->next;
		if (c->pc.id != except)
			deliver(r, c, p);
	}
	let_go(r, g);
}

int groups_publish(struct reactor *r, const struct frame *f, struct str payload)
{
	struct str name = str_take(payload, f->arg), bytes = str_skip(payload, name.len);
	struct publication p = { .opcode = f->stream };
	struct group *g;
	struct buf *shared;

	if (f->arg == 0 || f->arg >= payload.len)
		return -EBADMSG;
	g = find(r, name);
	if (!g)
		return 0;
	shared = buf_new(bytes.len);
	if (!shared) {
		log_error("out of memory: what is published to a group is lost (%zu bytes)", bytes.len);
		return 0;
	}
	memcpy(shared->data, bytes.p, bytes.len);
	shared->len = (uint32_t)bytes.len;
	board_add(&r->o.board->published, 1);
	p.bytes = buf_str(shared);
	p.forms[0] = shared;
	deliver_all(r, g, &p, f->value);
	for (unsigned i = 0; i < PUBLICATION_FORMS; i++)
		buf_unref(p.forms[i]);
	return 0;
}

void groups_init(struct reactor *r)
{
	enum { KEPT = 4096 };

	r->member_pool = (struct pool){ .size = sizeof(struct member), .keep = KEPT };
}

void groups_fini(struct reactor *r)
{
	pool_trim(&r->member_pool);
	map_fini(&r->groups); /* no connection is left, so it is empty */
}
