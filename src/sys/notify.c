#include "sys/notify.h"

#include "sys/fd.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static struct sockaddr_un manager;
static socklen_t manager_len; /* 0: there is none */

void notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;

	manager_len = 0;
	if (len > 1 && len < sizeof manager.sun_path && (path[0] == '/' || path[0] == '@')) {
		manager.sun_family = AF_UNIX;
		memcpy(manager.sun_path, path, len);
		if (path[0] == '@')
			manager.sun_path[0] = '\0';
		manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	}
	unsetenv("NOTIFY_SOCKET");
}

void notify_say(const char *state)
{
	int fd = manager_len ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;

	if (fd < 0)
		return;
	/* A manager that does not listen learns by other means. */
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&manager, manager_len);
	fd_close(&fd);
}

void notify_say_reloading(void)
{
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
	         (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	notify_say(text);
}
