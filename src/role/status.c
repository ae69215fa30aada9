/* What a running server tells of itself. */
#include "role/master.h"

#include "base/clock.h"
#include "conf/crew.h"
#include "super/jsonline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

/* One figure per line of `status --json`'s first level. */
struct totals {
	uint64_t accepted;
	uint64_t closed;
	uint64_t requests;
	uint64_t refused;
	uint64_t refused_address;
	uint64_t proxy_refused;
	uint64_t limited;
	uint64_t published;
	uint64_t publish_skipped;
	uint64_t packets;
	uint64_t packets_dropped;
	uint64_t connections[SETTINGS_PORTS_MAX]; /* by port */
};

static const char *mode_of(const struct master *m, char *out, size_t cap)
{
	return settings_text(&m->keeper.accepted->settings, NULL, settings_find("mode"), out, cap);
}

static void add_board(struct totals *t, const struct board_reactor *b)
{
	t->accepted += board_get(&b->accepted);
	t->closed += board_get(&b->closed);
	t->requests += board_get(&b->requests);
	t->refused += board_get(&b->refused);
	t->refused_address += board_get(&b->refused_address);
	t->proxy_refused += board_get(&b->proxy_refused);
	t->limited += board_get(&b->limited);
	t->published += board_get(&b->published);
	t->publish_skipped += board_get(&b->publish_skipped);
	t->packets += board_get(&b->packets);
	t->packets_dropped += board_get(&b->packets_dropped);
	for (unsigned i = 0; i < SETTINGS_PORTS_MAX; i++)
		t->connections[i] += board_get(&b->connections[i]);
}

static const struct board_worker *board_of(const struct keeper_gen *g)
{
	return g->board.up.p ? chan_board(&g->board) : NULL;
}

static struct totals count(const struct master *m)
{
	const struct keeper *k = &m->keeper;
	struct totals t = {
		.accepted = k->gone.accepted,
		.closed = k->gone.closed,
		.requests = k->gone.requests,
		.packets = k->gone.packets,
		.packets_dropped = k->gone.packets_dropped,
		.refused = k->gone.refused + m->refused,
		.refused_address = k->gone.refused_address,
		.proxy_refused = k->gone.proxy_refused,
		.limited = k->gone.limited,
		.published = k->gone.published,
		.publish_skipped = k->gone.publish_skipped,
	};

	for (unsigned i = 0; i < k->o.reactors; i++)
		add_board(&t, chan_shared_board(&k->shared, i));
	if (k->o.reactors)
		return t;
	LS_LIST_EACH (it, &k->gens) {
		const struct board_worker *b = board_of(LS_CONTAINER_OF(it, struct keeper_gen, link));

		if (b)
			add_board(&t, &b->reactor);
	}
	return t;
}

