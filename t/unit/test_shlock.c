/* t/unit/test_shlock.c — the lock excludes threads and processes, and the death of its owner at any moment is inherited. */
#include "ipc/shlock.c"

#include "shared_stub.h"
#include "tap.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 50000, KILLS = 500 };

struct area {
	struct segment_head head;
	struct shlock lock;
	_Atomic uint64_t first;
	_Atomic uint64_t second;
	uint64_t plain;
};

static int fd;

static void *count(void *ctx)
{
	struct segment *s = ctx;
	struct area *a = s->map.p;

	for (int i = 0; i < ROUNDS; i++) {
		shlock_lock(&a->lock, s, 10000);
		a->plain++;
		shlock_unlock(&a->lock, s);
	}
	return NULL;
}

static void count_alone(void *ctx)
{
	struct segment s;

	if (segment_open(&s, fd, sizeof(struct area)) == 0)
		count(&s);
	(void)ctx;
}

/* What the lock guards: two words that are equal outside of it. */
static void step(struct segment *s, int *inherited)
{
	struct area *a = s->map.p;
	int r = shlock_lock(&a->lock, s, 10000);

	*inherited += r == SHLOCK_INHERITED;
	if (r == SHLOCK_INHERITED)
		a->second = a->first;
	if (r < 0 || a->first != a->second)
		_exit(1);
	a->first++;
	a->second++;
	shlock_unlock(&a->lock, s);
}

static void step_forever(void *ctx)
{
	struct segment s;
	int inherited = 0;

	(void)ctx;
	if (segment_open(&s, fd, sizeof(struct area)) < 0)
		_exit(1);
	for (;;)
		step(&s, &inherited);
}

static void hold(void *ctx)
{
	struct segment s;

	if (segment_open(&s, fd, sizeof(struct area)) < 0)
		_exit(1);
	shlock_lock(&((struct area *)s.map.p)->lock, &s, 10000);
	if (write(*(int *)ctx, "x", 1) == 1)
		pause();
}

static void test_exclusion(struct segment *s)
{
	struct area *a = s->map.p;
	pthread_t threads[THREADS];
	pid_t pids[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, count, s);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ok(a->plain == THREADS * ROUNDS, "threads exclude each other");
	for (int i = 0; i < THREADS; i++)
		pids[i] = start_child(count_alone, NULL);
	for (int i = 0; i < THREADS; i++)
		wait_child(pids[i]);
	ok(a->plain == 2 * THREADS * ROUNDS, "so do processes");
}

static void test_owner(struct segment *s)
{
	struct area *a = s->map.p;
	int pipes[2];
	char byte;
	pid_t pid;

	ok(pipe(pipes) == 0, "pipe");
	pid = start_child(hold, &pipes[1]);
	ok(read(pipes[0], &byte, 1) == 1 && shlock_lock(&a->lock, s, 30) == -ETIMEDOUT, "a living owner keeps it");
	kill_child(pid);
	ok(shlock_lock(&a->lock, s, 10000) == SHLOCK_INHERITED, "a dead one's is inherited");
	shlock_unlock(&a->lock, s);
	ok(a->lock.word == 0, "and given back");
	atomic_store(&a->lock.word, 0x7fffffff);
	ok(shlock_lock(&a->lock, s, 10000) == SHLOCK_INHERITED, "nonsense in the word is nobody's");
	shlock_unlock(&a->lock, s);
}

static void test_kills(struct segment *s)
{
	struct area *a = s->map.p;
	int inherited = 0, stuck = 0;

	for (int i = 0; i < KILLS; i++) {
		pid_t one = start_child(step_forever, NULL), two = start_child(step_forever, NULL);
		uint64_t before = a->first;

		let_run(2000);
		kill_child(one);
		kill_child(two);
		step(s, &inherited);
		stuck += a->first <= before;
	}
	ok(stuck == 0 && a->first == a->second, "%d times two killed, %d times the lock was theirs", KILLS, inherited);
}

int main(void)
{
	struct segment s;

	fd = shm_create("test", sizeof(struct area));
	ok(segment_open(&s, fd, sizeof(struct area)) == 0, "open");
	test_exclusion(&s);
	test_owner(&s);
	test_kills(&s);
	segment_close(&s);
	fd_close(&fd);
	return tap_done();
}
