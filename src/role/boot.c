/* What the master opens to the outside before it starts anything: logs, pid file, ports, admin socket; then it drops its
 * privileges. */
#include "base/log.h"
#include "base/mem.h"
#include "role/master.h"
#include "role/pidfile.h"
#include "sys/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_logs(struct master *m, struct err *err)
{
	const struct settings *s = &m->release->settings;

	log_set_level((enum log_level)s->log_level);
	if (log_open(s->log_file, err) < 0)
		return err->code;
	if (strcmp(s->access_log, "off") == 0)
		return 0;
	if (strcmp(s->access_log, "stdout") == 0)
		m->access_log = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		m->access_log = open(s->access_log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (m->access_log < 0)
		return err_set(err, -errno, "the access log %s cannot be opened: %s", s->access_log, strerror(errno));
	return 0;
}

/* So that the command line finds us; a server without it still serves. */
static void open_admin(struct master *m)
{
	const struct launch *l = m->opts->launch;
	struct err err = { 0 };
	size_t used = 0;
	int fd;

	m->entry = xzalloc(sizeof *m->entry);
	m->entry->pid = getpid();
	m->entry->daemon = m->opts->control >= 0;
	str_copy(str_from(l->script), m->entry->script, sizeof m->entry->script);
	str_copy(str_from(l->directory), m->entry->directory, sizeof m->entry->directory);
	str_copy(str_from(l->conf), m->entry->conf, sizeof m->entry->conf);
	for (unsigned i = 0; i < l->n_options && used < sizeof m->entry->options; i++)
		used += (size_t)snprintf(m->entry->options + used, sizeof m->entry->options - used, "%s\n",
		                         l->options[i]);
	fd = rundir_register(m->entry, &err);
	if (fd < 0) {
		log_warn("%s; the command line will not find this server", err.text);
		free(m->entry);
		m->entry = NULL;
		return;
	}
	m->admin = admin_open(&m->loop, fd, command_on_request, m);
}

int boot_open(struct master *m, struct err *err)
{
	struct settings *s = &m->release->settings;
	int r = open_logs(m, err);

	if (r == 0 && s->pid_file[0])
		r = m->pidfile = pidfile_open(s->pid_file, err);
	if (r >= 0)
		r = ports_open(&m->ports, s, s->mode == MODE_BASE, &m->given, err);
	if (r >= 0)
		r = release_refreeze(m->release, err);
	if (r < 0)
		return r;
	open_admin(m);
	r = proc_drop_privileges(s->user, s->group, s->chroot, err);
	if (r == 0 && s->chroot[0] && access("/proc/self/exe", X_OK) < 0)
		r = err_set(err, -ENOENT, "no child could be started inside %s: it holds no /proc", s->chroot);
	return r == 0 ? taskbox_open(&m->taskbox, s, err) : r;
}
