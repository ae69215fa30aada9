/* Helps the tests of shared memory: a segment, and processes that use it and are killed. */
#pragma once

#include "ipc/segment.h"
#include "sys/fd.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A child runs fn(ctx) until it returns or is killed. */
static inline pid_t start_child(void (*fn)(void *ctx), void *ctx)
{
	pid_t pid = fork();

	if (pid == 0) {
		alarm(120); /* lest it outlive a test that was stopped */
		fn(ctx);
		_exit(0);
	}
	return pid;
}

static inline int wait_child(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

static inline void kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_child(pid);
}

/* A random moment: up to `most` microseconds of this process's own work. */
static inline void let_run(unsigned most)
{
	struct timespec now;
	unsigned us = (unsigned)rand() % (most + 1);

	clock_gettime(CLOCK_MONOTONIC, &now);

	uint64_t until = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 + us;

	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 < until);
}