static const char *state_of(const struct master *m, unsigned slot, const struct keeper_gen *g)
{
	const struct board_worker *b = g ? board_of(g) : NULL;

	if (m->keeper.slots[slot].failed)
		return keeper_has_ended(&m->keeper, slot) ? "ended" : "failed";
	if (!b || !g->attached)
		return "starting";
	switch ((enum board_state)board_get(&b->state)) {
	case BOARD_STARTING:
		return "starting";
	case BOARD_READY:
		return "ready";
	case BOARD_DRAINING:
		return "draining";
	default:
		return "stopped";
	}
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_address(const struct sock_addr *a, FILE *f)
{
	struct sock_peer peer = sock_peer_of(a);
	char text[SOCK_TEXT_MAX];

	if (a->sa.sa_family == AF_UNIX) {
		fputs("\"address\":", f);
		jsonline_put(f, str_from(sock_text(a, text)));
		fputs(",\"port\":null", f);
		return;
	}
	fputs("\"address\":", f);
	jsonline_put(f, str_from(sock_peer_text(&peer, text)));
	fprintf(f, ",\"port\":%u", peer.port);
}

static void put_listeners(const struct master *m, FILE *f, const struct totals *t)
{
	const struct settings *s = &m->release->settings;

	fputs(",\"listeners\":[", f);
	for (unsigned i = 0; i < s->n_ports; i++) {
		fputs(i ? ",{" : "{", f);
		put_address(&s->ports[i].address, f);
		fputs(",\"protocol\":", f);
		jsonline_put(f, str_from(settings_port_protocol(&s->ports[i])));
		fprintf(f, ",\"connections\":%" PRIu64 "}", t->connections[i]);
	}
	fputs("]", f);
}

static void put_reactors(const struct master *m, FILE *f)
{
	const struct keeper *k = &m->keeper;

	fputs(",\"reactors\":[", f);
	for (unsigned i = 0; i < k->o.reactors; i++)
		fprintf(f, "%s{\"id\":%u,\"connections\":%" PRIu64 "}", i ? "," : "", i, keeper_connections(k, i));
	for (unsigned i = 0; k->o.reactors == 0 && i < m->release->settings.worker_num; i++) {
		const struct keeper_gen *g = keeper_newest(k, i);
		const struct board_worker *b = g ? board_of(g) : NULL;
		uint64_t n = b ? board_get(&b->reactor.accepted) - board_get(&b->reactor.closed) : 0;

		fprintf(f, "%s{\"id\":%u,\"connections\":%" PRIu64 "}", i ? "," : "", i, n);
	}
	fputs("]", f);
}

static void put_name(const struct master *m, FILE *f, unsigned slot)
{
	const struct userproc *p = crew_process(&m->keeper.accepted->settings, slot);

	if (!p)
		return;
	fputs(",\"name\":", f);
	jsonline_put(f, str_from(p->name));
}

/* The slots of one kind, as a list under that name. */
static void put_processes(const struct master *m, FILE *f, const char *name, enum crew_kind kind)
{
	static const struct board_worker none;
	const char *comma = "";

	fprintf(f, ",\"%s\":[", name);
	for (unsigned i = 0; i < m->keeper.n_slots; i++) {
		const struct keeper_gen *g = keeper_newest(&m->keeper, i);
		const struct board_worker *b = g ? board_of(g) : NULL;

		if (crew_kind(&m->release->settings, i) != kind)
			continue;
		b = b ? b : &none;
		fprintf(f,
		        "%s{\"id\":%u,\"pid\":%d,\"state\":\"%s\",\"generation\":%" PRIu64 ",\"requests\":%" PRIu64
		        ",\"in_flight\":%" PRIu64 ",\"queued\":%" PRIu64 ",\"coroutines\":%" PRIu64
		        ",\"lua_bytes\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"restarts\":%" PRIu64,
		        comma, i, g ? g->child.pid : 0, state_of(m, i, g), g ? g->epoch : 0, board_get(&b->requests),
		        board_get(&b->in_flight), board_get(&b->queued), board_get(&b->coroutines),
		        board_get(&b->lua_bytes), board_get(&b->errors), m->keeper.slots[i].restarts);
		put_name(m, f, i);
		fputs("}", f);
		comma = ",";
	}
	fputs("]", f);
}

char *status_json(const struct master *m)
{
	struct totals t = count(m);
	uint64_t connections = t.accepted > t.closed ? t.accepted - t.closed : 0;
	pid_t manager = m->fleet ? m->fleet->ops->manager_pid(m->fleet) : 0;
	char mode[16];
	char *out = NULL;
	size_t len;
	FILE *f;

	if (!m->has_keeper)
		return NULL;
	f = open_memstream(&out, &len);
	if (!f)
		return NULL;
	fprintf(f, "{\"version\":\"%s\",\"mode\":\"%s\",\"generation\":%" PRIu64 ",\"master_pid\":%d,\"manager_pid\":",
	        LS_VERSION, mode_of(m, mode, sizeof mode), m->keeper.accepted->epoch, getpid());
	if (manager)
		fprintf(f, "%d", manager);
	else
		fputs("null", f);
	fprintf(f,
	        ",\"uptime\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"closed\":%" PRIu64
	        ",\"refused\":%" PRIu64 ",\"refused_address\":%" PRIu64 ",\"proxy_refused\":%" PRIu64
	        ",\"limited\":%" PRIu64 ",\"published\":%" PRIu64 ",\"publish_skipped\":%" PRIu64
	        ",\"requests\":%" PRIu64 ",\"packets\":%" PRIu64 ",\"packets_dropped\":%" PRIu64,
	        (clock_ms() - m->started_ms) / 1000, connections, t.accepted, t.closed, t.refused, t.refused_address,
	        t.proxy_refused, t.limited, t.published, t.publish_skipped, t.requests, t.packets, t.packets_dropped);
	put_listeners(m, f, &t);
	put_reactors(m, f);
	put_processes(m, f, "workers", CREW_WORKER);
	put_processes(m, f, "tasks", CREW_TASK);
	put_processes(m, f, "processes", CREW_PROCESS);
	fputs("}", f);
	fclose(f);
	return out;
}

/* ---- text ------------------------------------------------------------------------------------ */

void status_write_ports(const struct master *m, FILE *to)
{
	const struct settings *s = &m->release->settings;
	char address[SOCK_TEXT_MAX];

	for (unsigned i = 0; i < s->n_ports; i++)
		fprintf(to, "%s%s on %s", i ? ", " : "", settings_port_protocol(&s->ports[i]),
		        sock_text(&s->ports[i].address, address));
}

static void write_table(const struct master *m, FILE *f)
{
	fprintf(f, "%-12s %3s %8s %-9s %10s %10s %9s %6s %11s %10s %8s\n", "process", "id", "pid", "state",
	        "generation", "requests", "in flight", "queued", "coroutines", "Lua KiB", "restarts");
	for (unsigned i = 0; i < m->keeper.n_slots; i++) {
		const struct keeper_gen *g = keeper_newest(&m->keeper, i);
		const struct board_worker *b = g ? board_of(g) : NULL;
		const struct userproc *p = crew_process(&m->keeper.accepted->settings, i);

		fprintf(f,
		        "%-12s %3u %8d %-9s %10" PRIu64 " %10" PRIu64 " %9" PRIu64 " %6" PRIu64 " %11" PRIu64
		        " %10" PRIu64 " %8" PRIu64 "%s%s\n",
		        crew_title(&m->release->settings, i), i, g ? g->child.pid : 0, state_of(m, i, g),
		        g ? g->epoch : 0, b ? board_get(&b->requests) : 0, b ? board_get(&b->in_flight) : 0,
		        b ? board_get(&b->queued) : 0, b ? board_get(&b->coroutines) : 0,
		        b ? board_get(&b->lua_bytes) / 1024 : 0, m->keeper.slots[i].restarts,
		        p && p->name[0] ? "  " : "", p ? p->name : "");
	}
}

char *status_text(const struct master *m)
{
	struct totals t = count(m);
	char mode[16];
	char *plain = NULL, *quoted = NULL;
	size_t len;
	FILE *f;

	if (!m->has_keeper)
		return NULL;
	f = open_memstream(&plain, &len);
	if (!f)
		return NULL;
	fprintf(f, "luaserv %s, %s mode, pid %d, up %" PRIu64 " s, generation %" PRIu64 "\n", LS_VERSION,
	        mode_of(m, mode, sizeof mode), getpid(), (clock_ms() - m->started_ms) / 1000,
	        m->keeper.accepted->epoch);
	status_write_ports(m, f);
	fprintf(f, "\nconnections %" PRIu64 ", accepted %" PRIu64 ", refused %" PRIu64 ", requests %" PRIu64 "\n",
	        t.accepted > t.closed ? t.accepted - t.closed : 0, t.accepted, t.refused, t.requests);
	write_table(m, f);
	fclose(f);

	f = open_memstream(&quoted, &len);
	if (f) {
		jsonline_put(f, str_from(plain));
		fclose(f);
	}
	free(plain);
	return quoted;
}

char *status_ready_line(const struct master *m)
{
	const struct settings *s = &m->release->settings;
	char host[SOCK_TEXT_MAX];
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	if (!f)
		return NULL;
	fprintf(f, "{\"ready\":true,\"pid\":%d,\"ports\":[", getpid());
	for (unsigned i = 0; i < s->n_ports; i++) {
		const struct sock_addr *a = &s->ports[i].address;
		struct sock_peer peer = sock_peer_of(a);

		fputs(i ? ",{" : "{", f);
		if (a->sa.sa_family == AF_UNIX) {
			fputs("\"path\":", f);
			jsonline_put(f, str_from(a->un.sun_path));
		} else {
			fputs("\"host\":", f);
			jsonline_put(f, str_from(sock_peer_text(&peer, host)));
			fprintf(f, ",\"port\":%u", peer.port);
		}
		fputs(",\"protocol\":", f);
		jsonline_put(f, str_from(settings_port_protocol(&s->ports[i])));
		fputs("}", f);
	}
	fputs("]}\n", f);
	fclose(f);
	return out;
}
