#include "ipc/taskqueue.h"

#include "sys/fd.h"
#include "sys/msgqueue.h"
#include "sys/spool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ipc.h>

static int refuse(uint32_t key, int code, struct err *err)
{
	switch (code) {
	case -EACCES:
		return err_set(
			err, code,
			"the task queue with message_queue_key 0x%08" PRIx32
			" belongs to another user; start as that user, say another key, or remove it: ipcrm -Q 0x%08" PRIx32,
			key, key);
	case -ENOSPC:
		return err_set(
			err, code,
			"the task queue cannot be made: there are as many message queues as kernel.msgmni allows; ipcs -q lists them");
	case -ENOSYS:
		return err_set(
			err, code,
			"the task queue cannot be made: this kernel has no System V message queues; use task_ipc_mode 1");
	default:
		return err_set(err, code, "the task queue cannot be made: %s", strerror(-code));
	}
}

/* 0 where it cannot be known, as in a chroot without /proc. */
static uint64_t longest_message(void)
{
	uint64_t n = 0;
	char *text;
	ssize_t len = fd_read_file("/proc/sys/kernel/msgmax", 64, &text, NULL);

	if (len < 0)
		return 0;
	if (str_to_u64(str_trim(str_make(text, (size_t)len - (len > 0 && text[len - 1] == '\n'))), &n) < 0)
		n = 0;
	free(text);
	return n;
}

static int check_room(int id, uint32_t key, struct err *err)
{
	uint64_t longest = longest_message();
	struct msgqueue_state state;
	int r = msgqueue_read_state(id, &state);

	if (r < 0)
		return refuse(key, r, err);
	if (longest && longest < MSGQUEUE_LEN_MAX)
		return err_set(err, -EMSGSIZE,
		               "kernel.msgmax is %" PRIu64
		               ", but messages of tasks have up to %d bytes; say sysctl kernel.msgmax=%d",
		               longest, MSGQUEUE_LEN_MAX, MSGQUEUE_LEN_MAX);
	if (state.bytes_max < MSGQUEUE_LEN_MAX)
		return err_set(
			err, -EMSGSIZE,
			"the task queue holds %" PRIu64
			" bytes, which is less than one message of %d; say sysctl kernel.msgmnb=16384 or more, and remove a queue "
			"that is there already (ipcs -q, ipcrm)",
			state.bytes_max, MSGQUEUE_LEN_MAX);
	return 0;
}

int taskqueue_open(uint32_t key, struct err *err)
{
	int id = msgqueue_open(key ? (key_t)key : IPC_PRIVATE);
	int r = id < 0 ? refuse(key, id, err) : check_room(id, key, err);

	if (r < 0 && id >= 0 && !key)
		msgqueue_remove(id);
	return r < 0 ? r : id;
}

int taskqueue_find(uint32_t key, struct err *err)
{
	int id = msgqueue_find((key_t)key);

	if (id == -ENOENT)
		return err_set(err, id,
		               "there is no task queue with the key 0x%08" PRIx32
		               "; a server with that message_queue_key makes it when it starts",
		               key);
	return id < 0 ? refuse(key, id, err) : id;
}

static int push_file(int queue, const char *dir, struct msgqueue_message *m, const struct taskmsg *t)
{
	struct taskmsg with_name = *t;
	char name[SPOOL_NAME_MAX];
	ssize_t len;
	int r = spool_write(dir, queue, t->data, name);

	if (r < 0)
		return r == -EAGAIN || r == -EINVAL ? -EIO : r;
	with_name.flags |= TASKMSG_FILED;
	with_name.data = str_from(name);
	len = taskmsg_write(&with_name, m->data, MSGQUEUE_LEN_MAX);
	r = len < 0 ? (int)len : msgqueue_send(queue, m, (size_t)len);
	if (r < 0)
		spool_remove(dir, name);
	return r;
}

int taskqueue_push(int queue, const char *dir, long type, const struct taskmsg *t)
{
	struct msgqueue_message m = { .type = type };
	ssize_t len = taskmsg_write(t, m.data, MSGQUEUE_LEN_MAX);

	return len < 0 ? push_file(queue, dir, &m, t) : msgqueue_send(queue, &m, (size_t)len);
}
