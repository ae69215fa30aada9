#include "sys/unixmsg.h"

#include "base/bits.h"
#include "sys/fd.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	PARTS_MAX = 64,
	KERNEL_FDS_MAX = 253, /* SCM_MAX_FD: room for any message, whoever sent it */
};

/* Room for one SCM_RIGHTS header and its descriptors, aligned for it. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(KERNEL_FDS_MAX * sizeof(int))];
};

int unixmsg_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ? -errno : 0;
}

int unixmsg_inbox(int fds[2])
{
	enum { WANTED = 1 << 20 };
	int size = WANTED;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	/* As much as the system allows: net.core.wmem_max. */
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return 0;
}

static void attach_fds(struct msghdr *msg, union control *control, const int *fds, int n_fds)
{
	size_t size = (size_t)n_fds * sizeof *fds;
	struct cmsghdr *header;

	msg->msg_control = control->room;
	msg->msg_controllen = CMSG_SPACE(size);
	memset(control->room, 0, msg->msg_controllen);
	header = CMSG_FIRSTHDR(msg);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(header), fds, size);
}

int unixmsg_send(int fd, const struct str *parts, int n_parts, const int *fds, int n_fds)
{
	struct iovec iov[PARTS_MAX];
	union control control;
	struct msghdr msg = { .msg_iov = iov };
	size_t total = 0;
	ssize_t n;

	if (n_parts < 0 || n_parts > PARTS_MAX || n_fds < 0 || n_fds > UNIXMSG_FDS_MAX)
		return -EINVAL;
	for (int i = 0; i < n_parts; i++) {
		iov[i] = (struct iovec){ .iov_base = (void *)(uintptr_t)parts[i].p, .iov_len = parts[i].len };
		total += parts[i].len;
	}
	if (total == 0)
		return -EINVAL; /* the receiver would take it for the end of file */
	msg.msg_iovlen = (size_t)n_parts;
	if (n_fds)
		attach_fds(&msg, &control, fds, n_fds);
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Copies the message's descriptors to `fds`; returns how many there are. */
static int collect_fds(struct msghdr *msg, int fds[KERNEL_FDS_MAX])
{
	int n = 0;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;

		size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		count = LS_MIN(count, (size_t)(KERNEL_FDS_MAX - n));
		memcpy(fds + n, CMSG_DATA(h), count * sizeof(int));
		n += (int)count;
	}
	return n;
}

ssize_t unixmsg_recv(int fd, void *buf, size_t cap, int *fds, int *n_fds)
{
	int came[KERNEL_FDS_MAX];
	int room = n_fds ? *n_fds : 0;
	union control control;
	struct iovec iov = { .iov_base = buf, .iov_len = cap };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof control.room,
	};
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;

	int n_came = collect_fds(&msg, came);
	bool whole = !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && n_came <= room;

	if (n == 0 || !whole) {
		for (int i = 0; i < n_came; i++)
			fd_close(&came[i]);
		return whole ? 0 : -EMSGSIZE;
	}
	if (n_came)
		memcpy(fds, came, (size_t)n_came * sizeof *fds);
	if (n_fds)
		*n_fds = n_came;
	return n;
}
