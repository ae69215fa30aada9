#include "conf/userproc.h"

#include "base/mem.h"
#include "conf/settings.h"

#include <errno.h>

static const char *const restart_names[RESTARTS] = { "always", "on_error", "never" };

const char *userproc_restart_name(enum userproc_restart restart)
{
	return restart_names[restart];
}

int userproc_restart_find(struct str name)
{
	for (int i = 0; i < RESTARTS; i++)
		if (str_eq(name, str_from(restart_names[i])))
			return i;
	return -1;
}

/* It stands in process titles, in the log and in JSON. */
static bool is_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
			return false;
	return name.len < USERPROC_NAME_MAX;
}

int userproc_add(struct settings *s, struct str name, enum userproc_restart restart, bool coroutine, struct err *err)
{
	struct userproc *p;

	if (s->n_processes == USERPROC_MAX)
		return err_set(err, -E2BIG, "there are %d user processes already, and there can be no more",
		               USERPROC_MAX);
	if (!is_name(name))
		return err_set(err, -EINVAL, "a user process's name has at most %d bytes, and no control characters",
		               USERPROC_NAME_MAX - 1);
	s->processes = xrealloc(s->processes, (s->n_processes + 1) * sizeof *s->processes);
	p = &s->processes[s->n_processes++];
	*p = (struct userproc){ .restart = restart, .coroutine = coroutine };
	str_copy(name, p->name, sizeof p->name);
	return 0;
}

bool userproc_wants_successor(const struct userproc *p, int status)
{
	return p->restart == RESTART_ALWAYS || (p->restart == RESTART_ON_ERROR && status != 0);
}
