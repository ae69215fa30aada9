#include "role/setup.h"

#include "conf/crew.h"
#include "ipc/ctl.h"

#include <unistd.h>

static bool listens(const struct setup *s)
{
	return s->reactors == 0 && crew_kind(&s->release->settings, s->slot) == CREW_WORKER;
}

static int send_identity(const struct setup *s, int fd)
{
	const struct release *r = s->release;
	struct ctl_msg m = {
		.type = CTL_SETUP,
		.slot = s->slot,
		.generation = s->generation,
		.value = s->reactors,
		.extra = listens(s) ? s->ports->n : 0,
		.n_fds = s->reactors ? 6 : 5,
		.fds = { r->settings_fd, r->image_fd, s->chan->down, s->chan->up, s->chan->bell, s->shared_fd },
	};

	return ctl_send(fd, &m);
}

static int send_listeners(const struct setup *s, int fd)
{
	int fds[SETTINGS_PORTS_MAX];

	if (!listens(s))
		return 0;
	for (unsigned i = 0; i < s->ports->n; i++)
		fds[i] = ports_fd(s->ports, s->slot, i);
	return ctl_send_fds(fd, CTL_LISTENERS, fds, s->ports->n);
}

static int send_order(const struct setup *s, int fd)
{
	struct ctl_msg m = {
		.type = CTL_LOAD,
		.value = s->canary,
		.extra = (uint64_t)getpid() << 32 | (uint32_t)s->manager,
		.n_fds = s->access_log >= 0 && !s->reactors,
		.fds = { s->access_log },
	};

	return ctl_send(fd, &m);
}

int setup_send(const struct setup *s, int fd)
{
	int r = send_identity(s, fd);

	if (r == 0)
		r = ctl_send_fds(fd, CTL_BELLS, s->bells, s->reactors);
	if (r == 0)
		r = send_listeners(s, fd);
	if (r == 0)
		r = vault_send(s->vault, &s->release->settings.shared, fd);
	if (r == 0)
		r = taskbox_send(s->taskbox, fd);
	return r == 0 ? send_order(s, fd) : r;
}
