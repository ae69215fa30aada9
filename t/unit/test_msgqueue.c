/* t/unit/test_msgqueue.c — messages come in their order, a full queue refuses, a wait can be ended. */
#include "sys/msgqueue.c"

#include "tap.h"

#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static struct msgqueue_message out, in;
static atomic_int waiting_result = 1;

static int send_text(int id, long type, const char *text)
{
	out.type = type;
	memcpy(out.data, text, strlen(text));
	return msgqueue_send(id, &out, strlen(text));
}

static bool receives(int id, long type, const char *text)
{
	ssize_t n = msgqueue_receive(id, type, false, &in);

	return n == (ssize_t)strlen(text) && memcmp(in.data, text, (size_t)n) == 0;
}

static void *wait_for_one(void *arg)
{
	static struct msgqueue_message m;
	int id = *(int *)arg;

	atomic_store(&waiting_result, (int)msgqueue_receive(id, 0, true, &m));
	return NULL;
}

/* How the wait ended. */
static int end_wait(int id, void (*how)(int id, pthread_t thread))
{
	pthread_t thread;

	atomic_store(&waiting_result, 1);
	if (msgqueue_start_thread(&thread, wait_for_one, &id) < 0)
		return 2;
	while (atomic_load(&waiting_result) == 1)
		how(id, thread);
	pthread_join(thread, NULL);
	return atomic_load(&waiting_result);
}

static void interrupt_it(int id, pthread_t thread)
{
	(void)id;
	msgqueue_interrupt(thread);
	poll(NULL, 0, 1); /* a thread that gets signals all the time comes to nothing else */
}

static void remove_it(int id, pthread_t thread)
{
	(void)thread;
	msgqueue_remove(id);
}

static void test_order(int id)
{
	ok(msgqueue_receive(id, 0, false, &in) == -EAGAIN, "an empty queue");
	ok(send_text(id, 2, "one") == 0 && send_text(id, 1, "two") == 0 && send_text(id, 2, "three") == 0,
	   "three messages");
	if (msgqueue_peek(id, 2, &in) != -ENOSYS) {
		ok(msgqueue_peek(id, 2, &in) == 5 && in.type == 2 && memcmp(in.data, "three", 5) == 0,
		   "the third, which stays");
		ok(msgqueue_peek(id, 3, &in) == -EAGAIN, "there is no fourth");
	}
	ok(receives(id, 1, "two"), "the one of a type");
	ok(receives(id, 0, "one") && in.type == 2, "the oldest");
	ok(msgqueue_receive(id, 1, false, &in) == -EAGAIN, "none of a type");
	ok(receives(id, 2, "three"), "and the last");
	ok(send_text(id, 1, "") == 0 && receives(id, 1, ""), "an empty one");
}

static void test_room(int id)
{
	struct msgqueue_state state;
	unsigned n = 0;

	ok(msgqueue_set_room(id, 1000) == 0, "less room");
	while (send_text(id, 1, "0123456789") == 0)
		n++;
	ok(n == 100 && send_text(id, 1, "0123456789") == -EAGAIN, "a full queue refuses");
	ok(msgqueue_read_state(id, &state) == 0 && state.messages == 100 && state.bytes == 1000 &&
	           state.bytes_max == 1000,
	   "its state");
	while (msgqueue_receive(id, 0, false, &in) >= 0)
		n--;
	ok(n == 0, "all are there");
}

static void test_key(void)
{
	key_t key = (key_t)getpid() | 0x5e000000;
	int id;

	ok(msgqueue_find(key) == -ENOENT, "no queue with that key");
	id = msgqueue_open(key);
	ok(id >= 0 && msgqueue_open(key) == id && msgqueue_find(key) == id, "one, once it was opened");
	msgqueue_remove(id);
	ok(msgqueue_find(key) == -ENOENT && send_text(id, 1, "x") < 0, "and none when it was removed");
}

int main(void)
{
	int id = msgqueue_open(IPC_PRIVATE), r;

	ok(id >= 0, "a queue");
	test_order(id);
	test_room(id);
	memset(out.data, 'x', sizeof out.data);
	out.type = 1;
	ok(msgqueue_send(id, &out, sizeof out.data) == -EINVAL, "a message that is too long");
	ok(end_wait(id, interrupt_it) == -EINTR, "a wait is interrupted");
	r = end_wait(id, remove_it);
	ok(r == -EIDRM || r == -EINVAL, "and ends with the queue");
	test_key();
	return tap_done();
}
