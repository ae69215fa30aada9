/* What a new worker process is given: descriptors and numbers, queued on its control socket before the process exists. */
#pragma once

#include "ipc/chan.h"
#include "role/ports.h"
#include "role/taskbox.h"
#include "role/vault.h"
#include "super/release.h"

struct setup {
	unsigned slot;
	uint64_t generation;
	const struct release *release;
	const struct chan_fds *chan;
	const struct ports *ports;
	const struct vault *vault;
	const struct taskbox *taskbox;
	unsigned reactors; /* 0: it gets listening sockets instead */
	const int *bells;  /* [reactors] */
	int shared_fd;     /* the reactors' boards */
	int access_log;    /* for its own reactor; -1: none */
	bool canary;
	pid_t manager;
};

/* All of it, on our end of the control socket.  0 or negative errno. */
int setup_send(const struct setup *s, int fd);
