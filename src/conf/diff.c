/* What changes between two settings, and what it takes to make them so. */
#include "base/bits.h"
#include "conf/settings.h"

#include <errno.h>
#include <stdio.h>

enum { NAMED_MAX = 12, SHOWN_MAX = 60 };

/* The differences that need a restart, as they are found. */
struct diff {
	enum settings_reload needed;
	unsigned restarts;
	size_t len;
	char text[900];
};

static void need(struct diff *d, enum settings_reload reload)
{
	d->needed = LS_MAX(d->needed, reload);
}

/* Notes one reason for a restart. */
static void note(struct diff *d, const char *what, const char *from, const char *to)
{
	const char *sep = d->restarts ? ", " : "";
	int len;

	need(d, RELOAD_RESTART);
	if (++d->restarts > NAMED_MAX)
		return;
	len = snprintf(d->text + d->len, sizeof d->text - d->len, "%s%s (%.*s -> %.*s)", sep, what, SHOWN_MAX, from,
	               SHOWN_MAX, to);
	if (len > 0)
		d->len = LS_MIN(d->len + (size_t)len, sizeof d->text - 1);
}

static const char *shown(const struct settings_row *row, const void *field, char *out, size_t cap)
{
	value_print(row, field, out, cap);
	return out[0] ? out : "\"\"";
}

/* `port` of the message is NULL for the server's settings. */
static void compare(struct diff *d, const struct settings_row *row, const char *port, const void *a, const void *b)
{
	char from[VALUE_TEXT_MAX], to[VALUE_TEXT_MAX];
	char what[SETTINGS_PORT_TEXT_MAX + 64];

	if (value_equal(row, a, b))
		return;
	if (row->reload != RELOAD_RESTART) {
		need(d, row->reload);
		return;
	}
	snprintf(what, sizeof what, "%s%s%s", port ? port : "", port ? ": " : "", row->name);
	note(d, what, shown(row, a, from, sizeof from), shown(row, b, to, sizeof to));
}

static bool same_place(const struct port *a, const struct port *b)
{
	return a->type == b->type && a->number == b->number && str_eq(str_from(a->host), str_from(b->host));
}

static void compare_port(struct diff *d, const struct port *from, const struct port *to)
{
	char name[SETTINGS_PORT_TEXT_MAX];

	settings_port_text(from, name);
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->scope == SETTINGS_PORT)
			compare(d, row, name, (const char *)from + row->offset, (const char *)to + row->offset);
	}
	if (from->events != to->events)
		need(d, RELOAD_WORKERS);
}

static void describe_place(const struct port *p, char *out, size_t cap)
{
	char name[SETTINGS_PORT_TEXT_MAX];

	settings_port_text(p, name);
	if (settings_port_is_unix(p) || p->number == 0)
		snprintf(out, cap, "%s", name);
	else
		snprintf(out, cap, "%s of %s", name, p->host[0] ? p->host : "*");
}

static void compare_ports(struct diff *d, const struct settings *from, const struct settings *to)
{
	char what[32], a[2 * SETTINGS_PORT_TEXT_MAX], b[2 * SETTINGS_PORT_TEXT_MAX];
	unsigned common = LS_MIN(from->n_ports, to->n_ports);

	if (from->n_ports != to->n_ports) {
		snprintf(a, sizeof a, "%u", from->n_ports);
		snprintf(b, sizeof b, "%u", to->n_ports);
		note(d, "number of ports", a, b);
	}
	for (unsigned i = 0; i < common; i++) {
		if (same_place(&from->ports[i], &to->ports[i])) {
			compare_port(d, &from->ports[i], &to->ports[i]);
			continue;
		}
		describe_place(&from->ports[i], a, sizeof a);
		describe_place(&to->ports[i], b, sizeof b);
		snprintf(what, sizeof what, "address of port no. %u", i + 1);
		note(d, what, a, b);
	}
}

static void compare_processes(struct diff *d, const struct settings *from, const struct settings *to)
{
	char a[16], b[16];

	if (from->n_processes == to->n_processes)
		return;
	snprintf(a, sizeof a, "%u", from->n_processes);
	snprintf(b, sizeof b, "%u", to->n_processes);
	note(d, "number of user processes", a, b);
}

/* Their memory is in use.  New names get theirs, and that of names that went stays. */
static void compare_shared(struct diff *d, const struct shared_list *from, const struct shared_list *to)
{
	char what[SHARED_NAME_MAX + 32];

	for (unsigned i = 0; i < to->n; i++) {
		const struct shared *new = &to->items[i], *old = shared_find(from, new->name);

		need(d, old ? RELOAD_LIVE : RELOAD_WORKERS);
		if (!old || strcmp(old->shape, new->shape) == 0)
			continue;
		snprintf(what, sizeof what, "the shared memory \"%s\"", new->name);
		note(d, what, old->shape, new->shape);
	}
}

enum settings_reload settings_diff(const struct settings *from, const struct settings *to, struct err *why)
{
	struct diff d = { .needed = RELOAD_LIVE };

	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->scope == SETTINGS_SERVER)
			compare(&d, row, NULL, (const char *)from + row->offset, (const char *)to + row->offset);
	}
	compare_ports(&d, from, to);
	compare_processes(&d, from, to);
	compare_shared(&d, &from->shared, &to->shared);
	if (from->events != to->events)
		need(&d, RELOAD_WORKERS);
	if (d.restarts > NAMED_MAX)
		err_set(why, -EINVAL, "%s and %u more", d.text, d.restarts - NAMED_MAX);
	else if (d.restarts)
		err_set(why, -EINVAL, "%s", d.text);
	return d.needed;
}
