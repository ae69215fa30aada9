#include "super/admin.h"

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "super/jsonline.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MAX = 64, LINE_MAX_BYTES = 4096, PATIENCE_MS = 10000, PAUSE_MS = 100 };

struct client {
	struct list link;
	struct admin *admin;
	struct watch watch;
	struct timer deadline; /* to send its line, or to read the answer */
	uint64_t id;
	char line[LINE_MAX_BYTES];
	size_t len;
	bool asked;
	char *answer; /* owned */
	size_t answer_len;
	size_t sent;
};

struct admin {
	struct loop *loop;
	struct watch listening;
	struct timer pause; /* no descriptor was left: accepting goes on when it fires */
	struct list clients;
	unsigned n_clients;
	uint64_t last_id;
	admin_request on_request;
	void *ctx;
};

static void on_client_closed(struct watch *w)
{
	struct client *c = LS_CONTAINER_OF(w, struct client, watch);

	free(c->answer);
	free(c);
}

static void close_client(struct client *c)
{
	if (!list_linked(&c->link))
		return;
	list_del(&c->link);
	c->admin->n_clients--;
	timer_del(c->admin->loop, &c->deadline);
	watch_close(&c->watch, on_client_closed);
}

static void on_deadline(struct timer *t)
{
	close_client(LS_CONTAINER_OF(t, struct client, deadline));
}

static void send_rest(struct client *c)
{
	while (c->sent < c->answer_len) {
		ssize_t n = send(c->watch.fd, c->answer + c->sent, c->answer_len - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			watch_set(&c->watch, WATCH_WRITE);
			return;
		}
		if (n < 0)
			break;
		c->sent += (size_t)n;
	}
	close_client(c);
}

/* 1: the line is whole; 0: not yet; negative: close. */
static int read_line(struct client *c)
{
	ssize_t n = recv(c->watch.fd, c->line + c->len, sizeof c->line - c->len, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0 || c->asked)
		return -EPIPE;
	c->len += (size_t)n;
	if (memchr(c->line, '\n', c->len))
		return 1;
	return c->len == sizeof c->line ? -EMSGSIZE : 0;
}

static void on_event(struct watch *w, int events LS_UNUSED)
{
	struct client *c = LS_CONTAINER_OF(w, struct client, watch);

	if (c->answer) {
		send_rest(c);
		return;
	}

	int r = read_line(c);

	if (r < 0) {
		close_client(c);
	} else if (r == 1) {
		struct admin *a = c->admin;
		ssize_t end = str_chr(str_make(c->line, c->len), '\n');

		c->asked = true;
		timer_del(a->loop, &c->deadline);
		a->on_request(a->ctx, c->id, str_make(c->line, (size_t)end));
	}
}

static bool is_welcome(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

static void add_client(struct admin *a, int fd)
{
	struct client *c = xzalloc(sizeof *c);

	c->admin = a;
	c->id = ++a->last_id;
	timer_init(&c->deadline, on_deadline);
	if (watch_open(&c->watch, a->loop, fd, on_event) < 0) {
		fd_close(&fd);
		free(c);
		return;
	}
	list_append(&a->clients, &c->link);
	a->n_clients++;
	timer_set(a->loop, &c->deadline, PATIENCE_MS);
	watch_set(&c->watch, WATCH_READ);
}

static void on_connection(struct watch *w, int events LS_UNUSED)
{
	struct admin *a = LS_CONTAINER_OF(w, struct admin, listening);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		watch_set(w, 0);
		timer_set(a->loop, &a->pause, PAUSE_MS);
	}
	if (fd < 0)
		return;
	if (a->n_clients < CLIENTS_MAX && is_welcome(fd)) {
		add_client(a, fd);
		return;
	}
	log_warn("a connection to the admin socket was refused");
	fd_close(&fd);
}

static void on_pause_over(struct timer *t)
{
	watch_set(&LS_CONTAINER_OF(t, struct admin, pause)->listening, WATCH_READ);
}

struct admin *admin_open(struct loop *l, int fd, admin_request on_request, void *ctx)
{
	struct admin *a = xzalloc(sizeof *a);

	a->loop = l;
	a->on_request = on_request;
	a->ctx = ctx;
	list_init(&a->clients);
	timer_init(&a->pause, on_pause_over);
	if (watch_open(&a->listening, l, fd, on_connection) < 0) {
		fd_close(&fd);
		free(a);
		return NULL;
	}
	watch_set(&a->listening, WATCH_READ);
	return a;
}

static void on_admin_closed(struct watch *w)
{
	free(LS_CONTAINER_OF(w, struct admin, listening));
}

void admin_close(struct admin *a)
{
	if (!a)
		return;
	LS_LIST_EACH_SAFE (it, after, &a->clients)
		close_client(LS_CONTAINER_OF(it, struct client, link));
	timer_del(a->loop, &a->pause);
	watch_close(&a->listening, on_admin_closed);
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct client *find(struct admin *a, uint64_t id)
{
	LS_LIST_EACH (it, &a->clients) {
		struct client *c = LS_CONTAINER_OF(it, struct client, link);

		if (c->id == id && !c->answer)
			return c;
	}
	return NULL;
}

static void answer(struct admin *a, uint64_t id, const char *result, const char *error)
{
	struct client *c = find(a, id);
	FILE *f;

	if (!c)
		return;
	f = open_memstream(&c->answer, &c->answer_len);
	if (!f) {
		close_client(c);
		return;
	}
	fprintf(f, "{\"ok\":%s,\"%s\":", error ? "false" : "true", error ? "error" : "result");
	if (error)
		jsonline_put(f, str_from(error));
	else
		fputs(result, f);
	fputs("}\n", f);
	fclose(f);
	timer_set(a->loop, &c->deadline, PATIENCE_MS);
	send_rest(c);
}

void admin_answer(struct admin *a, uint64_t id, const char *result)
{
	answer(a, id, result, NULL);
}

void admin_refuse(struct admin *a, uint64_t id, const char *text)
{
	answer(a, id, NULL, text);
}

void admin_hold(struct admin *a, uint64_t id)
{
	struct client *c = find(a, id);

	if (c)
		timer_del(a->loop, &c->deadline);
}
