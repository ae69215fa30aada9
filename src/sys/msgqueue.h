/* System V message queues: the kernel keeps them, and what is in them, until they are removed. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MSGQUEUE_LEN_MAX = 8192 }; /* bytes of one message, as Linux takes them everywhere (kernel.msgmax) */

struct msgqueue_message {
	long type; /* above 0 */
	char data[MSGQUEUE_LEN_MAX + 1];
};

struct msgqueue_state {
	uint64_t messages;
	uint64_t bytes;
	uint64_t bytes_max;
};

/* The queue with that key, made if there is none and then for this user alone; 0: a new one without a key.  Its id or negative errno. */
int msgqueue_open(key_t key);
/* -ENOENT: there is none with that key. */
int msgqueue_find(key_t key);
int msgqueue_read_state(int id, struct msgqueue_state *out);
/* Lets it hold so many bytes.  -EPERM: that is more than kernel.msgmnb, and we have not the right. */
int msgqueue_set_room(int id, uint64_t bytes);
/* Those who wait for it get -EIDRM, others, from then on, -EINVAL. */
void msgqueue_remove(int id);

/* The first `len` bytes of its data.  -EAGAIN: the queue is full; never waits. */
int msgqueue_send(int id, const struct msgqueue_message *m, size_t len);
/* The oldest message of that type, of any with 0; how many bytes it has: MSGQUEUE_LEN_MAX + 1 for one that is longer, which is cut.
 * -EAGAIN: there is none; with `wait`, -EINTR: msgqueue_interrupt(). */
ssize_t msgqueue_receive(int id, long type, bool wait, struct msgqueue_message *m);

/* The same of the message at place `index`, from 0, which stays in the queue.  -EAGAIN: there is none; -ENOSYS: this kernel cannot
 * (CONFIG_CHECKPOINT_RESTORE). */
ssize_t msgqueue_peek(int id, long index, struct msgqueue_message *m);

/* A thread whose waits msgqueue_interrupt() can end, and which takes no other signal.  0 or negative errno. */
int msgqueue_start_thread(pthread_t *out, void *(*run)(void *ctx), void *ctx);
/* The wait may begin only afterwards, so whoever wants it ended says so until it has. */
void msgqueue_interrupt(pthread_t thread);
