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

static struct peers_entry entry_of(const struct keeper_gen *g)
{
	return (struct peers_entry){ .slot = g->slot, .generation = g->generation };
}

static int send_entries(int control, const struct peers_entry *entries, const int *fds, int n)
{
	struct ctl_msg m = {
		.type = CTL_PEERS,
		.n_fds = n,
		.text = str_make(entries, (size_t)n * sizeof *entries),
	};

	memcpy(m.fds, fds, (size_t)n * sizeof *fds);
	return n ? ctl_send(control, &m) : 0;
}

/* All that live, many in one message: the process does not exist yet and its socket holds only so many. */
static int send_all(struct keeper *k, int control)
{
	struct peers_entry entries[CTL_FDS_MAX];
	int fds[CTL_FDS_MAX], n = 0, r = 0;

	LS_LIST_EACH (it, &k->gens) {
		const struct keeper_gen *g = LS_CONTAINER_OF(it, struct keeper_gen, link);

		entries[n] = entry_of(g);
		fds[n++] = g->inbox;
		if (n < CTL_FDS_MAX)
			continue;
		r = send_entries(control, entries, fds, n);
		if (r < 0)
			return r;
		n = 0;
	}
	return send_entries(control, entries, fds, n);
}

/* A process that does not take it cannot send to the new one, and everything else goes on. */
static void tell_others(struct keeper *k, const struct keeper_gen *g)
{
	struct peers_entry entry = entry_of(g);

	LS_LIST_EACH (it, &k->gens) {
		const struct keeper_gen *other = LS_CONTAINER_OF(it, struct keeper_gen, link);
		int r = send_entries(other->control, &entry, &g->inbox, 1);

		if (r < 0 && r != -EPIPE && r != -ECONNRESET)
			log_warn("worker %u cannot be told of worker %u, so it cannot reach its connections: %s",
			         other->slot, g->slot, strerror(-r));
	}
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
		tell_others(k, g);
	return r;
}

void peers_forget(struct keeper *k, const struct keeper_gen *g)
{
	struct ctl_msg m = { .type = CTL_PEER_GONE, .slot = g->slot, .generation = g->generation };

	LS_LIST_EACH (it, &k->gens) {
		const struct keeper_gen *other = LS_CONTAINER_OF(it, struct keeper_gen, link);

		(void)ctl_send(other->control, &m); /* one that is gone need not know */
	}
}
