/* Datagrams of this reactor's UDP ports: in to the workers, out from them. */
#include "reactor/core.h"

#include <errno.h>

static struct uplink_gen *choose(struct reactor *r, const struct port *port, const struct sock_far *from,
                                 struct str bytes)
{
	int slot = dispatch_packet(r, port, from, bytes);
	unsigned first = slot >= 0 ? (unsigned)slot : r->turn++ % r->o.workers;

	for (unsigned i = 0; i < (slot >= 0 ? 1 : r->o.workers); i++) {
		struct uplink_gen *gen = r->uplinks[(first + i) % r->o.workers].current;

		if (gen && !gen->line->full)
			return gen;
	}
	return NULL;
}

static void on_packet(void *ctx, const struct port *port, const struct sock_far *from, struct str bytes)
{
	struct reactor *r = ctx;
	struct uplink_gen *gen = choose(r, port, from, bytes);
	struct frame f = { .type = FRAME_PACKET, .arg = port->index, .value = r->o.id };
	struct str parts[2] = { str_make(from, sock_far_size(from)), bytes };
	uint64_t swallowed;

	if (gen && link_send(gen->line, &f, parts, 2) == 0)
		return;
	board_add(&r->o.board->packets_dropped, 1);
	if (log_every_due(&r->complaints, 10000, &swallowed))
		log_warn("a worker takes no datagrams; one is dropped (%llu more)", (unsigned long long)swallowed);
}

int packets_listen(struct reactor *r, int fd, const struct port *port, struct err *err)
{
	struct dgram_opts o = {
		.loop = r->loop, .fd = fd, .port = port, .board = r->o.board, .on_packet = on_packet, .ctx = r
	};

	r->dgrams[port->index] = dgram_open(&o, err);
	return r->dgrams[port->index] ? 0 : err ? err->code : -ENOMEM;
}

int packets_on_sendto(struct reactor *r, const struct frame *f, struct str payload)
{
	struct sock_far to;

	if (f->arg >= SETTINGS_PORTS_MAX || sock_far_read(payload, &to) < 0)
		return -EBADMSG;
	if (!r->dgrams[f->arg]) {
		board_add(&r->o.board->packets_dropped, 1);
		return 0;
	}
	dgram_send(r->dgrams[f->arg], &to, str_skip(payload, sock_far_size(&to)));
	r->dgrams_dirty |= 1ULL << f->arg;
	return 0;
}

void packets_flush(struct reactor *r)
{
	for (; r->dgrams_dirty; r->dgrams_dirty &= r->dgrams_dirty - 1)
		dgram_flush(r->dgrams[__builtin_ctzll(r->dgrams_dirty)]);
}

void packets_stop(struct reactor *r)
{
	for (unsigned i = 0; i < SETTINGS_PORTS_MAX; i++)
		if (r->dgrams[i])
			dgram_stop(r->dgrams[i]);
}

void packets_close(struct reactor *r)
{
	for (unsigned i = 0; i < SETTINGS_PORTS_MAX; i++) {
		dgram_close(r->dgrams[i]);
		r->dgrams[i] = NULL;
	}
	r->dgrams_dirty = 0;
}
