#include "role/peers.h"

#include "base/bits.h"
#include "base/log.h"
#include "sys/fd.h"
#include "sys/unixmsg.h"

#include <errno.h>
#include <string.h>

static int send_inbox(int control, int inbox)
{
	struct ctl_msg m = { .type = CTL_INBOX, .n_fds = 1, .fds = { inbox } };

	return ctl_send(control, &m);
}

enum { FDS_EACH = 2, ENTRIES_MAX = CTL_FDS_MAX / FDS_EACH };

/* Some processes, to be told of in one message. */
struct crowd {
	struct peers_entry entries[ENTRIES_MAX];
	int fds[CTL_FDS_MAX];
	int n;
};

static void add(struct crowd *c, const struct keeper_gen *g)
{
	c->entries[c->n] = (struct peers_entry){ .slot = g->slot, .generation = g->generation };
	c->fds[FDS_EACH * c->n] = g->inbox;
	c->fds[FDS_EACH * c->n + 1] = g->fds.up;
	c->n++;
}

static int send_crowd(int control, const struct crowd *c)
{
	struct ctl_msg m = {
		.type = CTL_PEERS,
		.n_fds = FDS_EACH * c->n,
		.text = str_make(c->entries, (size_t)c->n * sizeof *c->entries),
	};

	memcpy(m.fds, c->fds, (size_t)m.n_fds * sizeof *m.fds);
	return c->n ? ctl_send(control, &m) : 0;
}

/* All that live, many in one message: the process does not exist yet and its socket holds only so many. */
static int send_all(struct keeper *k, int control)
{
	struct crowd crowd = { .n = 0 };

	LS_LIST_EACH (it, &k->gens) {
		add(&crowd, LS_CONTAINER_OF(it, struct keeper_gen, link));
		if (crowd.n < ENTRIES_MAX)
			continue;

		int r = send_crowd(control, &crowd);

		if (r < 0)
			return r;
		crowd.n = 0;
	}
	return send_crowd(control, &crowd);
}

/* A process that does not take it cannot send to the new one, and everything else goes on. */
static void tell_others(struct keeper *k, const struct keeper_gen *g)
{
	struct crowd crowd = { .n = 0 };

	add(&crowd, g);
	LS_LIST_EACH (it, &k->gens) {
		const struct keeper_gen *other = LS_CONTAINER_OF(it, struct keeper_gen, link);
		int r = send_crowd(other->control, &crowd);

		if (r < 0 && r != -EPIPE && r != -ECONNRESET)
			log_warn(
				"process %u cannot be told of process %u, so neither tasks nor messages get there from it: %s",
				other->slot, g->slot, strerror(-r));
	}
}

static int send_state(int control, unsigned slot, bool failed)
{
	struct ctl_msg m = { .type = CTL_CREW_STATE, .slot = slot, .value = failed };

	return ctl_send(control, &m);
}

static int send_failed_slots(struct keeper *k, int control)
{
	int r = 0;

	for (unsigned i = 0; i < k->n_slots && r == 0; i++)
		if (k->slots[i].failed)
			r = send_state(control, i, true);
	return r;
}

void peers_tell_state(struct keeper *k, unsigned slot, bool failed)
{
	LS_LIST_EACH (it, &k->gens)
		(void)send_state(LS_CONTAINER_OF(it, struct keeper_gen, link)->control, slot,
		                 failed); /* one that is gone need not know */
}

int peers_introduce(struct keeper *k, struct keeper_gen *g, int control)
{
	int ends[2];
	int r = unixmsg_inbox(ends);

	if (r < 0)
		return r;
	g->inbox = ends[0];
	r = send_inbox(control, ends[1]);
	fd_close(&ends[1]);
	if (r == 0)
		r = send_all(k, control);
	if (r == 0)
		r = send_failed_slots(k, control);
	if (r == 0)
		tell_others(k, g);
	return r;
}

void peers_forget(struct keeper *k, const struct keeper_gen *g, int status)
{
	struct ctl_msg m = {
		.type = CTL_PEER_GONE,
		.slot = g->slot,
		.generation = g->generation,
		.value = (uint64_t)g->child.pid,
		.extra = (uint32_t)status,
	};

	LS_LIST_EACH (it, &k->gens) {
		const struct keeper_gen *other = LS_CONTAINER_OF(it, struct keeper_gen, link);

		(void)ctl_send(other->control, &m); /* one that is gone need not know */
	}
}
