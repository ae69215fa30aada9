/* The death of a process at each instruction: a child runs an operation one instruction at a time, and whenever it has changed the
 * segment a copy is made, in which its locks have a dead owner.  What must hold then is checked on the copy. */
#pragma once

#include "shared_stub.h"

#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>

struct steps {
	int fd;
	size_t bytes;
	/* In the child: opens the segment; then the operation. */
	void *(*open)(int fd, void *ctx);
	void (*operate)(void *object, void *ctx);
	/* True: what must hold does. */
	bool (*holds)(int fd, void *ctx);
	void *ctx;
	/* What came of it. */
	unsigned instructions;
	unsigned states; /* that were checked */
	unsigned broken;
};

static inline void traced_child(const struct steps *s)
{
	void *object = s->open(s->fd, s->ctx);

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(77);
	raise(SIGSTOP);
	s->operate(object, s->ctx);
	_exit(0);
}

static inline void check_copy(struct steps *s, const void *bytes)
{
	int copy = shm_create("copy", s->bytes);
	struct shm map;

	if (copy >= 0 && shm_map(copy, true, &map) == 0) {
		memcpy(map.p, bytes, s->bytes);
		shm_unmap(&map);
	}
	s->states++;
	s->broken += copy < 0 || !s->holds(copy, s->ctx);
	fd_close(&copy);
}

/* False: processes cannot be traced here. */
static inline bool steps_run(struct steps *s)
{
	char *last = malloc(s->bytes);
	struct shm map;
	int status = 0;
	pid_t pid;

	if (!last || shm_map(s->fd, false, &map) < 0)
		return false;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		traced_child(s);
	waitpid(pid, &status, 0);
	if (!WIFSTOPPED(status))
		return false;
	memcpy(last, map.p, s->bytes);
	while (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
	       WIFSTOPPED(status)) {
		s->instructions++;
		if (memcmp(last, map.p, s->bytes) == 0)
			continue;
		memcpy(last, map.p, s->bytes);
		check_copy(s, last);
	}
	shm_unmap(&map);
	free(last);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
