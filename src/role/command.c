/* What the command line may ask of a running server. */
#include "role/master.h"

#include "base/log.h"
#include "base/mem.h"
#include "role/fanout.h"
#include "super/jsonline.h"
#include "sys/fd.h"
#include "sys/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- reopen ---------------------------------------------------------------------------------- */

struct old_log {
	int fd;
};

static void on_access_log_changed(void *ctx)
{
	struct old_log *old = ctx;

	fd_close(&old->fd);
	free(old);
}

static int open_access_log(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static void reopen_access_log(struct master *m)
{
	const char *path = m->keeper.accepted->settings.access_log;
	struct keeper *k = &m->keeper;
	struct old_log *old;
	struct fanout *f;
	int fd;

	if (m->access_log < 0 || path[0] != '/')
		return;
	fd = open_access_log(path);
	if (fd < 0) {
		log_error("the access log %s cannot be opened again, the old one goes on: %s", path, strerror(errno));
		return;
	}
	old = xalloc(sizeof *old);
	old->fd = m->access_log;
	m->access_log = fd;
	k->o.access_log = fd;
	if (k->o.reactors == 0) {
		on_access_log_changed(old);
		return;
	}
	f = fanout_new(&m->mailbox, k->o.reactors, on_access_log_changed, old);
	for (unsigned i = 0; i < k->o.reactors; i++)
		reactor_access_log(k->reactors[i], fd, fanout_answered, fanout_part(f, i));
}

void command_reopen(struct master *m)
{
	struct err err;

	if (!m->has_keeper || !m->fleet)
		return;
	if (log_reopen(&err) < 0)
		log_error("the log cannot be opened again, the old one goes on: %s", err.text);
	reopen_access_log(m);
	m->fleet->ops->reopen(m->fleet, log_fd(), m->access_log);
	log_notice("the logs were opened again");
}

/* ---- requests -------------------------------------------------------------------------------- */

static void do_ping(struct master *m, uint64_t id, struct str line LS_UNUSED)
{
	char text[64];

	snprintf(text, sizeof text, "{\"pid\":%d}", getpid());
	admin_answer(m->admin, id, text);
}

static void do_status(struct master *m, uint64_t id, struct str line)
{
	char format[8];
	bool text = jsonline_get(line, "format", format, sizeof format) > 0 && strcmp(format, "text") == 0;
	char *result = text ? status_text(m) : status_json(m);

	admin_answer(m->admin, id, result ? result : "null");
	free(result);
}

static void do_reload(struct master *m, uint64_t id, struct str line)
{
	char tasks[8];
	bool tasks_only = jsonline_get(line, "tasks", tasks, sizeof tasks) > 0 && strcmp(tasks, "true") == 0;

	if (m->state != MASTER_SERVES)
		admin_refuse(m->admin, id, "the server is not serving yet or stops already");
	else
		command_reload(m, id, tasks_only);
}

static void do_stop(struct master *m, uint64_t id, struct str line LS_UNUSED)
{
	admin_hold(m->admin, id);
	if (m->state < MASTER_DRAINS)
		shutdown_begin(m);
}

static void do_reopen(struct master *m, uint64_t id, struct str line LS_UNUSED)
{
	command_reopen(m);
	admin_answer(m->admin, id, "true");
}

static const struct {
	const char *name;
	void (*fn)(struct master *m, uint64_t id, struct str line);
} commands[] = {
	{ "ping", do_ping }, { "status", do_status }, { "reload", do_reload },
	{ "stop", do_stop }, { "reopen", do_reopen },
};

void command_on_request(void *ctx, uint64_t id, struct str line)
{
	struct master *m = ctx;
	char name[32];

	if (m->state == MASTER_ENDS)
		return; /* the end of the connection is the answer */
	if (jsonline_get(line, "command", name, sizeof name) < 0) {
		admin_refuse(m->admin, id, "the request is no JSON object with a command");
		return;
	}
	for (size_t i = 0; i < LS_COUNT(commands); i++)
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].fn(m, id, line);
			return;
		}
	admin_refuse(m->admin, id, "there is no such command");
}

void command_reload(struct master *m, uint64_t tag, bool tasks_only)
{
	notify_say_reloading();
	m->fleet->ops->reload(m->fleet, tag, tasks_only);
}

void command_on_reloaded(void *ctx, uint64_t tag, bool done, const char *text)
{
	struct master *m = ctx;
	char result[64];

	notify_say("READY=1");
	if (!tag || !m->admin)
		return;
	snprintf(result, sizeof result, "{\"generation\":%llu}", (unsigned long long)m->keeper.epoch);
	if (done)
		admin_answer(m->admin, tag, result);
	else
		admin_refuse(m->admin, tag, text);
}
