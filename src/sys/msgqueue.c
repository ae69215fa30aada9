#include "sys/msgqueue.h"

#include "sys/sig.h"

#include <errno.h>
#include <limits.h>
#include <sys/ipc.h>
#include <sys/msg.h>

static int or_errno(int r)
{
	return r < 0 ? -errno : r;
}

int msgqueue_open(key_t key)
{
	return or_errno(msgget(key, key == IPC_PRIVATE ? 0600 : IPC_CREAT | 0600));
}

int msgqueue_find(key_t key)
{
	return or_errno(msgget(key, 0));
}

int msgqueue_read_state(int id, struct msgqueue_state *out)
{
	struct msqid_ds ds;

	if (msgctl(id, IPC_STAT, &ds) < 0)
		return -errno;
	*out = (struct msgqueue_state){
		.messages = ds.msg_qnum,
		.bytes = ds.__msg_cbytes,
		.bytes_max = ds.msg_qbytes,
	};
	return 0;
}

int msgqueue_set_room(int id, uint64_t bytes)
{
	struct msqid_ds ds;

	if (msgctl(id, IPC_STAT, &ds) < 0)
		return -errno;
	ds.msg_qbytes = bytes < INT_MAX ? (msglen_t)bytes : INT_MAX;
	return or_errno(msgctl(id, IPC_SET, &ds));
}

void msgqueue_remove(int id)
{
	(void)msgctl(id, IPC_RMID, NULL); /* else it has gone already */
}

int msgqueue_send(int id, const struct msgqueue_message *m, size_t len)
{
	int r;

	do
		r = msgsnd(id, m, len, IPC_NOWAIT);
	while (r < 0 && errno == EINTR);
	return or_errno(r);
}

ssize_t msgqueue_receive(int id, long type, bool wait, struct msgqueue_message *m)
{
	ssize_t n = msgrcv(id, m, sizeof m->data, type, MSG_NOERROR | (wait ? 0 : IPC_NOWAIT));

	if (n >= 0)
		return n;
	return errno == ENOMSG ? -EAGAIN : -errno;
}

ssize_t msgqueue_peek(int id, long index, struct msgqueue_message *m)
{
	ssize_t n = msgrcv(id, m, sizeof m->data, index, MSG_COPY | MSG_NOERROR | IPC_NOWAIT);

	if (n >= 0)
		return n;
	return errno == ENOMSG ? -EAGAIN : -errno;
}

static int interrupting_signal(void)
{
	return SIGRTMIN + 4;
}

static void on_interrupt(int sig)
{
	(void)sig; /* that the call is interrupted is all */
}

int msgqueue_start_thread(pthread_t *out, void *(*run)(void *ctx), void *ctx)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	sigset_t before, only;
	int r;

	sigemptyset(&action.sa_mask);
	if (sigaction(interrupting_signal(), &action, NULL) < 0)
		return -errno;
	/* It inherits the mask, so no signal finds it unprepared. */
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	sig_block_all();
	sigemptyset(&only);
	sigaddset(&only, interrupting_signal());
	pthread_sigmask(SIG_UNBLOCK, &only, NULL);
	r = -pthread_create(out, NULL, run, ctx);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

void msgqueue_interrupt(pthread_t thread)
{
	pthread_kill(thread, interrupting_signal());
}
